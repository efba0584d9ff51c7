//! The agent about itself: `metrics-ethmon.agent`, every 10 s.

use std::path::PathBuf;
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
use super::usage::Usage;
use crate::event::{DataStream, DocumentId, Event, timestamp};
use crate::slot;
use crate::system::memory::{Spare, give_back};

const PERIOD: Duration = Duration::from_secs(10);

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
    let mut spare = Spare::default();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let now = slot::now();
        let totals = *store.totals().borrow();
        let usage = Usage::read(&data_dir);
        let measured = Instant::now();
        let cpu_pct = usage
            .cpu_seconds
            .zip(before)
            .map(|(seconds, (at, earlier))| (seconds - earlier) / (measured - at).as_secs_f64());
        before = usage.cpu_seconds.map(|seconds| (measured, seconds));
        if spare.is_due_after(cpu_pct) {
            give_back();
        }
        let state = State {
            uptime: began.elapsed(),
            totals,
            spool_max_bytes,
            oldest_ms: store.oldest_ms().await.ok().flatten(),
            usage,
            cpu_pct,
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
    usage: Usage,
    /// Of one core, since the last report.
    cpu_pct: Option<f64>,
}

fn document(agent_id: &str, now: DateTime<Utc>, state: &State, counters: &Counters) -> Event {
    let id = DocumentId::of(&[agent_id, "report", &timestamp(now)]);
    let now_ms = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let (spool, dead_letters) = (state.totals.spool(), state.totals.dead_letters());
    let (usage, disk) = (&state.usage, state.usage.disk.as_ref());
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
        .with_some("ethmon.agent.cpu.seconds", usage.cpu_seconds)
        .with_some("ethmon.agent.cpu.pct", state.cpu_pct)
        .with_some("ethmon.agent.memory.rss.bytes", usage.rss_bytes)
        .with_some(
            "ethmon.agent.disk.free.bytes",
            disk.map(|disk| disk.free_bytes),
        )
        .with_some(
            "ethmon.agent.disk.total.bytes",
            disk.map(|disk| disk.total_bytes),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::agent::process::Note;
    use crate::agent::store::Dropped;
    use crate::setup::assert_accepted;

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
            usage: Usage::read(Path::new("/")),
            cpu_pct: None,
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
