//! Which file is which where names and short beginnings mislead.

use super::identity::{identify, known, seen};
use crate::agent::logs::identity::Identity;
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
