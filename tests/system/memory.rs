//! Attacks on the server's memory. Without budgets, each attack allocates several times the budget.
//! The process must stay within one and a half times the budget and serve a polite client
//! throughout.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lentil_tests::{Clonk, Connection, Frame, PING, Start, WebSocket, frame, testapp_path};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const BUDGET: usize = 256 << 20;
const ATTACK_TIME: Duration = Duration::from_secs(4);
/// The time after which freed memory is back at the system, on a loaded machine.
const RETURN_TIME: Duration = Duration::from_secs(60);

/// A server with a small budget, and its idle memory.
struct Target {
    server: Clonk,
    idle: usize,
    _folder: TempDir,
}

impl Target {
    fn start() -> Target {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let start = Start::through(Command::new(testapp_path()), &data);
        let server = start.args(&["--memory-limit", &BUDGET.to_string()]).run();
        assert_eq!(
            polite_request(&mut server.connect().unwrap(), 0).unwrap(),
            200
        );
        Target {
            idle: resident(&server, "VmRSS:"),
            server,
            _folder: folder,
        }
    }

    /// Sends messages of this size to the channel `large`.
    fn fill(&self, messages: usize, bytes: usize) {
        let mut connection = self.server.connect().unwrap();
        for _ in 0..messages {
            let args = json!({"channel": "large", "body": "x".repeat(bytes)});
            let body = json!({"path": "messages:send", "args": args}).to_string();
            let json = [("content-type", "application/json")];
            let sent = connection
                .request("POST", "/api/mutation", &json, body.as_bytes())
                .unwrap();
            assert_eq!(sent.status, 200, "{}", sent.body);
        }
    }

    /// Runs `clients` attackers, which repeat the attack until the time is over, beside a polite
    /// client.
    fn attack(&self, clients: usize, attacker: impl Fn(&str, Instant) -> io::Result<()> + Sync) {
        let (end, is_over) = (Instant::now() + ATTACK_TIME, AtomicBool::new(false));
        thread::scope(|scope| {
            let polite = scope.spawn(|| self.be_polite(&is_over));
            let attackers: Vec<_> = (0..clients)
                .map(|_| {
                    scope.spawn(|| {
                        while Instant::now() < end {
                            // An error is expected: the server closes the connection.
                            let _ = attacker(&self.server.address, end);
                        }
                    })
                })
                .collect();
            for attacker in attackers {
                attacker.join().expect("an attacker does not panic");
            }
            is_over.store(true, Ordering::Relaxed);
            let served = polite
                .join()
                .expect("the polite client is served throughout");
            assert!(served >= 3, "the polite client was served {served} times");
        });
        let most = resident(&self.server, "VmHWM:");
        let bound = self.idle + BUDGET / 2 * 3;
        assert!(most <= bound, "{} MiB of {} MiB", most >> 20, bound >> 20);
    }

    fn be_polite(&self, is_over: &AtomicBool) -> u32 {
        let mut connection = self.server.connect().unwrap();
        let mut served = 0;
        while !is_over.load(Ordering::Relaxed) {
            served += 1;
            assert_eq!(polite_request(&mut connection, served).unwrap(), 200);
            thread::sleep(Duration::from_millis(20));
        }
        served
    }

    /// Fails unless the server soon holds less than its budget again. A quarter of the budget may
    /// be cached results, and the allocator keeps some of the freed pages.
    fn recovers(&self) {
        let (end, goal) = (Instant::now() + RETURN_TIME, self.idle + BUDGET / 4 * 3);
        while resident(&self.server, "VmRSS:") > goal {
            let resident = resident(&self.server, "VmRSS:") >> 20;
            assert!(
                Instant::now() < end,
                "still {resident} MiB of {} MiB",
                goal >> 20
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn polite_request(connection: &mut Connection, value: u32) -> io::Result<u16> {
    let body = json!({"path": "echo/query:any", "args": {"value": value}}).to_string();
    let json = [("content-type", "application/json")];
    Ok(connection
        .request("POST", "/api/query", &json, body.as_bytes())?
        .status)
}

/// Returns a value of the process's memory in bytes.
fn resident(server: &Clonk, name: &str) -> usize {
    let status = Path::new("/proc")
        .join(server.pid().to_string())
        .join("status");
    let status = std::fs::read_to_string(status).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("the kernel reports it")
        .trim()
        .parse::<usize>()
        .expect("a number")
        << 10
}

fn connected(address: &str) -> io::Result<WebSocket> {
    let mut client = WebSocket::open(address)?;
    client.set_timeout(Duration::from_millis(500))?;
    let session = "c0ffee00-0000-4000-8000-000000000000";
    client.send(
        &json!({"type": "Connect", "sessionId": session, "connectionCount": 0}).to_string(),
    )?;
    Ok(client)
}

fn modify(client: &mut WebSocket, base: u32, changes: Vec<Json>) -> io::Result<()> {
    let message = json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1, "modifications": changes});
    client.send(&message.to_string())
}

fn add(id: u32, path: &str, args: Json) -> Json {
    json!({"type": "Add", "queryId": id, "udfPath": path, "args": [args]})
}

/// Calls a query and keeps the connection open without reading the response.
fn query_and_never_read(address: &str, path: &str, args: Json, end: Instant) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    let body = json!({"path": path, "args": args}).to_string();
    let head = format!(
        "POST /api/query HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.send(&[head.as_bytes(), body.as_bytes()].concat())?;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(())
}

/// Returns a text that is unique in the test run.
fn unique(bytes: usize) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{:08}{}",
        COUNT.fetch_add(1, Ordering::Relaxed),
        "x".repeat(bytes)
    )
}

#[test]
fn pings_of_a_client_that_never_reads_need_no_memory() {
    let target = Target::start();
    let pings = frame(PING, &[b'p'; 125]).repeat(1_000);
    target.attack(4, |address, end| {
        let mut client = connected(address)?;
        while Instant::now() < end {
            client.send_bytes(&pings)?;
        }
        Ok(())
    });
    assert!(resident(&target.server, "VmHWM:") < target.idle + (32 << 20));
}

#[test]
fn changes_of_a_client_that_never_reads_are_counted() {
    let target = Target::start();
    target.attack(8, |address, end| {
        let mut client = connected(address)?;
        let large = |id| add(id, "echo/query:any", json!({"value": unique(3_000_000)}));
        modify(&mut client, 0, (0..3).map(large).collect())?;
        let value = unique(1_000_000);
        for base in 1.. {
            if Instant::now() >= end {
                break;
            }
            let remove = json!({"type": "Remove", "queryId": base + 10});
            let change = add(base + 10, "echo/query:any", json!({"value": value}));
            modify(&mut client, base, vec![change, remove])?;
        }
        Ok(())
    });
    target.recovers();
}

#[test]
fn arguments_of_live_queries_are_counted() {
    let target = Target::start();
    target.attack(3, |address, end| {
        let mut client = connected(address)?;
        client.set_timeout(Duration::from_secs(5))?;
        for base in 0..73 {
            if Instant::now() >= end {
                break;
            }
            let query = add(base, "echo/query:any", json!({"value": unique(8_000_000)}));
            modify(&mut client, base, vec![query])?;
            if let Frame::Close(code, reason) = client.read()? {
                assert_eq!(code, Some(1013));
                assert!(reason.starts_with("TooManyConcurrentRequests"), "{reason}");
                break;
            }
        }
        Ok(())
    });
    target.recovers();
}

#[test]
fn live_results_are_counted_and_their_client_is_disconnected() {
    let target = Target::start();
    target.fill(40, 20_000);
    let was_closed = AtomicBool::new(false);
    target.attack(2, |address, _| {
        let mut client = connected(address)?;
        client.set_timeout(Duration::from_secs(30))?;
        for base in 0..60 {
            let pages = (0..10).map(|at| {
                let options = json!({"numItems": 40, "cursor": null, "id": 10 * base + at});
                let args = json!({"channel": "large", "paginationOpts": options});
                add(10 * base + at, "messages:page", args)
            });
            modify(&mut client, base, pages.collect())?;
            if let Frame::Close(code, reason) = client.read()? {
                assert_eq!(code, Some(1013), "{reason}");
                was_closed.store(true, Ordering::Relaxed);
                break;
            }
        }
        Ok(())
    });
    target.recovers();
    assert!(was_closed.load(Ordering::Relaxed), "no watcher was closed");
}

#[test]
fn unfinished_bodies_are_counted_and_freed() {
    let target = Target::start();
    let sent = AtomicUsize::new(0);
    target.attack(60, |address, _| {
        let mut connection = Connection::open(address)?;
        let head = "POST /api/query HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                    content-length: 15900000\r\n\r\n";
        connection.send(head.as_bytes())?;
        let part = vec![b'x'; 100_000];
        for _ in 0..158 {
            connection.send(&part)?;
            sent.fetch_add(part.len(), Ordering::Relaxed);
        }
        Ok(())
    });
    target.recovers();
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > BUDGET, "only {sent} bytes were sent");
}

#[test]
fn responses_that_are_never_read_are_counted() {
    let target = Target::start();
    target.attack(40, |address, end| {
        let args = json!({"value": unique(10_000_000)});
        query_and_never_read(address, "echo/query:any", args, end)
    });
    target.recovers();
}

#[test]
fn copies_of_one_large_result_wait_for_memory() {
    let target = Target::start();
    target.fill(16, 800_000);
    target.attack(100, |address, end| {
        query_and_never_read(address, "messages:list", json!({"channel": "large"}), end)
    });
    target.recovers();
}

#[test]
fn different_large_results_execute_a_few_at_a_time() {
    let target = Target::start();
    target.fill(16, 800_000);
    let number = AtomicU32::new(0);
    target.attack(100, |address, end| {
        // Each client's page has its own id, so that no result is shared.
        let id = number.fetch_add(1, Ordering::Relaxed);
        let page = json!({"numItems": 16, "cursor": null, "id": id});
        let args = json!({"channel": "large", "paginationOpts": page});
        query_and_never_read(address, "messages:page", args, end)
    });
    target.recovers();
}

#[test]
fn small_values_are_counted_at_their_size_in_memory() {
    let target = Target::start();
    let value = format!("[{}[]]", "[],".repeat(4_000_000));
    target.attack(3, |address, _| {
        let mut client = connected(address)?;
        client.set_timeout(Duration::from_secs(20))?;
        client.send(&format!(
            r#"{{"type":"Mutation","requestId":1,"udfPath":"echo/mutation:any","args":[{{"value":{value}}}]}}"#
        ))?;
        match client.read()? {
            Frame::Text(error) => assert!(error.contains("FatalError"), "{error}"),
            Frame::Close(code, reason) => assert_eq!(code, Some(1013), "{reason}"),
        }
        let mut connection = Connection::open(address)?;
        let body = format!(r#"{{"path":"echo/query:any","args":{{"value":{value}}}}}"#);
        let json = [("content-type", "application/json")];
        let refused = connection.request("POST", "/api/query", &json, body.as_bytes())?;
        assert!(matches!(refused.status, 413 | 503), "{}", refused.status);
        Ok(())
    });
}
