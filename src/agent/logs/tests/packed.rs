//! Packed files: read once, resumed where they were left, and known for what they were before they were packed.

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use super::rig::Rig;
use crate::agent::logs::UNREAD;
use crate::slot;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A file that nobody writes to any more.
fn write_old(rig: &Rig, name: &str, bytes: &[u8]) {
    let hour_ago = slot::now() - chrono::TimeDelta::hours(1);
    fs::write(rig.path(name), bytes).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(rig.path(name))
        .unwrap();
    file.set_modified(hour_ago.into()).unwrap();
}

fn numbered(lines: usize) -> (String, Vec<String>) {
    let lines: Vec<String> = (0..lines)
        .map(|line| format!("line {line} {}", "x".repeat(line % 200)))
        .collect();
    let text = lines.iter().map(|line| format!("{line}\n")).collect();
    let trimmed = lines.iter().map(|line| line.trim_end().to_owned());
    (text, trimmed.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_file_is_resumed_where_it_was_acknowledged() {
    let (text, lines) = numbered(3_000);
    let mut rig = Rig::new("*.log*");
    write_old(&rig, "a.log.2.gz", &packed(&text));
    rig.start();
    let first = rig.take(true).await;
    assert!(first.len() < lines.len());
    rig.take(false).await;
    rig.kill().await;
    rig.start();
    let again = rig.take(true).await;
    assert_eq!(
        again[0],
        lines[first.len()],
        "it goes on behind what was acknowledged"
    );
    rig.expect(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    // Read whole, it is not unpacked again.
    rig.kill().await;
    rig.once = true;
    rig.start();
    assert_eq!(rig.take_to_the_end().await.len(), lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_packed_before_it_was_read_whole_is_read_on_in_its_packed_form() {
    let (text, mut lines) = numbered(2_000);
    let mut rig = Rig::new("*.log*");
    rig.append("a.log", &text);
    rig.start();
    rig.take(true).await;
    rig.kill().await;
    // As rotation does while the agent is not running.
    fs::remove_file(rig.path("a.log")).unwrap();
    write_old(&rig, "a.log.1.gz", &packed(&text));
    rig.append("a.log", "new\n");
    lines.push("new".into());
    rig.start();
    rig.expect(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_packed_file_gives_what_it_has_and_is_counted() {
    let (text, lines) = numbered(1_000);
    let mut bytes = packed(&text);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut rig = Rig::new("*.log*");
    write_old(&rig, "a.log.1.gz", &bytes);
    write_old(&rig, "b.log.gz", b"no packed file\n");
    rig.once = true;
    rig.start();
    assert_eq!(rig.take_to_the_end().await.len(), lines.len());
    let counted = rig.counters.tallies().counted;
    assert_eq!(counted["log_gzip_damaged"], 1);
    assert_eq!((counted["log_file_unreadable"], counted[UNREAD]), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_file_that_ends_too_early_is_waited_for_and_then_given_up() {
    let (text, lines) = numbered(1_000);
    let bytes = packed(&text);
    let mut rig = Rig::new("*.log*");
    rig.pace.rotated = Duration::from_millis(300);
    write_old(&rig, "a.log.1.gz", &bytes[..bytes.len() / 2]);
    write_old(&rig, "b.log.1.gz", &bytes[..bytes.len() / 2]);
    rig.start();
    rig.take(true).await;
    write_old(&rig, "a.log.1.gz", &bytes);
    let is_given_up = |rig: &Rig| {
        let counted = rig.counters.tallies().counted;
        counted.get("log_gzip_truncated").copied() == Some(1)
    };
    let mut stored = 0;
    while !is_given_up(&rig) || stored < lines.len() {
        rig.take(true).await;
        stored = rig
            .stored_messages()
            .iter()
            .filter(|line| **line == lines[999])
            .count()
            * 1_000;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_truncated_and_removed_while_its_copy_was_packed_is_read_on_in_the_copy() {
    for round in 0..4 {
        let mut rig = Rig::new("a.log*");
        rig.pace.rotated = Duration::from_secs(10);
        rig.start();
        rig.append("a.log", "one\n");
        rig.expect(&["one"]).await;
        rig.append("a.log", "two\n");
        let copy = fs::read(rig.path("a.log")).unwrap();
        rig.truncate("a.log");
        rig.append("a.log", "three, which is long enough\n");
        let rest = fs::read(rig.path("a.log")).unwrap();
        write_old(
            &rig,
            "a.log.2.gz",
            &packed(std::str::from_utf8(&copy).unwrap()),
        );
        write_old(
            &rig,
            "a.log.1.gz",
            &packed(std::str::from_utf8(&rest).unwrap()),
        );
        fs::remove_file(rig.path("a.log")).unwrap();
        let lines = ["one", "two", "three, which is long enough"];
        rig.expect(&lines).await;
        let counted = rig.counters.tallies().counted;
        assert!(counted.is_empty(), "round {round}: {counted:?}");
    }
}
