use lentil::Document;

/// The position of a task that processes a table in steps.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("walks")]
#[unique(by_name(name))]
pub struct Walk {
    /// The task's name.
    pub name: String,
    /// The `_creationTime` of the last document that was processed.
    pub position: f64,
}
