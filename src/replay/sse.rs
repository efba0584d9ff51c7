//! A recorded event stream: `receive time in ns, tab, line`. Lines to frames first, frames to facts second. Pure.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::chain_spec::unsigned;
use crate::network::{Fact, ReportedReorg, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// Puts frames together line by line.
#[derive(Debug, Default)]
pub(super) struct Frames {
    topic: String,
    data: String,
}

/// One event of the stream. Its time is that of its last line of data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) at: DateTime<Utc>,
    pub(super) topic: String,
    pub(super) data: String,
}

impl Frames {
    /// A line completes a frame, or does not, or is wrong.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<Option<Frame>, &'static str> {
        let line = str::from_utf8(line).map_err(|_| "line is not text")?;
        let (time, line) = line.split_once('\t').ok_or("line without receive time")?;
        let at = time.parse().map(DateTime::from_timestamp_nanos);
        let at = at.map_err(|_| "line without receive time")?;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => {
                // A connection that broke leaves a frame without its end.
                let cut_off = !self.data.is_empty();
                self.data.clear();
                value.clone_into(&mut self.topic);
                if cut_off {
                    return Err("event cut off");
                }
            }
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "" if line.is_empty() && !self.data.is_empty() => {
                return Ok(Some(Frame {
                    at,
                    topic: std::mem::take(&mut self.topic),
                    data: std::mem::take(&mut self.data),
                }));
            }
            _ => {} // a comment, `id` or `retry`, or the end of a frame without data
        }
        Ok(None)
    }

    pub(super) fn is_cut_off(&self) -> bool {
        !self.data.is_empty()
    }
}

impl Frame {
    /// What the event says; empty for topics that say nothing about the chain's shape.
    pub(super) fn facts(&self, spec: &ChainSpec) -> Result<Vec<Fact>, &'static str> {
        let known = [
            "block_gossip",
            "block",
            "head",
            "head_v2",
            "chain_reorg",
            "finalized_checkpoint",
        ];
        if !known.contains(&self.topic.as_str()) {
            return Ok(Vec::new());
        }
        let body: Value = serde_json::from_str(&self.data).map_err(|_| "event is not JSON")?;
        // Versioned topics wrap their payload.
        let body = body
            .get("data")
            .filter(|data| data.is_object())
            .unwrap_or(&body);
        let facts = match self.topic.as_str() {
            "block_gossip" => self.seen(body, Source::Gossip, spec).map(|seen| vec![seen]),
            "block" => self.seen(body, Source::Block, spec).map(|seen| vec![seen]),
            "head" | "head_v2" => self
                .seen(body, Source::Head, spec)
                .and_then(|seen| Some(vec![seen, Fact::Head(block(body)?)])),
            "chain_reorg" => reported(body).map(|report| vec![Fact::Reorg(report)]),
            _ => checkpoint(body).map(|fact| vec![fact]),
        };
        facts.ok_or("event without its fields")
    }

    fn seen(&self, body: &Value, source: Source, spec: &ChainSpec) -> Option<Fact> {
        let block = block(body)?;
        Some(Fact::Seen {
            block,
            source,
            arrival_ms: Some(spec.arrival_ms(block.slot, self.at, 0.0)),
        })
    }
}

fn block(body: &Value) -> Option<BlockRef> {
    Some(BlockRef {
        slot: unsigned(body.get("slot")?)?,
        root: root(body, "block")?,
    })
}

fn reported(body: &Value) -> Option<ReportedReorg> {
    Some(ReportedReorg {
        slot: unsigned(body.get("slot")?)?,
        depth: unsigned(body.get("depth")?)?,
        old_head: root(body, "old_head_block"),
        new_head: root(body, "new_head_block"),
    })
}

fn checkpoint(body: &Value) -> Option<Fact> {
    Some(Fact::Finalized {
        epoch: unsigned(body.get("epoch")?)?,
        root: root(body, "block")?,
    })
}

fn root(body: &Value, key: &str) -> Option<Root> {
    Root::deserialize(body.get(key)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lines: &[&str]) -> (Vec<Frame>, Vec<&'static str>) {
        let mut frames = Frames::default();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for line in lines {
            match frames.push(line.as_bytes()) {
                Ok(frame) => good.extend(frame),
                Err(reason) => bad.push(reason),
            }
        }
        (good, bad)
    }

    fn facts(topic: &str, data: &str) -> Result<Vec<Fact>, &'static str> {
        let spec = ChainSpec::example();
        let frame = Frame {
            at: spec.slot_start(7) + chrono::TimeDelta::milliseconds(420),
            topic: topic.into(),
            data: data.into(),
        };
        frame.facts(&spec)
    }

    #[test]
    fn lines_become_frames_whatever_lies_between() {
        let (good, bad) = frames(&[
            "5\t:",
            "5\t",
            "7\tevent: head",
            "7\tdata: {\"a\":",
            "9\tdata:1}",
            "9\t",
            "x\tdata: 1",
            "no tab",
        ]);
        assert_eq!(good.len(), 1);
        assert_eq!(
            (good[0].topic.as_str(), good[0].data.as_str()),
            ("head", "{\"a\":\n1}")
        );
        assert_eq!(good[0].at, DateTime::from_timestamp_nanos(9));
        assert_eq!(
            bad,
            ["line without receive time", "line without receive time"]
        );
    }

    #[test]
    fn a_broken_connection_costs_one_event() {
        let (good, bad) = frames(&[
            "1\tevent: head",
            "1\tdata: {\"sl",
            "2\tevent: block",
            "2\tdata: {}",
            "2\t",
        ]);
        assert_eq!(
            (good.len(), good[0].topic.as_str(), bad),
            (1, "block", vec!["event cut off"])
        );
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
        assert_eq!(
            facts("head", &plain),
            Ok(vec![seen.clone(), Fact::Head(block)])
        );
        let versioned = format!(r#"{{"version":"gloas","data":{{"slot":7,"block":"{root}"}}}}"#);
        assert_eq!(
            facts("head_v2", &versioned),
            Ok(vec![seen, Fact::Head(block)])
        );
    }

    #[test]
    fn hostile_events_are_counted_and_unknown_ones_ignored() {
        assert_eq!(facts("head", "<html>"), Err("event is not JSON"));
        assert_eq!(
            facts("block", r#"{"slot":"-1","block":"0x00"}"#),
            Err("event without its fields")
        );
        assert_eq!(facts("attestation", "whatever"), Ok(Vec::new()));
        let underflow = r#"{"slot":"3","depth":"18446744073709551614","old_head_block":"0x"}"#;
        let Ok([Fact::Reorg(report)]) = facts("chain_reorg", underflow)
            .as_deref()
            .map(|facts| [facts[0].clone()])
        else {
            panic!("not a report")
        };
        assert_eq!((report.depth, report.old_head), (u64::MAX - 1, None));
    }
}
