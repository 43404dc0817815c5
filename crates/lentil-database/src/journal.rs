/// The end of the page that a query read: what makes its later executions cover the same page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// From the execution before, if there was one.
    pub before: Option<String>,
    /// From this execution.
    pub now: Option<String>,
}
