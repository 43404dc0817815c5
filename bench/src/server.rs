use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::KEY;
use crate::cores::Cores;
use crate::process::Process;

/// A server under measurement.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) start_time: Duration,
}

impl Server {
    /// Starts a server that says `http://address` on its standard output once it listens.
    pub(crate) fn start(command: Command, cores: Cores) -> Server {
        let began = Instant::now();
        let (process, _, mut screen) = Process::start(command, cores);
        let address = loop {
            let line = screen
                .next()
                .expect("the server says where it listens")
                .expect("it says text");
            if let Some((_, rest)) = line.split_once("http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                break address.parse().expect("the server says where it listens");
            }
        };
        ask(address);
        let start_time = began.elapsed();
        // The rest of the screen is read so that the server never waits for a reader.
        std::thread::spawn(move || screen.for_each(drop));
        Server {
            process,
            address,
            start_time,
        }
    }
}

/// Asks for a job until there is an answer, whatever it is.
fn ask(address: SocketAddr) {
    let request =
        format!("GET /api/job?id=x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let mut answer = [0; 12];
    let mut asked = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut answer)
    };
    while asked().is_err() {}
}

/// The real binary, as `cargo build --release -p clonk` leaves it, with its default settings.
pub(crate) fn clonk(folder: &Path) -> Command {
    let mut command = Command::new(beside("clonk"));
    command
        .args(["--port", "0", "--data"])
        .arg(folder)
        .env("CLONK_API_KEY", KEY)
        .stderr(log(folder));
    command
}

/// The application of the whole-system tests, which has public functions to subscribe to.
pub(crate) fn testapp(folder: &Path) -> Command {
    let mut command = Command::new(beside("testapp"));
    command
        .args(["--port", "0", "--data"])
        .arg(folder)
        .stderr(log(folder));
    command
}

/// A file for what a server logs: it logs what it does by default.
fn log(folder: &Path) -> File {
    std::fs::create_dir_all(folder.parent().expect("a data folder is in a folder"))
        .expect("folders can be made");
    File::options()
        .append(true)
        .create(true)
        .open(folder.with_extension("log"))
        .expect("the folder can be written to")
}

/// One of the programs within this one.
pub(crate) fn own(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(name);
    command
}

/// A program that was built with this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    let path = std::env::current_exe()
        .expect("this program has a path")
        .with_file_name(name);
    assert!(path.exists(), "{name} is not built; `just bench` builds it");
    path
}
