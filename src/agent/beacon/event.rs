//! A frame of the stream → what it says. Nothing is required of the payload: what cannot be read is kept as it came,
//! with the reason.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::sse::{Frame, KEPT_PREFIX_BYTES};
use super::topics::Topic;
use crate::chain_spec::unsigned;
use crate::slot::Root;

/// A payload that is larger is kept as text, cut: an index is no place for it.
const MAX_PAYLOAD_BYTES: usize = 256 << 10;
/// What Elasticsearch's `flattened` takes by default.
const MAX_PAYLOAD_DEPTH: usize = 20;

/// One event of the beacon node.
#[derive(Debug, Clone, PartialEq)]
pub struct BeaconEvent {
    pub topic: Topic,
    pub received_at: DateTime<Utc>,
    /// It may have waited while the agent stood still, so that its time is none.
    pub is_doubtful: bool,
    pub bytes: u64,
    pub slot: Option<u64>,
    pub epoch: Option<u64>,
    /// The block it is about; for `chain_reorg` the new head as the client names it.
    pub block: Option<Root>,
    pub reorg: Option<ReportedReorg>,
    pub body: Body,
    /// Why a field, or all of it, could not be read. Several reasons are joined.
    pub parse_error: Option<String>,
    /// The counter of that reason.
    pub fault: Option<Fault>,
}

/// `chain_reorg` as the client tells it: a hint, whose every field is checked. Prysm 6.1.4 exchanges two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedReorg {
    pub depth: Option<u64>,
    pub old_head: Option<String>,
    pub new_head: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Json(Value),
    /// Cut to its first bytes.
    Raw(String),
}

/// What was wrong, coarse enough to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Unreadable,
    Oversized,
    OddField,
}

impl Fault {
    pub fn counter(self) -> &'static str {
        match self {
            Self::Unreadable => "beacon_event_unreadable",
            Self::Oversized => "beacon_event_oversized",
            Self::OddField => "beacon_event_odd_field",
        }
    }
}

/// Reads a frame. Never fails: the worst frame is one event with its text and a reason.
pub fn read(frame: Frame) -> BeaconEvent {
    let mut event = BeaconEvent {
        topic: Topic::from_name(&frame.event),
        received_at: frame.received_at,
        is_doubtful: false,
        bytes: frame.oversized.unwrap_or(frame.data.len() as u64),
        slot: None,
        epoch: None,
        block: None,
        reorg: None,
        body: Body::Raw(String::new()),
        parse_error: None,
        fault: None,
    };
    let value = if let Some(bytes) = frame.oversized {
        Err((
            Fault::Oversized,
            format!("event of {bytes} bytes is over the limit"),
        ))
    } else {
        parse(&frame.data)
    };
    match value {
        Ok(value) => {
            fill(&mut event, &value);
            event.body = Body::Json(value);
        }
        Err((fault, reason)) => {
            event.fail(fault, reason);
            event.body = Body::Raw(prefix(&frame.data));
        }
    }
    if event.fault == Some(Fault::OddField) && matches!(event.topic, Topic::Other(_)) {
        // Nobody promised what an unknown topic holds.
        event.fault = None;
        event.parse_error = None;
    }
    event
}

fn parse(data: &str) -> Result<Value, (Fault, String)> {
    let value: Value = serde_json::from_str(data)
        .map_err(|error| (Fault::Unreadable, format!("not JSON: {error}")))?;
    if !value.is_object() {
        return Err((Fault::Unreadable, "not a JSON object".into()));
    }
    if data.len() > MAX_PAYLOAD_BYTES {
        let reason = format!("payload of {} bytes is too large to index", data.len());
        return Err((Fault::Oversized, reason));
    }
    if !fits(&value, MAX_PAYLOAD_DEPTH) {
        return Err((
            Fault::Unreadable,
            "payload is too deep, or has a key that cannot be indexed".into(),
        ));
    }
    Ok(value)
}

fn fill(event: &mut BeaconEvent, value: &Value) {
    // Some topics wrap what they say in `data`, with the fork's name beside it.
    let inner = match (&event.topic, value.get("data")) {
        (Topic::HeadV2 | Topic::PayloadAttributes, Some(data)) => data,
        _ => value,
    };
    let slot = match event.topic {
        Topic::Attestation | Topic::SingleAttestation => inner.pointer("/data/slot"),
        Topic::ContributionAndProof => inner.pointer("/message/contribution/slot"),
        Topic::PayloadAttributes => inner.get("proposal_slot"),
        Topic::ProposerSlashing => inner.pointer("/signed_header_1/message/slot"),
        Topic::AttesterSlashing => inner.pointer("/attestation_1/data/slot"),
        _ => inner.get("slot"),
    };
    let epoch = match event.topic {
        Topic::VoluntaryExit => inner.pointer("/message/epoch"),
        _ => inner.get("epoch"),
    };
    event.slot = event.number("slot", slot);
    event.epoch = event.number("epoch", epoch);
    let block = match event.topic {
        Topic::Attestation | Topic::SingleAttestation => inner.pointer("/data/beacon_block_root"),
        Topic::ContributionAndProof => inner.pointer("/message/contribution/beacon_block_root"),
        Topic::ChainReorg => inner.get("new_head_block"),
        Topic::PayloadAttributes => inner.get("parent_block_root"),
        _ => inner.get("block").or_else(|| inner.get("block_root")),
    };
    event.block = event.root("block", block);
    if event.topic == Topic::ChainReorg {
        let text = |name: &str| inner.get(name).and_then(Value::as_str).map(prefix);
        event.reorg = Some(ReportedReorg {
            depth: event.number("depth", inner.get("depth")),
            old_head: text("old_head_block"),
            new_head: text("new_head_block"),
        });
    }
    if event.topic.announces_block() {
        for (name, missing) in [
            ("slot", event.slot.is_none()),
            ("block", event.block.is_none()),
        ] {
            if missing && event.parse_error.is_none() {
                event.fail(Fault::OddField, format!("{name} is missing"));
            }
        }
    }
}

impl BeaconEvent {
    /// Quoted or bare. What does not fit an Elasticsearch `long` is left out and named.
    fn number(&mut self, name: &str, value: Option<&Value>) -> Option<u64> {
        let value = value.filter(|value| !value.is_null())?;
        let number = unsigned(value);
        match number {
            Some(number) if i64::try_from(number).is_ok() => return Some(number),
            Some(number) => self.fail(Fault::OddField, format!("{name} {number} is over 2^63-1")),
            None => self.fail(
                Fault::OddField,
                format!("{name} is no unsigned number: {}", short(value)),
            ),
        }
        None
    }

    fn root(&mut self, name: &str, value: Option<&Value>) -> Option<Root> {
        let value = value.filter(|value| !value.is_null())?;
        let root = value.as_str().and_then(|text| text.parse().ok());
        if root.is_none() {
            self.fail(
                Fault::OddField,
                format!("{name} is no root: {}", short(value)),
            );
        }
        root
    }

    fn fail(&mut self, fault: Fault, reason: String) {
        self.fault.get_or_insert(fault);
        self.parse_error = Some(match self.parse_error.take() {
            Some(before) => format!("{before}; {reason}"),
            None => reason,
        });
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

/// The first bytes of a text, cut between characters.
pub(super) fn prefix(text: &str) -> String {
    text[..text.floor_char_boundary(KEPT_PREFIX_BYTES)].to_owned()
}

fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(fields) => {
            depth > 0
                && fields.iter().all(|(key, value)| {
                    !key.is_empty() && !key.contains('\0') && fits(value, depth - 1)
                })
        }
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: &str = "0xabababababababababababababababababababababababababababababababab";

    fn event(topic: &str, data: &str) -> BeaconEvent {
        read(Frame {
            event: topic.into(),
            data: data.into(),
            received_at: DateTime::UNIX_EPOCH,
            oversized: None,
        })
    }

    #[test]
    fn numbers_are_quoted_or_bare() {
        for slot in ["\"5\"", "5"] {
            let head = event(
                "head",
                &format!(r#"{{"slot":{slot},"block":"{ROOT}","new":1}}"#),
            );
            assert_eq!((head.slot, head.parse_error), (Some(5), None));
            assert_eq!(head.block.unwrap().to_string(), ROOT);
        }
    }

    #[test]
    fn impossible_numbers_are_named_and_kept() {
        for (slot, reason) in [
            ("-1", "slot is no unsigned number: -1"),
            ("\"-1\"", "slot is no unsigned number: \"-1\""),
            (
                "18446744073709551615",
                "slot 18446744073709551615 is over 2^63-1",
            ),
            (
                "\"18446744073709551616\"",
                "slot is no unsigned number: \"18446744073709551616\"",
            ),
            ("1e3", "slot is no unsigned number: 1000.0"),
        ] {
            let head = event("head", &format!(r#"{{"slot":{slot},"block":"{ROOT}"}}"#));
            assert_eq!(
                (head.slot, head.parse_error.as_deref()),
                (None, Some(reason))
            );
            assert_eq!(head.fault, Some(Fault::OddField));
            assert!(matches!(head.body, Body::Json(_)));
        }
        // erigon#20885
        let reorg = event(
            "chain_reorg",
            r#"{"slot":"14211297","depth":"18446744073709551614"}"#,
        );
        assert_eq!(reorg.slot, Some(14_211_297));
        assert_eq!(reorg.reorg.unwrap().depth, None);
        assert_eq!(
            reorg.parse_error.unwrap(),
            "depth 18446744073709551614 is over 2^63-1"
        );
    }

    #[test]
    fn what_is_not_json_is_kept_as_text() {
        for data in [
            "<html><body>502 Bad Gateway",
            "{\"slot\":\"5\",\"blo",
            "",
            "[]",
            "17",
        ] {
            let odd = event("head", data);
            assert_eq!(odd.fault, Some(Fault::Unreadable), "{data}");
            assert_eq!(odd.body, Body::Raw(data.into()));
            assert!(odd.parse_error.is_some());
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
        assert_eq!(event("head", &deep).fault, Some(Fault::Unreadable));
    }

    #[test]
    fn an_unknown_topic_is_kept_whole() {
        let odd = event("block_v9", r#"{"slot":"x","block":7}"#);
        assert_eq!((odd.topic.name(), odd.parse_error), ("block_v9", None));
        assert!(matches!(odd.body, Body::Json(_)));
    }

    #[test]
    fn nested_topics() {
        let vote = format!(
            r#"{{"aggregation_bits":"0x07","data":{{"slot":"8","beacon_block_root":"{ROOT}"}}}}"#
        );
        assert_eq!(event("attestation", &vote).slot, Some(8));
        assert!(event("attestation", &vote).block.is_some());
        let head = format!(r#"{{"version":"gloas","data":{{"slot":"9","block":"{ROOT}"}}}}"#);
        assert_eq!(event("head_v2", &head).slot, Some(9));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(topic in "[a-z_]{0,12}|head|chain_reorg", data in ".{0,200}") {
            event(&topic, &data);
        }
    }
}
