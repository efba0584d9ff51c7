//! Real files, written and rotated while the tailer follows them: every line arrives once. Nothing here waits for time
//! to pass, only for what must come.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tokio::time::Instant;

use crate::agent::logs::UNREAD;
use crate::agent::logs::file::{Opened, Reader, Turn};
use crate::agent::logs::lines::Shape;
use crate::agent::logs::registry::Anchor;

use super::identity::known;
use super::rig::{Rig, is_open, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_line_waits_for_its_end() {
    let mut rig = Rig::started("*.log");
    rig.append("a.log", "one\ntw");
    rig.expect(&["one"]).await;
    rig.append("a.log", "o\n");
    rig.expect(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_reads_all_there_is_and_goes_on_there_the_next_time() {
    let mut rig = Rig::new("*.log");
    rig.once = true;
    rig.append("a.log", "one\ntrace\n  at x\n");
    rig.append("b.log", "two\nwithout an end");
    rig.append("c.log", "");
    rig.start();
    let mut stored = rig.take_to_the_end().await;
    stored.sort_unstable();
    assert_eq!(stored, ["one", "trace\n  at x", "two", "without an end"]);
    assert_eq!(rig.counters.tallies().counted.get(UNREAD), None);

    rig.append("a.log", "three\n");
    rig.start();
    let mut stored = rig.take_to_the_end().await;
    stored.sort_unstable();
    assert_eq!(
        stored,
        ["one", "three", "trace\n  at x", "two", "without an end"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_stack_trace_join_the_record_before() {
    let mut rig = Rig::started("*.log");
    rig.append("a.log", "error\n  at x\n  at y\nnext\n");
    rig.expect(&["error\n  at x\n  at y", "next"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_is_read_to_its_end_whether_its_new_name_matches_or_not() {
    for pattern in ["a.log*", "a.log"] {
        let mut rig = Rig::started(pattern);
        rig.append("a.log", "one\n");
        rig.expect(&["one"]).await;
        rig.append("a.log", "two\nhalf");
        rig.rename("a.log", "a.log.1");
        rig.append("a.log", "three\n");
        // A writer that still has the old file open.
        rig.append("a.log.1", " and half\n");
        rig.expect(&["one", "two", "half and half", "three"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_is_read_to_its_end_and_forgotten() {
    let mut rig = Rig::new("*.log");
    rig.pace.forget = std::time::Duration::from_millis(100);
    rig.start();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]).await;
    rig.append("a.log", "two\nno end");
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.expect(&["one", "two", "no end"]).await;
    while !rig.registry.lock().unwrap().is_empty() {
        rig.take(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_and_truncated_is_read_on_in_the_copy() {
    let mut rig = Rig::started("a.log*");
    rig.append("a.log", "one\n");
    rig.expect(&["one"]).await;
    rig.append("a.log", "two\n");
    fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.truncate("a.log");
    rig.append("a.log", "three\n");
    rig.expect(&["one", "two", "three"]).await;
    rig.append("a.log", "four\n");
    rig.expect(&["one", "two", "three", "four"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_or_recreated_with_the_same_contents_is_new() {
    let mut rig = Rig::started("a.log");
    rig.append("a.log", "one\ntwo\n");
    rig.expect(&["one", "two"]).await;
    rig.truncate("a.log");
    rig.append("a.log", "one\n");
    rig.expect(&["one", "two", "one"]).await;
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", "one\n");
    rig.expect(&["one", "two", "one", "one"]).await;
    assert!(rig.counters.tallies().counted.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_and_grown_beyond_the_old_size_is_noticed() {
    let mut rig = Rig::started("a.log");
    rig.append("a.log", "one\n");
    rig.expect(&["one"]).await;
    fs::write(rig.path("a.log"), "a longer line\nthan before\n").unwrap();
    rig.expect(&["one", "a longer line", "than before"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_only_what_was_not_acknowledged_comes_again_under_the_same_ids() {
    let mut rig = Rig::started("a.log*");
    rig.append("a.log", "one\n");
    rig.expect(&["one"]).await;
    rig.append("a.log", "two\n");
    rig.take(false).await;
    rig.kill().await;
    rig.append("a.log", "three\n");
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", "four\n");
    rig.start();
    let mut again = Vec::new();
    while again.len() < 3 {
        again.extend(rig.take(true).await);
    }
    again.sort_unstable();
    assert_eq!(again, ["four", "three", "two"]);
    rig.expect(&["one", "two", "three", "four"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_and_bytes_that_are_no_text_are_counted() {
    let mut rig = Rig::new("a.log");
    rig.section.max_line_bytes = 4;
    rig.start();
    rig.append("a.log", b"12345678\n\xff\nok\n");
    rig.expect(&["1234", "\u{fffd}", "ok"]).await;
    let counted = rig.counters.tallies().counted;
    assert_eq!(counted["log_line_cut"], 1);
    assert_eq!(counted["log_line_not_utf8"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_rotated_away_while_nobody_takes_batches_are_held() {
    let mut rig = Rig::started("a.log");
    let mut expected = Vec::new();
    for generation in 0..8 {
        let line = format!("generation {generation}");
        rig.append("a.log", format!("{line}\n"));
        expected.push(line);
        // The scan goes on though the channel is full: it is seen by the file's being open.
        wait_until(|| is_open(&rig.path("a.log"))).await;
        rig.rename("a.log", "gone");
    }
    rig.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_read_is_counted_in_bytes() {
    let mut rig = Rig::started("*.log");
    rig.append("a.log", "one\n");
    rig.append("b.log", "one\n");
    rig.expect(&["one", "one"]).await;
    rig.append("a.log", "two\n");
    rig.append("b.log", "three\n");
    rig.take(false).await;
    rig.take(false).await;
    // Nothing of it was acknowledged, and it goes while the agent is not running.
    rig.kill().await;
    rig.truncate("a.log");
    rig.append("a.log", "four\n");
    fs::remove_file(rig.path("b.log")).unwrap();
    rig.start();
    rig.take(true).await;
    wait_until(|| {
        let counted = rig.counters.tallies().counted;
        let bytes = |reason| counted.get(reason).copied();
        bytes("log_bytes_truncated_unread") == Some(4)
            && bytes("log_bytes_vanished_unread") == Some(6)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_line_that_was_read_before_a_copy_was_made_is_one_line() {
    let mut rig = Rig::new("a.log*");
    rig.is_deaf = true;
    rig.pace.rotated = std::time::Duration::from_secs(10);
    rig.start();
    rig.append("a.log", "one\nhal");
    rig.expect(&["one"]).await;
    rig.append("a.log", "f\n");
    fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.truncate("a.log");
    rig.append("a.log", "two\n");
    rig.expect(&["one", "half", "two"]).await;
}

/// Lines are handed on a while after they were read: meanwhile the file may hold others.
#[tokio::test]
async fn a_place_in_a_file_is_not_remembered_by_bytes_that_came_after_a_truncation() {
    let rig = Rig::new("a.log");
    rig.append("a.log", "error\n  at x\nnext\n");
    let path = rig.path("a.log");
    let metadata = fs::metadata(&path).unwrap();
    let mut entry = known(path.to_str().unwrap(), metadata.ino(), "");
    entry.node.device = metadata.dev();
    let (shape, now) = (Shape::of(&rig.section), Instant::now());
    let Ok(Opened::Reader(mut reader)) = Reader::open(&entry, None, shape, now) else {
        panic!("it is there");
    };
    let Ok(Turn::Read(records)) = reader.turn(&mut [0; 1024], now) else {
        panic!("it has lines");
    };
    let first = "error\n  at x\n".len() as u64;
    let place = reader.position();
    assert_eq!((records.len(), place.offset), (1, first));
    assert_eq!(place.anchor, Some(Anchor::of(b"error\n  at x\n")));

    fs::write(&path, "quite another line, and a further one\n").unwrap();
    let place = reader.position();
    assert_eq!((place.offset, place.anchor), (first, None));
    assert_eq!(reader.lines.flush().len(), 1);
    let whole = Some(Anchor::of(b"error\n  at x\nnext\n"));
    assert_eq!(reader.position().anchor, whole, "known without asking");
}
