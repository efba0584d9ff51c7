//! What counts as damage to the database's file, and keeps it from the rest of the program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

/// The database stumbled over its own file.
#[derive(Debug, thiserror::Error)]
#[error("the database panicked: {0}")]
pub(super) struct Panicked(String);

/// Something in the file is not what was written there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) String);

/// A panic of the database becomes an error. What it worked on must be closed and opened again.
pub(super) fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Panicked(text.unwrap_or("without a word").to_owned()).into())
    })
}

/// What belongs to a damaged file may panic even when it is let go.
pub(super) fn let_go<T>(what: T) {
    let dropped = guarded(|| {
        drop(what);
        Ok(())
    });
    if let Err(error) = dropped {
        tracing::warn!(%error, "the store was not closed in order");
    }
}

/// Whether another attempt on the same file would be in vain. A disk that is full or fails is not damage: it may heal.
pub(super) fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|error| {
        let by_storage = storage_error(error).is_some_and(|error| match error {
            StorageError::Corrupted(_) => true,
            // A file that is shorter than its own header says.
            StorageError::Io(error) => is_wrong_content(error.kind()),
            _ => false,
        });
        let by_table = error
            .downcast_ref()
            .is_some_and(|error| !matches!(error, TableError::Storage(_)));
        let by_format = matches!(
            error.downcast_ref(),
            Some(DatabaseError::UpgradeRequired(_))
        );
        by_storage || by_table || by_format || error.is::<Panicked>() || error.is::<Damaged>()
    })
}

/// Whether the disk has no room; the same attempt may succeed once it has.
pub fn is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    error.chain().any(|error| {
        let io = error.downcast_ref::<std::io::Error>();
        let of_storage = storage_error(error).and_then(|error| match error {
            StorageError::Io(error) => Some(error),
            _ => None,
        });
        io.or(of_storage)
            .is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
    })
}

fn storage_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a StorageError> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(TableError::Storage(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(DatabaseError::Storage(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(TransactionError::Storage(error)) = error.downcast_ref() {
        return Some(error);
    }
    match error.downcast_ref() {
        Some(CommitError::Storage(error)) => Some(error),
        _ => None,
    }
}

fn is_wrong_content(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_damage_and_a_panic_is() {
        let full = StorageError::Io(std::io::ErrorKind::StorageFull.into());
        assert!(!is_damage(
            &anyhow::Error::new(full).context("cannot write")
        ));
        let corrupted = StorageError::Corrupted("page".into());
        let error = anyhow::Error::new(DatabaseError::Storage(corrupted));
        assert!(is_damage(&error.context("cannot open")));
        assert!(!is_damage(&DatabaseError::DatabaseAlreadyOpen.into()));
        let error = guarded::<()>(|| panic!("page {}", 7)).unwrap_err();
        assert_eq!(error.to_string(), "the database panicked: page 7");
        assert!(is_damage(&error));
    }
}
