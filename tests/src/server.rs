use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::clonk::{authapp_path, clonk_path, testapp_path};
use crate::{Clonk, Start};

/// A server that keeps its port and its folder over restarts, for clients that reconnect.
pub struct Server {
    running: Option<Clonk>,
    program: PathBuf,
    port: u16,
    flags: &'static [&'static str],
    folder: TempDir,
}

impl Server {
    /// Starts the test application, with internals shown in errors.
    pub fn testapp() -> Server {
        Server::testapp_with(&["--dev"])
    }

    /// Starts the test application with these flags.
    pub fn testapp_with(flags: &'static [&'static str]) -> Server {
        Server::of(testapp_path(), flags)
    }

    /// Starts the application that users sign in to. It accepts the tokens that it issues.
    pub fn authapp() -> Server {
        const ITSELF: &str = r#"{"providers":[{"domain":"{origin}","applicationID":"convex"}]}"#;
        Server::of(authapp_path(), &["--dev", "--auth-config-json", ITSELF])
    }

    /// Starts the backend itself.
    pub fn clonk() -> Server {
        Server::of(clonk_path(), &[])
    }

    fn of(program: PathBuf, flags: &'static [&'static str]) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Server {
            running: None,
            program,
            port: free_port(),
            flags,
            folder,
        };
        server.run();
        server
    }

    /// Kills the server and starts it again on the same port and data.
    ///
    /// # Panics
    /// If it cannot be killed or does not start.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.run();
    }

    /// Kills the server with SIGKILL.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.running.take().expect("the server runs").kill();
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// If it does not end successfully.
    pub fn stop(&mut self) {
        let status = self.running.take().expect("the server runs").stop();
        assert!(status.success(), "it ended with {status}");
    }

    /// Starts the server.
    ///
    /// # Panics
    /// If it does not start.
    pub fn run(&mut self) {
        // A thousand clients need more open files than the default limit.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$0\" \"$@\""])
            .arg(&self.program);
        let flags = self.flags.iter();
        let flags: Vec<_> = flags
            .map(|flag| flag.replace("{origin}", &self.url()))
            .collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.running = Some(
            Start::through(command, &self.data())
                .port(self.port)
                .args(&flags)
                .run(),
        );
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the admin key.
    ///
    /// # Panics
    /// If the key file cannot be read.
    pub fn admin_key(&self) -> String {
        self.key("admin-key")
    }

    /// Returns the key of the application's routes.
    ///
    /// # Panics
    /// If the key file cannot be read.
    pub fn api_key(&self) -> String {
        self.key("api-key")
    }

    fn key(&self, file: &str) -> String {
        let key = std::fs::read_to_string(self.data().join(file))
            .expect("the first start generates the key");
        key.trim_end().to_owned()
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().with_extension("log")).unwrap_or_default()
    }

    /// Returns its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// Finds a port that stays free while its server is down, because the system does not give it to outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ports.
    let first = (std::process::id() % 200) as u16 * 100;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
