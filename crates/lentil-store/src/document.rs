use lentil_values::{DocumentId, Object};

/// A document as a store keeps it.
///
/// `fields` holds the author's fields; `_id` and `_creationTime` are separate. The id of a document made
/// here begins with its creation time ([`lentil_values::InternalId::at`]). A document that comes from another
/// database has any id and any creation time, which other documents may have too.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    /// The document's `_id`.
    pub id: DocumentId,
    /// The document's `_creationTime`: milliseconds since the Unix epoch.
    pub creation_time: f64,
    /// All fields but the two system fields.
    pub fields: Object,
}
