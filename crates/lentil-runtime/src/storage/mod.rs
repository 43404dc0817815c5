//! Files: `ctx.storage`, and what the server's upload and download endpoints rest on.
//!
//! A file is a document of the system's table `_storage`, and a content in the [`lentil_store::FileStore`] under the
//! hash of its bytes, which other documents may name too. Two rules keep them together, whatever crashes when:
//!
//! ```text
//! store    write, hash → content durable → document committed → acknowledged
//! delete   document gone, durably        → no document names the content → content removed
//! ```
//!
//! So a document never lacks its content; a content may lack a document, after a crash between two of these steps,
//! and [`crate::Runtime::sweep_files`] removes it at the next start. What lies between "content durable" and
//! "document committed", and between "no document names it" and "removed", is under the content's lock: a file that
//! is stored while another of the same content is deleted keeps its bytes.

mod action;
mod file;
mod handles;
mod locks;
mod stored_file;
mod storing;
mod sweep;
mod upload_token;

use data_encoding::BASE64;
use lentil_store::ContentHash;

pub use action::StorageActions;
pub use file::File;
pub(crate) use handles::delete_file;
pub use handles::{StorageReader, StorageWriter};
pub(crate) use locks::ContentLocks;
pub use stored_file::{FileInfo, FileMetadata, StoredFile};
pub use storing::StoreFileError;
pub(crate) use upload_token::UploadKey;
pub use upload_token::UploadTokenError;

fn hash_of_base64(text: &str) -> Option<ContentHash> {
    BASE64
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
        .map(ContentHash)
}
