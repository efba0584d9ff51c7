//! A folder of logs, a tailer that can be killed and started, and a shipper that commits what it takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::counters::Counters;
use crate::agent::logs::hints::Hints;
use crate::agent::logs::registry::{self, Entry, Kept};
use crate::agent::logs::tail::{Pace, Tailer};
use crate::agent::logs::{Client, Zone};
use crate::agent::ship::LogBatch;
use crate::agent::store::Record;
use crate::config;
use crate::event::Document;

pub(super) const PACE: Pace = Pace {
    scan: Duration::from_millis(20),
    rotated: Duration::from_millis(100),
    forget: Duration::from_secs(3600),
};

/// What must come, comes within this.
const LIMIT: Duration = Duration::from_secs(20);

/// A folder of logs, a tailer that can be stopped and started, and a shipper that commits what it takes.
pub(super) struct Rig {
    folder: TempDir,
    /// With its paths below the folder.
    pub(super) section: config::Logs,
    pub(super) pace: Pace,
    pub(super) max_open: Option<usize>,
    pub(super) is_deaf: bool,
    pub(super) once: bool,
    pub(super) is_first_life: bool,
    pub(super) registry: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// Files with a batch that was not acknowledged: nothing after it is.
    unacknowledged: HashSet<String>,
    /// Message by document id: what Elasticsearch would hold.
    stored: BTreeMap<String, String>,
    pub(super) counters: Arc<Counters>,
    /// Records taken that may have been sent before the start.
    pub(super) in_doubt: usize,
    /// For the message if it does not come.
    awaited: String,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    batches: mpsc::Receiver<LogBatch>,
    thread: JoinHandle<()>,
}

impl Rig {
    pub(super) fn new(pattern: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            section: config::Logs {
                paths: vec![folder.path().join(pattern).to_str().unwrap().to_owned()],
                client: Client::Generic,
                timezone: Zone::Utc,
                max_line_bytes: 1_000,
                multiline: config::Multiline {
                    timeout: Duration::from_millis(10),
                    ..config::Multiline::default()
                },
                close_inactive: Duration::from_millis(50),
                ..config::Logs::default()
            },
            folder,
            pace: PACE,
            max_open: None,
            is_deaf: false,
            once: false,
            is_first_life: false,
            registry: Arc::default(),
            unacknowledged: HashSet::new(),
            stored: BTreeMap::new(),
            counters: Arc::default(),
            in_doubt: 0,
            awaited: String::new(),
            running: None,
        }
    }

    pub(super) fn started(pattern: &str) -> Self {
        let mut rig = Self::new(pattern);
        rig.start();
        rig
    }

    pub(super) fn start(&mut self) {
        let stop = CancellationToken::new();
        let (sender, batches) = mpsc::channel(2);
        let kept = self.registry.lock().unwrap().clone();
        let (known, _) = registry::load(kept.into_iter().collect());
        let sections = vec![self.section.clone()];
        let mut tailer = Tailer::new(sections, known, sender, self.pace).unwrap();
        tailer.counters = self.counters.clone();
        tailer.agent_id = "agent".into();
        tailer.stop = stop.clone();
        tailer.once = self.once;
        tailer.is_first_life = self.is_first_life;
        tailer.slots.most = self.max_open.unwrap_or(tailer.slots.most);
        if self.is_deaf {
            tailer.hints = Hints::deaf();
        }
        let registry = self.registry.clone();
        tailer.keep = Box::new(move |changes| {
            changes
                .into_iter()
                .for_each(|change| put(&registry, change));
            true
        });
        let thread = std::thread::spawn(move || tailer.run());
        self.running = Some(Running {
            stop,
            batches,
            thread,
        });
    }

    /// What was sent and not yet taken is lost, as when the agent is killed.
    pub(super) async fn kill(&mut self) {
        let Running {
            stop,
            batches,
            thread,
        } = self.running.take().unwrap();
        stop.cancel();
        drop(batches);
        self.unacknowledged.clear();
        tokio::task::spawn_blocking(|| thread.join())
            .await
            .unwrap()
            .unwrap();
    }

    /// Takes one batch, as the shipper does, and commits it if asked to. Returns its messages.
    pub(super) async fn take(&mut self, is_committed: bool) -> Vec<String> {
        let batches = &mut self.running.as_mut().unwrap().batches;
        let batch = match tokio::time::timeout(LIMIT, batches.recv()).await {
            Ok(batch) => batch.expect("the tailer ended"),
            Err(_) => panic!(
                "nothing came; {} stored, awaited: {}, counted: {:?}",
                self.stored.len(),
                self.awaited,
                self.counters.tallies().counted
            ),
        };
        self.store(&batch);
        let messages = batch.records.iter().map(message).collect();
        self.commit(batch, is_committed);
        messages
    }

    pub(super) fn store(&mut self, batch: &LogBatch) {
        self.in_doubt += batch.in_doubt;
        for record in &batch.records {
            let message = message(record);
            let id = record.id().to_owned();
            let before = self.stored.insert(id, message.clone());
            assert!(
                before.is_none_or(|before| before == message),
                "one id for two lines"
            );
        }
    }

    /// As the shipper does when a batch is acknowledged.
    pub(super) fn commit(&mut self, batch: LogBatch, is_acknowledged: bool) {
        if !is_acknowledged {
            self.unacknowledged.insert(batch.file);
        } else if !self.unacknowledged.contains(&batch.file) {
            put(&self.registry, (batch.file, batch.entry));
        }
    }

    /// Takes batches until the tailer ends by itself. Returns all messages that are stored.
    pub(super) async fn take_to_the_end(&mut self) -> Vec<&str> {
        let mut running = self.running.take().unwrap();
        while let Some(batch) = running.batches.recv().await {
            self.store(&batch);
            self.commit(batch, true);
        }
        tokio::task::spawn_blocking(|| running.thread.join())
            .await
            .unwrap()
            .unwrap();
        self.stored.values().map(String::as_str).collect()
    }

    /// Takes batches until these lines, and no others, are stored.
    pub(super) async fn expect(&mut self, lines: &[&str]) {
        let mut expected: Vec<&str> = lines.to_vec();
        expected.sort_unstable();
        loop {
            let mut stored: Vec<&str> = self.stored.values().map(String::as_str).collect();
            stored.sort_unstable();
            if stored == expected {
                return;
            }
            let surplus = difference(&stored, &expected);
            assert!(surplus.is_empty(), "stored more than expected: {surplus:?}");
            let missing = difference(&expected, &stored);
            self.awaited = format!("{:?}", &missing[..missing.len().min(5)]);
            self.take(true).await;
        }
    }

    pub(super) fn stored_messages(&self) -> Vec<&str> {
        self.stored.values().map(String::as_str).collect()
    }

    /// What the registry holds of the file of this name.
    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        let inode = fs::metadata(self.path(name)).unwrap().ino();
        let kept = self.registry.lock().unwrap().clone();
        let (entries, _) = registry::load(kept.into_iter().collect());
        let mut entries = entries.into_iter();
        entries.find(|entry| entry.node.inode == inode && !entry.is_replaced)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    pub(super) fn is_acknowledged_to_the_end(&self, name: &str) -> bool {
        let size = fs::metadata(self.path(name)).unwrap().len();
        self.entry(name)
            .is_some_and(|entry| entry.position.offset == size)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn truncate(&self, name: &str) {
        File::options()
            .write(true)
            .open(self.path(name))
            .unwrap()
            .set_len(0)
            .unwrap();
    }
}

impl Rig {
    /// Commits only when `is_committed`: the rest will come again after a kill.
    pub(super) fn take_what_is_there(&mut self, is_committed: bool) {
        while let Ok(batch) = self.running.as_mut().unwrap().batches.try_recv() {
            self.store(&batch);
            self.commit(batch, is_committed);
        }
    }
}

pub(super) fn put(registry: &Mutex<HashMap<String, Vec<u8>>>, (name, value): Kept) {
    let mut registry = registry.lock().unwrap();
    match value {
        Some(value) => drop(registry.insert(name, value)),
        None => drop(registry.remove(&name)),
    }
}

pub(super) fn document(record: &Record) -> Document {
    let object: Map<String, Value> = serde_json::from_slice(record.document()).unwrap();
    object.into()
}

pub(super) fn message(record: &Record) -> String {
    document(record).get_str("message").unwrap().to_owned()
}

pub(super) async fn wait_until(condition: impl Fn() -> bool) {
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
pub(super) fn is_open(path: &std::path::Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
}

/// What the first holds more often than the second; both are sorted.
fn difference<'a>(left: &[&'a str], right: &[&str]) -> Vec<&'a str> {
    let mut right = right.iter().peekable();
    let mut more = Vec::new();
    for text in left {
        while right.next_if(|other| *other < text).is_some() {}
        if right.next_if(|other| *other == text).is_none() {
            more.push(*text);
        }
    }
    more
}
