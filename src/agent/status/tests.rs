//! A strict reader of the text format judges what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::metrics::render;
use crate::agent::counters::Counters;
use crate::agent::process::Note;
use crate::agent::store::{Dropped, Totals};
use crate::agent::usage::Usage;

/// Samples by name and labels. Panics at anything Prometheus would refuse or promtool complain about.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    let mut family = String::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help text");
            assert!(helped.insert(name.to_owned()), "{name} is described twice");
            assert!(!help.is_empty());
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("type");
            assert_eq!(name, family, "TYPE follows its HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none());
        } else {
            let (key, value) = line.rsplit_once(' ').expect(line);
            let name = key.split('{').next().unwrap();
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_name), "{name}");
            let base = match types.get(&family).map(String::as_str) {
                Some("histogram") => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix))
                    .expect(name),
                _ => name,
            };
            assert_eq!(base, family, "samples stand below their family");
            if let Some(labels) = key.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                check_labels(labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap());
            }
            let value: f64 = value.parse().expect(line);
            assert!(
                samples.insert(key.to_owned(), value).is_none(),
                "{key} twice"
            );
        }
    }
    assert_eq!(types.keys().cloned().collect::<BTreeSet<_>>(), helped);
    samples
}

fn check_labels(mut rest: &str) {
    loop {
        let (name, after) = rest.split_once("=\"").expect(rest);
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{name}");
        let mut end = None;
        let mut is_escaped = false;
        for (at, character) in after.char_indices() {
            match character {
                '"' if !is_escaped => {
                    end = Some(at);
                    break;
                }
                '\\' if !is_escaped => is_escaped = true,
                _ => {
                    assert!(!is_escaped || ['"', '\\', 'n'].contains(&character));
                    is_escaped = false;
                }
            }
        }
        rest = &after[end.expect("the label's end") + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    assert!(rest.is_empty(), "{rest}");
}

#[test]
fn every_sample_is_sound_and_says_what_was_counted() {
    let counters = Counters::default();
    counters.received(["ethereum.block", "ethereum.block", "system.cpu"].into_iter());
    counters.dropped(&[Dropped {
        reason: "spool_full",
        dataset: "strange\"\\\n".into(),
    }]);
    counters.count("log_line_cut", 3);
    counters.processed(Note {
        number: 2,
        kind: "drop_event",
        failure: None,
    });
    counters.bulk_answered(Duration::from_millis(20), 1_000, true);
    counters.bulk_answered(Duration::from_secs(60), 1_000, false);
    let state = State {
        counters: &counters,
        totals: Totals::default(),
        spool_max_bytes: 1 << 30,
        spool_lag_ms: 1_500,
        usage: Usage {
            cpu_seconds: Some(2.5),
            rss_bytes: Some(1 << 20),
            disk: None,
        },
        started_at_s: 1_700_000_000,
    };
    let samples = parse(&render(&state));
    let get = |key: &str| samples[&format!("ethmon_agent_{key}")];
    assert_eq!(
        get("events_received_total{dataset=\"ethereum.block\"}"),
        2.0
    );
    assert_eq!(get("input_total{reason=\"log_line_cut\"}"), 3.0);
    assert_eq!(
        get("events_dropped_total{reason=\"spool_full\",dataset=\"strange\\\"\\\\\\n\"}"),
        1.0
    );
    assert_eq!(
        get("processor_total{number=\"2\",kind=\"drop_event\",outcome=\"dropped\"}"),
        1.0
    );
    assert_eq!(get("cpu_seconds_total"), 2.5);
    assert_eq!(get("resident_memory_bytes"), f64::from(1 << 20));
    assert!(!samples.contains_key("ethmon_agent_disk_free_bytes"));
    assert_eq!(get("spool_events{priority=\"chain\"}"), 0.0);
    assert_eq!(get("spool_lag_seconds"), 1.5);
    assert_eq!(get("bulk_duration_seconds_bucket{le=\"0.025\"}"), 1.0);
    assert_eq!(get("bulk_duration_seconds_bucket{le=\"30\"}"), 1.0);
    assert_eq!(get("bulk_duration_seconds_bucket{le=\"+Inf\"}"), 2.0);
    assert_eq!(get("bulk_duration_seconds_count"), 2.0);
    assert_eq!(get("bulk_failed_total"), 1.0);
    assert_eq!(get("output_state{state=\"ok\"}"), 1.0);
    assert_eq!(get("output_state{state=\"lost\"}"), 0.0);
    assert_eq!(get("store_usable"), 1.0);
}
