use std::fmt;

use lentil_store::StoreError;
use lentil_values::TableNumber;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use crate::error::store_error;

/// The columns of a document table, in the order in which
/// [`StoredRow::of`](super::row::StoredRow::of) reads them.
pub(crate) const COLUMNS: &str = "number, json, checksum";

/// The SQLite table that holds the documents of one table. It displays as its name.
#[derive(Clone, Copy)]
pub(crate) struct DocumentTable(pub(crate) TableNumber);

impl DocumentTable {
    /// Returns a statement with the table's name between `before` and `after`.
    ///
    /// The statements of single documents use this: formatting takes longer than SQLite needs to
    /// find a row.
    pub(crate) fn sql(self, before: &str, after: &str) -> String {
        let mut sql = String::with_capacity(before.len() + after.len() + 24);
        sql.push_str(before);
        sql.push_str("_documents_");
        sql.push_str(&self.0.get().to_string());
        sql.push_str(after);
        sql
    }

    /// Creates the table if it does not exist.
    pub(crate) fn create(self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {self} \
             (number INTEGER PRIMARY KEY, json TEXT NOT NULL, checksum INTEGER)"
        ))
    }

    /// Prepares a statement that reads the table. Returns `None` if the table does not exist.
    pub(crate) fn prepare<'c>(
        self,
        conn: &'c Connection,
        sql: &str,
    ) -> Result<Option<CachedStatement<'c>>, StoreError> {
        let error = match conn.prepare_cached(sql) {
            Ok(statement) => return Ok(Some(statement)),
            Err(error) => error,
        };
        // SQLite reports a missing table with its general error code.
        let find = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
        let found = conn
            .query_row(find, [self.to_string()], |_| Ok(()))
            .optional()
            .map_err(store_error)?;
        match found {
            Some(()) => Err(store_error(error)),
            None => Ok(None),
        }
    }

    /// Returns the statement that reads rows in rowid order: `?1` is the first rowid, `?2` the
    /// number of rows.
    pub(crate) fn walk_sql(self) -> String {
        format!("SELECT {COLUMNS} FROM {self} WHERE number >= ?1 ORDER BY number LIMIT ?2")
    }
}

impl fmt::Display for DocumentTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_documents_{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_contain_the_table_name() {
        for number in [1, 90, 10_001, u32::MAX] {
            let table = DocumentTable(TableNumber::new(number).unwrap());
            assert_eq!(table.sql("a ", " b"), format!("a {table} b"));
        }
    }
}
