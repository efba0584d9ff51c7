//! Which file is which: what a scan found against what is known. Pure; what only the disk knows is asked of
//! [`Contents`].
//!
//! A file keeps its identity through renaming, and hands it to its copy when it is copied and truncated, or packed.
//! Names decide only between files that begin alike, and what was read last decides in the end.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::path::Path;

use super::known::{Beside, Known};
use super::registry::{Entry, Node};

/// A file as a scan found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) node: Node,
    /// On disk.
    pub(super) size: u64,
    /// The file is packed; so long it says it is unpacked, modulo 2³².
    pub(super) packed: Option<u32>,
    /// Nobody has written to it for a while, as far as we watched.
    pub(super) is_settled: bool,
    /// Its first bytes, unpacked, as many as a fingerprint takes.
    pub(super) head: std::sync::Arc<[u8]>,
}

impl Seen {
    fn holds_at_least(&self, bytes: u64) -> bool {
        self.packed.is_some() || self.size >= bytes
    }

    pub(super) fn holds_exactly(&self, bytes: u64) -> bool {
        match self.packed {
            Some(unpacked) => u64::from(unpacked) == bytes & u64::from(u32::MAX),
            None => self.size == bytes,
        }
    }
}

/// What a found file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The known file of this index, perhaps longer, elsewhere, or a copy made before the original was truncated.
    Known(usize),
    /// A copy of the known file of this index, which is still there: reading it would repeat its lines.
    CopyOf(usize),
    /// Empty, or perhaps a copy in the making: a later scan knows more.
    Undecided,
    New {
        generation: u32,
    },
}

/// What the files themselves answer, unless they have gone since. Files are named by their index in what was seen.
pub(super) trait Contents {
    /// Whether the bytes before the place to which `known` was read are those that were read there.
    fn holds(&mut self, known: &Entry, seen: usize) -> Option<bool>;
    /// Whether `original` begins with all that `seen` has.
    fn is_copy(&mut self, seen: usize, original: usize) -> Option<bool>;
}

/// One identity for each of `seen`. A known file is given to at most one; those given to none are gone.
pub(super) fn identify(
    known: &[&Entry],
    seen: &[impl Borrow<Seen>],
    contents: &mut impl Contents,
) -> Vec<Identity> {
    let seen: Vec<&Seen> = seen.iter().map(Borrow::borrow).collect();
    let index = Known::of(known);
    let mut claims = Claims {
        owners: vec![None; known.len()],
        identities: vec![None; seen.len()],
    };
    let mut unanswered = vec![false; seen.len()];
    // The file that stayed where it was has the first claim, then the one with the same contents.
    for (s, file) in seen.iter().enumerate() {
        for k in index.at(file.node) {
            let answer = is_same_file(known[k], file).then(|| contents.holds(known[k], s));
            unanswered[s] |= answer == Some(None);
            if answer == Some(Some(true)) && claims.claim(s, k) {
                break;
            }
        }
    }
    for (s, file) in seen.iter().enumerate() {
        if claims.identities[s].is_some() || is_in_the_making(file) {
            continue;
        }
        let is_likely =
            |k: &usize| holds_contents(known[*k], file) && is_named_after(known, *k, file);
        // Of files that begin alike it is the one of which it holds the most. Where another file is that already, this may
        // be a copy of it, and nobody else who began like it.
        let mut likely: Vec<usize> = index.like(file).filter(is_likely).collect();
        likely.sort_by_key(|k| {
            let is_taken = claims.owners[*k].is_some();
            let Entry {
                position,
                fingerprint,
                ..
            } = known[*k];
            (
                Reverse(position.offset.max(fingerprint.bytes as u64)),
                is_taken,
            )
        });
        for k in likely {
            let answer = contents.holds(known[k], s);
            unanswered[s] |= answer.is_none();
            let is_free_or_copied =
                || claims.owners[k].is_none_or(|owner| may_become_copy(seen[owner], file));
            if answer == Some(true) && is_free_or_copied() {
                claims.claim(s, k);
                break;
            }
        }
    }
    let Claims { owners, identities } = claims;
    let unclaimed_files = (0..seen.len()).filter(|s| identities[*s].is_none());
    let beside = Beside::of(unclaimed_files.map(|s| (s, seen[s])));
    let mut unclaimed = |s: usize| {
        let file = seen[s];
        if is_in_the_making(file) {
            return Identity::Undecided;
        }
        let originals = || index.like(file).filter_map(|k| Some((k, owners[k]?)));
        let generation = next_generation(known, &index, file);
        let mut is_unclear = unanswered[s];
        let mut copied = None;
        for (k, original) in originals().filter(|(_, t)| is_copy(seen[*t], file)) {
            match contents.is_copy(s, original) {
                Some(true) => {
                    copied = Some(k);
                    break;
                }
                Some(false) => {}
                None => is_unclear = true,
            }
        }
        // So far a copy in the making holds nothing but the original: a busy file of the same beginning need not wait,
        // unless the original has just been truncated.
        let mut may_be_copy = |original: usize| {
            let is_like = match file.is_settled {
                true => is_copy(seen[original], file),
                false => begins_alike(seen[original], file),
            };
            is_like
                && match contents.is_copy(s, original) {
                    Some(false) => {
                        !file.is_settled && contents.is_copy(original, original) != Some(true)
                    }
                    Some(true) | None => true,
                }
        };
        // Both may be new, and the original is known by the next scan.
        let mut new_originals = beside.originals(file).filter(|t| {
            let original = seen[*t];
            original.path.len() < file.path.len() && !original.head.is_empty()
        });
        if let Some(k) = copied {
            Identity::CopyOf(k)
        } else if is_unclear
            || generation == 0 && file.head.is_empty()
            || generation == 0 && originals().any(|(_, original)| may_be_copy(original))
            || new_originals.any(may_be_copy)
        {
            Identity::Undecided
        } else {
            Identity::New { generation }
        }
    };
    let claimed = identities.into_iter().enumerate();
    claimed
        .map(|(s, identity)| identity.unwrap_or_else(|| unclaimed(s)))
        .collect()
}

/// Who has which known file so far.
struct Claims {
    /// For each known file the one found that is it.
    owners: Vec<Option<usize>>,
    identities: Vec<Option<Identity>>,
}

impl Claims {
    /// Whether nobody had it.
    fn claim(&mut self, seen: usize, known: usize) -> bool {
        let is_free = self.owners[known].is_none();
        if is_free {
            self.owners[known] = Some(seen);
            self.identities[seen] = Some(Identity::Known(known));
        }
        is_free
    }
}

fn is_same_file(known: &Entry, seen: &Seen) -> bool {
    known.node == seen.node
        && !known.is_replaced
        && seen.holds_at_least(known.size_seen)
        && known.fingerprint.begins(&seen.head)
}

/// The file system has another number after a restart, the file was moved to another disk, was packed, or this is the
/// copy of copytruncate. A short beginning proves little: a new file of the old name may begin alike.
fn holds_contents(known: &Entry, seen: &Seen) -> bool {
    if known.is_replaced && known.node == seen.node {
        return false;
    }
    let is_rotated = is_rotation(&seen.path, &known.path);
    let is_likely = match known.fingerprint.is_full() {
        true => known.node.inode == seen.node.inode || is_rotated,
        false => {
            // Of what is gone for long, only the whole is taken for it.
            let is_recent = known.gone_at_ms.is_none();
            known.fingerprint.bytes > 0
                && has_told(known, seen)
                && seen.path != known.path
                && is_rotated
                && !is_rotation_of_name(&known.path, &seen.path)
                && (is_recent || seen.holds_exactly(known.size_seen))
        }
    };
    is_likely && seen.holds_at_least(known.position.offset) && known.fingerprint.begins(&seen.head)
}

/// Whether anything of it can have been handed on. If not, nothing is repeated by taking it for another file.
fn has_told(known: &Entry, seen: &Seen) -> bool {
    let head = seen.head.get(..known.fingerprint.bytes).unwrap_or_default();
    known.position.offset > 0 || head.contains(&b'\n')
}

/// `node-errors.log.1` would do for a rotation of `node.log`, were there no `node-errors.log`. A full fingerprint does not
/// depend on names.
fn is_named_after(known: &[&Entry], k: usize, seen: &Seen) -> bool {
    let stem_of = |entry: &Entry| stem(&entry.path).len();
    known[k].fingerprint.is_full()
        || known
            .iter()
            .filter(|other| is_rotation(&seen.path, &other.path))
            .all(|other| stem_of(other) <= stem_of(known[k]))
}

/// A file is packed in seconds or minutes, and gets the time of the original when that is done.
fn is_in_the_making(seen: &Seen) -> bool {
    seen.packed.is_some() && !seen.is_settled
}

fn is_copy(original: &Seen, seen: &Seen) -> bool {
    !seen.head.is_empty() && seen.head == original.head && is_beside(seen, original)
}

/// A copy never holds more than its original, which may have grown since.
fn may_become_copy(original: &Seen, seen: &Seen) -> bool {
    let bytes = seen.packed.map_or(seen.size, u64::from);
    begins_alike(original, seen) && original.holds_at_least(bytes)
}

/// Copying takes its time, and the original may grow meanwhile.
fn begins_alike(original: &Seen, seen: &Seen) -> bool {
    let one_begins_the_other =
        original.head.starts_with(&seen.head) || seen.head.starts_with(&original.head);
    one_begins_the_other && is_beside(seen, original)
}

/// The logs of two programs may have one name and one beginning, but not one folder. Copies may be put into a folder in it.
fn is_beside(seen: &Seen, original: &Seen) -> bool {
    let folder = Path::new(&original.path).parent();
    let mut folders = Path::new(&seen.path).ancestors().skip(1).take(2);
    folders.any(|parent| Some(parent) == folder)
        && is_rotation(&seen.path, &original.path)
        && !is_rotation_of_name(&original.path, &seen.path)
}

/// `geth.log.1`, `geth-2026-11-21.log` and `geth.log` itself are rotations of `geth.log`; `geth2.log` is not.
fn is_rotation(path: &str, original: &str) -> bool {
    let stem = stem(original);
    let rest = file_name(path).strip_prefix(stem);
    !stem.is_empty() && rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// `geth.log.1` is a name that `geth.log` gets. A file never gets the live name back: what is there is new, though it may
/// begin as its predecessor did, and hold no more yet than that. Unpacking gives an earlier name back.
fn is_rotation_of_name(path: &str, live: &str) -> bool {
    let rest = file_name(path).strip_prefix(file_name(live));
    rest.is_some_and(|rest| rest != ".gz" && rest.starts_with(|c: char| !c.is_alphanumeric()))
}

pub(super) fn file_name(path: &str) -> &str {
    let name = Path::new(path).file_name();
    name.and_then(|name| name.to_str()).unwrap_or_default()
}

/// What rotated files keep of their name.
pub(super) fn stem(path: &str) -> &str {
    file_name(path).split('.').next().unwrap_or_default()
}

/// Contents that moved to a copy still hold the generation they had.
fn next_generation(known: &[&Entry], index: &Known, seen: &Seen) -> u32 {
    let was_here = index.from(seen.node).map(|k| known[k].generation);
    let is_here = index
        .at(seen.node)
        .map(|k| match known[k].origin == seen.node {
            true => known[k].generation,
            false => 0,
        });
    let last = was_here.chain(is_here).max();
    last.map_or(0, |generation| generation.wrapping_add(1))
}
