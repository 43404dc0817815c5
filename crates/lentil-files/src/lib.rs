//! Where the contents of files are kept: [`LocalFiles`], a folder.

mod local;
mod local_writer;

pub use local::LocalFiles;
