use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::application::{ADMIN_KEY, Running};

/// How long something that is expected may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing is waited for.
const SILENCE: Duration = Duration::from_millis(60);

/// Runs a script against a server of its own; see the crate's documentation for the language.
pub(crate) async fn run(script: &str) {
    let mut stage = Stage {
        server: Running::start().await,
        clients: BTreeMap::new(),
        transcript: String::new(),
    };
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        stage.transcript.push_str(&format!("{line}\n"));
        stage.step(line).await;
    }
    for (name, mut client) in std::mem::take(&mut stage.clients) {
        let heard = client.hear(SILENCE).await;
        assert!(
            matches!(heard.as_deref(), None | Some("closed")),
            "{name} hears at the end: {heard:?}\n{}",
            stage.transcript
        );
    }
    stage.server.end().await;
}

struct Stage {
    server: Running,
    clients: BTreeMap<String, Client>,
    transcript: String,
}

/// A client, and where it is.
struct Client {
    socket: WebSocketStream<TcpStream>,
    version: Json,
    /// The timestamp of the last response that no transition has covered.
    owed: u64,
    chunks: String,
}

impl Stage {
    async fn step(&mut self, line: &str) {
        if line == "drain" {
            return self.server.drain();
        }
        let (name, rest) = line
            .split_once(' ')
            .expect("a line is a client and what it does");
        if !self.clients.contains_key(name) {
            // An npm client, which puts chunks together; those in capitals are others.
            let path = if name.chars().all(char::is_uppercase) {
                "/api/sync"
            } else {
                "/api/1.48.0/sync"
            };
            let client = Client::connect(&self.server, path).await;
            self.clients.insert(name.to_owned(), client);
        }
        let client = self.clients.get_mut(name).expect("it is there");
        if rest == "." {
            let heard = client.hear(SILENCE).await;
            assert_eq!(
                heard, None,
                "{name} should hear nothing\n{}",
                self.transcript
            );
        } else if let Some(expected) = rest.strip_prefix("< ") {
            let heard = client
                .hear(PATIENCE)
                .await
                .unwrap_or_else(|| "nothing".to_owned());
            assert_eq!(heard, expected, "what {name} hears\n{}", self.transcript);
        } else {
            let said = rest
                .strip_prefix("> ")
                .expect("a client says (`>`), hears (`<`) or hears nothing (`.`)");
            let message = message(&self.server, said).await;
            client.socket.send(message).await.expect("the server reads");
        }
    }
}

/// The UUID of the session that scripts call by this name, six letters at most.
fn session(name: &str) -> String {
    let digits = data_encoding::HEXLOWER.encode(name.as_bytes());
    format!("00000000-0000-4000-8000-{digits:0>12}")
}

/// What a client says, in the words of the protocol.
async fn message(server: &Running, said: &str) -> Message {
    let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
    let parsed = |text: &str| {
        serde_json::from_str::<Json>(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
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
        "modify" => {
            let (versions, changes) = rest.split_once(' ').unwrap_or((rest, ""));
            let (base, new) = versions.split_once("->").expect("modify base->new");
            let changes = changes.split(';').map(str::trim).filter(|change| !change.is_empty()).map(|change| {
                let words: Vec<&str> = change.splitn(4, ' ').collect();
                let id: u64 = words[1].parse().expect("a number");
                match words[0] {
                    "remove" => json!({"type": "Remove", "queryId": id}),
                    // With a journal, the arguments are an array of both.
                    _ => match parsed(words[3]) {
                        Json::Array(both) => json!({"type": "Add", "queryId": id, "udfPath": words[2], "args": [both[0]], "journal": both[1]}),
                        args => json!({"type": "Add", "queryId": id, "udfPath": words[2], "args": [args]}),
                    },
                }
            });
            let changes: Vec<Json> = changes.collect();
            let version = |text: &str| text.parse::<u64>().expect("a number");
            json!({"type": "ModifyQuerySet", "baseVersion": version(base), "newVersion": version(new), "modifications": changes})
        }
        "mutation" => {
            json!({"type": "Mutation", "requestId": number(0), "udfPath": words[1], "args": [parsed(words[2])]})
        }
        "action" => {
            json!({"type": "Action", "requestId": number(0), "udfPath": words[1], "args": [parsed(words[2])]})
        }
        "auth" => {
            let mut authenticate = json!({"type": "Authenticate", "baseVersion": number(0)});
            match words[1] {
                "none" => authenticate["tokenType"] = "None".into(),
                "admin" => {
                    authenticate["tokenType"] = "Admin".into();
                    let key = words.get(2).map_or("key", |key| key);
                    let (key, user) = key.split_once(" as ").unwrap_or((key, ""));
                    authenticate["value"] = key.replace("key", ADMIN_KEY).into();
                    if !user.is_empty() {
                        authenticate["impersonating"] = json!({"subject": user});
                    }
                }
                _ => {
                    authenticate["tokenType"] = "User".into();
                    let (user, seconds) =
                        words[2].split_once(" for ").unwrap_or((words[2], "3600"));
                    let token = server.token(user, seconds.parse().expect("a number")).await;
                    authenticate["value"] = if user == "nobody" {
                        "no token".into()
                    } else {
                        token.into()
                    };
                }
            }
            authenticate
        }
        _ => panic!("`{word}` is nothing that a client says"),
    };
    Message::text(json.to_string())
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
        let (socket, _) = client_async(format!("ws://{}{path}", server.address), stream)
            .await
            .expect("a WebSocket");
        let version = json!({"querySet": 0, "identity": 0, "ts": timestamp(0)});
        Client {
            socket,
            version,
            owed: 0,
            chunks: String::new(),
        }
    }

    /// The next message in the script's words; `None` when nothing comes in time.
    async fn hear(&mut self, patience: Duration) -> Option<String> {
        loop {
            let message = match tokio::time::timeout(patience, self.socket.next())
                .await
                .ok()?
            {
                Some(Ok(message)) => message,
                _ => return Some("closed".to_owned()),
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
                    self.owed = nanos(&json["ts"]);
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
        assert!(now >= self.owed, "the transition after a response has it");
        self.owed = 0;
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

/// An error without its request's id, and its data.
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
