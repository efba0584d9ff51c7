//! A damaged file as the database may still be able to read it, without a byte of it being changed.
//!
//! Opened in the ordinary way, a file that is cut, or was not closed, would first have to be mended. A reader beside a
//! writer asks for less: it follows the pages from the last commit. So this claims that a writer is there.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;

use redb::{BackendError, StorageBackend};

/// What a writer locks to say: the file is not closed, but consistent (redb's design document, "lock bytes").
const CONSISTENT: u64 = (1 << 62) + 4;

#[derive(Debug)]
pub(super) struct Evidence {
    file: File,
    len: u64,
}

impl Evidence {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl StorageBackend for Evidence {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    /// What was cut off reads as zeros, which no checksum takes for a page.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, missing) = out.split_at_mut(there);
        missing.fill(0);
        self.file.read_exact_at(there, offset)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(start == Bound::Included(CONSISTENT))
    }
}
