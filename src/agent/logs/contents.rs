//! What only the files themselves can answer about who they are.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::file::{bytes_before, is_anchor, open};
use super::gzip;
use super::identity::Contents;
use super::registry::{Anchor, Entry, Node};
use super::scan::Found;

/// More answers than this are forgotten, and found again where they are asked for again.
const MAX_ANSWERS: usize = 1_000;

/// Whether a packed file of a size is a copy of another: to find it out, it is unpacked.
pub(super) type Answers = HashMap<(Node, u64, Node), bool>;

/// The files of a scan.
pub(super) struct OnDisk<'a> {
    pub(super) found: &'a [Found],
    pub(super) answers: &'a mut Answers,
}

impl Contents for OnDisk<'_> {
    fn holds(&mut self, known: &Entry, seen: usize) -> Option<bool> {
        let found = &self.found[seen];
        let is_same_place = known.node == found.seen.node;
        let offset = known.position.offset;
        let Some(anchor) = &known.position.anchor else {
            return Some(true);
        };
        if offset == 0 || is_same_place && !found.has_changed {
            return Some(true);
        }
        if found.seen.packed.is_some() {
            // The usual case, a file that was read whole and then packed, is known without unpacking it.
            let is_whole = offset == known.size_seen && found.seen.holds_exactly(offset);
            if is_same_place || is_whole || known.is_read_whole(found.seen.size) {
                return Some(true);
            }
            return with_file(found, |file| {
                gzip::anchor_at(file, offset).as_ref() == Some(anchor)
            });
        }
        with_file(found, |file| {
            let before = bytes_before(file, offset, Anchor::MAX_BYTES).ok().flatten();
            before.is_some_and(|before| is_anchor(anchor, &before))
        })
    }

    fn is_copy(&mut self, seen: usize, original: usize) -> Option<bool> {
        let (copy, original) = (&self.found[seen], &self.found[original]);
        let end_of_plain = |found: &Found, end: u64| {
            with_file(found, |file| {
                let before = bytes_before(file, end, Anchor::MAX_BYTES).ok().flatten();
                before.map(|before| Anchor::of(&before))
            })
        };
        match (copy.seen.packed, original.seen.packed) {
            (None, None) => {
                let end = copy.seen.size;
                let anchor = end_of_plain(copy, end)?;
                Some(anchor.is_some() && anchor == end_of_plain(original, end)?)
            }
            (Some(bytes), None) => {
                let bytes = u64::from(bytes);
                if bytes >= original.seen.size {
                    return Some(bytes == original.seen.size);
                }
                let question = (copy.seen.node, copy.seen.size, original.seen.node);
                if let Some(answer) = self.answers.get(&question) {
                    return Some(*answer);
                }
                let anchor = with_file(copy, |file| gzip::anchor_at(file, bytes))?;
                let answer = anchor.is_some() && anchor == end_of_plain(original, bytes)?;
                if self.answers.len() > MAX_ANSWERS {
                    self.answers.clear();
                }
                self.answers.insert(question, answer);
                Some(answer)
            }
            (None, Some(_)) => Some(original.seen.holds_exactly(copy.seen.size)),
            (Some(_), Some(_)) => {
                let facts = |found: &Found| (found.seen.size, found.seen.packed);
                Some(facts(copy) == facts(original))
            }
        }
    }
}

/// Asks the file; nothing where its path leads elsewhere by now.
fn with_file<T>(found: &Found, ask: impl FnOnce(&File) -> T) -> Option<T> {
    if let Some(file) = &found.file {
        return Some(ask(file));
    }
    let file = open(&found.seen.path).ok()?;
    let metadata = file.metadata().ok()?;
    let node = found.seen.node;
    ((metadata.dev(), metadata.ino()) == (node.device, node.inode)).then(|| ask(&file))
}
