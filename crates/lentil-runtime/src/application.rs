use lentil_call::FunctionPath;
use lentil_schema::Schema;

use crate::engine::{Function, FunctionTypeId};
use crate::functions::{Functions, FunctionsError};
use crate::router::HttpRouter;

/// The parts of an application: its tables, its functions, its HTTP routes and the names of its
/// secrets.
#[derive(Default)]
pub struct Application {
    pub(crate) schema: Schema,
    pub(crate) functions: Functions,
    pub(crate) http: HttpRouter,
    pub(crate) secrets: Vec<String>,
}

impl Application {
    /// Returns an application with these tables.
    pub fn new(schema: Schema) -> Application {
        Application {
            schema,
            ..Application::default()
        }
    }

    /// Adds functions.
    #[must_use]
    pub fn functions(mut self, functions: Functions) -> Application {
        self.functions = std::mem::take(&mut self.functions).with(functions);
        self
    }

    /// Sets the HTTP routes.
    #[must_use]
    pub fn http(mut self, router: HttpRouter) -> Application {
        self.http = router;
        self
    }

    /// Declares a secret. Functions read it with `ctx.secret(name)`; the operator sets it under
    /// this name.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>) -> Application {
        self.secrets.push(name.into());
        self
    }

    /// Returns the tables.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns every function with its types and visibility, in the order of their paths.
    ///
    /// # Errors
    /// When two functions have the same path, or a path is malformed.
    pub fn declared_functions(&self) -> Result<Vec<Function>, FunctionsError> {
        self.functions.list()
    }

    /// Returns the path of the function whose handler has this type.
    pub fn path_of(&self, handler: FunctionTypeId) -> Option<FunctionPath> {
        self.functions.path_of(handler)
    }

    /// Returns the names of the declared secrets.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }
}
