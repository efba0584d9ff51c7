//! Ids that are hashes of what a document is about.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// A document's stable `_id`: the same fact always hashes to the same id, so that sending it twice stores it once.
#[derive(Clone)]
pub struct DocumentId(Id);

#[derive(Clone)]
enum Id {
    /// Hexadecimal, or any ASCII as long.
    Hash([u8; DIGITS]),
    Given(String),
}

const DIGITS: usize = 32;

/// The first parts of many ids, hashed once.
#[derive(Clone)]
pub struct IdOf(Sha256);

impl DocumentId {
    /// Hashes the parts with their lengths, so that `["a", "bc"]` and `["ab", "c"]` differ. 128 bits, hexadecimal.
    pub fn of(parts: &[&str]) -> Self {
        IdOf::new(parts).finish()
    }

    /// An id that was already given, read back from the spool or from Elasticsearch.
    pub fn existing(id: impl AsRef<str> + Into<String>) -> Self {
        // One of ours needs no memory of its own.
        match <[u8; DIGITS]>::try_from(id.as_ref().as_bytes()) {
            Ok(digits) if digits.is_ascii() => Self(Id::Hash(digits)),
            _ => Self(Id::Given(id.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        match &self.0 {
            Id::Hash(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            Id::Given(id) => id,
        }
    }
}

impl IdOf {
    pub fn new(parts: &[&str]) -> Self {
        let mut hasher = Self(Sha256::new());
        parts.iter().for_each(|part| hasher.add(part));
        hasher
    }

    /// [`DocumentId::of`] these parts and a last one.
    pub fn and(&self, last: &str) -> DocumentId {
        let mut hasher = self.clone();
        hasher.add(last);
        hasher.finish()
    }

    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
    }

    fn finish(self) -> DocumentId {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.finalize()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        DocumentId(Id::Hash(digits))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DocumentId").field(&self.as_str()).finish()
    }
}

impl PartialEq for DocumentId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for DocumentId {}

impl Hash for DocumentId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for DocumentId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DocumentId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_the_parts_and_not_on_their_joint() {
        assert_eq!(DocumentId::of(&["a", "bc"]), DocumentId::of(&["a", "bc"]));
        assert_ne!(DocumentId::of(&["a", "bc"]), DocumentId::of(&["ab", "c"]));
        // The id of a line must not change from one version to the next.
        let id = "ae6121c88ba555f64c3d812123eb799d";
        assert_eq!(DocumentId::of(&["a"]).as_str(), id);
    }

    #[test]
    fn an_id_is_the_same_however_it_came_about() {
        let id = DocumentId::of(&["a", "b", "7"]);
        assert_eq!(IdOf::new(&["a", "b"]).and("7"), id);
        assert_eq!(DocumentId::existing(id.as_str()), id);
    }
}
