use lentil_values::TableNumber;

/// The CRC-32C of a document: of its table, its number and its JSON.
///
/// It covers where the document is stored, so that intact JSON under another document's number does not pass. It is
/// stored as a signed number, which takes four bytes: SQLite overwrites a row in place if its size stays the same.
pub(crate) fn checksum(table: TableNumber, number: i64, json: &[u8]) -> i32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&table.get().to_be_bytes());
    place[4..].copy_from_slice(&number.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), json).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_checksum_is_fixed() {
        let table = TableNumber::FIRST_USER;
        assert_eq!(checksum(table, 5, b"{}"), -83_267_341);
        assert_ne!(checksum(table, 5, b"{}"), checksum(table, 6, b"{}"));
        assert_ne!(
            checksum(table, 5, b"{}"),
            checksum(TableNumber::FIRST_SYSTEM, 5, b"{}")
        );
    }
}
