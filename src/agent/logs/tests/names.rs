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
