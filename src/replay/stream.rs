//! A recorded event stream: its lines through the agent's own reader, its events to facts. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::stamp::{self, Line};
use crate::agent::beacon::event::{self, BeaconEvent, Body, Fault};
use crate::agent::beacon::heavy::{self, Heavy, Vote};
use crate::agent::beacon::sse::{Frame, FrameCutter};
use crate::agent::beacon::topics::Topic;
use crate::chain_spec::unsigned;
use crate::network::{Fact, ReportedReorg, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// As the agent's `max_event_bytes`.
const FRAME_LIMIT: usize = 4 << 20;

const NO_TIME: &str =
    "line without receive time, expected nanoseconds and a tab or seconds and a blank";
const NO_STREAM: &str = "line is not of a stream, expected event:, data: or a receive time";

/// Puts events together line by line.
pub(super) struct Stream {
    cutter: FrameCutter,
    /// Whether its lines have times; `None` before the first.
    is_timed: Option<bool>,
    has_data: bool,
}

/// What a line completes.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Event(BeaconEvent),
    Vote(Vote),
}

/// With the time of the line that ends it, as the agent stamps it.
pub(super) type Timed = (Option<DateTime<Utc>>, Told);

impl Default for Stream {
    fn default() -> Self {
        Self {
            cutter: FrameCutter::new(FRAME_LIMIT),
            is_timed: None,
            has_data: false,
        }
    }
}

impl Stream {
    /// A line completes an event, or does not, or is wrong.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<Option<Timed>, &'static str> {
        let (at, line) = match stamp::read(line) {
            Some(Line::At(at, line)) => (Some(at), line),
            Some(Line::Bare(line)) => (None, line),
            Some(Line::Remark) => return Ok(None),
            None if self.is_timed == Some(false) => return Err(NO_STREAM),
            None => return Err(NO_TIME),
        };
        if *self.is_timed.get_or_insert(at.is_some()) != at.is_some() {
            return Err(NO_TIME);
        }
        // A connection that broke leaves an event without its end.
        let cut_off = self.has_data && line.starts_with(b"event:");
        if cut_off {
            self.cutter = FrameCutter::new(FRAME_LIMIT);
        }
        let goes_on = self.has_data && !cut_off && !line.is_empty();
        self.has_data = goes_on || line.starts_with(b"data:");
        let received_at = at.unwrap_or(DateTime::UNIX_EPOCH);
        self.cutter.push(line, received_at);
        self.cutter.push(b"\n", received_at);
        if cut_off {
            return Err("event cut off");
        }
        let frame = self.cutter.pop().filter(|frame| !frame.data.is_empty());
        Ok(match frame {
            Some(frame) => told(frame)?.map(|told| (at, told)),
            None => None,
        })
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.has_data
    }
}

fn told(frame: Frame) -> Result<Option<Told>, &'static str> {
    match heavy::read(&frame) {
        Heavy::Vote(vote) => Ok(Some(Told::Vote(vote))),
        Heavy::Other { .. } => Ok(None),
        Heavy::Odd(Fault::Oversized) => Err("event over 4 MiB"),
        Heavy::Odd(Fault::Unreadable) => Err("event is not JSON"),
        Heavy::Odd(Fault::OddField) => Err("vote without its fields"),
        Heavy::Foreign => {
            let event = event::read(frame);
            match (&event.topic, event.fault) {
                (Topic::Other(_), _) => Ok(None),
                (_, Some(Fault::Unreadable)) => Err("event is not JSON"),
                (_, Some(Fault::Oversized)) => Err("event over 4 MiB"),
                _ => Ok(Some(Told::Event(event))),
            }
        }
    }
}

/// What the event says; empty for topics that say nothing about the chain's shape. Without a time nothing has arrived.
pub(super) fn facts(
    event: &BeaconEvent,
    at: Option<DateTime<Utc>>,
    spec: &ChainSpec,
) -> Result<Vec<Fact>, &'static str> {
    let Body::Json(body) = &event.body else {
        return Err("event is not JSON");
    };
    // Versioned topics wrap their payload.
    let body = body
        .get("data")
        .filter(|data| data.is_object())
        .unwrap_or(body);
    let block = event
        .slot
        .zip(event.block)
        .map(|(slot, root)| BlockRef { slot, root });
    let seen = |block: BlockRef, source| Fact::Seen {
        block,
        source,
        arrival_ms: at.map(|at| spec.arrival_ms(block.slot, at, 0.0)),
    };
    let facts = match event.topic {
        Topic::BlockGossip => block.map(|block| vec![seen(block, Source::Gossip)]),
        Topic::Block => block.map(|block| vec![seen(block, Source::Block)]),
        Topic::Head | Topic::HeadV2 => {
            block.map(|block| vec![seen(block, Source::Head), Fact::Head(block)])
        }
        Topic::ChainReorg => reported(event).map(|report| vec![Fact::Reorg(report)]),
        Topic::ProposerSlashing => proposer_slashing(body).map(|fact| vec![fact]),
        Topic::AttesterSlashing => attester_slashing(body).map(|fact| vec![fact]),
        Topic::FinalizedCheckpoint => {
            let checkpoint = event.epoch.zip(event.block);
            checkpoint.map(|(epoch, root)| vec![Fact::Finalized { epoch, root }])
        }
        _ => Some(Vec::new()),
    };
    facts.ok_or("event without its fields, expected those of the Beacon API")
}

/// A slot and when it begins, in Unix seconds, where an event says both: the clock of a chain that nobody states.
pub(super) fn clock_of(event: &BeaconEvent) -> Option<(u64, u64)> {
    let Body::Json(body) = &event.body else {
        return None;
    };
    let timestamp = body.pointer("/data/payload_attributes/timestamp")?;
    Some((event.slot?, unsigned(timestamp)?))
}

/// Depths beyond an Elasticsearch `long` are dropped, as live: erigon#20885.
fn reported(event: &BeaconEvent) -> Option<ReportedReorg> {
    let report = event.reorg.as_ref()?;
    let root = |text: &Option<String>| text.as_ref()?.parse::<Root>().ok();
    Some(ReportedReorg {
        slot: event.slot?,
        depth: report.depth?,
        old_head: root(&report.old_head),
        new_head: root(&report.new_head),
    })
}

/// Both headers name the slot and the proposer.
fn proposer_slashing(body: &Value) -> Option<Fact> {
    let header = body.pointer("/signed_header_1/message")?;
    Some(Fact::Slashing {
        slot: unsigned(header.get("slot")?)?,
        proposer_index: unsigned(header.get("proposer_index")?)?,
    })
}

/// Those who are in both votes cast them.
fn attester_slashing(body: &Value) -> Option<Fact> {
    let attesters = |path| -> Option<BTreeSet<u64>> {
        let indices = body.pointer(path)?.as_array()?;
        Some(indices.iter().filter_map(unsigned).collect())
    };
    let one = attesters("/attestation_1/attesting_indices")?;
    let other = attesters("/attestation_2/attesting_indices")?;
    let slot = unsigned(body.pointer("/attestation_1/data/slot")?)?;
    let validators = one.intersection(&other).copied().collect();
    Some(Fact::VoteSlashing { slot, validators })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Vec<(Option<i64>, BeaconEvent)>, Vec<&'static str>) {
        let mut stream = Stream::default();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for line in lines {
            match stream.push(line.as_bytes()) {
                Ok(Some((at, Told::Event(event)))) => {
                    good.push((at.map(|at| at.timestamp()), event));
                }
                Ok(_) => {}
                Err(reason) => bad.push(reason),
            }
        }
        (good, bad)
    }

    fn one(topic: &str, data: &str) -> Result<Vec<Fact>, &'static str> {
        let spec = ChainSpec::example();
        let mut stream = Stream::default();
        for line in [format!("event: {topic}"), format!("data: {data}")] {
            stream.push(line.as_bytes())?;
        }
        let at = spec.slot_start(7) + chrono::TimeDelta::milliseconds(420);
        match stream.push(b"")? {
            Some((None, Told::Event(event))) => facts(&event, Some(at), &spec),
            _ => Ok(Vec::new()),
        }
    }

    #[test]
    fn lines_become_events_whatever_lies_between() {
        let (good, bad) = read(&[
            "# HTTP 200",
            "5\t:",
            "5\t",
            "7\tevent: head",
            "7\tdata: {\"a\":",
            "9\tdata:1}",
            "9\t",
            "x\tdata: 1",
            "event: head",
        ]);
        let body = Body::Json(serde_json::json!({"a": 1}));
        assert_eq!(good.len(), 1);
        assert_eq!((good[0].0, &good[0].1.topic), (Some(9), &Topic::Head));
        assert_eq!(good[0].1.body, body);
        assert_eq!(bad, [NO_TIME, NO_TIME]);
        let (good, bad) = read(&["event: head", "data: {}", "", "7\tdata: {}", "<html>"]);
        assert_eq!((good.len(), good[0].0), (1, None));
        assert_eq!(bad, [NO_TIME, NO_STREAM]);
    }

    #[test]
    fn a_broken_connection_costs_one_event() {
        let (good, bad) = read(&[
            "1\tevent: head",
            "1\tdata: {\"sl",
            "2\tevent: block",
            "2\tdata: {}",
            "2\t",
        ]);
        assert_eq!((good.len(), bad), (1, vec!["event cut off"]));
        assert_eq!(good[0].1.topic, Topic::Block);
    }

    #[test]
    fn heads_are_also_sightings_and_versions_are_unwrapped() {
        let root = format!("0x{}", "11".repeat(32));
        let block = BlockRef {
            slot: 7,
            root: root.parse().unwrap(),
        };
        let seen = Fact::Seen {
            block,
            source: Source::Head,
            arrival_ms: Some(420),
        };
        let plain = format!(r#"{{"slot":"7","block":"{root}","state":"x"}}"#);
        let told = Ok(vec![seen, Fact::Head(block)]);
        assert_eq!(one("head", &plain), told);
        let versioned = format!(r#"{{"version":"gloas","data":{{"slot":7,"block":"{root}"}}}}"#);
        assert_eq!(one("head_v2", &versioned), told);
    }

    #[test]
    fn slashings_name_who_signed_twice() {
        let header = r#"{"message":{"slot":"9","proposer_index":"66"}}"#;
        let proposal = format!(r#"{{"signed_header_1":{header},"signed_header_2":{header}}}"#);
        let slashing = Fact::Slashing {
            slot: 9,
            proposer_index: 66,
        };
        assert_eq!(one("proposer_slashing", &proposal), Ok(vec![slashing]));
        let vote =
            |indices: &str| format!(r#"{{"attesting_indices":[{indices}],"data":{{"slot":"9"}}}}"#);
        let (first, other) = (vote(r#""1","2","3""#), vote(r#""2","3","4""#));
        let votes = format!(r#"{{"attestation_1":{first},"attestation_2":{other}}}"#);
        let slashing = Fact::VoteSlashing {
            slot: 9,
            validators: vec![2, 3],
        };
        assert_eq!(one("attester_slashing", &votes), Ok(vec![slashing]));
        assert!(one("attester_slashing", "{}").is_err());
    }

    #[test]
    fn hostile_events_are_counted_and_unknown_ones_ignored() {
        assert_eq!(one("head", "<html>"), Err("event is not JSON"));
        let lacking = Err("event without its fields, expected those of the Beacon API");
        assert_eq!(one("block", r#"{"slot":"-1","block":"0x00"}"#), lacking);
        assert_eq!(one("attestation", "whatever"), Err("event is not JSON"));
        assert_eq!(one("attestation", "{}"), Err("vote without its fields"));
        assert_eq!(one("of_tomorrow", "whatever"), Ok(Vec::new()));
        let underflow = r#"{"slot":"3","depth":"18446744073709551614","old_head_block":"0x"}"#;
        assert_eq!(one("chain_reorg", underflow), lacking);
        let Ok([Fact::Reorg(report)]) = one(
            "chain_reorg",
            r#"{"slot":"3","depth":"7","old_head_block":"0x"}"#,
        )
        .as_deref()
        .map(|facts| [facts[0].clone()]) else {
            panic!("not a report")
        };
        assert_eq!((report.depth, report.old_head), (7, None));
    }

    #[test]
    fn an_event_about_the_next_proposal_tells_the_clock() {
        let attributes = r#"{"version":"fulu","data":{"proposal_slot":"39","payload_attributes":{"timestamp":"1795254396"}}}"#;
        let (good, _) = read(&[
            "event: payload_attributes",
            &format!("data: {attributes}"),
            "",
        ]);
        assert_eq!(clock_of(&good[0].1), Some((39, 1_795_254_396)));
    }
}
