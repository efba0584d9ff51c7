//! The counters in Prometheus' text format. The set of names is fixed; labels come from the agent's own vocabulary
//! (datasets, reasons), never from data. Pure.

use std::fmt::Display;
use std::sync::atomic::Ordering::Relaxed;

use super::State;
use crate::agent::counters::Output;
use crate::agent::histogram::BOUNDS_SECONDS;
use crate::agent::store::Priority;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn render(state: &State<'_>) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    let counters = state.counters;
    let tallies = counters.tallies();

    page.family("build_info", "gauge", "The version that runs.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge(
        "start_time_seconds",
        "When the agent began, in seconds since 1970.",
        state.started_at_s,
    );

    page.family(
        "events_received_total",
        "counter",
        "Events collected, by dataset.",
    );
    for (dataset, count) in &tallies.received {
        page.sample("events_received_total", &[("dataset", dataset)], count);
    }
    page.counter(
        "events_acked_total",
        "Events that Elasticsearch has, duplicates included.",
        counters.acked.load(Relaxed),
    );
    page.counter(
        "events_duplicate_total",
        "Events that Elasticsearch had already.",
        counters.duplicates.load(Relaxed),
    );
    page.counter(
        "events_retried_total",
        "Events that Elasticsearch asked for again, each time.",
        counters.retried.load(Relaxed),
    );
    page.counter(
        "events_refused_total",
        "Events that Elasticsearch refused; they are kept as dead letters.",
        counters.refused.load(Relaxed),
    );
    page.family(
        "events_dropped_total",
        "counter",
        "Events lost, by reason and dataset.",
    );
    for (name, count) in &tallies.dropped {
        let (reason, dataset) = name.split_once('/').unwrap_or((name, ""));
        page.sample(
            "events_dropped_total",
            &[("reason", reason), ("dataset", dataset)],
            count,
        );
    }
    page.family(
        "input_total",
        "counter",
        "What the inputs found worth counting, by reason: lines cut, events without a slot, …",
    );
    for (reason, count) in &tallies.counted {
        page.sample("input_total", &[("reason", reason)], count);
    }

    page.family(
        "processor_total",
        "counter",
        "Events that a processor dropped or failed on, by its number in the configuration.",
    );
    for ((number, kind, outcome), count) in &tallies.processed {
        let number = number.to_string();
        let labels = [("number", &*number), ("kind", kind), ("outcome", outcome)];
        page.sample("processor_total", &labels, count);
    }

    page.family(
        "spool_events",
        "gauge",
        "Events that wait on disk, by priority.",
    );
    for priority in Priority::ALL {
        let count = state.totals.of(priority).records;
        page.sample("spool_events", &[("priority", priority.name())], count);
    }
    page.family(
        "spool_bytes",
        "gauge",
        "Bytes that wait on disk, by priority.",
    );
    for priority in Priority::ALL {
        let bytes = state.totals.of(priority).bytes;
        page.sample("spool_bytes", &[("priority", priority.name())], bytes);
    }
    page.gauge(
        "spool_max_bytes",
        "Bytes beyond which events give way.",
        state.spool_max_bytes,
    );
    page.gauge(
        "spool_lag_seconds",
        "Age of the oldest event that waits on disk.",
        state.spool_lag_ms as f64 / 1000.0,
    );
    page.gauge(
        "held_events",
        "Events in memory: under way, or waiting for another attempt.",
        counters.held_events.load(Relaxed),
    );
    page.gauge(
        "held_bytes",
        "Bytes of the events in memory.",
        counters.held_bytes.load(Relaxed),
    );
    let dead = state.totals.dead_letters();
    page.gauge(
        "dead_letters",
        "Refused events that are kept.",
        dead.records,
    );
    page.gauge(
        "dead_letter_bytes",
        "Bytes of the refused events.",
        dead.bytes,
    );

    page.family(
        "output_state",
        "gauge",
        "1 for how Elasticsearch stands to us now.",
    );
    for output in Output::ALL {
        let is_now = u8::from(output == counters.output());
        page.sample("output_state", &[("state", output.name())], is_now);
    }
    page.counter(
        "bulk_failed_total",
        "Bulk requests without an answer for their items.",
        counters.bulk_failed.load(Relaxed),
    );
    page.counter(
        "bulk_bytes_total",
        "Bytes of bulk requests before compression.",
        counters.bulk_bytes.load(Relaxed),
    );
    bulk_latency(&mut page, state);
    page.counter(
        "commits_failed_total",
        "Attempts to write the store that failed.",
        counters.commits_failed.load(Relaxed),
    );
    page.counter(
        "store_damaged_total",
        "Stores that were damaged and set aside.",
        counters.stores_damaged.load(Relaxed),
    );
    page.gauge(
        "store_usable",
        "0 while the disk is full or fails.",
        u8::from(!counters.store_fails.load(Relaxed)),
    );
    page.counter(
        "reloads_total",
        "Configurations that were taken over while running.",
        counters.reloads.load(Relaxed),
    );
    page.counter(
        "reloads_failed_total",
        "Configurations that were refused while running.",
        counters.reloads_failed.load(Relaxed),
    );
    usage(&mut page, state);
    page.0
}

/// Left out where the system does not say.
fn usage(page: &mut Page, state: &State<'_>) {
    let usage = &state.usage;
    if let Some(seconds) = usage.cpu_seconds {
        page.family("cpu_seconds_total", "counter", "User and system time.");
        page.sample("cpu_seconds_total", &[], seconds);
    }
    if let Some(bytes) = usage.rss_bytes {
        page.gauge("resident_memory_bytes", "Memory in use.", bytes);
    }
    if let Some(disk) = &usage.disk {
        let help = "Room left in the file system of the data directory.";
        page.gauge("disk_free_bytes", help, disk.free_bytes);
    }
}

fn bulk_latency(page: &mut Page, state: &State<'_>) {
    let snapshot = state.counters.bulk_seconds.snapshot();
    let name = "bulk_duration_seconds";
    page.family(
        name,
        "histogram",
        "How long Elasticsearch took to answer bulk requests.",
    );
    for (bound, count) in BOUNDS_SECONDS.iter().zip(snapshot.up_to) {
        let bound = bound.to_string();
        page.sample("bulk_duration_seconds_bucket", &[("le", &bound)], count);
    }
    page.sample(
        "bulk_duration_seconds_bucket",
        &[("le", "+Inf")],
        snapshot.count,
    );
    page.sample("bulk_duration_seconds_sum", &[], snapshot.sum_seconds);
    page.sample("bulk_duration_seconds_count", &[], snapshot.count);
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!(
            "# HELP ethmon_agent_{name} {help}\n# TYPE ethmon_agent_{name} {kind}\n"
        ));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", escaped(text)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        self.0
            .push_str(&format!("ethmon_agent_{name}{labels} {value}\n"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
