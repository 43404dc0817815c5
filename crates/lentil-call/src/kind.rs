/// The three kinds of functions that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Reads, and is live.
    Query,
    /// Reads and writes in one transaction.
    Mutation,
    /// Calls the others, and the outside world.
    Action,
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Every client.
    Public,
    /// Other functions, HTTP actions and the admin.
    Internal,
}
