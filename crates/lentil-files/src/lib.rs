//! Stores for the contents of files: [`LocalFiles`] in a folder, [`ObjectFiles`] in an object store such as S3.

#[cfg(test)]
mod failing;
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
