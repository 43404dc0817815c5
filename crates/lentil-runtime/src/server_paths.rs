/// The paths that the server around a runtime responds to itself.
#[derive(Clone, Copy, Debug)]
pub struct ServerPaths {
    /// Returns whether a path belongs to the server, so that no route of the application may have
    /// it.
    pub is_reserved: fn(&str) -> bool,
    /// The folder of the URLs that upload and download files, such as `/api/storage`.
    pub files: &'static str,
}

/// A runtime without a server: no path is reserved, and no URL of a file leads anywhere.
impl Default for ServerPaths {
    fn default() -> ServerPaths {
        ServerPaths {
            is_reserved: |_| false,
            files: "",
        }
    }
}
