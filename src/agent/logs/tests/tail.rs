//! Real files, written and rotated while the tailer follows them: every line arrives once. Nothing here waits for time
//! to pass, only for what must come.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::logs::tail::{Pace, Tailer};
use crate::agent::logs::{Client, Counters, FileKey, LogBatch, RegistryEntry, Zone};
use crate::config;

const PACE: Pace = Pace {
    scan: Duration::from_millis(20),
    join: Duration::from_millis(10),
    rotated: Duration::from_millis(100),
    idle: Duration::from_millis(50),
    forget: Duration::from_secs(3600),
};

/// What must come, comes within this.
const LIMIT: Duration = Duration::from_secs(20);

/// A folder of logs, a tailer that can be stopped and started, and a shipper that commits what it takes.
struct Rig {
    folder: TempDir,
    pattern: &'static str,
    max_line_bytes: usize,
    registry: HashMap<FileKey, RegistryEntry>,
    /// Message by document id: what Elasticsearch would hold.
    stored: BTreeMap<String, String>,
    counters: Arc<Counters>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    batches: mpsc::Receiver<LogBatch>,
    thread: JoinHandle<()>,
}

impl Rig {
    fn new(pattern: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            pattern,
            max_line_bytes: 1_000,
            registry: HashMap::new(),
            stored: BTreeMap::new(),
            counters: Arc::default(),
            running: None,
        }
    }

    fn started(pattern: &'static str) -> Self {
        let mut rig = Self::new(pattern);
        rig.start();
        rig
    }

    fn start(&mut self) {
        let section = config::Logs {
            paths: vec![self.path(self.pattern).to_str().unwrap().to_owned()],
            client: Client::Generic,
            timezone: Zone::Utc,
            max_line_bytes: self.max_line_bytes,
            ..config::Logs::default()
        };
        let stop = CancellationToken::new();
        let (sender, batches) = mpsc::channel(2);
        let registry = self.registry.values().cloned().collect();
        let counters = self.counters.clone();
        let tailer = Tailer::new(
            vec![section],
            registry,
            "agent".into(),
            sender,
            counters,
            stop.clone(),
            PACE,
        )
        .unwrap();
        let thread = std::thread::spawn(move || tailer.run());
        self.running = Some(Running {
            stop,
            batches,
            thread,
        });
    }

    /// What was sent and not yet taken is lost, as when the agent is killed.
    async fn kill(&mut self) {
        let Running {
            stop,
            batches,
            thread,
        } = self.running.take().unwrap();
        stop.cancel();
        drop(batches);
        tokio::task::spawn_blocking(|| thread.join())
            .await
            .unwrap()
            .unwrap();
    }

    /// Takes one batch, as the shipper does, and commits it if asked to.
    async fn take(&mut self, is_committed: bool) -> LogBatch {
        let batches = &mut self.running.as_mut().unwrap().batches;
        let batch = match tokio::time::timeout(LIMIT, batches.recv()).await {
            Ok(batch) => batch.expect("the tailer ended"),
            Err(_) => panic!("nothing came; stored: {:?}", self.stored.values()),
        };
        for event in &batch.events {
            let message = event.document.get_str("message").unwrap().to_owned();
            let before = self.stored.insert(event.id.to_string(), message.clone());
            assert!(
                before.is_none_or(|before| before == message),
                "one id for two lines"
            );
        }
        if batch.is_last {
            self.registry.remove(&batch.entry.key);
        } else if is_committed || batch.events.is_empty() {
            self.registry
                .insert(batch.entry.key.clone(), batch.entry.clone());
        }
        batch
    }

    /// Takes batches until these lines, and no others, are stored.
    async fn expect(&mut self, lines: &[&str]) {
        let mut expected: Vec<&str> = lines.to_vec();
        expected.sort_unstable();
        loop {
            let mut stored: Vec<&str> = self.stored.values().map(String::as_str).collect();
            stored.sort_unstable();
            if stored == expected {
                return;
            }
            assert!(
                stored.len() <= expected.len(),
                "stored: {stored:?}, expected: {expected:?}"
            );
            self.take(true).await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        File::options()
            .write(true)
            .open(self.path(name))
            .unwrap()
            .set_len(0)
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_line_waits_for_its_end() {
    let mut rig = Rig::started("*.log");
    rig.append("a.log", "one\ntw");
    rig.expect(&["one"]).await;
    rig.append("a.log", "o\n");
    rig.expect(&["one", "two"]).await;
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
    let mut rig = Rig::started("*.log");
    rig.append("a.log", "one\n");
    rig.expect(&["one"]).await;
    rig.append("a.log", "two\nno end");
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.expect(&["one", "two", "no end"]).await;
    while !rig.registry.is_empty() {
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
    assert_eq!(rig.counters.lost_bytes.load(Ordering::Relaxed), 0);
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
    while rig.take(false).await.events.is_empty() {}
    rig.kill().await;
    rig.append("a.log", "three\n");
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", "four\n");
    rig.start();
    let mut again = Vec::new();
    while again.len() < 3 {
        let batch = rig.take(true).await;
        again.extend(
            batch
                .events
                .iter()
                .map(|event| event.document.get_str("message").unwrap().to_owned()),
        );
    }
    again.sort_unstable();
    assert_eq!(again, ["four", "three", "two"]);
    rig.expect(&["one", "two", "three", "four"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_and_bytes_that_are_no_text_are_counted() {
    let mut rig = Rig::new("a.log");
    rig.max_line_bytes = 4;
    rig.start();
    rig.append("a.log", b"12345678\n\xff\nok\n");
    rig.expect(&["1234", "\u{fffd}", "ok"]).await;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(
        (
            count(&rig.counters.truncated),
            count(&rig.counters.invalid_utf8)
        ),
        (1, 1)
    );
    assert_eq!(count(&rig.counters.records), 3);
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
async fn random_schedules_lose_and_repeat_nothing() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut rig = Rig::started("a.log*");
        let mut lines = Vec::new();
        for step in 0..40 {
            match random.random_range(0..10) {
                0 => rig.rename_if_there("a.log", &format!("a.log.{step}")),
                1 if rig.path("a.log").exists() => {
                    fs::copy(rig.path("a.log"), rig.path(&format!("a.log.{step}"))).unwrap();
                    rig.truncate("a.log");
                }
                2 => {
                    rig.kill().await;
                    rig.start();
                }
                3 => {
                    rig.take_what_is_there(random.random());
                }
                _ => {
                    for _ in 0..random.random_range(1..30) {
                        let line = format!(
                            "seed {seed} line {} {}",
                            lines.len(),
                            "x".repeat(random.random_range(0..80))
                        );
                        rig.append("a.log", format!("{line}\n"));
                        lines.push(line.trim_end().to_owned());
                    }
                }
            }
        }
        println!("seed {seed}, {} lines", lines.len());
        rig.expect(&lines.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
        rig.kill().await;
    }
}

impl Rig {
    fn rename_if_there(&self, from: &str, to: &str) {
        if self.path(from).exists() {
            self.rename(from, to);
        }
    }

    /// Commits only when `is_committed`: the rest will come again after a kill.
    fn take_what_is_there(&mut self, is_committed: bool) {
        while let Ok(batch) = self.running.as_mut().unwrap().batches.try_recv() {
            for event in &batch.events {
                let message = event.document.get_str("message").unwrap().to_owned();
                self.stored.insert(event.id.to_string(), message);
            }
            let known_offset = self
                .registry
                .get(&batch.entry.key)
                .map(|entry| entry.offset);
            let follows = known_offset.is_none_or(|offset| offset == batch.start);
            match batch.is_last {
                true => drop(self.registry.remove(&batch.entry.key)),
                false if batch.events.is_empty() || (is_committed && follows) => {
                    self.registry.insert(batch.entry.key.clone(), batch.entry);
                }
                false => {}
            }
        }
    }
}

async fn wait_until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LIMIT, met)
        .await
        .expect("the condition was never met");
}

/// Whether this process holds the file open.
fn is_open(path: &std::path::Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
}
