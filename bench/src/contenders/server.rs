use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::contenders::cores::Cores;
use crate::contenders::process::Process;
use crate::load::jobs::KEY;

/// A server under measurement.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// The time from the start of the process to its first response.
    pub(crate) start_time: Duration,
}

impl Server {
    /// Starts a server that prints `http://address` when it listens.
    pub(crate) fn start(command: Command, cores: Cores) -> Server {
        let began = Instant::now();
        let (process, _, mut screen) = Process::start(command, cores);
        let address = loop {
            let line = screen
                .next()
                .expect("the server prints its address")
                .expect("the output is text");
            if let Some((_, rest)) = line.split_once("http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                break address.parse().expect("the server prints its address");
            }
        };
        await_response(address);
        let start_time = began.elapsed();
        // The rest of the output is read so that the server never blocks on a full pipe.
        std::thread::spawn(move || screen.for_each(drop));
        Server {
            process,
            address,
            start_time,
        }
    }
}

/// Requests a job until there is any response.
fn await_response(address: SocketAddr) {
    let request =
        format!("GET /api/job?id=x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let mut response = [0; 12];
    let mut asked = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut response)
    };
    while asked().is_err() {}
}

/// Returns the command of the real binary, built by `cargo build --release -p clonk`, with its default settings.
pub(crate) fn clonk(folder: &Path) -> Command {
    let mut command = Command::new(beside("clonk"));
    command
        .args(["--port", "0", "--data"])
        .arg(folder)
        .env("CLONK_API_KEY", KEY)
        .stderr(log(folder));
    command
}

/// Returns the command of the whole-system tests' application, which has public functions for subscriptions.
pub(crate) fn testapp(folder: &Path) -> Command {
    let mut command = Command::new(beside("testapp"));
    command
        .args(["--port", "0", "--data"])
        .arg(folder)
        .stderr(log(folder));
    command
}

/// Opens the log file of a server.
fn log(folder: &Path) -> File {
    std::fs::create_dir_all(folder.parent().expect("a data folder is in a folder"))
        .expect("folders can be made");
    File::options()
        .append(true)
        .create(true)
        .open(folder.with_extension("log"))
        .expect("the folder can be written to")
}

/// Returns the command of a contender within this program.
pub(crate) fn own(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(name);
    command
}

/// Returns the path of another program that was built in the same folder.
pub(crate) fn beside(name: &str) -> PathBuf {
    let path = std::env::current_exe()
        .expect("this program has a path")
        .with_file_name(name);
    assert!(path.exists(), "{name} is not built; `just bench` builds it");
    path
}
