//! Files: `ctx.storage`, and the operations under the server's upload and download endpoints.
//!
//! A file is a document of the system's table `_storage`, and a blob in the
//! [`lentil_store::FileStore`] under the hash of its bytes. Several documents may name one blob.
//! Two rules keep documents and blobs together through crashes:
//!
//! ```text
//! store    write, hash → blob durable → document committed → acknowledged
//! delete   document deleted, durably  → no document names the blob → blob removed
//! ```
//!
//! So a document never lacks its blob. A crash between two steps may leave a blob without a
//! document, which the sweep at the next start removes. A lock on the blob covers the steps from
//! "blob durable" to "document committed", and from "no document names the blob" to "blob removed".
//! So a file that is stored while another with the same bytes is deleted keeps its blob.

mod action;
mod file_response;
mod files;
mod handles;
mod storing;

pub use action::{File, StorageActions};
pub use files::Files;
pub use handles::{StorageReader, StorageWriter};
pub use storing::StoreFileError;
