use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::process::profile_folder;
use crate::{Connection, Process, Response, eventually};

/// The path of the server under test: clonk's `main.rs`, compiled with these tests.
pub fn clonk_path() -> PathBuf {
    profile_folder().join("clonk-under-test")
}

/// The path of the application that the official clients call.
pub fn testapp_path() -> PathBuf {
    profile_folder().join("testapp")
}

/// The path of the application that the front end of `@convex-dev/auth` signs in to.
pub fn authapp_path() -> PathBuf {
    profile_folder().join("authapp")
}

/// How to start a server.
pub struct Start {
    command: Command,
    port: u16,
    data: PathBuf,
}

impl Start {
    /// On a free port, with this data folder.
    pub fn new(data: &Path) -> Start {
        let mut command = Command::new(clonk_path());
        command.arg0("clonk");
        Start::through(command, data)
    }

    /// By a command that ends with the program, such as `strace clonk`.
    pub fn through(mut command: Command, data: &Path) -> Start {
        command.arg("serve").arg("--data").arg(data);
        command
            .env_remove("CLONK_API_KEY")
            .env_remove("LENTIL_ADMIN_KEY");
        Start {
            command,
            port: 0,
            data: data.to_owned(),
        }
    }

    /// On this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Start {
        self.port = port;
        self
    }

    /// With further flags.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Start {
        self.command.args(args);
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Start {
        self.command.env(name, value.into());
        self
    }

    /// Starts it, and waits for its first screen.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(mut self) -> Clonk {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.data.with_extension("log"));
        self.command.args(["--port", &self.port.to_string()]);
        self.command
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file beside the data folder"));
        let mut process = Process::start(&mut self.command);
        let mut lines =
            BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
        let mut screen = String::new();
        while !screen.contains("  try") {
            let line = lines.next().unwrap_or_else(|| {
                panic!(
                    "clonk did not start; see {:?}",
                    self.data.with_extension("log")
                )
            });
            screen.push_str(&line.expect("the screen is text"));
            screen.push('\n');
        }
        let address = screen
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let address = address
            .expect("the screen says where it listens")
            .to_owned();
        Clonk {
            process,
            address,
            screen,
            data: self.data,
        }
    }

    /// Starts it, expecting it to refuse: its exit code, and what it says on standard error.
    ///
    /// # Panics
    /// When it runs.
    pub fn refuse(mut self) -> (Option<i32>, String) {
        self.command.args(["--port", &self.port.to_string()]);
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut self.command);
        eventually("a start that is refused ends", || {
            matches!(process.try_wait(), Ok(Some(_)))
        });
        let mut said = String::new();
        process
            .stderr
            .take()
            .expect("standard error is piped")
            .read_to_string(&mut said)
            .expect("it says text");
        (process.wait().expect("it has ended").code(), said)
    }
}

/// A running server; killed when dropped.
pub struct Clonk {
    process: Process,
    /// `host:port`
    pub address: String,
    /// What it printed at the start.
    pub screen: String,
    /// Its data folder.
    pub data: PathBuf,
}

impl Clonk {
    /// Starts one on a data folder.
    pub fn start(data: &Path) -> Clonk {
        Start::new(data).run()
    }

    /// The `Authorization` header that opens the jobs API.
    ///
    /// # Panics
    /// When the key file cannot be read.
    pub fn bearer(&self) -> String {
        let key = std::fs::read_to_string(self.data.join("api-key"))
            .expect("the first start makes the key");
        format!("Bearer {}", key.trim_end())
    }

    /// A new connection.
    ///
    /// # Errors
    /// When it does not listen any more.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }

    /// One request with the key, on a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn request(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Response {
        let bearer = self.bearer();
        let mut connection = self.connect().expect("it listens");
        connection
            .request(method, target, &[("authorization", &bearer)], body.as_ref())
            .expect("it answers")
    }

    /// Reports a job.
    pub fn post_job(&self, job_id: &str, stage: &str) -> Response {
        self.request("POST", "/api/job", job(job_id, stage))
    }

    /// Reads a job.
    pub fn get_job(&self, job_id: &str) -> Response {
        self.request("GET", &format!("/api/job?id={job_id}"), "")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// When there is no `kill` to do it with.
    pub fn terminate(&self) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(mut self) -> ExitStatus {
        eventually("the server ends by itself", || {
            self.process
                .try_wait()
                .expect("it can be waited for")
                .is_some()
        });
        self.process.wait().expect("it ends")
    }

    /// Sends SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.process.wait().expect("it ends")
    }
}

/// A job's report as JSON.
fn job(job_id: &str, stage: &str) -> String {
    format!(
        r#"{{"jobId":"{job_id}","idea":"an idea","username":"ada","status":"processing","stage":"{stage}"}}"#
    )
}
