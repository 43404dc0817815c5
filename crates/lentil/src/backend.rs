use std::io::{self, Write};
use std::process::ExitCode;

use lentil_runtime::http::HttpRouter;
use lentil_runtime::{Application, Crons, Functions, Limits};
use lentil_schema::Schema;

use crate::cli;

/// A backend program: an application and the command line around it.
///
/// ```ignore
/// fn main() -> std::process::ExitCode {
///     lentil::Backend::new(schema()).functions(functions()).http(router()).secret("CLONK_API_KEY").main()
/// }
/// ```
pub struct Backend {
    pub(crate) application: Application,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) example: String,
    pub(crate) limits: Limits,
}

impl Backend {
    /// A backend with these tables; it is called as its program file is.
    pub fn new(schema: Schema) -> Backend {
        let program = std::env::args_os().next().unwrap_or_default();
        let name = std::path::Path::new(&program)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Backend {
            application: Application::new(schema),
            name: if name.is_empty() {
                "lentil".to_owned()
            } else {
                name
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            example: "curl {url}/version".to_owned(),
            limits: Limits::default(),
        }
    }

    /// Adds functions.
    #[must_use]
    pub fn functions(mut self, functions: Functions) -> Backend {
        self.application = self.application.functions(functions);
        self
    }

    /// Sets the HTTP routes.
    #[must_use]
    pub fn http(mut self, router: HttpRouter) -> Backend {
        self.application = self.application.http(router);
        self
    }

    /// Adds what runs again and again.
    #[must_use]
    pub fn crons(mut self, crons: Crons) -> Backend {
        self.application = self.application.crons(crons);
        self
    }

    /// Declares a secret, such as `CLONK_API_KEY`.
    ///
    /// Its value is that of the environment variable of this name; else that of a file in the data folder, which
    /// the first start makes: `api-key` for `CLONK_API_KEY`. Functions read it with `ctx.secret(name)`.
    #[must_use]
    pub fn secret(mut self, name: &str) -> Backend {
        self.application = self.application.secret(name);
        self
    }

    /// Sets what one call may use; the defaults are Convex's figures.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Backend {
        self.limits = limits;
        self
    }

    /// Sets the version that the first screen and `GET /version` show.
    #[must_use]
    pub fn version(mut self, version: &str) -> Backend {
        self.version = version.to_owned();
        self
    }

    /// Sets the command that the first screen offers to try.
    ///
    /// `{url}` stands for the server's address, `{CLONK_API_KEY}` for what a shell expands to that secret.
    #[must_use]
    pub fn example(mut self, command: &str) -> Backend {
        self.example = command.to_owned();
        self
    }

    /// Runs the command line. An error is one sentence on standard error, and exit code 1.
    pub fn main(self) -> ExitCode {
        let name = self.name.clone();
        match cli::run(self) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // The exit code stands also when the log is on a full disk, where `eprintln` panics.
                let _ = writeln!(io::stderr(), "{name}: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
