//! What the agent counts about itself: a fixed set, shared by everybody, read by the self-report.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::histogram::Histogram;
use super::process::Note;
use super::store::{Dropped, Rebuilt};

/// Since the agent's start, unless a field says otherwise.
#[derive(Debug, Default)]
pub struct Counters {
    /// Documents that Elasticsearch has, `duplicates` included.
    pub acked: AtomicU64,
    /// Documents that it had already.
    pub duplicates: AtomicU64,
    /// Items that were told to come again, each time.
    pub retried: AtomicU64,
    /// Items that became dead letters.
    pub refused: AtomicU64,
    pub bulk_requests: AtomicU64,
    /// Whole requests without an answer for their items.
    pub bulk_failed: AtomicU64,
    pub bulk_bytes: AtomicU64,
    pub commits_failed: AtomicU64,
    /// Stores that were damaged and made anew.
    pub stores_damaged: AtomicU64,
    /// Configurations that were taken over while running, and those that were refused.
    pub reloads: AtomicU64,
    pub reloads_failed: AtomicU64,
    /// Now: the store cannot be used.
    pub store_fails: AtomicBool,
    /// Now, not since the start: items in flight or waiting for another attempt.
    pub held_events: AtomicU64,
    pub held_bytes: AtomicU64,
    /// Now: an [`Output`].
    pub output: AtomicU8,
    /// Now: a [`BeaconStream`].
    pub beacon_stream: AtomicU8,
    /// How long bulk requests took, since the start.
    pub bulk_seconds: Histogram,
    bulk: Mutex<Latency>,
    commits: Mutex<Latency>,
    tallies: Mutex<Tallies>,
}

/// How Elasticsearch stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Output {
    #[default]
    Ok,
    /// It asked to come later.
    Busy,
    /// It does not answer, or not as Elasticsearch does.
    Lost,
    Unauthorized,
}

impl Output {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Busy, Self::Lost, Self::Unauthorized];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// How the beacon node's event stream stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum BeaconStream {
    /// None is watched, or none is open yet.
    #[default]
    None,
    Open,
    Lost,
    /// The node's head moved and the stream did not tell.
    Stale,
}

impl BeaconStream {
    pub const ALL: [Self; 4] = [Self::None, Self::Open, Self::Lost, Self::Stale];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Lost => "lost",
            Self::Stale => "stale",
        }
    }
}

/// Over the time since it was last read.
#[derive(Debug, Default, Clone, Copy)]
pub struct Latency {
    /// Since the start.
    pub count: u64,
    period_count: u64,
    period_sum: Duration,
    period_max: Duration,
}

/// Counts by name: reasons, datasets.
#[derive(Debug, Default, Clone)]
pub struct Tallies {
    pub dropped: BTreeMap<String, u64>,
    pub received: BTreeMap<String, u64>,
    pub counted: BTreeMap<&'static str, u64>,
    /// What processors dropped or failed on: by the processor's number, its kind, and `dropped` or the reason.
    pub processed: BTreeMap<(usize, &'static str, &'static str), u64>,
}

impl Counters {
    pub fn committed(&self, took: Duration, done: bool) {
        lock(&self.commits).add(took);
        self.commits_failed.fetch_add(u64::from(!done), Relaxed);
    }

    pub fn bulk_answered(&self, took: Duration, bytes: usize, done: bool) {
        lock(&self.bulk).add(took);
        self.bulk_seconds.add(took);
        self.bulk_requests.fetch_add(1, Relaxed);
        self.bulk_bytes.fetch_add(bytes as u64, Relaxed);
        self.bulk_failed.fetch_add(u64::from(!done), Relaxed);
    }

    pub fn dropped(&self, dropped: &[Dropped]) {
        let mut tallies = lock(&self.tallies);
        for Dropped { reason, dataset } in dropped {
            add(&mut tallies.dropped, &format!("{reason}/{dataset}"), 1);
        }
    }

    pub fn store_rebuilt(&self, rebuilt: &Rebuilt) {
        self.stores_damaged.fetch_add(1, Relaxed);
        let mut tallies = lock(&self.tallies);
        let lost = [
            ("spool", rebuilt.lost_events()),
            ("dead_letters", rebuilt.lost_dead_letters()),
        ];
        for (of, records) in lost.into_iter().filter(|(_, records)| *records > 0) {
            add(
                &mut tallies.dropped,
                &format!("store_damaged/{of}"),
                records,
            );
        }
    }

    pub fn received<'a>(&self, datasets: impl Iterator<Item = &'a str>) {
        let mut tallies = lock(&self.tallies);
        let mut datasets = datasets.peekable();
        // Those of a file are all alike.
        while let Some(dataset) = datasets.next() {
            let mut number = 1;
            while datasets.next_if(|next| *next == dataset).is_some() {
                number += 1;
            }
            add(&mut tallies.received, dataset, number);
        }
    }

    /// Whatever a collector found worth counting, by reason.
    pub fn count(&self, reason: &'static str, n: u64) {
        *lock(&self.tallies).counted.entry(reason).or_default() += n;
    }

    /// An event that a processor dropped or failed on. The first failure of a kind is told.
    pub fn processed(&self, note: Note) {
        let (number, kind, outcome) = (note.number, note.kind, note.outcome());
        let mut tallies = lock(&self.tallies);
        let count = tallies
            .processed
            .entry((number, kind, outcome))
            .or_default();
        *count += 1;
        if *count == 1 && note.failure.is_some() {
            warn!(
                processor = number,
                kind,
                reason = outcome,
                "processor failed: the event goes on as it was; further ones are only counted"
            );
        }
    }

    pub fn tallies(&self) -> Tallies {
        lock(&self.tallies).clone()
    }

    pub fn output(&self) -> Output {
        let now = self.output.load(Relaxed);
        Output::ALL
            .into_iter()
            .find(|output| *output as u8 == now)
            .unwrap_or_default()
    }

    pub fn beacon_stream(&self) -> BeaconStream {
        let now = self.beacon_stream.load(Relaxed);
        BeaconStream::ALL
            .into_iter()
            .find(|stream| *stream as u8 == now)
            .unwrap_or_default()
    }

    /// Begins a new period.
    pub fn take_bulk_latency(&self) -> Latency {
        lock(&self.bulk).take()
    }

    /// Begins a new period.
    pub fn take_commit_latency(&self) -> Latency {
        lock(&self.commits).take()
    }
}

impl Latency {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.period_count += 1;
        self.period_sum += took;
        self.period_max = self.period_max.max(took);
    }

    fn take(&mut self) -> Self {
        let count = self.count;
        std::mem::replace(
            self,
            Self {
                count,
                ..Self::default()
            },
        )
    }

    pub fn mean_ms(&self) -> Option<f64> {
        let count = self.period_count as f64;
        (self.period_count > 0).then(|| self.period_sum.as_secs_f64() * 1000.0 / count)
    }

    pub fn max_ms(&self) -> Option<f64> {
        (self.period_count > 0).then_some(self.period_max.as_secs_f64() * 1000.0)
    }
}

fn add(map: &mut BTreeMap<String, u64>, name: &str, n: u64) {
    match map.get_mut(name) {
        Some(count) => *count += n,
        None => drop(map.insert(name.to_owned(), n)),
    }
}

/// Counting goes on after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
