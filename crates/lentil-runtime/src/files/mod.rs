//! The documents of stored files, and the parts of an engine that only files use.

mod document;
mod parts;
mod upload_token;

pub use document::{FileInfo, FileMetadata, StoredFile};
pub(crate) use document::{FileRecord, Sha256};
pub(crate) use parts::{BlobLocks, FileParts};
pub(crate) use upload_token::UploadKey;
pub use upload_token::UploadTokenError;
