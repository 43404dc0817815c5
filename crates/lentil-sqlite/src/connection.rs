use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a connection that may wait does so for another program, such as a `sqlite3` that someone has open.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that may write.
pub(crate) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path)?;
    configure_writer(&conn)?;
    Ok(conn)
}

/// Has each commit made durable, and leaves checkpoints to those who are not waited for.
pub(crate) fn configure_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -8_192)
}

/// Leaves it to others to make this connection's commits durable.
pub(crate) fn sync_no_commits(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", "NORMAL")
}

/// Counts the frames of the log as each commit of this connection leaves it.
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

/// A connection that reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// A connection to a database that is there; nothing is read or written yet.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, which its `&mut` or mutex sees to.
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    // A damaged page is then found when it is first read.
    conn.pragma_update(None, "cell_size_check", true)?;
    // Without this the planner looks at what a `LIMIT ?` is bound to, and plans anew whenever that is bound again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

/// A connection that reads the database file alone, without its write-ahead log, locks or changes.
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

/// A number that changes when another connection has committed.
pub(crate) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

/// Runs one statement that is kept prepared.
pub(crate) fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once() {
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
