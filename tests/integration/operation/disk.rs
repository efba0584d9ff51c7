//! A disk without room makes the agent wait, not fail, and it goes on by itself. The disk is a small one of the test's
//! own, which only root may mount.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ethmon::agent::counters::Counters;
use ethmon::agent::store::{self, Limits, Priority, Record, Store, StoreHandle};
use ethmon::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use super::{Site, messages, wait_for_messages};
use crate::bulk_server::{Act, BulkServer};

const DISK_BYTES: usize = 16 << 20;

/// Unmounted with the test.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, said loudly, where this may not be done.
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        // Past the harness, which shows nothing of a test that passes.
        let mut screen = std::io::stderr();
        writeln!(
            screen,
            "SKIPPED: {test}: a small disk may not be mounted here"
        )
        .unwrap();
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        for chunk in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; chunk]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.path())
            .status()
            .ok();
    }
}

fn record(id: u64) -> Record {
    Record::new(id, "logs-a.b-default", &format!("{id:08}"), |out| {
        out.resize(1_000, b' ');
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_waits_for_room_and_loses_nothing() {
    let Some(disk) = Disk::mount("collecting_waits_for_room_and_loses_nothing") else {
        return;
    };
    const RECORDS: u64 = 4_000;
    let store = Store::open(disk.path(), Limits::default()).unwrap();
    let (handle, requests) = StoreHandle::new(&store);
    let counters = Arc::new(Counters::default());
    let mut tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
    for id in 0..1_000 {
        handle.append(Priority::Chain, record(id)).await.unwrap();
    }
    disk.fill();
    let appender = handle.clone();
    tasks.spawn("append", async move {
        for id in 1_000..RECORDS {
            appender.append(Priority::Chain, record(id)).await?;
        }
        Ok(())
    });
    let is_stuck = async {
        while !counters.store_fails.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::LIMIT, is_stuck).await.unwrap();
    assert!(handle.totals().borrow().spool().records < RECORDS);

    disk.free();
    let mut totals = handle.totals();
    let is_done = totals.wait_for(|totals| totals.spool().records == RECORDS);
    tokio::time::timeout(super::LIMIT, is_done)
        .await
        .unwrap()
        .unwrap();
    drop(handle);
    tasks.join().await.unwrap();
    assert!(!counters.store_fails.load(Relaxed));
    assert!(counters.tallies().dropped.is_empty());
    let mut store = Store::open(disk.path(), Limits::default()).unwrap();
    assert!(store.take_rebuilt().is_empty());
    let taken = store.take(usize::MAX, usize::MAX).unwrap();
    let ids: Vec<&str> = taken.iter().map(|(_, record)| record.id()).collect();
    let expected: Vec<String> = (0..RECORDS).map(|id| format!("{id:08}")).collect();
    assert_eq!(ids, expected);
}

#[test]
fn an_agent_starts_on_a_full_disk_once_it_has_room() {
    let Some(disk) = Disk::mount("an_agent_starts_on_a_full_disk_once_it_has_room") else {
        return;
    };
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), &site.logs("a.log"));
    std::os::unix::fs::symlink(disk.path(), site.path("data")).unwrap();
    site.append("a.log", "one\n");
    disk.fill();
    let agent = site.start();
    agent.wait_for_log("the agent starts when the disk has room");
    assert!(messages(&server).is_empty());
    disk.free();
    wait_for_messages(&server, &["one"]);
    assert!(agent.stop().0.success());
}
