//! What a value looks like in the store: its bytes, then a checksum of table, key and bytes.
//!
//! The database has checksums of its own, but looks at them only when it opens a file; a byte that turns later, or a
//! page that is read in another's place, would be a wrong document. Pure.

/// Length of the checksum, CRC-32, little-endian.
const CHECKSUM: usize = 4;

/// Whose value it is; part of the checksum, so that no value passes for one of another table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Spool = 1,
    DeadLetters = 2,
    Registry = 3,
    Notes = 4,
    Totals = 5,
}

/// Fills `out` with the value as it is stored.
pub(super) fn seal<'a>(table: Table, key: &[u8], value: &[u8], out: &'a mut Vec<u8>) -> &'a [u8] {
    out.clear();
    out.extend_from_slice(value);
    out.extend_from_slice(&checksum(table, key, value).to_le_bytes());
    out
}

/// The value as it was given to [`seal`]; `None` if anything about it has changed.
pub(super) fn open<'a>(table: Table, key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (value, sum) = stored.split_last_chunk::<CHECKSUM>()?;
    (checksum(table, key, value).to_le_bytes() == *sum).then_some(value)
}

/// Of a stored value, without looking at it.
pub(super) fn value_len(stored: &[u8]) -> usize {
    stored.len().saturating_sub(CHECKSUM)
}

fn checksum(table: Table, key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table as u8]);
    // The length keeps key and value apart.
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_bit_another_key_and_another_table_are_noticed() {
        let mut stored = Vec::new();
        seal(Table::Notes, b"key", b"value", &mut stored);
        assert_eq!(open(Table::Notes, b"key", &stored), Some(&b"value"[..]));
        assert_eq!(value_len(&stored), 5);
        assert_eq!(open(Table::Registry, b"key", &stored), None);
        assert_eq!(open(Table::Notes, b"kez", &stored), None);
        for bit in 0..stored.len() * 8 {
            let mut turned = stored.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(Table::Notes, b"key", &turned), None, "bit {bit}");
        }
        for length in 0..stored.len() {
            assert_eq!(open(Table::Notes, b"key", &stored[..length]), None);
        }
    }
}
