//! Where the bytes of files are stored: [`LocalFiles`] in a folder, [`ObjectFiles`] in an object
//! store such as S3.
//!
//! Both store each distinct content once, as a *blob* named by the SHA-256 of its bytes. The
//! documents that describe files are in the database.

mod bucket;
#[cfg(test)]
mod failing;
mod folder;
mod incoming;
mod local;
mod local_writer;
mod multipart;
mod object;
mod object_writer;
mod s3;
mod s3_http;

pub use local::LocalFiles;
pub use object::ObjectFiles;
pub use s3::{S3Url, S3UrlError};
