//! Which file is which, by what a scan saw.

use std::sync::Arc;

use crate::agent::logs::identity::{Contents, Identity, Seen};
use crate::agent::logs::registry::{Entry, FileKey, Fingerprint, Node, Position};

/// Files whose contents are what their beginnings promise.
struct Honest;

impl Contents for Honest {
    fn holds(&mut self, _: &Entry, _: usize) -> Option<bool> {
        Some(true)
    }

    fn is_copy(&mut self, _: usize, _: usize) -> Option<bool> {
        Some(true)
    }
}

/// Files that go on otherwise than they begin.
struct Other;

impl Contents for Other {
    fn holds(&mut self, known: &Entry, _: usize) -> Option<bool> {
        Some(known.position.offset == 0)
    }

    fn is_copy(&mut self, seen: usize, original: usize) -> Option<bool> {
        Some(seen == original)
    }
}

/// Files that have gone since they were listed.
struct Gone;

impl Contents for Gone {
    fn holds(&mut self, known: &Entry, _: usize) -> Option<bool> {
        (known.position.offset == 0).then_some(true)
    }

    fn is_copy(&mut self, _: usize, _: usize) -> Option<bool> {
        None
    }
}

pub(super) fn identify(known: &[Entry], seen: &[Seen]) -> Vec<Identity> {
    let known: Vec<&Entry> = known.iter().collect();
    crate::agent::logs::identity::identify(&known, seen, &mut Honest)
}

fn node(inode: u64) -> Node {
    Node {
        device: 1,
        inode,
        born_ns: 0,
    }
}

pub(super) fn seen(path: &str, inode: u64, contents: &str) -> Seen {
    let head = &contents.as_bytes()[..contents.len().min(Fingerprint::MAX_BYTES)];
    Seen {
        path: path.into(),
        node: node(inode),
        size: contents.len() as u64,
        packed: None,
        is_settled: false,
        head: Arc::from(head),
    }
}

/// A file that was read to its end.
pub(super) fn known(path: &str, inode: u64, contents: &str) -> Entry {
    let seen = seen(path, inode, contents);
    Entry {
        client: None,
        key: FileKey::of(node(inode), 0),
        path: seen.path,
        beside: None,
        fingerprint: Fingerprint::of(&seen.head),
        node: node(inode),
        origin: node(inode),
        generation: 0,
        size_seen: seen.size,
        gone_at_ms: None,
        is_replaced: false,
        unpacked: None,
        position: Position {
            offset: seen.size,
            ..Position::default()
        },
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

/// The original was truncated after it was seen.
struct Truncated;

impl Contents for Truncated {
    fn holds(&mut self, _: &Entry, _: usize) -> Option<bool> {
        Some(true)
    }

    fn is_copy(&mut self, _: usize, _: usize) -> Option<bool> {
        Some(false)
    }
}

#[test]
fn a_copy_whose_original_is_truncated_meanwhile_waits() {
    let before = [&known("geth.log", 5, &long("geth"))];
    let files = [
        seen("geth.log", 5, &long("geth")),
        seen("geth.log.1", 6, &long("geth")),
    ];
    let check = |files: &[Seen], copy| {
        let identities = crate::agent::logs::identity::identify(&before, files, &mut Truncated);
        assert_eq!(identities, [Identity::Known(0), copy]);
    };
    check(&files, Identity::Undecided);
    let settled = files.map(|file| Seen {
        is_settled: true,
        ..file
    });
    check(&settled, Identity::New { generation: 0 });
}

#[test]
fn a_copy_of_a_file_that_is_new_itself_waits_for_the_next_scan() {
    let new = Identity::New { generation: 0 };
    let whole = long("geth");
    for copy in [
        "logs/geth.log.1",
        "logs/geth.log-20261101",
        "logs/old/geth.log.1",
    ] {
        for made in [&whole[..100], &whole[..]] {
            let files = [seen("logs/geth.log", 5, &whole), seen(copy, 6, made)];
            assert_eq!(identify(&[], &files), [new, Identity::Undecided], "{copy}");
        }
    }
    let settled = Seen {
        is_settled: true,
        ..seen("logs/geth.log.1", 6, &whole[..100])
    };
    let others = [
        seen("logs/geth.log", 5, &whole),
        settled,
        seen("logs/geth2.log", 7, &whole),
        seen("logs/geth.log.2", 8, &long("other")),
    ];
    assert_eq!(identify(&[], &others), [new; 4]);
}

#[test]
fn copies_may_be_put_into_a_folder_beside_the_original() {
    let before = [known("logs/geth.log", 5, &long("geth"))];
    let original = seen("logs/geth.log", 5, &long("geth"));
    let check = |path, contents: &str, expected| {
        let identities = identify(&before, &[seen(path, 6, contents), original.clone()]);
        assert_eq!(identities, [expected, Identity::Known(0)], "{path}");
    };
    let whole = long("geth");
    check("logs/old/geth.log.1", &whole, Identity::CopyOf(0));
    check("logs/old/geth.log.1", &whole[..100], Identity::Undecided);
    let new = Identity::New { generation: 0 };
    check("other/geth.log", &whole, new);
    check("geth.log", &whole, new);
    check("logs/old/older/geth.log.1", &whole, new);
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

#[test]
fn files_that_begin_alike_are_told_apart_by_what_was_read_last() {
    let before = [known("geth.log", 5, &long("geth"))];
    let known: Vec<&Entry> = before.iter().collect();
    let identify = |seen: &[Seen]| crate::agent::logs::identity::identify(&known, seen, &mut Other);
    let rewritten = seen("geth.log", 5, &long("geth"));
    assert_eq!(identify(&[rewritten]), [Identity::New { generation: 1 }]);
    let same_beginning = seen("geth.log.1", 6, &long("geth"));
    assert_eq!(
        identify(&[same_beginning]),
        [Identity::New { generation: 0 }]
    );
}

#[test]
fn a_busy_file_that_only_begins_like_another_does_not_wait() {
    let mut rotated = known("geth.log.1", 5, &long("geth"));
    rotated.position.offset = 0;
    let files = [
        seen("geth.log.1", 5, &long("geth")),
        seen("geth.log", 6, &long("geth")),
    ];
    assert_eq!(
        crate::agent::logs::identity::identify(&[&rotated], &files, &mut Other),
        [Identity::Known(0), Identity::New { generation: 0 }]
    );
}

#[test]
fn what_cannot_be_asked_any_more_is_nothing_new() {
    let before = [known("geth.log", 5, &long("geth"))];
    let known: Vec<&Entry> = before.iter().collect();
    let copy = seen("geth.log.1", 6, &long("geth"));
    let identify = |seen: &[Seen]| crate::agent::logs::identity::identify(&known, seen, &mut Gone);
    assert_eq!(identify(std::slice::from_ref(&copy)), [Identity::Undecided]);

    let mut unread = before.clone();
    unread[0].position.offset = 0;
    let known: Vec<&Entry> = unread.iter().collect();
    let files = [seen("geth.log", 5, &long("geth")), copy];
    assert_eq!(
        crate::agent::logs::identity::identify(&known, &files, &mut Gone),
        [Identity::Known(0), Identity::Undecided]
    );
}

pub(super) fn packed(path: &str, inode: u64, contents: &str) -> Seen {
    Seen {
        packed: Some(u32::try_from(contents.len()).unwrap()),
        size: 20,
        is_settled: true,
        ..seen(path, inode, contents)
    }
}

#[test]
fn a_packed_file_is_what_it_was_before_once_it_is_finished() {
    for contents in ["one\n", &long("geth")] {
        let before = [known("geth.log", 5, contents)];
        let finished = packed("geth.log.1.gz", 6, contents);
        let in_the_making = Seen {
            is_settled: false,
            ..finished.clone()
        };
        assert_eq!(identify(&before, &[in_the_making]), [Identity::Undecided]);
        let still_there = seen("geth.log", 5, contents);
        assert_eq!(
            identify(&before, &[finished.clone(), still_there]),
            [Identity::CopyOf(0), Identity::Known(0)]
        );
        assert_eq!(identify(&before, &[finished]), [Identity::Known(0)]);
    }
}

#[test]
fn of_a_short_file_that_is_gone_for_long_only_the_whole_is_taken_for_it() {
    let mut gone = known("geth.log", 5, "starting\n");
    gone.gone_at_ms = Some(1);
    let whole = packed("geth.log.1.gz", 6, "starting\n");
    assert_eq!(identify(&[gone.clone()], &[whole]), [Identity::Known(0)]);
    let longer = seen("geth.log.1", 6, "starting\nanother time\n");
    assert_eq!(
        identify(&[gone], &[longer]),
        [Identity::New { generation: 0 }]
    );
}

#[test]
fn what_was_replaced_is_not_found_in_its_old_place_but_in_a_copy() {
    let mut replaced = known("geth.log", 5, &long("geth"));
    replaced.is_replaced = true;
    let new = seen("geth.log", 5, &long("geth"));
    let alone = identify(&[replaced.clone()], std::slice::from_ref(&new));
    assert_eq!(alone, [Identity::New { generation: 1 }]);
    let files = [
        seen("reth.log", 6, "reth"),
        seen("geth.log.1", 7, &long("geth")),
    ];
    let again = identify(&[replaced], &files);
    assert_eq!(again, [Identity::New { generation: 0 }, Identity::Known(0)]);
}

#[test]
fn many_files_are_told_apart_in_time() {
    // A comparison of each with each would be a hundred million.
    let name = |number: u64| format!("/var/log/app-{number}.log");
    let before: Vec<Entry> = (0..10_000)
        .map(|n| known(&name(n), n, "started\n"))
        .collect();
    let files: Vec<Seen> = (0..10_000)
        .rev()
        .map(|n| seen(&name(n), n, "started\nand more\n"))
        .collect();
    let identities = identify(&before, &files);
    assert!((0..10_000).all(|n| identities[n] == Identity::Known(9_999 - n)));
}
