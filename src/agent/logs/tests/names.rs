//! Which file is which where names and short beginnings mislead.

use super::identity::{identify, known, packed, seen};
use crate::agent::logs::identity::{Identity, Seen};
use crate::agent::logs::registry::{Entry, Position};

/// A file whose first line was not complete when it was last looked at.
fn unfinished(path: &str, inode: u64, contents: &str) -> Entry {
    Entry {
        position: Position::default(),
        ..known(path, inode, contents)
    }
}

#[test]
fn the_longest_name_that_fits_is_whose_rotation_it_is() {
    let before = [
        known("node.log", 5, "start\n"),
        known("node-errors.log", 6, "start\n"),
    ];
    let files = [
        seen("node-errors.log.1", 7, "start\nmore\n"),
        seen("node.log", 8, "new\n"),
    ];
    let new = Identity::New { generation: 0 };
    assert_eq!(identify(&before, &files), [Identity::Known(1), new]);
    assert_eq!(
        identify(&before[..1], &files[..1]),
        [Identity::Known(0)],
        "nobody else is there"
    );
}

#[test]
fn half_a_line_is_no_reason_to_be_taken_for_another_file() {
    let before = [unfinished("node.log", 5, "2026-11-21T10:11")];
    let files = [seen("node.log.1", 7, "2026-11-21T10:11:12Z INFO other\n")];
    assert_eq!(identify(&before, &files), [Identity::New { generation: 0 }]);
    // Where it is the same file by its number, it keeps its name.
    let files = [seen("node.log", 5, "2026-11-21T10:11:12Z INFO same\n")];
    assert_eq!(identify(&before, &files), [Identity::Known(0)]);
}

/// Programs begin each file with the same line, and some write nothing else for a while.
#[test]
fn a_live_file_of_one_line_is_not_its_rotated_predecessor() {
    let banner = "=== geth.log was opened\n";
    let live = seen("logs/geth.log", 6, banner);
    let new = Identity::New { generation: 0 };
    for rotated in ["logs/geth.log.1", "logs/old/geth.log.7"] {
        let before = [known(rotated, 5, banner)];
        // The predecessor is being packed, or not to be seen at all.
        let being_packed = Seen {
            is_settled: false,
            ..packed(&format!("{rotated}.gz"), 7, banner)
        };
        let files = [live.clone(), being_packed];
        assert_eq!(identify(&before, &files), [new, Identity::Undecided]);
        assert_eq!(identify(&before, &files[..1]), [new]);
    }
    // It is still there under its rotated name, and as short or longer.
    let before = [known("logs/geth.log", 5, banner)];
    for more in ["", "and more\n"] {
        let rotated = seen("logs/geth.log.1", 5, &format!("{banner}{more}"));
        let files = [live.clone(), rotated];
        assert_eq!(identify(&before, &files), [new, Identity::Known(0)]);
    }
    // Rotated and unpacked names are those of the same file.
    let before = [known("geth.log.1.gz", 5, banner)];
    let unpacked = seen("geth.log.1", 6, banner);
    assert_eq!(identify(&before, &[unpacked]), [Identity::Known(0)]);
}

/// One began like another and is gone without a trace; what the other is copied or packed to is not its own.
#[test]
fn of_files_that_begin_alike_it_is_the_one_of_which_most_is_there() {
    let banner = "=== geth.log was opened\n";
    let whole = format!("{banner}and much more\n");
    let before = [
        known("geth.log.1", 5, banner),
        known("geth.log.2", 6, &whole),
    ];
    let copy = packed("geth.log.2.gz", 7, &whole);
    // The original is still there.
    let files = [copy.clone(), seen("geth.log.2", 6, &whole)];
    let expected = [Identity::CopyOf(1), Identity::Known(1)];
    assert_eq!(identify(&before, &files), expected);
    assert_eq!(identify(&before, &files[..1]), [Identity::Known(1)]);
    // Only the beginning is there.
    let files = [packed("geth.log.1.gz", 7, banner)];
    assert_eq!(identify(&before, &files), [Identity::Known(0)]);
}

/// Every start of the program writes the same banner.
#[test]
fn a_banner_is_not_taken_for_the_file_it_begins() {
    let banner = "=== log was opened\n";
    let contents = format!("{banner}{}", "one of many\n".repeat(200));
    let before = [
        // Of the second nothing was acknowledged before the end of the last life.
        known("node.log", 5, banner),
        unfinished("node.log.1", 6, &contents),
    ];
    let files = [
        packed("node.log.2.gz", 7, &contents),
        seen("node.log.1", 5, &format!("{banner}others\n")),
    ];
    let both = [Identity::Known(1), Identity::Known(0)];
    assert_eq!(identify(&before, &files), both);
    assert_eq!(
        identify(&before, &files[..1]),
        both[..1],
        "the file of the banner has gone"
    );
    let only_banner = [
        seen("node.log.2.gz", 7, &contents),
        seen("node.log.1", 5, banner),
    ];
    assert_eq!(identify(&before, &only_banner), both);
}
