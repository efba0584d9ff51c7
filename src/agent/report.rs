//! The agent about itself: `metrics-ethmon.agent`, every 10 s.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::counters::{Counters, Latency, Tallies};
use super::outbox::Outbox;
use super::store::{Count, Priority, StoreHandle, Totals};
use crate::event::{DataStream, DocumentId, Event, timestamp};
use crate::slot;

const PERIOD: Duration = Duration::from_secs(10);
/// Clock ticks of /proc/self/stat, the same on every architecture Rust runs Linux on.
const TICKS_PER_SECOND: f64 = 100.0;

pub struct Report {
    pub store: StoreHandle,
    pub counters: Arc<Counters>,
    pub spool_max_bytes: u64,
    /// Whose file system must not run full.
    pub data_dir: PathBuf,
}

pub async fn run(report: Report, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
    let Report {
        store,
        counters,
        spool_max_bytes,
        data_dir,
    } = report;
    let began = Instant::now();
    let mut before: Option<(Instant, f64)> = None;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let now = slot::now();
        let totals = *store.totals().borrow();
        let cpu_seconds = read_cpu_seconds();
        let measured = Instant::now();
        let cpu_pct = cpu_seconds
            .zip(before)
            .map(|(seconds, (at, earlier))| (seconds - earlier) / (measured - at).as_secs_f64());
        before = cpu_seconds.map(|seconds| (measured, seconds));
        let state = State {
            uptime: began.elapsed(),
            totals,
            spool_max_bytes,
            oldest_ms: store.oldest_ms().await.ok().flatten(),
            cpu_seconds,
            cpu_pct,
            rss_bytes: read_rss_bytes(),
            disk: Disk::of(&data_dir),
        };
        outbox
            .send(document(outbox.agent_id(), now, &state, &counters))
            .await;
    }
}

struct State {
    uptime: Duration,
    totals: Totals,
    spool_max_bytes: u64,
    oldest_ms: Option<u64>,
    cpu_seconds: Option<f64>,
    cpu_pct: Option<f64>,
    rss_bytes: Option<u64>,
    disk: Option<Disk>,
}

/// The file system of the data directory.
struct Disk {
    free_bytes: u64,
    total_bytes: u64,
}

impl Disk {
    fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(Self {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

fn document(agent_id: &str, now: DateTime<Utc>, state: &State, counters: &Counters) -> Event {
    let id = DocumentId::of(&[agent_id, "report", &timestamp(now)]);
    let now_ms = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let (spool, dead_letters) = (state.totals.spool(), state.totals.dead_letters());
    let tallies = counters.tallies();
    let (bulk, commits) = (counters.take_bulk_latency(), counters.take_commit_latency());
    let count = |counter: &std::sync::atomic::AtomicU64| Value::from(counter.load(Relaxed));
    let by_priority = Priority::ALL.map(|priority| {
        let Count { records, bytes } = state.totals.of(priority);
        let value = json!({"events": records, "bytes": bytes});
        (priority.name().to_owned(), value)
    });
    let mut report = json!({
        "uptime_s": state.uptime.as_secs(),
        "spool": {
            "events": spool.records,
            "bytes": spool.bytes,
            "max_bytes": state.spool_max_bytes,
            "priority": Value::Object(by_priority.into_iter().collect()),
            "lag_ms": state.oldest_ms.map_or(0, |oldest| now_ms.saturating_sub(oldest)),
        },
        "dead_letters": {"events": dead_letters.records, "bytes": dead_letters.bytes},
        "held": {"events": count(&counters.held_events), "bytes": count(&counters.held_bytes)},
        "output": {"state": counters.output().name()},
        "acked": count(&counters.acked),
        "duplicates": count(&counters.duplicates),
        "retried": count(&counters.retried),
        "refused": count(&counters.refused),
        "dropped": {
            "total": tallies.dropped.values().sum::<u64>(),
            "by_reason": object(&tallies.dropped),
        },
        "received": {
            "total": tallies.received.values().sum::<u64>(),
            "by_dataset": object(&tallies.received),
        },
        "counted": counted(&tallies),
        "bulk": {
            "requests": count(&counters.bulk_requests),
            "failed": count(&counters.bulk_failed),
            "bytes": count(&counters.bulk_bytes),
        },
        "store": {
            "usable": !counters.store_fails.load(Relaxed),
            "damaged": count(&counters.stores_damaged),
        },
        "reloads": {"done": count(&counters.reloads), "failed": count(&counters.reloads_failed)},
        "commit": {"count": commits.count, "failed": count(&counters.commits_failed)},
    });
    set_latency(&mut report["bulk"], &bulk);
    set_latency(&mut report["commit"], &commits);
    Event::new(DataStream::AgentReport, id, now)
        .with("event.kind", "metric")
        .with("ethmon.agent", report)
        .with_some("ethmon.agent.cpu.seconds", state.cpu_seconds)
        .with_some("ethmon.agent.cpu.pct", state.cpu_pct)
        .with_some("ethmon.agent.memory.rss.bytes", state.rss_bytes)
        .with_some(
            "ethmon.agent.disk.free.bytes",
            state.disk.as_ref().map(|disk| disk.free_bytes),
        )
        .with_some(
            "ethmon.agent.disk.total.bytes",
            state.disk.as_ref().map(|disk| disk.total_bytes),
        )
}

/// With what processors did, as `processor_2_convert_not_a_number`.
fn counted(tallies: &Tallies) -> Value {
    let mut counted = object(&tallies.counted);
    for ((number, kind, outcome), count) in &tallies.processed {
        counted[format!("processor_{number}_{kind}_{outcome}")] = (*count).into();
    }
    counted
}

fn object<'a, K: ToString + 'a>(counts: impl IntoIterator<Item = (&'a K, &'a u64)>) -> Value {
    let fields = counts
        .into_iter()
        .map(|(name, count)| (name.to_string(), (*count).into()));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn set_latency(of: &mut Value, latency: &Latency) {
    if let Some((mean, max)) = latency.mean_ms().zip(latency.max_ms()) {
        of["latency_ms"] = json!({"mean": mean, "max": max});
    }
}

/// User and system time of this process. `None` where there is no /proc.
fn read_cpu_seconds() -> Option<f64> {
    cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything, spaces and parentheses included.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn read_rss_bytes() -> Option<u64> {
    rss_bytes(&fs::read_to_string("/proc/self/status").ok()?)
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::process::Note;
    use crate::agent::store::Dropped;
    use crate::setup::assert_accepted;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "42 (eth) (mon) S 1 42 42 0 -1 4194304 900 0 0 0 150 25 0 0 20 0 5 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
        assert_eq!(
            rss_bytes("VmSize:\t  9 kB\nVmRSS:\t    1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(rss_bytes("VmRSS: lots"), None);
    }

    #[test]
    fn a_report_tells_what_was_counted() {
        let counters = Counters::default();
        counters.dropped(&[Dropped {
            reason: "spool_full",
            dataset: "system.cpu".into(),
        }]);
        counters.received(["ethereum.block", "ethereum.block"].into_iter());
        counters.processed(Note {
            number: 2,
            kind: "drop_event",
            failure: None,
        });
        counters.bulk_answered(Duration::from_millis(8), 100, true);
        counters.bulk_answered(Duration::from_millis(4), 100, false);
        let state = State {
            uptime: Duration::from_secs(60),
            totals: Totals::default(),
            spool_max_bytes: 1,
            oldest_ms: Some(1_000),
            cpu_seconds: Some(2.5),
            cpu_pct: None,
            rss_bytes: None,
            disk: Disk::of(Path::new("/")),
        };
        let now = DateTime::from_timestamp_millis(4_000).unwrap();
        let event = document("a", now, &state, &counters);
        assert_accepted([&event]);
        let document = event.document;
        let get = |path: &str| document.get(&format!("ethmon.agent.{path}")).cloned();
        assert_eq!(get("spool.lag_ms"), Some(3_000.into()));
        assert_eq!(
            get("dropped.by_reason"),
            Some(json!({"spool_full/system.cpu": 1}))
        );
        assert_eq!(get("received.total"), Some(2.into()));
        assert_eq!(
            get("counted"),
            Some(json!({"processor_2_drop_event_dropped": 1}))
        );
        assert_eq!(
            get("bulk.latency_ms"),
            Some(json!({"mean": 6.0, "max": 8.0}))
        );
        assert_eq!(get("bulk.failed"), Some(1.into()));
        assert_eq!(get("output.state"), Some("ok".into()));
        assert_eq!(get("spool.priority.chain.events"), Some(0.into()));
        assert_eq!(get("store.usable"), Some(true.into()));
        let bytes = |path: &str| get(path).unwrap().as_u64().unwrap();
        assert!(bytes("disk.free.bytes") <= bytes("disk.total.bytes"));
        assert_eq!(get("cpu.pct"), None);
        assert_eq!(get("commit.latency_ms"), None);
    }
}
