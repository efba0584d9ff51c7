//! Recorded REST answers: one JSON object a line with path, status, times and body. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chain_spec::unsigned;
use crate::network::{Fact, Source};
use crate::slot::{BlockRef, Root};

/// A line of `rest.ndjson` or `blocks.ndjson`. The body is parsed only where it is of use: most are large.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    t0_ns: i64,
    t1_ns: i64,
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    status: i64,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// What an answer tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) facts: Vec<Fact>,
    pub(super) genesis: Option<Value>,
    pub(super) spec: Option<Value>,
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Header {
    root: Root,
    header: Signed,
}

#[derive(Deserialize)]
struct Signed {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    slot: Value,
    parent_root: Root,
    proposer_index: Option<Value>,
}

const UNUSABLE: &str = "answer without its fields";

impl<'a> Answer<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(line).map_err(|_| "line is no recorded answer")
    }

    /// When the request was sent.
    pub(super) fn asked_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.t0_ns)
    }

    /// When the answer was complete.
    pub(super) fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.t1_ns)
    }

    pub(super) fn told(&self) -> Result<Told, &'static str> {
        let mut told = Told::default();
        let Some(body) = self.body.filter(|_| self.status == 200) else {
            return Ok(told);
        };
        let path = self
            .path
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_start_matches('/');
        let parts: Vec<_> = path.split('/').collect();
        match parts[..] {
            ["eth", _, "beacon", "genesis"] => told.genesis = Some(parse(body)?),
            ["eth", _, "config", "spec"] => told.spec = Some(parse(body)?),
            ["eth", _, "node", "version"] => {
                told.version = data(body)?["version"].as_str().map(str::to_owned)
            }
            ["eth", _, "node", "syncing"] => {
                let syncing = data(body)?["is_syncing"].as_bool().ok_or(UNUSABLE)?;
                told.facts.push(Fact::Status { syncing });
            }
            ["eth", _, "beacon", "headers", id] => {
                let header = parse::<Envelope<Header>>(body)?.data;
                let (block, link) = link(header.root, &header.header.message)?;
                told.facts.push(link);
                if id == "head" {
                    told.facts.push(Fact::PolledHead(block));
                }
            }
            ["eth", _, "beacon", "headers"] => {
                for header in parse::<Envelope<Vec<Header>>>(body)?.data {
                    told.facts
                        .push(link(header.root, &header.header.message)?.1);
                }
            }
            // By slot, an answer does not say which root it has.
            ["eth", _, "beacon", "blocks", id] if id.starts_with("0x") => {
                let root = id.parse().map_err(|_| UNUSABLE)?;
                let message = parse::<Envelope<Signed>>(body)?.data.message;
                told.facts.push(link(root, &message)?.1);
            }
            ["eth", _, "beacon", "states", "head", "finality_checkpoints"] => {
                told.facts.extend(checkpoint(&data(body)?["finalized"]));
            }
            ["eth", _, "debug", "fork_choice"] => {
                let dump = parse::<Value>(body)?;
                let nodes = dump["fork_choice_nodes"].as_array().ok_or(UNUSABLE)?;
                told.facts.extend(nodes.iter().filter_map(fork_choice_node));
            }
            ["eth", _, "debug", "beacon", "heads"] => {
                let heads = data(body)?;
                told.facts
                    .extend(heads.as_array().ok_or(UNUSABLE)?.iter().filter_map(tip));
            }
            _ => {}
        }
        Ok(told)
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a RawValue) -> Result<T, &'static str> {
    serde_json::from_str(body.get()).map_err(|_| UNUSABLE)
}

fn data(body: &RawValue) -> Result<Value, &'static str> {
    Ok(parse::<Envelope<Value>>(body)?.data)
}

fn link(root: Root, message: &Message) -> Result<(BlockRef, Fact), &'static str> {
    let slot = unsigned(&message.slot).ok_or(UNUSABLE)?;
    let block = BlockRef { slot, root };
    let fact = Fact::Block {
        block,
        parent_root: message.parent_root,
        proposer_index: message.proposer_index.as_ref().and_then(unsigned),
    };
    Ok((block, fact))
}

fn checkpoint(checkpoint: &Value) -> Option<Fact> {
    Some(Fact::Finalized {
        epoch: unsigned(&checkpoint["epoch"])?,
        root: Root::deserialize(&checkpoint["root"]).ok()?,
    })
}

fn fork_choice_node(node: &Value) -> Option<Fact> {
    let block = BlockRef {
        slot: unsigned(&node["slot"])?,
        root: Root::deserialize(&node["block_root"]).ok()?,
    };
    // The oldest node of the dump may have no parent, or a zero one.
    let parent_root = Root::deserialize(&node["parent_root"]).unwrap_or_default();
    Some(Fact::Block {
        block,
        parent_root,
        proposer_index: None,
    })
}

fn tip(tip: &Value) -> Option<Fact> {
    let block = BlockRef {
        slot: unsigned(&tip["slot"])?,
        root: Root::deserialize(&tip["root"]).ok()?,
    };
    Some(Fact::Seen {
        block,
        source: Source::Poll,
        arrival_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, body: &str) -> Result<Told, &'static str> {
        let line = format!(
            r#"{{"t0_ns":1,"t1_ns":2,"method":"GET","path":"{path}","status":200,"body":{body}}}"#
        );
        Answer::parse(line.as_bytes())?.told()
    }

    const MESSAGE: &str = r#"{"slot":"9","proposer_index":"3","parent_root":"0x2222222222222222222222222222222222222222222222222222222222222222","body":{}}"#;
    const ROOT: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

    #[test]
    fn links_are_read_from_every_answer_that_has_them() {
        let block = BlockRef {
            slot: 9,
            root: Root([0x11; 32]),
        };
        let link = |proposer_index| Fact::Block {
            block,
            parent_root: Root([0x22; 32]),
            proposer_index,
        };
        let header = format!(r#"{{"root":"{ROOT}","header":{{"message":{MESSAGE}}}}}"#);
        let head = told(
            "/eth/v1/beacon/headers/head",
            &format!(r#"{{"data":{header}}}"#),
        )
        .unwrap();
        assert_eq!(head.facts, [link(Some(3)), Fact::PolledHead(block)]);
        let listed = told(
            "/eth/v1/beacon/headers?slot=9",
            &format!(r#"{{"data":[{header}]}}"#),
        )
        .unwrap();
        assert_eq!(listed.facts, [link(Some(3))]);
        let by_root = told(
            &format!("/eth/v2/beacon/blocks/{ROOT}"),
            &format!(r#"{{"data":{{"message":{MESSAGE}}}}}"#),
        );
        assert_eq!(by_root.unwrap().facts, [link(Some(3))]);
        let dump = format!(
            r#"{{"fork_choice_nodes":[{{"slot":9,"block_root":"{ROOT}","parent_root":"{}"}}, 7]}}"#,
            "0x".to_owned() + &"22".repeat(32)
        );
        assert_eq!(
            told("/eth/v1/debug/fork_choice", &dump).unwrap().facts,
            [link(None)]
        );
    }

    #[test]
    fn refusals_and_rubbish_tell_nothing() {
        assert_eq!(told("/eth/v1/node/syncing", r#""<html>""#), Err(UNUSABLE));
        assert_eq!(told("/eth/v1/node/identity", "{}"), Ok(Told::default()));
        assert_eq!(
            Answer::parse(b"{\"t0_ns\":1").err(),
            Some("line is no recorded answer")
        );
        let refused = br#"{"t0_ns":1,"t1_ns":2,"path":"/eth/v1/config/spec","status":404,"body":{"data":{}}}"#;
        assert_eq!(Answer::parse(refused).unwrap().told(), Ok(Told::default()));
        let unreachable =
            br#"{"t0_ns":1,"t1_ns":2,"path":"/eth/v1/config/spec","status":0,"error":"refused"}"#;
        assert_eq!(
            Answer::parse(unreachable).unwrap().told(),
            Ok(Told::default())
        );
    }
}
