use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files reserved for the database, uploads and the log.
const MIN_OTHER_FILES: u64 = 64;

/// Lets the process open as many files as the system allows, and returns how many may be
/// connections.
pub(crate) fn allow_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let allowed = connections(current.unwrap_or(u64::MAX), wanted);
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "the limit of open files allows fewer connections than usual; raise it (`ulimit -n`)"
        );
    }
    allowed
}

/// Returns how many of the open files may be connections. Each may need a second file for an
/// upload.
fn connections(open_files: u64, wanted: usize) -> usize {
    let others = MIN_OTHER_FILES.max(open_files / 4);
    let allowed = usize::try_from(open_files.saturating_sub(others)).unwrap_or(usize::MAX);
    allowed.clamp(1, wanted)
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn some_open_files_are_reserved_from_connections() {
        assert_eq!(connections(1_048_576, 10_000), 10_000);
        assert_eq!(connections(u64::MAX, 10_000), 10_000);
        assert_eq!(connections(1_024, 10_000), 768);
        assert_eq!(connections(128, 10_000), 64);
        assert_eq!(connections(10, 10_000), 1);
    }
}
