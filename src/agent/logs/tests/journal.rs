//! Units of the journal, read through a `journalctl` of ours: a script that prints a file of entries as the real one does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::rig::{document, message, wait_until};
use crate::agent::counters::Counters;
use crate::agent::envelope::Identity;
use crate::agent::logs::journal::Journal;
use crate::agent::logs::{Client, UNREAD};
use crate::agent::outbox::Seal;
use crate::agent::ship::LogBatch;
use crate::config::{self, StartAt};
use crate::tasks::Tasks;

const LIMIT: Duration = Duration::from_secs(40);

/// Stands for the real one by a link in the folder of the entries.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/agent/logs/tests/journalctl.sh"
);

struct Site {
    folder: TempDir,
    section: config::Logs,
    entries: usize,
    counters: Arc<Counters>,
}

struct Running {
    batches: mpsc::Receiver<LogBatch>,
    stop: CancellationToken,
    tasks: Tasks,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("journalctl");
        symlink(SCRIPT, &program).unwrap();
        fs::write(folder.path().join("entries"), "").unwrap();
        let journald = config::Journald {
            units: vec!["geth.service".into()],
            journalctl: program,
            ..config::Journald::default()
        };
        let mut section = config::Logs {
            journald: Some(journald),
            ..config::Logs::default()
        };
        section.multiline.timeout = Duration::from_millis(300);
        Self {
            folder,
            section,
            entries: 0,
            counters: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `message` is JSON.
    fn log(&mut self, message: &str) {
        use std::io::Write;
        self.entries += 1;
        let number = self.entries;
        let mut file = fs::File::options()
            .append(true)
            .open(self.path("entries"))
            .unwrap();
        writeln!(
            file,
            "{{\"__CURSOR\":\"c{number}\",\"__REALTIME_TIMESTAMP\":\"{}\",\"MESSAGE\":{message}}}",
            1_766_000_000_000_000 + number
        )
        .unwrap();
    }

    fn start(&self, kept: Option<Vec<u8>>, once: bool) -> Running {
        let (sender, batches) = mpsc::channel(1);
        let journal = Journal {
            agent_id: "agent".into(),
            section: self.section.clone(),
            journald: self.section.journald.clone().unwrap(),
            unit: "geth.service".into(),
            seal: Seal::new(Identity::default()),
            batches: sender,
            counters: Arc::clone(&self.counters),
            once,
        };
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let stopped = stop.clone();
        tasks.spawn("journal", async move {
            journal.run(kept, stopped).await;
            Ok(())
        });
        Running {
            batches,
            stop,
            tasks,
        }
    }

    fn counted(&self, reason: &str) -> u64 {
        self.counters
            .tallies()
            .counted
            .get(reason)
            .copied()
            .unwrap_or(0)
    }
}

impl Running {
    async fn next(&mut self) -> LogBatch {
        let batch = tokio::time::timeout(LIMIT, self.batches.recv()).await;
        batch.expect("nothing came").expect("the journal ended")
    }

    /// Until so many documents came: id and message of each, and what the registry would keep.
    async fn documents(&mut self, number: usize) -> (Vec<(String, String)>, Option<Vec<u8>>) {
        let (mut documents, mut kept) = (Vec::new(), None);
        while documents.len() < number {
            let batch = self.next().await;
            let found = batch.records.iter();
            documents.extend(found.map(|record| (record.id().to_owned(), message(record))));
            kept = batch.entry;
        }
        (documents, kept)
    }

    async fn stop(self) {
        self.stop.cancel();
        drop(self.batches);
        self.tasks.join().await.unwrap();
    }
}

fn messages(documents: &[(String, String)]) -> Vec<&str> {
    documents
        .iter()
        .map(|(_, message)| message.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_joined_resumed_at_the_cursor_and_keep_their_ids() {
    let mut site = Site::new();
    site.log("\"one\"");
    site.log("\"error\"");
    site.log("\"  at x\"");
    let mut running = site.start(None, false);
    let first = running.next().await;
    assert!(
        first.records.is_empty(),
        "that it has begun is kept before anything else"
    );
    assert_eq!(first.entry.unwrap(), b"\"beginning\"");
    let (all, kept) = running.documents(2).await;
    assert_eq!(messages(&all), ["one", "error\n  at x"]);
    // The unit goes on while the child follows.
    site.log("[195,40]");
    let (more, _) = running.documents(1).await;
    assert_eq!(messages(&more), ["\u{fffd}("]);
    assert_eq!(site.counted("log_line_not_utf8"), 1);
    running.stop().await;

    assert_eq!(kept.as_deref(), Some(&b"{\"cursor\":\"c3\"}"[..]));
    let mut running = site.start(kept, false);
    let (again, _) = running.documents(1).await;
    assert_eq!(again, more, "the same entry is the same document");
    running.stop().await;
    let arguments = fs::read_to_string(site.path("arguments")).unwrap();
    assert!(arguments.contains("--unit=geth.service"));
    assert!(
        arguments
            .lines()
            .any(|line| line.contains("--after-cursor=c3") && !line.contains("--follow"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_record_is_joined_across_children_and_not_read_twice() {
    let mut site = Site::new();
    site.section.multiline.timeout = Duration::from_secs(3600);
    site.log("\"error\"");
    let mut running = site.start(None, false);
    running.next().await;
    // The first child has ended once the second has begun behind what was seen.
    let path = site.path("arguments");
    wait_until(|| {
        let arguments = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = arguments.lines();
        lines.any(|line| line.contains("--after-cursor=c1") && line.contains("--follow"))
    })
    .await;
    site.log("\"  at x\"");
    site.log("\"next\"");
    let (documents, _) = running.documents(1).await;
    assert_eq!(messages(&documents), ["error\n  at x"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_end_nothing_old_is_asked_for() {
    let mut site = Site::new();
    site.section.start_at = StartAt::End;
    let mut running = site.start(None, true);
    let first = running.next().await;
    let kept = String::from_utf8(first.entry.unwrap()).unwrap();
    assert!(kept.starts_with("{\"since_us\":1"), "{kept}");
    assert!(running.batches.recv().await.is_none());
    running.tasks.join().await.unwrap();
    let arguments = fs::read_to_string(site.path("arguments")).unwrap();
    assert!(arguments.contains("--since=@1"), "{arguments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_reads_all_there_is_and_says_when_it_could_not() {
    let mut site = Site::new();
    site.log("\"one\"");
    site.log("\"two\"");
    let mut running = site.start(None, true);
    let (documents, kept) = running.documents(2).await;
    assert_eq!(messages(&documents), ["one", "two"]);
    assert!(running.batches.recv().await.is_none());
    running.tasks.join().await.unwrap();
    assert_eq!(site.counted(UNREAD), 0);

    fs::write(site.path("status"), "1").unwrap();
    let mut running = site.start(kept, true);
    assert!(running.batches.recv().await.is_none());
    running.tasks.join().await.unwrap();
    assert_eq!(
        (site.counted(UNREAD), site.counted("journal_child_ended")),
        (1, 1)
    );

    site.section.journald.as_mut().unwrap().journalctl = site.path("none");
    let mut running = site.start(Some(b"\"beginning\"".to_vec()), true);
    assert!(running.batches.recv().await.is_none());
    running.tasks.join().await.unwrap();
    assert_eq!(site.counted(UNREAD), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_fails_is_started_again_behind_what_was_read() {
    let mut site = Site::new();
    site.log("\"one\"");
    fs::write(site.path("status"), "1").unwrap();
    let mut running = site.start(None, false);
    running.next().await;
    wait_until(|| site.counted("journal_child_ended") == 1).await;
    fs::remove_file(site.path("status")).unwrap();
    let (documents, _) = running.documents(1).await;
    assert_eq!(messages(&documents), ["one"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_a_unit_is_found() {
    let mut site = Site::new();
    site.section.client = Client::Auto;
    for number in 0..20 {
        site.log(&format!(
            "\"INFO [11-21|09:22:57.278] Looking for peers       peercount={number}\""
        ));
    }
    let mut running = site.start(None, false);
    let mut found = 0;
    while found < 20 {
        for record in &running.next().await.records {
            let document = document(record);
            assert_eq!(document.get_str("service.name"), Some("geth"));
            assert_eq!(document.get_str("event.action"), Some("peer_count"));
            found += 1;
        }
    }
    running.stop().await;
}
