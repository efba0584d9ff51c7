//! What is remembered of a file from one start to the next: who it is, and how far it is acknowledged.
//!
//! The two are kept apart because they are learnt apart. The tailer keeps the identity before anything of the file is
//! sent, so that after a crash the file is recognised and its lines get the same ids. The shipper keeps the offset
//! once everything before it has an outcome.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

/// One entry of the store's registry; without a value it is removed.
pub(super) type Kept = (String, Option<Vec<u8>>);

const IDENTITY: &str = "file/";
const OFFSET: &str = "offset/";

/// A file on disk, whatever its name and contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not say. Inodes are used again.
    pub(super) born_ns: u64,
}

/// The identity of a file's contents: stays when the file is renamed or copied and truncated, changes when it is
/// truncated or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FileKey(String);

impl FileKey {
    /// `generation` counts the truncations in place.
    pub(super) fn of(origin: Node, generation: u32) -> Self {
        let mut hasher = Sha256::new();
        for part in [
            origin.device,
            origin.inode,
            origin.born_ns,
            u64::from(generation),
        ] {
            hasher.update(part.to_le_bytes());
        }
        Self(hex::encode(&hasher.finalize()[..12]))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hash of a file's first `bytes` bytes; grows with the file up to [`Fingerprint::MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    pub(super) bytes: usize,
    hash: String,
}

impl Fingerprint {
    pub(super) const MAX_BYTES: usize = 1024;

    pub(super) fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(Self::MAX_BYTES)];
        Self {
            bytes: head.len(),
            hash: hex::encode(&Sha256::digest(head)[..16]),
        }
    }

    /// Whether a file that begins with `head` may be the same, grown. Nothing is the beginning of everything.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        let start = head.get(..self.bytes);
        start.is_some_and(|start| Self::of(start).hash == self.hash)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes == Self::MAX_BYTES
    }
}

/// A file as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: FileKey,
    pub(super) path: String,
    pub(super) fingerprint: Fingerprint,
    /// Where the contents are now.
    pub(super) node: Node,
    /// Where they were first, as which generation there: no other contents may get the same key.
    pub(super) origin: Node,
    pub(super) generation: u32,
    /// The file was at least so long: if it is shorter now, it was truncated.
    pub(super) size_seen: u64,
    /// Where the next record begins.
    #[serde(skip)]
    pub(super) offset: u64,
}

impl Entry {
    pub(super) fn identity(&self) -> Kept {
        // Numbers, strings and no map: this can't fail.
        let value = serde_json::to_vec(self).unwrap_or_default();
        (format!("{IDENTITY}{}", self.key.as_str()), Some(value))
    }

    pub(super) fn without_identity(&self) -> Kept {
        (format!("{IDENTITY}{}", self.key.as_str()), None)
    }

    /// Where the shipper keeps the offset.
    pub(super) fn offset_key(&self) -> String {
        format!("{OFFSET}{}", self.key.as_str())
    }

    pub(super) fn offset_value(&self) -> Vec<u8> {
        self.offset.to_string().into_bytes()
    }
}

/// Puts identities and offsets together, and names what belongs to no file any more. An identity without an offset
/// begins at 0; one that can't be read is left out, and its file is read from its beginning.
pub(super) fn load(kept: Vec<(String, Vec<u8>)>) -> (Vec<Entry>, Vec<Kept>) {
    let kept: BTreeMap<String, Vec<u8>> = kept.into_iter().collect();
    let mut entries = Vec::new();
    for (name, value) in kept.iter().filter(|(name, _)| name.starts_with(IDENTITY)) {
        let mut entry: Entry = match serde_json::from_slice(value) {
            Ok(entry) => entry,
            Err(error) => {
                warn!(name, %error, "cannot read an entry of the registry of files");
                continue;
            }
        };
        let offset = kept.get(&entry.offset_key());
        let offset = offset.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        entry.offset = offset.unwrap_or(0);
        entry.size_seen = entry.size_seen.max(entry.offset);
        entries.push(entry);
    }
    let offsets: BTreeSet<String> = entries.iter().map(Entry::offset_key).collect();
    let orphans = kept
        .into_keys()
        .filter(|name| name.starts_with(OFFSET) && !offsets.contains(name));
    let orphans = orphans.map(|name| (name, None)).collect();
    (entries, orphans)
}

/// What the registry knows of one file, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryEntry {
    /// Names the contents: part of the ids of their documents.
    pub key: String,
    /// Where the file was seen last.
    pub path: String,
    /// Bytes of which every line has an outcome.
    pub offset: u64,
    /// Bytes the file had when it was seen last.
    pub size: u64,
    /// The entries of the store's registry that make this one: without them the file is unknown, and read from its
    /// beginning under the same ids.
    #[serde(skip)]
    pub names: Vec<String>,
}

/// The files of a store's registry, by path. What can't be read is listed under its name alone.
pub fn registry_entries(kept: Vec<(String, Vec<u8>)>) -> Vec<RegistryEntry> {
    let unreadable = |name: &str| RegistryEntry {
        key: name.to_owned(),
        path: String::new(),
        offset: 0,
        size: 0,
        names: vec![name.to_owned()],
    };
    let broken = kept.iter().filter(|(name, value)| {
        name.starts_with(IDENTITY) && serde_json::from_slice::<Entry>(value).is_err()
    });
    let mut listed: Vec<RegistryEntry> = broken.map(|(name, _)| unreadable(name)).collect();
    let (entries, orphans) = load(kept);
    listed.extend(orphans.iter().map(|(name, _)| unreadable(name)));
    listed.extend(entries.into_iter().map(|entry| RegistryEntry {
        key: entry.key.as_str().to_owned(),
        offset: entry.offset,
        size: entry.size_seen,
        names: vec![entry.identity().0, entry.offset_key()],
        path: entry.path,
    }));
    listed.sort_by(|a, b| (&a.path, &a.key).cmp(&(&b.path, &b.key)));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back_with_their_offsets() {
        let node = |inode| Node {
            device: 1,
            inode,
            born_ns: 0,
        };
        let entry = |inode, offset| Entry {
            key: FileKey::of(node(inode), 0),
            path: "/var/log/a.log".into(),
            fingerprint: Fingerprint::of(b"one\n"),
            node: node(inode),
            origin: node(inode),
            generation: 0,
            size_seen: 8,
            offset,
        };
        let (acknowledged, fresh) = (entry(5, 4), entry(6, 0));
        let mut kept: Vec<(String, Vec<u8>)> = [&acknowledged, &fresh]
            .map(|entry| entry.identity())
            .map(|(name, value)| (name, value.unwrap()))
            .to_vec();
        kept.push((acknowledged.offset_key(), acknowledged.offset_value()));
        kept.push(("file/broken".into(), b"{".to_vec()));
        kept.push(("offset/orphan".into(), b"7".to_vec()));
        let listed = registry_entries(kept.clone());
        let plain: Vec<_> = listed
            .iter()
            .map(|entry| (entry.path.as_str(), entry.offset, entry.size))
            .collect();
        let path = "/var/log/a.log";
        assert_eq!(plain[..2], [("", 0, 0), ("", 0, 0)]);
        assert!(plain.contains(&(path, 4, 8)) && plain.contains(&(path, 0, 8)));
        let names: BTreeSet<_> = listed.iter().flat_map(|entry| &entry.names).collect();
        assert!(kept.iter().all(|(name, _)| names.contains(name)));
        let (mut loaded, orphans) = load(kept);
        loaded.sort_by_key(|entry| entry.node.inode);
        assert_eq!(loaded, [acknowledged, fresh]);
        assert_eq!(orphans, [("offset/orphan".to_owned(), None)]);
    }
}
