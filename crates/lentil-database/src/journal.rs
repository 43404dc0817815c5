/// The end of the page that a query read, so that a later execution of the query reads the same
/// page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The end that the previous execution found, if there was one.
    pub before: Option<String>,
    /// The end that this execution found.
    pub now: Option<String>,
}
