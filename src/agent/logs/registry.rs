//! What is remembered of a file from one start to the next: who it is, and how far it is acknowledged.
//!
//! The two are kept apart because they are learnt apart. The tailer keeps the identity before anything of the file is
//! sent, so that after a crash the file is recognised and its lines get the same ids. The shipper keeps the offset
//! once everything before it has an outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::client::Client;
use super::lines::LANES;

/// One entry of the store's registry; without a value it is removed.
pub(super) type Kept = (String, Option<Vec<u8>>);

const IDENTITY: &str = "file/";
const OFFSET: &str = "offset/";
/// Units of the journal: their cursors.
pub(super) const JOURNAL: &str = "journal/";

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

/// Hash of the bytes before a place in a file. Files that begin alike, also by more than a fingerprint, differ there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    bytes: usize,
    hash: String,
}

impl Anchor {
    pub(super) const MAX_BYTES: usize = 128;

    /// `before` ends at the place.
    pub(super) fn of(before: &[u8]) -> Self {
        let before = &before[before.len().saturating_sub(Self::MAX_BYTES)..];
        Self {
            bytes: before.len(),
            hash: hex::encode(&Sha256::digest(before)[..8]),
        }
    }

    /// How many bytes before the place tell.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// Where reading goes on.
    pub(super) offset: u64,
    /// Absent where the bytes before it could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<Anchor>,
    /// See [`Lines::done`](super::lines::Lines::done).
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(super) done: [u64; LANES],
}

fn is_nothing(done: &[u64; LANES]) -> bool {
    *done == [0; LANES]
}

impl Position {
    /// Versions before this one kept the bare number.
    fn read(value: &[u8]) -> Option<Self> {
        let number = std::str::from_utf8(value).ok()?.parse().ok();
        match number {
            Some(offset) => Some(Self {
                offset,
                ..Self::default()
            }),
            None => serde_json::from_slice(value).ok(),
        }
    }
}

/// A packed file that was read whole: so long on disk, so long unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unpacked {
    pub(super) disk_bytes: u64,
    pub(super) bytes: u64,
}

/// A file as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: FileKey,
    /// By which the configuration names it, or did last.
    pub(super) path: String,
    /// Where it is since it was given a name beside that one which the configuration does not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) beside: Option<String>,
    pub(super) fingerprint: Fingerprint,
    /// Where the contents are now.
    pub(super) node: Node,
    /// Where they were first, as which generation there: no other contents may get the same key.
    pub(super) origin: Node,
    pub(super) generation: u32,
    /// The contents were at least so long: if the file is shorter now, it was truncated.
    pub(super) size_seen: u64,
    /// Milliseconds since 1970. Contents that are nowhere are remembered for a while: they may come back packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gone_at_ms: Option<u64>,
    /// Other contents have their place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_replaced: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unpacked: Option<Unpacked>,
    /// Whose log it is, where the configuration leaves that open and its lines told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<Client>,
    /// The end of the last record that was handed on.
    #[serde(skip)]
    pub(super) position: Position,
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

    /// Where it is on disk.
    pub(super) fn place(&self) -> &str {
        self.beside.as_deref().unwrap_or(&self.path)
    }

    /// Where the shipper keeps the offset.
    pub(super) fn offset_key(&self) -> String {
        format!("{OFFSET}{}", self.key.as_str())
    }

    pub(super) fn offset_value(&self) -> Vec<u8> {
        serde_json::to_vec(&self.position).unwrap_or_default()
    }

    /// Whether a packed file of so many bytes holds nothing that was not read.
    pub(super) fn is_read_whole(&self, disk_bytes: u64) -> bool {
        self.unpacked.is_some_and(|unpacked| {
            unpacked.disk_bytes == disk_bytes && self.position.offset >= unpacked.bytes
        })
    }

    pub(super) fn is_gone_for(&self, limit: Duration, now_ms: u64) -> bool {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.gone_at_ms
            .is_some_and(|gone_at| now_ms.saturating_sub(gone_at) >= limit_ms)
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
        let position = kept.get(&entry.offset_key());
        entry.position = position
            .and_then(|value| Position::read(value))
            .unwrap_or_default();
        entry.size_seen = entry.size_seen.max(entry.position.offset);
        entries.push(entry);
    }
    let offsets: BTreeSet<String> = entries.iter().map(Entry::offset_key).collect();
    let orphans = kept
        .into_keys()
        .filter(|name| name.starts_with(OFFSET) && !offsets.contains(name));
    let orphans = orphans.map(|name| (name, None)).collect();
    (entries, orphans)
}

/// What the registry knows of one file, or of one unit of the journal, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryEntry {
    /// Names the contents: part of the ids of their documents.
    pub key: String,
    /// Where the file was seen last; `journal:UNIT`.
    pub path: String,
    /// Bytes of which every line has an outcome; 0 for the journal, which has no offsets.
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
    let units = kept
        .iter()
        .filter_map(|(name, _)| Some((name, name.strip_prefix(JOURNAL)?)));
    listed.extend(units.map(|(name, unit)| RegistryEntry {
        path: format!("journal:{unit}"),
        ..unreadable(name)
    }));
    let (entries, orphans) = load(kept);
    listed.extend(orphans.iter().map(|(name, _)| unreadable(name)));
    listed.extend(entries.into_iter().map(|entry| RegistryEntry {
        key: entry.key.as_str().to_owned(),
        offset: entry.position.offset,
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
            beside: None,
            fingerprint: Fingerprint::of(b"one\n"),
            node: node(inode),
            origin: node(inode),
            generation: 0,
            size_seen: 8,
            gone_at_ms: None,
            is_replaced: false,
            unpacked: None,
            client: None,
            position: Position {
                offset,
                anchor: Some(Anchor::of(b"one\n")),
                done: [0, offset],
            },
        };
        let acknowledged = entry(5, 4);
        let mut fresh = entry(6, 0);
        fresh.position = Position::default();
        let mut kept: Vec<(String, Vec<u8>)> = [&acknowledged, &fresh]
            .map(|entry| entry.identity())
            .map(|(name, value)| (name, value.unwrap()))
            .to_vec();
        kept.push((acknowledged.offset_key(), acknowledged.offset_value()));
        kept.push(("file/broken".into(), b"{".to_vec()));
        kept.push(("offset/orphan".into(), b"7".to_vec()));
        kept.push(("journal/reth.service".into(), b"{}".to_vec()));
        let listed = registry_entries(kept.clone());
        let plain: Vec<_> = listed
            .iter()
            .map(|entry| (entry.path.as_str(), entry.offset, entry.size))
            .collect();
        let path = "/var/log/a.log";
        assert_eq!(plain[..2], [("", 0, 0), ("", 0, 0)]);
        assert_eq!(plain[4], ("journal:reth.service", 0, 0));
        assert!(plain.contains(&(path, 4, 8)) && plain.contains(&(path, 0, 8)));
        let names: BTreeSet<_> = listed.iter().flat_map(|entry| &entry.names).collect();
        assert!(kept.iter().all(|(name, _)| names.contains(name)));
        let (mut loaded, orphans) = load(kept);
        loaded.sort_by_key(|entry| entry.node.inode);
        assert_eq!(loaded, [acknowledged, fresh]);
        assert_eq!(orphans, [("offset/orphan".to_owned(), None)]);
    }
    /// As the first version wrote them.
    #[test]
    fn an_old_registry_is_read() {
        let identity = r#"{"key":"aabb","path":"/a.log","fingerprint":{"bytes":4,"hash":"00"},
            "node":{"device":1,"inode":2,"born_ns":3},"origin":{"device":1,"inode":2,"born_ns":3},
            "generation":1,"size_seen":9}"#;
        let kept = vec![
            ("file/aabb".to_owned(), identity.as_bytes().to_vec()),
            ("offset/aabb".to_owned(), b"7".to_vec()),
        ];
        let (entries, orphans) = load(kept);
        assert!(orphans.is_empty());
        assert_eq!((entries[0].generation, entries[0].size_seen), (1, 9));
        assert_eq!(
            entries[0].position,
            Position {
                offset: 7,
                ..Position::default()
            }
        );
    }
}
