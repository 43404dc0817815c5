use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lentil_protocol::WireTimestamp;
use lentil_protocol::sync::{Chunks, ClientMessage, ServerMessage};
use lentil_runtime::memory::Account;
use lentil_runtime::{
    CallSource, FunctionCall, FunctionKind, FunctionPath, Object, Update, Uuid, json_parse_size,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::auth::{self, SignedIn};
use super::calls::{Calls, FinishedCall, RequestedCall};
use super::close_reason::{CloseReason, MESSAGE_TOO_BIG};
use super::decoder::TextMessage;
use super::pending_responses::PendingResponses;
use super::queries::Queries;
use super::session_record::SessionRecord;
use super::socket::{Reading, Socket, SocketEvent};
use crate::audience::Audience;
use crate::server::Server;

/// The interval of pings. A client that receives nothing for a minute assumes that the connection
/// is lost.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// The longest time in which a client may send nothing, not even a pong.
const INACTIVITY_TIMEOUT: Duration = Duration::from_secs(120);
/// The time within which a client must send `Connect`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The length above which a transition is sent in chunks, and the length of each chunk.
const CHUNK_BYTES: usize = 5_000_000;

/// The client of a sync connection.
pub(super) struct SyncClient {
    pub(super) address: IpAddr,
    /// The source of the client's calls.
    pub(super) source: CallSource,
    /// Whether the client assembles transitions from chunks.
    pub(super) takes_chunks: bool,
}

/// One sync connection of a client.
pub(super) struct Session<S> {
    server: Arc<Server>,
    account: Account,
    socket: Socket<S>,
    client: SyncClient,
    signed_in: SignedIn,
    queries: Queries,
    calls: Calls,
    pending_responses: PendingResponses,
    /// An update that waits for the running mutation, whose writes it may show.
    held_update: Option<Update>,
    record: SessionRecord,
    is_connected: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(
        server: Arc<Server>,
        socket: Socket<S>,
        account: Account,
        client: SyncClient,
    ) -> Session<S> {
        let signed_in = SignedIn::default();
        let audience = Audience::of(&server, &signed_in.identity);
        let queries = Queries::new(&server.runtime, audience, account.clone());
        Session {
            server,
            account,
            socket,
            client,
            signed_in,
            queries,
            calls: Calls::default(),
            pending_responses: PendingResponses::default(),
            held_update: None,
            record: SessionRecord::default(),
            is_connected: false,
        }
    }

    /// Serves the client until one side ends the connection. Returns the socket, to close it.
    pub(super) async fn run(mut self) -> (Socket<S>, CloseReason) {
        let reason = self.serve().await.unwrap_or_else(|reason| reason);
        (self.socket, reason)
    }

    async fn serve(&mut self) -> Result<CloseReason, CloseReason> {
        let change_notifier = self.queries.change_notifier();
        let shutdown = self.server.shutdown.clone();
        let account = self.account.clone();
        let connect_by = Instant::now() + CONNECT_TIMEOUT;
        let mut next_ping = Instant::now() + PING_INTERVAL;
        let mut last_active = Instant::now();
        // Set when the account lets this client read once although it holds more than its share.
        let mut may_read_once = false;
        loop {
            if self.held_update.is_none() && self.socket.takes_transition() {
                self.queries.begin_refresh();
            }
            let has_room = self.socket.has_room() && self.pending_responses.has_room();
            let wants_to_read = has_room && self.calls.has_room();
            let reading = if wants_to_read && (may_read_once || account.is_readable()) {
                Reading::Allowed
            } else {
                Reading::Paused
            };
            let waits_for_memory = wants_to_read && reading == Reading::Paused;
            if reading == Reading::Paused || self.socket.is_transferring() {
                // The client may be active: its pong is not read, or comes only after a message.
                last_active = Instant::now();
            }
            tokio::select! {
                event = self.socket.next(reading) => match event? {
                    SocketEvent::Message(message) => {
                        last_active = Instant::now();
                        may_read_once = false;
                        self.receive(message).await?;
                    }
                    SocketEvent::Active => {
                        last_active = Instant::now();
                        may_read_once = false;
                    }
                    SocketEvent::Sent => {}
                },
                // A client that does not read its responses gets no further ones.
                finished = self.calls.next(), if has_room => self.finish_call(finished)?,
                update = self.queries.refreshed() => self.handle_update(update)?,
                () = change_notifier.changed() => {}
                () = account.readable(), if waits_for_memory => may_read_once = true,
                () = account.evicted() => return Ok(CloseReason::evicted()),
                () = sleep_until(next_ping) => {
                    next_ping = Instant::now() + PING_INTERVAL;
                    self.ping();
                    if last_active.elapsed() > INACTIVITY_TIMEOUT {
                        return Ok(CloseReason::inactive());
                    }
                }
                () = auth::wait_until(self.signed_in.expires_at_ms, self.server.runtime.now_ms()) => {
                    return Ok(auth::expired(self.queries.sent_identity_version()));
                }
                () = sleep_until(connect_by), if !self.is_connected => {
                    return Ok(CloseReason::not_connected());
                }
                () = shutdown.cancelled() => return Ok(CloseReason::restarting()),
            }
        }
    }

    /// Shows the client that the connection is alive. A message on its way shows the same.
    fn ping(&mut self) {
        if self.socket.is_idle() {
            self.socket.send(ServerMessage::Ping.to_json());
        }
        // Browsers respond to this ping themselves and hide it from the page. So the client sees
        // the message, and the server the pong.
        self.socket.ping();
    }

    /// Parses a message and handles it. The estimated memory of the parsed message is charged
    /// before.
    async fn receive(&mut self, message: TextMessage) -> Result<(), CloseReason> {
        let parsed_bytes = json_parse_size(message.text.as_bytes());
        let total_bytes = parsed_bytes + message.text.len();
        let charge = self.account.try_charge(parsed_bytes).map_err(|over| {
            if total_bytes <= over.limit {
                return CloseReason::over_budget();
            }
            CloseReason::Fatal {
                error: format!("the message would take {total_bytes} bytes of memory: {over}"),
                code: Some(MESSAGE_TOO_BIG),
            }
        })?;
        let parsed = ClientMessage::parse(&message.text)?;
        drop(charge);
        // Freed first, because the handler charges the client for the values that it keeps.
        drop(message);
        self.handle(parsed).await
    }

    async fn handle(&mut self, message: ClientMessage) -> Result<(), CloseReason> {
        match message {
            ClientMessage::Connect {
                session_id,
                connection_count,
                max_observed_timestamp,
                client_ts,
                ..
            } => {
                let now_ms = self.server.runtime.now_ms();
                self.queries.client_clock_skew_ms =
                    client_ts.and_then(|client_ms| clock_skew_ms(client_ms, now_ms));
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
                self.queries.check_identity_version(base_version)?;
                let sent_version = self.queries.sent_identity_version();
                self.signed_in =
                    auth::authenticate(&self.server, self.client.address, token, sent_version)
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
        let runtime = &self.server.runtime;
        let published = runtime.store().published();
        if max_observed.is_some_and(|observed| observed.0 > published.as_nanos()) {
            tracing::error!(
                "a client has observed a later timestamp than this database has; \
                 was an old copy restored?"
            );
            return Err(CloseReason::internal("ClientIsAheadOfTheDatabase"));
        }
        self.record
            .begin(runtime, session_id, connection_count)
            .await
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
        let runtime = &self.server.runtime;
        let id = self.record.request_id_of_call(runtime, request_id);
        let source = self.client.source.clone().with_request_id(id);
        let identity = self.signed_in.identity.clone();
        let mut call = FunctionCall::new(path, args, identity).with_source(source);
        if kind == FunctionKind::Mutation {
            call.request = self.record.request(runtime, request_id).await?;
        }
        let requested = RequestedCall {
            kind,
            request_id,
            call,
        };
        self.calls.add(runtime, &self.account, requested)
    }

    /// Sends the response to a call, or keeps it until its transition. Then sends the update that
    /// waited for the call.
    fn finish_call(&mut self, finished: FinishedCall) -> Result<(), CloseReason> {
        if let Err(error) = &finished.outcome.result
            && error.code().may_pass()
        {
            // The client reconnects, and requests a mutation again.
            return Err(CloseReason::busy(error.code().as_str()));
        }
        let timestamp = finished.outcome.timestamp;
        match finished.kind {
            FunctionKind::Mutation => self.respond_to_mutation(&finished),
            _ => self.respond_to_action(&finished),
        }
        self.queries.require_transition(timestamp);
        self.calls.remove(&finished, &self.server.runtime);
        if finished.kind == FunctionKind::Mutation
            && let Some(update) = self.held_update.take()
        {
            self.send_update(update)?;
        }
        Ok(())
    }

    fn respond_to_mutation(&mut self, finished: &FinishedCall) {
        let outcome = &finished.outcome;
        let audience = self.audience();
        let ts = WireTimestamp(outcome.timestamp.as_nanos());
        let response = ServerMessage::MutationResponse {
            request_id: finished.request_id,
            result: match &outcome.result {
                Ok(value) => Ok((value.clone(), ts)),
                Err(error) => Err(audience.failure(error, &outcome.request_id)),
            },
            log_lines: audience.log_lines(&outcome.log_lines),
        };
        let response = response.to_json();
        self.record.count_result(outcome.result.as_ref().ok());
        if outcome.result.is_ok() {
            let response = self.socket.charge(response);
            self.pending_responses.push(outcome.timestamp, response);
        } else {
            // A failed mutation has written nothing that a transition must show.
            self.socket.send(response);
        }
    }

    fn respond_to_action(&mut self, finished: &FinishedCall) {
        let outcome = &finished.outcome;
        let audience = self.audience();
        let response = ServerMessage::ActionResponse {
            request_id: finished.request_id,
            result: match &outcome.result {
                Ok(value) => Ok(value.clone()),
                Err(error) => Err(audience.failure(error, &outcome.request_id)),
            },
            log_lines: audience.log_lines(&outcome.log_lines),
        };
        self.socket.send(response.to_json());
    }

    fn audience(&self) -> Audience {
        Audience::of(&self.server, &self.signed_in.identity)
    }

    /// Sends an update, unless a mutation is running whose writes it may show.
    fn handle_update(&mut self, update: Update) -> Result<(), CloseReason> {
        if self.calls.has_mutation() {
            self.held_update = Some(update);
            return Ok(());
        }
        self.send_update(update)
    }

    fn send_update(&mut self, update: Update) -> Result<(), CloseReason> {
        while let Some(response) = self.pending_responses.pop_included(update.timestamp) {
            self.socket.send_charged(response);
        }
        let now_ms = self.server.runtime.now_ms();
        let Some(transition) = self.queries.transition(update, now_ms) else {
            return Ok(());
        };
        let text = transition.to_json();
        if self.client.takes_chunks && text.len() > CHUNK_BYTES {
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

/// Returns the client's clock minus the server's. Clients without a clock send 0, which is not a
/// time.
fn clock_skew_ms(client_ms: f64, server_ms: f64) -> Option<i64> {
    (client_ms != 0.0).then(|| (client_ms - server_ms).round() as i64)
}
