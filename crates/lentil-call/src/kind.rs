/// The three kinds of registered functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Reads in one transaction. Clients can watch its result.
    Query,
    /// Reads and writes documents in one transaction.
    Mutation,
    /// Calls queries, mutations and other services.
    Action,
}

/// The callers that may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// All clients.
    Public,
    /// Other functions, HTTP actions and the administrator.
    Internal,
}
