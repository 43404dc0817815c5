//! Sessions of the sync WebSocket: the messages that clients send and the messages that they get.
//!
//! ```text
//! a> connect s1 [COUNT [NANOS]]           sends `Connect` with the session `s1`
//! a> modify 0->1 add 0 lists:all {…}      sends `ModifyQuerySet`; `;` separates the changes
//! a> mutation 0 lists:push {…}            also `action`
//! a> auth 0 user ada [for SECONDS]        also `auth 0 admin [KEY [as USER]]` and `auth 0 none`
//! a> raw TEXT, a> binary                  sends any text, or a binary message
//! > wait 2                                lets two seconds pass
//! > drain                                 stops the server, as SIGTERM does
//! ```
//!
//! After each step the runner waits until nothing happens any more, and prints the messages that the clients got. Time
//! is paused, so that this takes no time. Clients in capitals do not accept chunked transitions. The runner checks that
//! each transition begins where the last one ended, that timestamps do not go back, and that the transition after a
//! response to a mutation includes it.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::application::{ADMIN_KEY, Running};
use crate::golden::{Line, Script, Transcript};

/// The pause after which nothing more happens. Paused time advances only when no task can run.
const SETTLE_TIME: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn sync() {
    run_folder("sync").await;
}

#[tokio::test(start_paused = true)]
async fn live() {
    run_folder("live").await;
}

async fn run_folder(folder: &str) {
    for script in Script::of_folder(folder) {
        let mut stage = Stage {
            server: Running::start().await,
            clients: BTreeMap::new(),
        };
        let mut transcript = Transcript::default();
        for line in script.lines() {
            match line {
                Line::Comment(line) => transcript.add_line(line),
                Line::Step(step) => {
                    transcript.add_line(step);
                    stage.execute(step).await;
                    for line in stage.received().await {
                        transcript.add_output(&line);
                    }
                }
            }
        }
        drop(stage.clients);
        tokio::time::sleep(SETTLE_TIME).await;
        stage.server.end().await;
        script.check(&transcript);
    }
}

/// A server and its clients.
struct Stage {
    server: Running,
    clients: BTreeMap<String, Client>,
}

/// A client and the state of its session.
struct Client {
    socket: WebSocketStream<TcpStream>,
    version: Json,
    /// The timestamp of the last response that no transition has included yet.
    response_ts: u64,
    chunks: String,
}

impl Stage {
    async fn execute(&mut self, line: &str) {
        let (name, step) = line.split_once("> ").expect("a step is `client> step`");
        if name.is_empty() {
            match step.split_once(' ') {
                Some(("wait", seconds)) => {
                    let seconds = seconds.parse().expect("a number of seconds");
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                None if step == "drain" => self.server.drain(),
                _ => panic!("unknown step: {step}"),
            }
            return;
        }
        if !self.clients.contains_key(name) {
            // The path tells the server which client it is. A client of the npm package puts chunks together.
            let path = if name.starts_with(char::is_uppercase) {
                "/api/sync"
            } else {
                "/api/1.48.0/sync"
            };
            let client = Client::connect(&self.server, path).await;
            self.clients.insert(name.to_owned(), client);
        }
        let message = message(&self.server, step).await;
        let client = self.clients.get_mut(name).expect("the client is connected");
        client.socket.send(message).await.expect("the server reads");
    }

    /// Waits until nothing happens any more, and returns the messages that the clients got.
    async fn received(&mut self) -> Vec<String> {
        tokio::time::sleep(SETTLE_TIME).await;
        let mut lines = Vec::new();
        let mut closed = Vec::new();
        for (name, client) in &mut self.clients {
            while let Some(words) = client.next_message().await {
                if words == "closed" {
                    closed.push(name.clone());
                    break;
                }
                lines.push(format!("{name} < {words}"));
            }
        }
        for name in closed {
            self.clients.remove(&name);
        }
        lines
    }
}

/// Returns the UUID of the session with this name, which has six letters at most.
fn session(name: &str) -> String {
    let digits = data_encoding::HEXLOWER.encode(name.as_bytes());
    format!("00000000-0000-4000-8000-{digits:0>12}")
}

/// Returns the message of a step.
async fn message(server: &Running, step: &str) -> Message {
    let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
    let words: Vec<&str> = rest.splitn(3, ' ').collect();
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    let json = match word {
        "raw" => return Message::text(rest),
        "binary" => return Message::binary(vec![1_u8]),
        "connect" => {
            let count = words.get(1).map_or(0, |_| number(1));
            let observed = words
                .get(2)
                .map(|nanos| timestamp(nanos.parse().expect("a number")));
            let mut connect = json!({"type": "Connect", "sessionId": session(words[0]), "connectionCount": count, "lastCloseReason": null});
            if let Some(observed) = observed {
                connect["maxObservedTimestamp"] = observed.into();
            }
            connect
        }
        "modify" => modify(rest),
        "mutation" => {
            json!({"type": "Mutation", "requestId": number(0), "udfPath": words[1], "args": [parsed(words[2])]})
        }
        "action" => {
            json!({"type": "Action", "requestId": number(0), "udfPath": words[1], "args": [parsed(words[2])]})
        }
        "auth" => authenticate(server, &words).await,
        _ => panic!("unknown step: {word}"),
    };
    Message::text(json.to_string())
}

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns the message of `modify BASE->NEW CHANGES`.
fn modify(step: &str) -> Json {
    let (versions, changes) = step.split_once(' ').unwrap_or((step, ""));
    let (base, new) = versions.split_once("->").expect("modify base->new");
    let version = |text: &str| text.parse::<u64>().expect("a number");
    let change = |change: &str| {
        let words: Vec<&str> = change.splitn(4, ' ').collect();
        let id: u64 = words[1].parse().expect("a number");
        if words[0] == "remove" {
            return json!({"type": "Remove", "queryId": id});
        }
        let mut add = json!({"type": "Add", "queryId": id, "udfPath": words[2]});
        // An array has the arguments and a journal.
        if let Json::Array(mut both) = parsed(words[3]) {
            add["journal"] = both.pop().expect("a journal");
            add["args"] = both.into();
        } else {
            add["args"] = json!([parsed(words[3])]);
        }
        add
    };
    let changes = changes.split(';').map(str::trim);
    let changes: Vec<Json> = changes
        .filter(|change| !change.is_empty())
        .map(change)
        .collect();
    json!({
        "type": "ModifyQuerySet", "baseVersion": version(base), "newVersion": version(new),
        "modifications": changes,
    })
}

/// Returns the message of `auth BASE none`, `auth BASE admin [KEY [as USER]]` or `auth BASE user USER [for SECONDS]`.
async fn authenticate(server: &Running, words: &[&str]) -> Json {
    let base: u64 = words[0].parse().expect("a number");
    let mut message = json!({"type": "Authenticate", "baseVersion": base});
    match words[1] {
        "none" => message["tokenType"] = "None".into(),
        "admin" => {
            message["tokenType"] = "Admin".into();
            let key = words.get(2).copied().unwrap_or("key");
            let (key, user) = key.split_once(" as ").unwrap_or((key, ""));
            message["value"] = key.replace("key", ADMIN_KEY).into();
            if !user.is_empty() {
                message["impersonating"] = json!({"subject": user});
            }
        }
        _ => {
            message["tokenType"] = "User".into();
            let (user, seconds) = words[2].split_once(" for ").unwrap_or((words[2], "3600"));
            message["value"] = if user == "nobody" {
                "no token".into()
            } else {
                let seconds = seconds.parse().expect("a number");
                server.token(user, seconds).await.into()
            };
        }
    }
    message
}

fn timestamp(nanos: u64) -> String {
    BASE64.encode(&nanos.to_le_bytes())
}

fn nanos(timestamp: &Json) -> u64 {
    let bytes = BASE64
        .decode(timestamp.as_str().expect("a timestamp").as_bytes())
        .expect("base64");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

impl Client {
    async fn connect(server: &Running, path: &str) -> Client {
        let stream = TcpStream::connect(server.address)
            .await
            .expect("the server listens");
        // Otherwise a second small message waits for the system's acknowledgement of the first, in real time.
        stream.set_nodelay(true).expect("the option exists");
        let (socket, _) = client_async(format!("ws://{}{path}", server.address), stream)
            .await
            .expect("a WebSocket");
        let version = json!({"querySet": 0, "identity": 0, "ts": timestamp(0)});
        Client {
            socket,
            version,
            response_ts: 0,
            chunks: String::new(),
        }
    }

    /// Returns the next message in the words of the scripts, or `None` if none has come.
    async fn next_message(&mut self) -> Option<String> {
        loop {
            let next = tokio::time::timeout(SETTLE_TIME, self.socket.next());
            let Some(Ok(message)) = next.await.ok()? else {
                return Some("closed".to_owned());
            };
            let text = match message {
                Message::Text(text) => text,
                Message::Close(frame) => {
                    let code = frame.map_or("without a code".to_owned(), |frame| {
                        format!("{} {}", frame.code, frame.reason)
                    });
                    return Some(format!("Close {code}"));
                }
                _ => continue,
            };
            let json: Json = serde_json::from_str(&text).expect("messages are JSON");
            if json["type"] == "TransitionChunk" {
                self.chunks
                    .push_str(json["chunk"].as_str().expect("a chunk is text"));
                if json["partNumber"].as_u64() == json["totalParts"].as_u64().map(|total| total - 1)
                {
                    let whole = serde_json::from_str(&std::mem::take(&mut self.chunks))
                        .expect("the chunks are a message");
                    return Some(format!(
                        "{} parts: {}",
                        json["totalParts"],
                        self.words(&whole)
                    ));
                }
            } else if json["type"] != "Ping" {
                return Some(self.words(&json));
            }
        }
    }

    fn words(&mut self, json: &Json) -> String {
        let kind = json["type"].as_str().expect("a message has a type");
        match kind {
            "Transition" => self.transition(json),
            "MutationResponse" | "ActionResponse" => {
                if json["ts"].is_string() {
                    self.response_ts = nanos(&json["ts"]);
                }
                let id = &json["requestId"];
                match json["success"].as_bool() {
                    Some(true) => format!("{kind} {id} = {}", json["result"]),
                    _ => format!(
                        "{kind} {id} ! {}",
                        failure(&json["result"], json.get("errorData"))
                    ),
                }
            }
            "AuthError" => format!(
                "AuthError {} {}",
                json["baseVersion"], json["authUpdateAttempted"]
            ),
            _ => format!("{kind} {}", json["error"].as_str().unwrap_or_default()),
        }
    }

    fn transition(&mut self, json: &Json) -> String {
        assert_eq!(
            json["startVersion"], self.version,
            "a transition begins where the last one ended"
        );
        let end = &json["endVersion"];
        let (before, now) = (nanos(&self.version["ts"]), nanos(&end["ts"]));
        assert!(now >= before, "timestamps never go back");
        assert!(
            now >= self.response_ts,
            "the transition after a response includes it"
        );
        self.response_ts = 0;
        self.version = end.clone();
        let mut words = format!("Transition {}.{}", end["querySet"], end["identity"]);
        for change in json["modifications"]
            .as_array()
            .expect("changes are a list")
        {
            let id = &change["queryId"];
            let kept = if change["journal"].is_string() {
                " @"
            } else {
                ""
            };
            words.push_str(&match change["type"].as_str() {
                Some("QueryUpdated") => format!(" {id}={}{kept}", shortened(&change["value"])),
                Some("QueryFailed") => format!(
                    " {id}!{}",
                    failure(&change["errorMessage"], change.get("errorData"))
                ),
                _ => format!(" -{id}"),
            });
        }
        words
    }
}

fn shortened(value: &Json) -> String {
    let text = value.to_string();
    if text.len() > 200 {
        format!("({} bytes)", text.len())
    } else {
        text
    }
}

/// Returns the text of an error without its request id, and its data.
fn failure(message: &Json, data: Option<&Json>) -> String {
    let message = message.as_str().expect("an error is text");
    let (id, rest) = message
        .strip_prefix("[Request ID: ")
        .and_then(|rest| rest.split_once("] "))
        .expect("an id first");
    assert_eq!(id.len(), 16, "{message}");
    let rest = rest.trim_end().replace('\n', " / ");
    data.map_or(rest.clone(), |data| format!("{rest} {data}"))
}
