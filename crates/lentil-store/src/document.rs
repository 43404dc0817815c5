use lentil_values::{DocumentId, Object};

/// A document in a store.
///
/// The id of a document that was created here begins with its creation time
/// ([`lentil_values::InternalId::at`]). A document that was imported from another database has any
/// id and any creation time; creation times need not be unique.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    /// The document's `_id`.
    pub id: DocumentId,
    /// The document's `_creationTime`: milliseconds since the Unix epoch.
    pub creation_time: f64,
    /// The author's fields, without the two system fields.
    pub fields: Object,
}
