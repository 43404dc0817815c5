use lentil_runtime::{Application, Functions, HttpRouter, Limits};
use lentil_schema::Schema;
use lentil_system::Crons;

/// A backend program: an application, and the command line that serves it.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use lentil::{Backend, Document, Functions, QueryCtx, Result, Schema};
///
/// #[derive(Document, Clone)]
/// #[table("notes")]
/// struct Note {
///     text: String,
/// }
///
/// async fn count(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
///     Ok(ctx.db.query(Note::all()).count().await? as f64)
/// }
///
/// fn main() -> ExitCode {
///     Backend::new(Schema::new().table::<Note>())
///         .functions(Functions::in_module("notes").query("count", count))
///         .secret("NOTES_API_KEY")
///         .main()
/// }
/// ```
pub struct Backend {
    pub(crate) application: Application,
    pub(crate) crons: Crons,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) example: String,
    pub(crate) limits: Limits,
}

impl Backend {
    /// Returns a backend with these tables. Its name is that of the program file.
    pub fn new(schema: Schema) -> Backend {
        let program = std::env::args_os().next().unwrap_or_default();
        let name = std::path::Path::new(&program)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Backend {
            application: Application::new(schema),
            crons: Crons::new(),
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

    /// Adds crons.
    #[must_use]
    pub fn crons(mut self, crons: Crons) -> Backend {
        self.crons = self.crons.with(crons);
        self
    }

    /// Declares a secret, such as `CLONK_API_KEY`.
    ///
    /// Its value comes from the environment variable of this name, otherwise from a file in the
    /// data folder, which the first start creates: `api-key` for `CLONK_API_KEY`. Functions read it
    /// with `ctx.secret(name)`.
    #[must_use]
    pub fn secret(mut self, name: &str) -> Backend {
        self.application = self.application.secret(name);
        self
    }

    /// Sets the limits of one call. The defaults are Convex's figures.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Backend {
        self.limits = limits;
        self
    }

    /// Sets the version that the startup banner and `GET /version` show.
    #[must_use]
    pub fn version(mut self, version: &str) -> Backend {
        self.version = version.to_owned();
        self
    }

    /// Sets the command that the startup banner suggests.
    ///
    /// `{url}` is replaced by the server's address, and `{CLONK_API_KEY}` by an expression that a
    /// shell expands to that secret.
    #[must_use]
    pub fn example(mut self, command: &str) -> Backend {
        self.example = command.to_owned();
        self
    }
}
