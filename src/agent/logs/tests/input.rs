//! Which files are read, from where on, and which of their records.

use std::fs;
use std::num::NonZeroU32;
use std::time::Duration;

use super::rig::{Rig, is_open, wait_until};
use crate::agent::logs::Client;
use crate::config::{Format, StartAt};
use crate::slot;

#[tokio::test(flavor = "multi_thread")]
async fn from_the_end_only_what_comes_later_is_read_also_after_a_kill() {
    let mut rig = Rig::new("*.log");
    rig.section.start_at = StartAt::End;
    rig.append("a.log", "old\nhalf");
    rig.start();
    // New files begin at their beginning.
    wait_until(|| rig.knows("a.log")).await;
    rig.append("b.log", "one\n");
    rig.expect(&["one"]).await;
    rig.kill().await;
    rig.append("a.log", " and half\n");
    rig.append("c.log", "two\n");
    rig.start();
    rig.expect(&["one", "half and half", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_too_old_is_read_from_where_it_grows() {
    let mut rig = Rig::new("*.log");
    rig.section.ignore_older = Some(Duration::from_secs(60));
    rig.append("old.log", "old\n");
    rig.append("new.log", "new\n");
    let hour_ago = slot::now() - chrono::TimeDelta::hours(1);
    let file = fs::File::options()
        .write(true)
        .open(rig.path("old.log"))
        .unwrap();
    file.set_modified(hour_ago.into()).unwrap();
    rig.start();
    rig.expect(&["new"]).await;
    assert_eq!(rig.counters.tallies().counted["log_file_ignored_older"], 1);
    rig.append("old.log", "again\n");
    rig.expect(&["new", "again"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_no_format_of_the_client_are_shipped_whole_and_counted() {
    let mut rig = Rig::new("*.log");
    rig.section.client = Client::Geth;
    rig.start();
    rig.append(
        "a.log",
        "a banner\nINFO [11-21|09:22:57.278] Looking for peers  peercount=1\n",
    );
    rig.expect(&["a banner", "Looking for peers  peercount=1"])
        .await;
    assert_eq!(rig.counters.tallies().counted["log_record_unknown"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_wanted_are_counted_and_passed_over() {
    let mut rig = Rig::new("*.log");
    rig.section.include_lines = vec!["^(INFO|WARN)".parse().unwrap()];
    rig.section.exclude_lines = vec!["peer".parse().unwrap()];
    rig.start();
    rig.append(
        "a.log",
        "INFO one\nDEBUG two\nWARN peer\n\u{1b}[32mINFO\u{1b}[0m three\n",
    );
    rig.expect(&["INFO one", "INFO three"]).await;
    assert_eq!(rig.counters.tallies().counted["log_record_excluded"], 2);
    // What is excluded moves the offset, too.
    rig.append("a.log", "DEBUG four\n");
    while !rig.is_acknowledged_to_the_end("a.log") {
        rig.take(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_or_no_file_is_left_alone() {
    let mut rig = Rig::new("*.log*");
    rig.section.exclude = vec!["*.tmp".into(), rig.path("b.*").display().to_string()];
    for name in ["a.log", "a.log.tmp", "b.log"] {
        rig.append(name, "one\n");
    }
    fs::create_dir(rig.path("folder.log")).unwrap();
    let fifo = rig.path("pipe.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    rig.once = true;
    rig.start();
    assert_eq!(rig.take_to_the_end().await, ["one"]);
    let counted = rig.counters.tallies().counted;
    assert_eq!(counted["log_path_no_file"], 2);
    assert_eq!(counted.len(), 1, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_file_is_closed_and_opened_again_when_it_grows() {
    for is_deaf in [false, true] {
        let mut rig = Rig::new("*.log");
        rig.is_deaf = is_deaf;
        rig.start();
        rig.append("a.log", "one\nhalf");
        rig.expect(&["one"]).await;
        wait_until(|| !is_open(&rig.path("a.log"))).await;
        rig.append("a.log", " and half\n");
        rig.expect(&["one", "half and half"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_complete_at_its_timeout_and_not_before() {
    let mut rig = Rig::new("*.log");
    rig.section.multiline.start = Some("^\\[".parse().unwrap());
    rig.section.multiline.timeout = Duration::from_secs(3600);
    rig.start();
    rig.append("a.log", "[1\nx\n");
    rig.append("a.log", "y\n[2\n");
    rig.expect(&["[1\nx\ny"]).await;
    // What is open is not acknowledged: after a kill it is read again, and joined as it would have been.
    rig.kill().await;
    rig.append("a.log", "z\n[3\n");
    rig.start();
    rig.expect(&["[1\nx\ny", "[2\nz"]).await;
    rig.kill().await;
    rig.section.multiline.timeout = Duration::from_millis(10);
    rig.start();
    rig.expect(&["[1\nx\ny", "[2\nz", "[3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_of_a_container_survive_a_kill_between_their_lines() {
    let mut rig = Rig::new("*.log");
    rig.section.format = Format::Cri;
    rig.section.multiline.start = Some("^[A-Z]".parse().unwrap());
    rig.section.multiline.timeout = Duration::from_secs(3600);
    let line = |stream, tag, text| format!("2026-11-21T12:15:04.092Z {stream} {tag} {text}\n");
    rig.append("0.log", line("stderr", "F", "Error"));
    rig.append("0.log", line("stdout", "F", "One"));
    rig.append("0.log", line("stdout", "F", "Two"));
    rig.append("0.log", line("stdout", "P", " and"));
    rig.start();
    rig.expect(&["One"]).await;
    rig.kill().await;
    rig.append("0.log", line("stderr", "F", " at x"));
    rig.append("0.log", line("stdout", "F", " a half"));
    rig.append("0.log", line("stderr", "F", "End"));
    rig.append("0.log", line("stdout", "F", "End"));
    rig.start();
    rig.expect(&["One", "Error\n at x", "Two\n and a half"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_opens_no_more_files_than_it_may() {
    let mut rig = Rig::new("*.log");
    rig.section.max_open_files = NonZeroU32::new(1);
    let names = ["a.log", "b.log", "c.log"];
    for name in names {
        rig.append(name, format!("{name} 1\n"));
    }
    rig.start();
    rig.expect(&["a.log 1", "b.log 1", "c.log 1"]).await;
    let open = names.iter().filter(|name| is_open(&rig.path(name)));
    assert!(open.count() <= 1);
    rig.append("a.log", "a.log 2\n");
    rig.expect(&["a.log 1", "b.log 1", "c.log 1", "a.log 2"])
        .await;
}

/// The original was read to its end before the kill, and its copy is not complete when the agent starts.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_copy_everything_is_in_doubt() {
    let lines: Vec<String> = (0..40)
        .map(|line| format!("{line:02} {}", "x".repeat(100)))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = |lines: &[&str]| lines.join("\n") + "\n";
    let mut rig = Rig::new("a.log*");
    rig.append("a.log", text(&lines));
    rig.start();
    while rig.stored_messages().len() < lines.len() {
        rig.take(false).await;
    }
    rig.kill().await;
    rig.append("a.log.1", text(&lines[..20]));
    rig.truncate("a.log");
    rig.in_doubt = 0;
    rig.start();
    while rig.in_doubt < 20 {
        rig.take(true).await;
    }
    rig.append("a.log.1", text(&lines[20..]));
    while rig.in_doubt < lines.len() {
        rig.take(true).await;
    }
    rig.expect(&lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_at_a_start_is_in_doubt_unless_it_is_the_first() {
    for is_first_life in [true, false] {
        let mut rig = Rig::new("*.log");
        rig.is_first_life = is_first_life;
        rig.append("a.log", "one\ntwo\n");
        rig.start();
        rig.expect(&["one", "two"]).await;
        assert_eq!(rig.in_doubt, if is_first_life { 0 } else { 2 });
    }
}
