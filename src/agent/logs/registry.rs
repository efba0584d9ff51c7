//! What is remembered of a file from one start to the next, and how it reaches the shipper.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;

/// The identity of a file's contents: stays when the file is renamed, changes when it is truncated or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileKey(String);

impl FileKey {
    /// `born_ns` is 0 where the file system keeps no time of birth; `generation` counts the truncations in place.
    pub(super) fn of(device: u64, inode: u64, born_ns: u64, generation: u32) -> Self {
        let mut hasher = Sha256::new();
        for part in [device, inode, born_ns, u64::from(generation)] {
            hasher.update(part.to_le_bytes());
        }
        Self(hex::encode(&hasher.finalize()[..12]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hash of a file's first `bytes` bytes; grows with the file up to [`Fingerprint::MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub bytes: usize,
    pub hash: String,
}

impl Fingerprint {
    pub const MAX_BYTES: usize = 1024;

    pub(super) fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(Self::MAX_BYTES)];
        Self {
            bytes: head.len(),
            hash: hex::encode(&Sha256::digest(head)[..16]),
        }
    }

    /// Whether a file that begins with `head` may be the same, grown. Nothing is the beginning of everything.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        head.get(..self.bytes)
            .is_some_and(|start| Self::of(start).hash == self.hash)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes == Self::MAX_BYTES
    }
}

/// A file as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryEntry {
    pub key: FileKey,
    pub path: String,
    /// Where the first record begins that was not acknowledged.
    pub offset: u64,
    pub fingerprint: Fingerprint,
    pub device: u64,
    pub inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not say.
    pub born_ns: u64,
    pub generation: u32,
    /// The file was at least so long: if it is shorter now, it was truncated.
    pub size_seen: u64,
}

/// Records of one file, in order.
///
/// The shipper puts `entry` into the registry once every event is acknowledged (or is a dead letter) and everything of
/// the file before `start` is. A batch without events announces a new file (or a new generation of one): its entry is
/// committed before any event that follows it is sent, so that a crash does not give the file another key.
#[derive(Debug, Clone)]
pub struct LogBatch {
    /// `entry.offset` is the end of the last record of this batch.
    pub entry: RegistryEntry,
    /// Where the first record of this batch begins.
    pub start: u64,
    pub events: Vec<Event>,
    /// The file is gone: after this batch its entry is removed instead of committed.
    pub is_last: bool,
}
