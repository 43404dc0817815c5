use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::KEY;

/// A server under measurement: a process of its own.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    child: Child,
    address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) start_time: Duration,
    pub(crate) idle_kib: u64,
    pub(crate) most_kib: Cell<u64>,
}

impl Server {
    pub(crate) fn bare() -> Server {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("serve-bare");
        Server::start("bare hyper", command)
    }

    pub(crate) fn axum(folder: &Path) -> Server {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("serve-axum").arg(folder);
        Server::start("axum+rusqlite", command)
    }

    pub(crate) fn clonk(folder: &Path) -> Server {
        let beside = std::env::current_exe().expect("this program has a path").with_file_name("clonk");
        assert!(beside.exists(), "build it first: cargo build --release -p clonk");
        let size = fs::metadata(&beside).map_or(0, |metadata| metadata.len());
        println!("clonk's binary: {:.1} MB", size as f64 / 1e6);
        let mut command = Command::new(beside);
        command.args(["--port", "0", "--log", "warn", "--data"]).arg(folder).env("CLONK_API_KEY", KEY);
        Server::start("clonk", command)
    }

    pub(crate) fn testapp(folder: &Path) -> Server {
        let beside = std::env::current_exe().expect("this program has a path").with_file_name("testapp");
        assert!(beside.exists(), "build it first: cargo build --release -p lentil-tests --bin testapp");
        let mut command = Command::new(beside);
        command.args(["--port", "0", "--log", "error", "--data"]).arg(folder);
        Server::start("testapp", command)
    }

    /// Starts a server that says `http://address` on its standard output once it listens.
    fn start(name: &'static str, mut command: Command) -> Server {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut screen = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let address = loop {
            let line = screen.next().expect("the server says where it listens").expect("it says text");
            if let Some((_, rest)) = line.split_once("http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                break address.parse().expect("the server says where it listens");
            }
        };
        // The rest of the screen is read so that the server never waits for a reader.
        std::thread::spawn(move || screen.for_each(drop));
        ask(address);
        let start_time = began.elapsed();
        std::thread::sleep(Duration::from_millis(300));
        let mut server = Server { name, child, address, start_time, idle_kib: 0, most_kib: Cell::new(0) };
        server.idle_kib = server.resident_kib();
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time of the process so far; notes its memory too.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.most_kib.set(self.most_kib.get().max(self.resident_kib()));
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process lives");
        let after_name = stat.rsplit(')').next().expect("a stat line has a name");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("times are numbers")).sum();
        ticks as f64 / 100.0
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it has memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("memory is a number")
    }
}

/// Asks until there is an answer.
fn ask(address: SocketAddr) {
    use std::io::{Read, Write};
    loop {
        if let Ok(mut stream) = std::net::TcpStream::connect(address) {
            let request = format!("GET /api/job?id=x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
            let mut answer = [0; 12];
            if stream.write_all(request.as_bytes()).and_then(|()| stream.read_exact(&mut answer)).is_ok() {
                return;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
