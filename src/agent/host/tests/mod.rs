//! The sets on this machine and on a host's files elsewhere, against a real document of each of Metricbeat's.

mod oracle;
mod processes;
mod services;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::Value;

use super::*;
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::setup::assert_accepted;

const METRICBEAT: &str = "../shared/data/metricbeat-system/metricbeat-7.17.29.ndjson";

const PERIOD: Duration = Duration::from_secs(10);

/// An event of no particular set, for the tests of one.
pub(super) fn blank() -> Event {
    Event::new(
        DataStream::SystemCpu,
        DocumentId::existing("x"),
        DateTime::UNIX_EPOCH,
    )
}

/// All sets in every sample.
pub(super) fn sampler(hostfs: &Path) -> Sampler {
    let config = config::Host {
        hostfs: hostfs.to_owned(),
        filesystem_period: PERIOD,
        slow_period: PERIOD,
        sets: Some(MetricSet::ALL.into()),
        ..config::Host::default()
    };
    Sampler::new(&config, "agent")
}

/// Fields of the recorded documents that ours lack, and why.
const LEFT_OUT: [(&str, &str); 5] = [
    (
        "system.memory.hugepages.",
        "later moved to Metricbeat's linux module",
    ),
    (
        "system.memory.page_stats.",
        "later moved to Metricbeat's linux module",
    ),
    (
        "system.memory.swap.",
        "paging counters: later moved to Metricbeat's linux module",
    ),
    (
        "system.filesystem.used.pct",
        "absent of an empty file system",
    ),
    (
        "process.ppid",
        "called `process.parent.pid` since version 8, as ECS has it",
    ),
];

#[test]
fn names_and_types_are_those_of_metricbeat() {
    let mut sampler = sampler(Path::new("/"));
    let mut ours = HashMap::<String, BTreeMap<String, &'static str>>::new();
    sampler.sample(DateTime::UNIX_EPOCH);
    // Some ticks must pass before there are shares.
    std::thread::sleep(Duration::from_millis(50));
    for event in sampler.sample(DateTime::UNIX_EPOCH + TimeDelta::seconds(10)) {
        let name = event.document.get_str("metricset.name").unwrap().to_owned();
        ours.entry(name)
            .or_default()
            .extend(fields(&event.document));
    }
    let text = fs::read_to_string(METRICBEAT).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let Ok(Value::Object(theirs)) = serde_json::from_str(line) else {
            panic!("not a document: {line}")
        };
        let theirs = Document::from(theirs);
        let set = theirs.get_str("metricset.name").unwrap();
        let ours = ours.get(set).unwrap_or_else(|| panic!("no set {set}"));
        // The rest is the envelope's.
        let is_sets = |field: &str| {
            [
                "system.",
                "process.",
                "user.",
                "event.",
                "metricset.",
                "service.",
                "host.cpu.",
            ]
            .iter()
            .any(|prefix| field.starts_with(prefix))
        };
        for (field, kind) in fields(&theirs)
            .into_iter()
            .filter(|(field, _)| is_sets(field))
        {
            match ours.get(&field) {
                // Metricbeat writes a share of nothing as a whole number.
                Some(ours) if *ours == kind || (*ours == "float" && kind == "long") => {
                    compared += 1
                }
                Some(ours) => panic!("{field} is {ours}, should be {kind}"),
                None => assert!(
                    LEFT_OUT.iter().any(|(prefix, _)| field.starts_with(prefix)),
                    "{field} is missing"
                ),
            }
        }
    }
    assert!(compared > 170, "{compared} fields compared");
}

#[test]
fn every_set_has_a_document_and_every_document_its_own_id() {
    let mut sampler = sampler(Path::new("/"));
    let mut events = sampler.sample(DateTime::UNIX_EPOCH);
    events.extend(sampler.sample(DateTime::UNIX_EPOCH + TimeDelta::seconds(10)));
    assert_accepted(&events);
    for set in MetricSet::ALL {
        let of_set = |event: &&Event| event.stream == set.stream();
        // A container may have no block device of its own, and few hosts have arrays.
        let may_be_none = matches!(
            set,
            MetricSet::Diskio
                | MetricSet::Filesystem
                | MetricSet::Fsstat
                | MetricSet::Users
                | MetricSet::Raid
                | MetricSet::Service
        );
        assert!(
            may_be_none || events.iter().any(|event| of_set(&event)),
            "{set:?}"
        );
    }
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    let durations = events
        .iter()
        .map(|event| event.document.get_u64("event.duration"));
    assert!(
        durations
            .into_iter()
            .all(|duration| duration.is_some_and(|ns| ns > 0))
    );
    for event in &events {
        for (field, _) in fields(&event.document) {
            let is_share = field.ends_with(".pct");
            // Processes are accounted for in ticks, of which there are few between two samples at once.
            let is_coarse = field.contains("process.cpu.") || field.contains("cpu.stats.");
            let share = event
                .document
                .get_f64(&field)
                .filter(|_| is_share && !is_coarse);
            let most = if field.contains("norm") { 1.0 } else { 1_024.0 };
            assert!(
                share.is_none_or(|share| (0.0..=most).contains(&share)),
                "{field}: {share:?}"
            );
        }
    }
}

#[test]
fn a_missing_file_costs_its_fields_and_no_set() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc/1/net")).unwrap();
    let put =
        |file: &str, text: &str| fs::write(root.path().join("proc").join(file), text).unwrap();
    put("loadavg", "1.0 2.0 3.0 1/2 3\n");
    put(
        "1/net/dev",
        "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    );
    put("1/stat", "1 (init) S 0");
    let mut sampler = sampler(root.path());
    let events = sampler.sample(DateTime::UNIX_EPOCH);
    let streams: Vec<_> = events.iter().map(|event| event.stream).collect();
    assert_eq!(
        streams,
        [
            DataStream::SystemLoad,
            DataStream::SystemNetwork,
            DataStream::SystemProcessSummary,
            DataStream::SystemUptime,
        ]
    );
    assert_eq!(events[0].document.get("system.load.cores"), None);

    put(
        "stat",
        "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nprocs_running 2\n",
    );
    let events = sampler.sample(DateTime::UNIX_EPOCH + TimeDelta::seconds(10));
    let get = |stream, field: &str| {
        let of_stream = events.iter().filter(|event| event.stream == stream);
        of_stream
            .filter_map(|event| event.document.get_u64(field))
            .next()
    };
    assert_eq!(get(DataStream::SystemLoad, "system.load.cores"), Some(1));
    assert_eq!(
        get(DataStream::SystemNetwork, "host.network.ingress.bytes"),
        Some(0)
    );
}

#[tokio::test(start_paused = true)]
async fn samples_lie_on_the_grid_and_end_with_the_stop() {
    let (outbox, mut events) = Outbox::in_memory("agent", 1_000);
    let stop = CancellationToken::new();
    let running = run(config::Host::default(), outbox, stop.clone());
    let watching = async {
        let mut samples = 0;
        while samples < 3 {
            let event = events.recv().await.unwrap();
            samples += u32::from(event.stream == DataStream::SystemLoad);
        }
        stop.cancel();
        // What the last sample still sends must not wait for a reader.
        while events.recv().await.is_some() {}
    };
    let (ended, ()) = tokio::join!(running, watching);
    ended.unwrap();
}

/// Dotted name and JSON type of every value in a document.
fn fields(document: &Document) -> BTreeMap<String, &'static str> {
    let mut fields = BTreeMap::new();
    for (name, value) in document.as_map() {
        collect(name.clone(), value, &mut fields);
    }
    fields
}

fn collect(name: String, value: &Value, into: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Object(object) => {
            for (key, value) in object {
                collect(format!("{name}.{key}"), value, into);
            }
            return;
        }
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "long",
        Value::Bool(_) => "boolean",
        _ => "keyword",
    };
    into.insert(name, kind);
}
