//! Processes of a host whose files the test writes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use super::sampler;
use crate::agent::host::{MetricSet, Sampler};
use crate::event::Document;
use crate::setup::assert_accepted;

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn stat(ticks: u64, started: u64) -> String {
    format!("42 (reth) S 1 42 42 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 9 0 {started} 1000000 100 0\n")
}

/// A host with one process in a group of its own.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let group = "sys/fs/cgroup/system.slice/reth.service";
    for (file, text) in [
        (
            "proc/stat",
            "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nbtime 1700000000\n",
        ),
        ("proc/meminfo", "MemTotal: 1000 kB\n"),
        ("proc/42/stat", &stat(100, 500)),
        ("proc/42/statm", "244 50 7 1 0 100 0\n"),
        (
            "proc/42/status",
            "Uid:\t990\t991\t990\t990\nVmSwap:\t3 kB\n",
        ),
        ("proc/42/io", "rchar: 5\nread_bytes: 4096\n"),
        ("proc/42/limits", "Max open files  1024  unlimited  files\n"),
        ("proc/42/cmdline", "/usr/bin/reth\0node\0--password\0abc\0"),
        ("proc/42/cgroup", "0::/system.slice/reth.service\n"),
        ("proc/42/fd/0", ""),
        (
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\nbroken\nreth:x:991:991::/:/bin/false\n",
        ),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        (&format!("{group}/cpu.stat"), "usage_usec 1000000\n"),
        (&format!("{group}/memory.current"), "4096\n"),
        (&format!("{group}/memory.max"), "max\n"),
        (&format!("{group}/memory.pressure"), "not asked for\n"),
        (&format!("{group}/io.stat"), "254:0 rbytes=7 rios=1\n"),
    ] {
        put(root.path(), file, text);
    }
    root
}

fn process(sampler: &mut Sampler, seconds: i64) -> Document {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    let events = sampler.sample_sets(&[MetricSet::Process], at);
    assert_accepted(&events);
    let [event] = events.try_into().unwrap();
    event.document
}

#[test]
fn a_client_with_all_that_is_known_of_it() {
    let root = host();
    let mut sampler = sampler(root.path());
    let first = process(&mut sampler, 0);
    let text = |field: &str| first.get_str(field);
    let number = |field: &str| first.get_u64(&format!("system.process.{field}"));
    assert_eq!(text("process.name"), Some("reth"));
    assert_eq!(text("ethereum.node.client"), Some("reth"));
    assert_eq!(
        text("process.command_line"),
        Some("/usr/bin/reth node --password [hidden]")
    );
    assert_eq!(text("user.name"), Some("reth"));
    assert_eq!(
        text("process.cpu.start_time"),
        Some("2023-11-14T22:13:25.000Z")
    );
    assert_eq!(number("cpu.total.value"), Some(1_000));
    assert_eq!(first.get("process.cpu.pct"), None, "one sample");
    assert_eq!(number("memory.swap"), Some(3_072));
    assert_eq!(number("io.read_bytes"), Some(4_096));
    assert_eq!(number("io.write_bytes"), None);
    assert_eq!(number("fd.limit.soft"), Some(1_024));
    assert_eq!(number("fd.limit.hard"), None, "no limit");
    assert!(number("fd.open").is_some());
    assert_eq!(text("system.process.cgroup.id"), Some("reth.service"));
    assert_eq!(number("cgroup.memory.mem.usage.bytes"), Some(4_096));
    assert_eq!(number("cgroup.memory.mem.max.bytes"), None, "no limit");
    assert_eq!(
        first.get("system.process.cgroup.io.stats").unwrap()["254:0"]["read"]["ios"],
        1
    );
    assert_eq!(first.get("system.process.cgroup.cpu.stats.usage.pct"), None);
}

#[test]
fn shares_are_of_what_the_same_process_did() {
    let root = host();
    let mut sampler = sampler(root.path());
    process(&mut sampler, 0);
    std::thread::sleep(Duration::from_millis(2));
    put(root.path(), "proc/42/stat", &stat(101, 500));
    let second = process(&mut sampler, 10);
    assert!(second.get_f64("system.process.cpu.total.pct").unwrap() > 0.0);
    assert_eq!(
        second.get_f64("system.process.cgroup.cpu.stats.usage.pct"),
        Some(0.0)
    );

    // The number is given again to another, which has done less.
    put(root.path(), "proc/42/stat", &stat(3, 900));
    put(root.path(), "proc/42/cmdline", "/usr/bin/geth\0");
    let third = process(&mut sampler, 20);
    assert_eq!(third.get("system.process.cpu.total.pct"), None);
    assert_eq!(third.get_str("ethereum.node.client"), Some("geth"));
}

#[test]
fn a_missing_file_costs_its_fields() {
    let root = host();
    for file in ["statm", "status", "io", "limits", "cmdline", "cgroup"] {
        fs::remove_file(root.path().join("proc/42").join(file)).unwrap();
    }
    fs::remove_dir_all(root.path().join("proc/42/fd")).unwrap();
    fs::remove_file(root.path().join("proc/meminfo")).unwrap();
    let document = process(&mut sampler(root.path()), 0);
    assert_eq!(
        document.get_str("ethereum.node.client"),
        Some("reth"),
        "by its name"
    );
    let rss = document.get_u64("system.process.memory.rss.bytes");
    assert_eq!(rss, Some(100 * rustix::param::page_size() as u64));
    for gone in [
        "process.memory.pct",
        "user.name",
        "system.process.io",
        "system.process.fd",
        "system.process.cgroup",
    ] {
        assert_eq!(document.get(gone), None, "{gone}");
    }
}
