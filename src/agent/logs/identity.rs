//! Which file is which: what a scan found against what is known, without looking at the disk.
//!
//! A file keeps its identity through renaming, and hands it to its copy when it is copied and truncated. Names decide
//! only between files that begin alike.

use std::borrow::Borrow;
use std::path::Path;

use super::registry::{Entry, Node};

/// A file as a scan found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) node: Node,
    pub(super) size: u64,
    /// Nobody has written to it for a while.
    pub(super) is_settled: bool,
    /// Its first bytes, as many as a fingerprint takes.
    pub(super) head: Vec<u8>,
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

/// One identity for each of `seen`. A known file is given to at most one; those given to none are gone.
pub(super) fn identify(known: &[Entry], seen: &[impl Borrow<Seen>]) -> Vec<Identity> {
    let seen: Vec<&Seen> = seen.iter().map(Borrow::borrow).collect();
    let mut owner: Vec<Option<usize>> = vec![None; known.len()];
    let mut identities: Vec<Option<Identity>> = vec![None; seen.len()];
    // The file that stayed where it was has the first claim, then the one with the same contents.
    for is_claim in [is_same_file as fn(&Entry, &Seen) -> bool, holds_contents] {
        for (s, seen) in seen.iter().enumerate() {
            if identities[s].is_some() {
                continue;
            }
            let claimed =
                (0..known.len()).find(|k| owner[*k].is_none() && is_claim(&known[*k], seen));
            if let Some(k) = claimed {
                owner[k] = Some(s);
                identities[s] = Some(Identity::Known(k));
            }
        }
    }
    let unclaimed = |s: usize| {
        let originals = || (0..known.len()).filter_map(|k| Some((k, seen[owner[k]?])));
        let may_be_copy = |original: &Seen| !seen[s].is_settled && begins_alike(original, seen[s]);
        let generation = next_generation(known, seen[s]);
        if let Some((k, _)) = originals().find(|(_, original)| is_copy(original, seen[s])) {
            Identity::CopyOf(k)
        } else if generation == 0
            && (seen[s].size == 0 || originals().any(|(_, original)| may_be_copy(original)))
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

fn is_same_file(known: &Entry, seen: &Seen) -> bool {
    known.node == seen.node && seen.size >= known.size_seen && known.fingerprint.begins(&seen.head)
}

/// The file system has another number after a restart, the file was moved to another disk, or this is the copy of
/// copytruncate. A short beginning proves little: a new file of the old name may begin alike.
fn holds_contents(known: &Entry, seen: &Seen) -> bool {
    let is_likely = match known.fingerprint.is_full() {
        true => known.node.inode == seen.node.inode || is_rotation(&seen.path, &known.path),
        false => {
            known.fingerprint.bytes > 0
                && seen.path != known.path
                && is_rotation(&seen.path, &known.path)
        }
    };
    is_likely && seen.size >= known.offset && known.fingerprint.begins(&seen.head)
}

fn is_copy(original: &Seen, seen: &Seen) -> bool {
    seen.size > 0 && seen.head == original.head && is_rotation(&seen.path, &original.path)
}

/// Copying takes its time, and the original may grow meanwhile.
fn begins_alike(original: &Seen, seen: &Seen) -> bool {
    let one_begins_the_other =
        original.head.starts_with(&seen.head) || seen.head.starts_with(&original.head);
    one_begins_the_other && is_rotation(&seen.path, &original.path)
}

/// `geth.log.1`, `geth-2026-11-21.log` and `geth.log` itself are rotations of `geth.log`; `geth2.log` is not.
fn is_rotation(path: &str, original: &str) -> bool {
    let name = |path| {
        Path::new(path)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    };
    let stem = name(original).split('.').next().unwrap_or_default();
    let rest = name(path).strip_prefix(stem);
    !stem.is_empty() && rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Contents that moved to a copy still hold the generation they had.
fn next_generation(known: &[Entry], seen: &Seen) -> u32 {
    let generations = known.iter().filter_map(|known| {
        let was_here = known.origin == seen.node;
        (was_here || known.node == seen.node).then_some(if was_here { known.generation } else { 0 })
    });
    generations
        .max()
        .map_or(0, |generation| generation.wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::logs::registry::{FileKey, Fingerprint};

    fn node(inode: u64) -> Node {
        Node {
            device: 1,
            inode,
            born_ns: 0,
        }
    }

    fn seen(path: &str, inode: u64, contents: &str) -> Seen {
        let head = contents.as_bytes()[..contents.len().min(Fingerprint::MAX_BYTES)].to_vec();
        Seen {
            path: path.into(),
            node: node(inode),
            size: contents.len() as u64,
            is_settled: false,
            head,
        }
    }

    /// A file that was read to its end.
    fn known(path: &str, inode: u64, contents: &str) -> Entry {
        let seen = seen(path, inode, contents);
        Entry {
            key: FileKey::of(node(inode), 0),
            path: seen.path,
            offset: seen.size,
            fingerprint: Fingerprint::of(&seen.head),
            node: node(inode),
            origin: node(inode),
            generation: 0,
            size_seen: seen.size,
        }
    }

    fn long(name: &str) -> String {
        format!("{name} started\n{}", "x".repeat(2_000))
    }

    #[test]
    fn renamed_and_grown_is_the_same() {
        let files = [
            seen("geth.log.1", 5, "one\ntwo\n"),
            seen("geth.log", 6, "three\n"),
        ];
        let identities = identify(&[known("geth.log", 5, "one\n")], &files);
        assert_eq!(
            identities,
            [Identity::Known(0), Identity::New { generation: 0 }]
        );
    }

    #[test]
    fn shorter_or_rewritten_is_a_new_generation() {
        let before = [known("geth.log", 5, "one\ntwo\n")];
        for contents in ["one\n", "uno\ndue\ntre\n", ""] {
            let identities = identify(&before, &[seen("geth.log", 5, contents)]);
            assert_eq!(
                identities,
                [Identity::New { generation: 1 }],
                "{contents:?}"
            );
        }
    }

    #[test]
    fn a_copy_waits_until_the_original_is_truncated() {
        let before = [known("geth.log", 5, &long("geth"))];
        let copy = seen("geth.log.1", 6, &long("geth"));
        let identities = identify(&before, &[copy.clone(), seen("geth.log", 5, &long("geth"))]);
        assert_eq!(identities, [Identity::CopyOf(0), Identity::Known(0)]);
        let identities = identify(&before, &[copy, seen("geth.log", 5, "new\n")]);
        assert_eq!(
            identities,
            [Identity::Known(0), Identity::New { generation: 1 }]
        );
    }

    #[test]
    fn files_that_begin_alike_are_told_apart_by_name() {
        let before = [known("geth.log", 5, &long("same"))];
        let files = [
            seen("geth.log", 5, &long("same")),
            seen("reth.log", 6, &long("same")),
            seen("geth2.log", 7, &long("same")),
        ];
        let new = Identity::New { generation: 0 };
        assert_eq!(identify(&before, &files), [Identity::Known(0), new, new]);
    }

    #[test]
    fn a_new_file_of_the_old_name_may_begin_alike() {
        let identities = identify(
            &[known("geth.log", 5, "one\n")],
            &[seen("geth.log", 6, "one\n")],
        );
        assert_eq!(identities, [Identity::New { generation: 0 }]);
    }

    #[test]
    fn another_device_number_after_a_restart_is_the_same_file() {
        let mut moved = seen("geth.log", 5, &long("geth"));
        moved.node.device = 2;
        assert_eq!(
            identify(&[known("geth.log", 5, &long("geth"))], &[moved]),
            [Identity::Known(0)]
        );
    }

    #[test]
    fn a_reused_inode_is_another_file() {
        let mut reborn = seen("geth.log", 5, "one\ntwo\n");
        reborn.node.born_ns = 7;
        let identities = identify(&[known("old.log", 5, "one\n")], &[reborn]);
        assert_eq!(identities, [Identity::New { generation: 0 }]);
    }

    #[test]
    fn contents_that_moved_to_a_copy_leave_their_generation_behind() {
        let mut moved = known("geth.log", 5, "one\n");
        moved.node = node(6);
        let files = [
            seen("geth.log.1", 6, "one\n"),
            seen("geth.log.2", 5, "two\n"),
        ];
        assert_eq!(
            identify(&[moved], &files),
            [Identity::Known(0), Identity::New { generation: 1 }]
        );
    }

    #[test]
    fn a_copy_that_is_being_made_is_waited_for() {
        let before = [known("geth.log", 5, &long("geth"))];
        let mut young = seen("geth.log.1", 6, "geth star");
        let original = seen("geth.log", 5, &long("geth"));
        let identities = identify(&before, &[original.clone(), young.clone()]);
        assert_eq!(identities, [Identity::Known(0), Identity::Undecided]);
        young.is_settled = true;
        let identities = identify(&before, &[original, young, seen("reth.log", 7, "")]);
        assert_eq!(
            identities[1..],
            [Identity::New { generation: 0 }, Identity::Undecided]
        );
    }
}
