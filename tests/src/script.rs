use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Packages, Process, Server};

/// The time limit of a script. A script that hangs prints what it waits for well before.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(240);

impl Packages {
    /// Runs a script against a server until it ends successfully.
    ///
    /// The script gets the server's URL, further arguments, and `LENTIL_ADMIN_KEY`. With a line `@kill`, `@stop`,
    /// `@start` or `@restart` on its standard output it controls the server; it gets a line when that is done.
    ///
    /// # Panics
    /// If the script fails or hangs, with its output and the server's log.
    pub fn run(&self, script: &str, args: &[&str], server: &mut Server) {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .arg(script)
            .arg(server.url())
            .args(args);
        command
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        command
            .env("LENTIL_ADMIN_KEY", server.admin_key())
            .env("PYTHONUNBUFFERED", "1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Process::start(&mut command);
        let mut input = child.stdin.take().expect("standard input is piped");
        let (send, lines) = mpsc::channel();
        let readers = [
            reader(
                child.stdout.take().expect("standard output is piped"),
                send.clone(),
            ),
            reader(child.stderr.take().expect("standard error is piped"), send),
        ];
        let deadline = Instant::now() + SCRIPT_TIMEOUT;
        let mut output = String::new();
        let ended = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    output.push_str(&format!("{line}\n"));
                    match line.as_str() {
                        "@kill" => server.kill(),
                        "@stop" => server.stop(),
                        "@start" => server.run(),
                        "@restart" => server.kill_and_restart(),
                        _ => continue,
                    }
                    // The script may not wait for the line any more.
                    let _ = input.write_all(b"done\n");
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        if !ended {
            child.kill().expect("the script can be killed");
        }
        let status = child.wait().expect("the script ends");
        if ended {
            for reader in readers {
                reader.join().expect("a reader ends");
            }
        }
        let hung = if ended { "" } else { ", after it hung" };
        let log = server.log();
        let log = log
            .lines()
            .skip(log.lines().count().saturating_sub(100))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            ended && status.success(),
            "{script}: {status}{hung}\n{output}\n--- the end of the server's log:\n{log}"
        );
        println!("{script}:\n{output}");
    }
}

fn reader(
    stream: impl Read + Send + 'static,
    lines: mpsc::Sender<String>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            // After a failure of the test nothing receives the lines.
            let _ = lines.send(line);
        }
    })
}
