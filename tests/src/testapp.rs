use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::clonk::testapp_path;
use crate::{Clonk, Start};

/// The application that the official clients call, running on a port and a folder that it keeps over restarts.
pub struct Testapp {
    server: Option<Clonk>,
    port: u16,
    flags: &'static [&'static str],
    folder: TempDir,
}

impl Testapp {
    /// Starts one, with internals shown in errors.
    pub fn start() -> Testapp {
        Testapp::with_flags(&["--dev"])
    }

    /// Starts one as for production.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_flags(flags: &'static [&'static str]) -> Testapp {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut testapp = Testapp { server: None, port: free_port(), flags, folder };
        testapp.run();
        testapp
    }

    /// `kill -9`, and a new start on the same port and data.
    ///
    /// # Panics
    /// When it cannot be killed or does not start.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.run();
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
    }

    /// Sends SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn stop(&mut self) {
        let status = self.server.take().expect("it runs").stop();
        assert!(status.success(), "it ended with {status}");
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        // A thousand clients have more than the thousand files that a program may have open by default.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$0\" \"$@\""]).arg(testapp_path());
        self.server = Some(Start::through(command, &self.data()).port(self.port).args(self.flags).run());
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The administrator's key.
    ///
    /// # Panics
    /// When the key file cannot be read.
    pub fn admin_key(&self) -> String {
        let key = std::fs::read_to_string(self.data().join("admin-key")).expect("the first start makes the key");
        key.trim_end().to_owned()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().with_extension("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A port that stays free while its server is down: below those that the system gives to outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different places.
    let first = (std::process::id() % 200) as u16 * 100;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
