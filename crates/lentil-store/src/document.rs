use lentil_values::{DocumentId, Object};

/// A document as a store keeps it.
///
/// `fields` holds the author's fields alone; `_id` and `_creationTime` are beside it. The id's first eight bytes
/// are the creation time ([`lentil_values::InternalId::at`]), so that id order is creation order.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    /// The document's `_id`.
    pub id: DocumentId,
    /// The document's `_creationTime`: milliseconds since the Unix epoch.
    pub creation_time: f64,
    /// All fields but the two system fields.
    pub fields: Object,
}
