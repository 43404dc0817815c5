use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use lentil_protocol::WireTimestamp;
use lentil_protocol::sync::{Chunks, ClientMessage, ServerMessage};
use lentil_runtime::memory::Account;
use lentil_runtime::{
    CallSource, Error, FunctionCall, FunctionKind, FunctionPath, Object, RequestId, SessionRequest,
    Timestamp, Update, Uuid, Value, json_parse_size,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::auth::{self, SignedIn};
use super::calls::{Answered, Asked, Calls};
use super::close_reason::CloseReason;
use super::frames::Received;
use super::queries::Queries;
use super::socket::{Event, Reading, Socket};
use super::upgrade::Upgrade;
use crate::audience::Audience;
use crate::server::Server;

/// A client that hears nothing for a minute believes the connection lost; one of the WebSocket's pings comes with
/// each of ours.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a client may say nothing, not even a pong.
const SILENCE: Duration = Duration::from_secs(120);
/// Of a transition, when it is told in chunks.
const CHUNK_BYTES: usize = 5_000_000;
/// The close code of a message that is too large.
const TOO_LONG: u16 = 1009;
/// Responses that wait for their transitions, over which nothing more is done for a client.
const MOST_RESPONSES: usize = 256;
/// The most bytes of them.
const MOST_RESPONSE_BYTES: usize = 4 << 20;
/// The time within which a client must send `Connect`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers that are recorded for one session; over it the client is told to come back later.
const SESSION_BYTES: usize = 64 << 20;

/// One connection of a client's.
pub(super) struct Session<S> {
    server: Arc<Server>,
    account: Account,
    socket: Socket<S>,
    /// The client's address.
    client: IpAddr,
    /// The source of the client's calls.
    source: CallSource,
    takes_chunks: bool,
    signed_in: SignedIn,
    queries: Queries,
    calls: Calls,
    /// Responses to mutations, with their timestamps, each of which goes right before a transition that has it: some
    /// clients take the next transition, whatever it is, for the one that shows their mutation.
    responses: VecDeque<(Timestamp, Bytes)>,
    /// An update that must wait for the mutation that runs: it may show what that has written.
    held: Option<Update>,
    record: Record,
    is_connected: bool,
}

/// The session whose answers are recorded, so that a mutation asked for again runs once.
#[derive(Default)]
struct Record {
    session_id: Option<Uuid>,
    bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(
        server: Arc<Server>,
        socket: Socket<S>,
        account: Account,
        upgrade: &Upgrade,
    ) -> Session<S> {
        let signed_in = SignedIn::default();
        let audience = Audience::of(&server, &signed_in.identity);
        let queries = Queries::new(&server.runtime, audience, account.clone());
        Session {
            server,
            account,
            socket,
            client: upgrade.client,
            source: upgrade.source.clone(),
            takes_chunks: upgrade.takes_chunks,
            signed_in,
            queries,
            calls: Calls::default(),
            responses: VecDeque::new(),
            held: None,
            record: Record::default(),
            is_connected: false,
        }
    }

    /// Serves the client until one side ends it; returns the socket, for the last words.
    pub(super) async fn run(mut self) -> (Socket<S>, CloseReason) {
        let closing = self.serve().await.unwrap_or_else(|closing| closing);
        (self.socket, closing)
    }

    async fn serve(&mut self) -> Result<CloseReason, CloseReason> {
        let (wakes, shutdown) = (self.queries.wakes(), self.server.shutdown.clone());
        let connect_by = Instant::now() + CONNECT_TIMEOUT;
        let (mut next_ping, mut last_heard) = (Instant::now() + PING_EVERY, Instant::now());
        let account = self.account.clone();
        let mut is_its_turn = false;
        loop {
            if self.held.is_none() && self.socket.takes_transition() {
                self.queries.begin_refresh();
            }
            let has_room = self.has_room();
            let would_read = has_room && self.calls.has_room();
            let reading = match would_read && (is_its_turn || account.is_readable()) {
                true => Reading::Allowed,
                false => Reading::Paused,
            };
            let is_held_back = would_read && reading == Reading::Paused;
            if reading == Reading::Paused || self.socket.is_moving() {
                // A pong that is not read, or that comes within a message, cannot be noticed.
                last_heard = Instant::now();
            }
            tokio::select! {
                event = self.socket.next(reading) => match event? {
                    Event::Text(received) => {
                        (last_heard, is_its_turn) = (Instant::now(), false);
                        self.hear(received).await?;
                    }
                    Event::Heard => (last_heard, is_its_turn) = (Instant::now(), false),
                    Event::Sent => {}
                },
                answered = self.calls.next(), if has_room => self.answer(answered)?,
                update = self.queries.refreshed() => self.updated(update)?,
                () = wakes.woken() => {}
                () = account.readable(), if is_held_back => is_its_turn = true,
                () = account.evicted() => return Ok(CloseReason::evicted()),
                () = sleep_until(next_ping) => {
                    next_ping = Instant::now() + PING_EVERY;
                    self.ping();
                    if last_heard.elapsed() > SILENCE {
                        return Ok(CloseReason::silent());
                    }
                }
                () = auth::until(self.signed_in.expires_at_ms, self.server.runtime.now_ms()) => {
                    return Ok(auth::expired(self.queries.told_identity()));
                }
                () = sleep_until(connect_by), if !self.is_connected => {
                    return Ok(CloseReason::not_connected());
                }
                () = shutdown.cancelled() => return Ok(CloseReason::restarting()),
            }
        }
    }

    /// Returns whether the client keeps up with its responses, those included that wait for their transitions.
    fn has_room(&self) -> bool {
        let bytes: usize = self.responses.iter().map(|(_, text)| text.len()).sum();
        self.socket.has_room()
            && self.responses.len() < MOST_RESPONSES
            && bytes < MOST_RESPONSE_BYTES
    }

    /// Shows the client that the connection lives; a message that is on its way does the same.
    fn ping(&mut self) {
        if self.socket.is_idle() {
            self.socket.send(ServerMessage::Ping.to_json());
        }
        self.socket.ping();
    }

    /// Reads a message. Its memory after parsing is estimated and charged before.
    async fn hear(&mut self, received: Received) -> Result<(), CloseReason> {
        let decoded = json_parse_size(received.text.as_bytes());
        let alone = decoded + received.text.len();
        let parsing = self.account.try_charge(decoded).map_err(|over| {
            if alone <= over.limit {
                return CloseReason::over_budget();
            }
            CloseReason::Fatal {
                error: format!("the message would take {alone} bytes of memory: {over}"),
                code: Some(TOO_LONG),
            }
        })?;
        let message = ClientMessage::parse(&received.text)?;
        drop((parsing, received));
        self.take_up(message).await
    }

    async fn take_up(&mut self, message: ClientMessage) -> Result<(), CloseReason> {
        match message {
            ClientMessage::Connect {
                session_id,
                connection_count,
                max_observed_timestamp,
                client_ts,
                ..
            } => {
                self.queries.client_clock_skew_ms =
                    client_ts.and_then(|ms| clock_skew_ms(ms, self.server.runtime.now_ms()));
                self.connect(session_id, connection_count, max_observed_timestamp)
                    .await
            }
            ClientMessage::ModifyQuerySet {
                base_version,
                new_version,
                changes,
            } => self.queries.modify(base_version, new_version, changes),
            ClientMessage::Mutation {
                request_id,
                path,
                args,
            } => {
                self.call(FunctionKind::Mutation, request_id, &path, args)
                    .await
            }
            ClientMessage::Action {
                request_id,
                path,
                args,
            } => {
                self.call(FunctionKind::Action, request_id, &path, args)
                    .await
            }
            ClientMessage::Authenticate {
                base_version,
                token,
            } => {
                self.queries.check_identity(base_version)?;
                self.signed_in = auth::authenticate(
                    &self.server,
                    self.client,
                    token,
                    self.queries.told_identity(),
                )
                .await?;
                let identity = self.signed_in.identity.clone();
                let audience = Audience::of(&self.server, &identity);
                self.queries.set_identity(identity, audience);
                Ok(())
            }
            ClientMessage::Event(event) => {
                self.server.client_events.record(event);
                Ok(())
            }
        }
    }

    async fn connect(
        &mut self,
        session_id: Uuid,
        connection_count: u32,
        max_observed: Option<WireTimestamp>,
    ) -> Result<(), CloseReason> {
        if std::mem::replace(&mut self.is_connected, true) {
            return Err(CloseReason::fatal("a second `Connect` on one connection"));
        }
        let published = self.server.runtime.published();
        if max_observed.is_some_and(|observed| observed.0 > published.as_nanos()) {
            // It has seen what is not here: a database was put back that is older than what clients were told.
            tracing::error!(
                "a client has seen a later timestamp than this database has; was an old copy restored?"
            );
            return Err(CloseReason::internal("ClientIsAheadOfTheDatabase"));
        }
        if connection_count > 0 {
            let bytes = self
                .server
                .runtime
                .session_bytes(session_id, SESSION_BYTES)
                .await;
            self.record.bytes = bytes.map_err(|error| unread(&error))?;
        }
        self.record.session_id = Some(session_id);
        Ok(())
    }

    async fn call(
        &mut self,
        kind: FunctionKind,
        request_id: u32,
        path: &str,
        args: Object,
    ) -> Result<(), CloseReason> {
        let path =
            FunctionPath::parse(path).map_err(|error| CloseReason::fatal(error.to_string()))?;
        let source = self.source.clone();
        let source = source.with_request_id(self.request_id(request_id));
        let identity = self.signed_in.identity.clone();
        let mut call = FunctionCall::new(path, args, identity).with_source(source);
        if kind == FunctionKind::Mutation
            && let Some(session_id) = self.record.session_id
        {
            self.keep_within_budget(session_id).await?;
            call.request = Some(SessionRequest {
                session_id,
                request_id,
            });
        }
        let asked = Asked {
            kind,
            request_id,
            call,
        };
        self.calls.add(&self.server.runtime, &self.account, asked)
    }

    /// The id of a call, as Convex makes it: of the session and the call's number in it, so that it stays the same
    /// when the client asks again.
    fn request_id(&self, number: u32) -> RequestId {
        let Some(session_id) = &self.record.session_id else {
            return self.server.runtime.new_request_id();
        };
        let named = format!("{session_id}|{number}");
        let hash = digest::digest(&digest::SHA256, named.as_bytes());
        let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
        RequestId::made(u64::from_be_bytes(first))
    }

    /// Makes room for the answers of a session that has recorded too many, or has the client come back later.
    async fn keep_within_budget(&mut self, session_id: Uuid) -> Result<(), CloseReason> {
        if self.record.bytes < SESSION_BYTES {
            return Ok(());
        }
        let runtime = &self.server.runtime;
        let pruned = async {
            runtime.prune_session(session_id).await?;
            runtime.session_bytes(session_id, SESSION_BYTES).await
        };
        self.record.bytes = pruned.await.map_err(|error| unread(&error))?;
        if self.record.bytes < SESSION_BYTES {
            Ok(())
        } else {
            Err(CloseReason::busy("TooManySessionRequests"))
        }
    }

    /// Sends a call's response, or has it wait for its transition; sends what has waited for it.
    fn answer(&mut self, answered: Answered) -> Result<(), CloseReason> {
        let audience = Audience::of(&self.server, &self.signed_in.identity);
        let log_lines = audience.log_lines(&answered.outcome.log_lines);
        let (request_id, timestamp) = (answered.request_id, answered.outcome.timestamp);
        if let Err(error) = &answered.outcome.result
            && error.code().may_pass()
        {
            // The client comes back, and a mutation is asked for again.
            return Err(CloseReason::busy(error.code().as_str()));
        }
        let result = answered.outcome.result.as_ref();
        let result = result
            .map_err(|error| audience.failure(error, &answered.outcome.request_id))
            .cloned();
        if answered.kind == FunctionKind::Mutation {
            let has_written = result.is_ok();
            self.record.bytes += result.as_ref().map_or(0, Value::size) + 128;
            let result = result.map(|value| (value, WireTimestamp(timestamp.as_nanos())));
            let response = ServerMessage::MutationResponse {
                request_id,
                result,
                log_lines,
            }
            .to_json();
            if has_written {
                let response = self.socket.charged(response);
                self.responses.push_back((timestamp, response));
            } else {
                self.socket.send(response);
            }
        } else {
            self.socket.send(
                ServerMessage::ActionResponse {
                    request_id,
                    result,
                    log_lines,
                }
                .to_json(),
            );
        }
        self.queries.owe(timestamp);
        self.calls.ended(&answered, &self.server.runtime);
        if let Some(update) = self
            .held
            .take_if(|_| answered.kind == FunctionKind::Mutation)
        {
            self.tell(update)?;
        }
        Ok(())
    }

    fn updated(&mut self, update: Update) -> Result<(), CloseReason> {
        if self.calls.has_mutation() {
            self.held = Some(update);
            return Ok(());
        }
        self.tell(update)
    }

    fn tell(&mut self, update: Update) -> Result<(), CloseReason> {
        while let Some((_, response)) = self
            .responses
            .pop_front_if(|(ts, _)| *ts <= update.timestamp)
        {
            self.socket.send_charged(response);
        }
        let now_ms = self.server.runtime.now_ms();
        let Some(transition) = self.queries.transition(update, now_ms) else {
            return Ok(());
        };
        let text = transition.to_json();
        if self.takes_chunks && text.len() > CHUNK_BYTES {
            let id = self.server.runtime.new_request_id().to_string();
            self.socket.send_chunks(Chunks::new(text, &id, CHUNK_BYTES));
        } else {
            self.socket.send_transition(text);
        }
        self.account
            .check(0)
            .map_err(|_| CloseReason::over_budget())
    }
}

/// The client's clock minus the server's. Clients without a clock send 0, which is not a time.
fn clock_skew_ms(client_ms: f64, server_ms: f64) -> Option<i64> {
    (client_ms != 0.0).then(|| (client_ms - server_ms).round() as i64)
}

/// The record of a session could not be read.
fn unread(error: &Error) -> CloseReason {
    tracing::error!(%error, "the record of a session could not be read");
    CloseReason::internal("InternalServerError")
}
