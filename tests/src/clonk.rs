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

/// The command and options with which a server is started.
pub struct Start {
    command: Command,
    port: u16,
    data: PathBuf,
}

impl Start {
    /// Prepares a start of `clonk` on a free port with this data folder.
    pub fn new(data: &Path) -> Start {
        let mut command = Command::new(clonk_path());
        command.arg0("clonk");
        Start::through(command, data)
    }

    /// Prepares a start by a command that ends with the program, such as `strace clonk`.
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

    /// Prepares a start of a program that cannot write files beyond this number of blocks, as on a full disk.
    ///
    /// The signal is ignored, so that a write fails instead of ending the program.
    pub fn with_file_size_limit(program: PathBuf, blocks: u32, data: &Path) -> Start {
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program);
        Start::through(command, data)
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Start {
        self.port = port;
        self
    }

    /// Adds flags.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Start {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Start {
        self.command.env(name, value.into());
        self
    }

    /// Starts the server and waits for its startup banner.
    ///
    /// # Panics
    /// If it does not start.
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
                    "the server did not start; see {:?}",
                    self.data.with_extension("log")
                )
            });
            screen.push_str(&line.expect("the banner is text"));
            screen.push('\n');
        }
        let address = screen
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let address = address.expect("the banner has the address").to_owned();
        Clonk {
            process,
            address,
            screen,
            data: self.data,
        }
    }

    /// Starts the server, which must fail. Returns its exit code and its standard error.
    ///
    /// # Panics
    /// If it starts.
    pub fn refuse(mut self) -> (Option<i32>, String) {
        self.command.args(["--port", &self.port.to_string()]);
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut self.command);
        eventually("the failed start ends", || {
            matches!(process.try_wait(), Ok(Some(_)))
        });
        let mut output = String::new();
        process
            .stderr
            .take()
            .expect("standard error is piped")
            .read_to_string(&mut output)
            .expect("standard error is text");
        (
            process.wait().expect("the process has ended").code(),
            output,
        )
    }
}

/// A running server. Dropping it kills the process.
pub struct Clonk {
    process: Process,
    /// The address, `host:port`.
    pub address: String,
    /// The startup banner.
    pub screen: String,
    /// The data folder.
    pub data: PathBuf,
}

impl Clonk {
    /// Starts `clonk` on a data folder.
    pub fn start(data: &Path) -> Clonk {
        Start::new(data).run()
    }

    /// Returns the `Authorization` header for the jobs API.
    ///
    /// # Panics
    /// If the key file cannot be read.
    pub fn bearer(&self) -> String {
        let key = std::fs::read_to_string(self.data.join("api-key"))
            .expect("the first start generates the key");
        format!("Bearer {}", key.trim_end())
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the server does not listen any more.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }

    /// Sends a request with the key over a new connection.
    ///
    /// # Panics
    /// If there is no response.
    pub fn request(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Response {
        let bearer = self.bearer();
        let mut connection = self.connect().expect("the server listens");
        connection
            .request(method, target, &[("authorization", &bearer)], body.as_ref())
            .expect("the server responds")
    }

    /// Reports a job.
    pub fn post_job(&self, job_id: &str, stage: &str) -> Response {
        self.request("POST", "/api/job", job(job_id, stage))
    }

    /// Reads a job.
    pub fn get_job(&self, job_id: &str) -> Response {
        self.request("GET", &format!("/api/job?id={job_id}"), "")
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the process with SIGKILL.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the process ends");
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// If there is no `kill` on this machine.
    pub fn terminate(&self) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(mut self) -> ExitStatus {
        eventually("the server ends by itself", || {
            self.process
                .try_wait()
                .expect("the process can be awaited")
                .is_some()
        });
        self.process.wait().expect("the process ends")
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// If the process does not end.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.process.wait().expect("the process ends")
    }
}

/// Formats the report of a job as JSON.
fn job(job_id: &str, stage: &str) -> String {
    format!(
        r#"{{"jobId":"{job_id}","idea":"an idea","username":"ada","status":"processing","stage":"{stage}"}}"#
    )
}
