use lentil::Document;

/// How far a task that walks a table in steps has come.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("walks")]
#[index(by_name(name), unique)]
pub struct Walk {
    /// The task.
    pub name: String,
    /// The `_creationTime` of the last document that it is done with.
    pub position: f64,
}
