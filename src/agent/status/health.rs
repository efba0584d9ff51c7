//! Is the agent alive, and does it do its work? Pure.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::State;
use crate::agent::counters::{BeaconStream, Output};

/// A spool fuller than this is about to drop events.
const NEARLY_FULL: f64 = 0.95;

/// Whether it ships what it collects, and the reasons why not.
pub(super) fn ready(state: &State<'_>) -> (bool, Value) {
    let mut reasons = Vec::new();
    let mut add = |reason: &str, detail: String| {
        reasons.push(json!({"reason": reason, "detail": detail}));
    };
    let spool = state.totals.spool();
    match state.counters.output() {
        // Asking to come later is part of the work.
        Output::Ok | Output::Busy => {}
        Output::Lost => add(
            "elasticsearch_lost",
            format!("it does not answer; {} events wait", spool.records),
        ),
        Output::Unauthorized => add(
            "elasticsearch_unauthorized",
            format!("it refuses our credentials; {} events wait", spool.records),
        ),
    }
    if state.counters.store_fails.load(Relaxed) {
        add(
            "store_unusable",
            "the disk is full or fails; collecting waits".into(),
        );
    }
    let used = spool.bytes as f64 / state.spool_max_bytes.max(1) as f64;
    if used > NEARLY_FULL {
        add(
            "spool_nearly_full",
            format!(
                "{} of {} bytes; beyond them events give way",
                spool.bytes, state.spool_max_bytes
            ),
        );
    }
    let is_ready = reasons.is_empty();
    let status = if is_ready { "ready" } else { "not_ready" };
    let stream = state.counters.beacon_stream();
    let answer = json!({
        "status": status,
        "reasons": reasons,
        "warnings": warnings(stream),
        "beacon_stream": stream.name(),
    });
    (is_ready, answer)
}

/// What is wrong with the node that is watched. The agent tells it as it should, so it is no reason to restart it.
fn warnings(stream: BeaconStream) -> Vec<Value> {
    let warning = match stream {
        BeaconStream::None | BeaconStream::Open => None,
        BeaconStream::Lost => Some((
            "beacon_stream_lost",
            "the event stream is closed; it is tried again",
        )),
        BeaconStream::Stale => Some((
            "beacon_stream_stale",
            "the node's head moved and its event stream did not tell; blocks come over REST",
        )),
    };
    let told = warning.map(|(reason, detail)| json!({"reason": reason, "detail": detail}));
    told.into_iter().collect()
}

pub(super) fn live() -> Value {
    json!({"status": "live"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::counters::Counters;
    use crate::agent::store::Totals;
    use crate::agent::usage::Usage;

    fn reasons(counters: &Counters) -> Vec<String> {
        let state = State {
            counters,
            totals: Totals::default(),
            spool_max_bytes: 100,
            spool_lag_ms: 0,
            usage: Usage::default(),
            started_at_s: 0,
        };
        let (is_ready, answer) = ready(&state);
        let reasons = answer["reasons"].as_array().unwrap();
        assert_eq!(is_ready, reasons.is_empty());
        let name = |reason: &Value| reason["reason"].as_str().unwrap().to_owned();
        reasons.iter().map(name).collect()
    }

    #[test]
    fn what_keeps_it_from_shipping_is_named() {
        let counters = Counters::default();
        assert!(reasons(&counters).is_empty());
        counters.output.store(Output::Busy as u8, Relaxed);
        assert!(reasons(&counters).is_empty());
        counters.output.store(Output::Unauthorized as u8, Relaxed);
        counters.store_fails.store(true, Relaxed);
        assert_eq!(
            reasons(&counters),
            ["elasticsearch_unauthorized", "store_unusable"]
        );
        counters.output.store(Output::Lost as u8, Relaxed);
        assert_eq!(reasons(&counters)[0], "elasticsearch_lost");
    }

    #[test]
    fn a_stale_stream_is_a_warning_and_no_reason() {
        let counters = Counters::default();
        for (stream, warned) in [
            (BeaconStream::None, None),
            (BeaconStream::Open, None),
            (BeaconStream::Lost, Some("beacon_stream_lost")),
            (BeaconStream::Stale, Some("beacon_stream_stale")),
        ] {
            counters.beacon_stream.store(stream as u8, Relaxed);
            assert_eq!(counters.beacon_stream(), stream);
            assert!(reasons(&counters).is_empty());
            let told = warnings(stream);
            let told = told.first().map(|warning| warning["reason"].as_str());
            assert_eq!(told.flatten(), warned);
        }
    }
}
