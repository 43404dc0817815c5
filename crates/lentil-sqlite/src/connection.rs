use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// The timeout of a connection that waits for another program's lock, such as that of an open
/// `sqlite3`.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a connection that writes.
pub(crate) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path)?;
    configure_writer(&conn)?;
    Ok(conn)
}

/// Makes the connection fsync each of its commits, and leave checkpoints to the checkpointer.
pub(crate) fn configure_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -8_192)
}

/// Leaves the fsync of this connection's commits to the caller.
pub(crate) fn disable_commit_fsync(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", "NORMAL")
}

/// Returns a counter of the log's frames, which each commit of this connection updates.
pub(crate) fn count_frames(conn: &mut Connection) -> rusqlite::Result<Arc<AtomicU32>> {
    let frames = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&frames);
    // Relaxed: the hook runs on the thread that commits, and the same thread reads the counter.
    conn.wal_hook(Some(move |_: &mut _, now: i32| {
        count.store(now.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(frames)
}

/// Opens a connection that reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Opens a connection to an existing database. It reads and writes nothing yet.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    // SQLite needs no mutex: Rust's `&mut` or our mutex lets one thread at a time use the
    // connection.
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    // Detects a damaged page when it is first read.
    conn.pragma_update(None, "cell_size_check", true)?;
    // Otherwise the planner uses the values bound to a statement, and prepares it again when they
    // change.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

/// Opens a connection that reads the database file alone: without its write-ahead log, without
/// locks, without changes.
pub(crate) fn open_without_log(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Returns a number that changes when another connection commits.
pub(crate) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

/// Runs a statement without parameters, and keeps it prepared.
pub(crate) fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// Without `ENABLE_QPSG` SQLite prepared each statement with a `LIMIT` parameter again on every
    /// use.
    #[test]
    fn statement_is_prepared_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY)")
            .unwrap();
        let conn = open(&path).unwrap();
        let mut statement = conn
            .prepare("SELECT k FROM t WHERE k > ?1 LIMIT ?2")
            .unwrap();
        for limit in 1..10 {
            assert!(!statement.exists([0, limit]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
