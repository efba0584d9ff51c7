//! Recorded REST answers: one JSON object a line with path, status, times and body, or a body alone. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::blocks::{self, Unnamed};
use crate::chain_spec::unsigned;
use crate::network::{Fact, Source};
use crate::slot::{BlockRef, Root};

/// A line of `rest.ndjson` or `blocks.ndjson`. The body is parsed only where it is of use: most are large.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    t0_ns: Option<i64>,
    t1_ns: Option<i64>,
    /// The head of the answer's, to the second: where nobody took the time.
    #[serde(borrow)]
    date: Option<Cow<'a, str>>,
    #[serde(borrow)]
    path: Cow<'a, str>,
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
    /// A block asked for by slot or as the head, so that the answer does not say which root it has.
    pub(super) unnamed: Option<Unnamed>,
    /// A block of the node's chain, asked for by its slot.
    pub(super) on_chain: Option<BlockRef>,
    /// A slot and when it begins, in Unix seconds.
    pub(super) clock: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Header {
    root: Root,
    #[serde(default)]
    canonical: bool,
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

pub(super) const UNUSABLE: &str = "answer without its fields, expected those of the Beacon API";
const NO_ANSWER: &str =
    "line is no recorded answer, expected JSON with path, status, body and t0_ns, t1_ns or date";

impl<'a> Answer<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(line).map_err(|_| NO_ANSWER)
    }

    pub(super) fn is_beacon(&self) -> bool {
        self.path.starts_with("/eth/")
    }

    /// When the request was sent; `None` where nobody wrote it down.
    pub(super) fn asked_at(&self) -> Option<DateTime<Utc>> {
        self.t0_ns.map(DateTime::from_timestamp_nanos)
    }

    /// When the answer was complete; `None` where nobody wrote it down.
    pub(super) fn at(&self) -> Option<DateTime<Utc>> {
        let dated = || {
            let date = self.date.as_deref()?;
            let read =
                DateTime::parse_from_rfc2822(date).or_else(|_| DateTime::parse_from_rfc3339(date));
            Some(read.ok()?.to_utc())
        };
        self.t1_ns
            .map(DateTime::from_timestamp_nanos)
            .or_else(dated)
    }

    pub(super) fn told(&self) -> Result<Told, &'static str> {
        match self.body.filter(|_| self.status == 200) {
            Some(body) => Told::of(&self.path, body),
            None => Ok(Told::default()),
        }
    }
}

impl Told {
    /// What a body tells of which nobody wrote down what was asked for: the fields show it.
    pub(super) fn of_body(bytes: &[u8]) -> Result<Self, &'static str> {
        let body: &RawValue = serde_json::from_slice(bytes).map_err(|_| "file is not JSON")?;
        match path_of(&parse(body)?) {
            Some(path) => Self::of(path, body),
            None => Ok(Self::default()),
        }
    }

    fn of(path: &str, body: &RawValue) -> Result<Self, &'static str> {
        let mut told = Self::default();
        let path = path
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
                } else if header.canonical && id.bytes().all(|digit| digit.is_ascii_digit()) {
                    told.on_chain = Some(block);
                }
            }
            ["eth", _, "beacon", "headers"] => {
                for header in parse::<Envelope<Vec<Header>>>(body)?.data {
                    told.facts
                        .push(link(header.root, &header.header.message)?.1);
                }
            }
            ["eth", _, "beacon", "blocks", id] => {
                let block = blocks::read(&parse(body)?).ok_or(UNUSABLE)?;
                told.clock = block.clock;
                match id.strip_prefix("0x").and_then(|id| id.parse().ok()) {
                    Some(root) => told.facts.extend(block.named(root)),
                    None => told.unnamed = Some(block),
                }
            }
            ["eth", _, "beacon", "states", "head", "finality_checkpoints"] => {
                let data = data(body)?;
                told.facts.extend(checkpoint(&data["finalized"]));
                told.facts.extend(justified(&data["current_justified"]));
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

/// By its fields, the path of an answer that is known without it. Where an answer says what was so at its time, nothing.
fn path_of(body: &Value) -> Option<&'static str> {
    if body.get("fork_choice_nodes").is_some() {
        return Some("eth/v1/debug/fork_choice");
    }
    // A clock is also kept without its envelope.
    for (field, path) in [
        ("genesis_time", "eth/v1/beacon/genesis"),
        ("SLOTS_PER_EPOCH", "eth/v1/config/spec"),
    ] {
        if body.get("data").unwrap_or(body).get(field).is_some() {
            return Some(path);
        }
    }
    let data = body.get("data")?;
    let has = |pointer| data.pointer(pointer).is_some();
    Some(match () {
        () if has("/version") => "eth/v1/node/version",
        () if has("/header/message") => "eth/v1/beacon/headers/of-its-time",
        () if has("/0/header/message") => "eth/v1/beacon/headers",
        () if has("/message/body") => "eth/v2/beacon/blocks/of-its-time",
        () => return None,
    })
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

fn justified(checkpoint: &Value) -> Option<Fact> {
    let root = Root::deserialize(&checkpoint["root"]).ok()?;
    // Before the first justification the root is zero.
    (root != Root::ZERO).then_some(Fact::Justified {
        epoch: unsigned(&checkpoint["epoch"])?,
        root,
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
        assert_eq!(by_root.unwrap().facts[0], link(Some(3)));
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
    fn what_was_asked_for_is_known_by_the_fields() {
        let header =
            format!(r#"{{"root":"{ROOT}","canonical":true,"header":{{"message":{MESSAGE}}}}}"#);
        let told = Told::of_body(format!(r#"{{"data":{header}}}"#).as_bytes()).unwrap();
        assert_eq!((told.facts.len(), told.on_chain), (1, None));
        let block = format!(r#"{{"version":"capella","data":{{"message":{MESSAGE}}}}}"#);
        let told = Told::of_body(block.as_bytes()).unwrap();
        assert_eq!((told.facts.len(), told.unnamed.unwrap().slot), (0, 9));
        for genesis in [r#"{"data":{"genesis_time":"1"}}"#, r#"{"genesis_time":1}"#] {
            assert!(Told::of_body(genesis.as_bytes()).unwrap().genesis.is_some());
        }
        let syncing = br#"{"data":{"is_syncing":true,"head_slot":"4"}}"#;
        assert_eq!(Told::of_body(syncing), Ok(Told::default()));
        assert_eq!(Told::of_body(b"{"), Err("file is not JSON"));
    }

    #[test]
    fn an_answer_has_the_time_that_was_written_down() {
        let at = |stamp: &str| {
            let line = format!(r#"{{{stamp}"path":"/","status":200,"body":{{}}}}"#);
            Answer::parse(line.as_bytes())
                .unwrap()
                .at()
                .map(|at| at.timestamp())
        };
        assert_eq!(at(r#""t0_ns":1,"t1_ns":2000000000,"#), Some(2));
        assert_eq!(
            at(r#""date":"Fri, 23 May 2025 08:36:52 GMT","#),
            Some(1_747_989_412)
        );
        assert_eq!(at(r#""date":"yesterday","#), None);
        assert_eq!(at(""), None);
    }

    #[test]
    fn refusals_and_rubbish_tell_nothing() {
        assert_eq!(told("/eth/v1/node/syncing", r#""<html>""#), Err(UNUSABLE));
        assert_eq!(told("/eth/v1/node/identity", "{}"), Ok(Told::default()));
        assert_eq!(Answer::parse(b"{\"t0_ns\":1").err(), Some(NO_ANSWER));
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
