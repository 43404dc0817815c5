/// The three kinds of registered functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Reads documents. Clients can subscribe to its result.
    Query,
    /// Reads and writes documents in one transaction.
    Mutation,
    /// Runs queries and mutations, and calls other services.
    Action,
}

/// The callers that may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Every client.
    Public,
    /// Other functions, HTTP actions and the administrator.
    Internal,
}
