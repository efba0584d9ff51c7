//! One node's files, read into what it said and when.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::blocks::Unnamed;
use super::clock::Stated;
use super::files::{Troubles, each_line, whole};
use super::layout::NodeFiles;
use super::rest::{Answer, Told};
use super::stream::{self, Stream};
use super::votes::Votes;
use crate::chain_spec::unsigned;
use crate::network::{Fact, Observation, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// One node, before and after the chain's clock is known.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) files: NodeFiles,
    pub(super) client: Option<String>,
    pub(super) genesis: Option<Value>,
    pub(super) spec: Option<Value>,
    pub(super) heard: Vec<(DateTime<Utc>, Fact)>,
    /// Links whose time nobody wrote down.
    pub(super) links: Vec<Fact>,
    pub(super) unnamed: Vec<Unnamed>,
    pub(super) starts: Vec<(u64, u64)>,
    /// Blocks of its chain that were asked for by slot.
    on_chain: Vec<(DateTime<Utc>, BlockRef)>,
    /// The newest of them, where nothing else tells the node's head.
    pub(super) asked_up_to: Option<u64>,
}

/// A line of `heads.ndjson`: the head whenever it changed, or that nobody answered.
#[derive(Deserialize)]
struct PolledHead {
    t0_ns: i64,
    t1_ns: i64,
    slot: Option<Value>,
    root: Option<Value>,
}

const NO_HEAD: &str = "line is no polled head, expected JSON with t0_ns, t1_ns, slot and root";

impl Node {
    pub(super) fn new(name: String, files: NodeFiles) -> Self {
        Self {
            name,
            files,
            client: None,
            genesis: None,
            spec: None,
            heard: Vec::new(),
            links: Vec::new(),
            unnamed: Vec::new(),
            starts: Vec::new(),
            on_chain: Vec::new(),
            asked_up_to: None,
        }
    }

    /// What needs no clock: the answers, and those whose time nobody wrote down.
    pub(super) fn read_answers(&mut self, troubles: &mut Troubles) {
        for path in self.files.answers.clone() {
            each_line(&path, troubles, |line| {
                let answer = Answer::parse(line)?;
                self.take(answer.told()?, answer.at());
                Ok(())
            });
        }
        for path in self.files.bodies.clone() {
            match body(&path, troubles) {
                Ok(told) => self.take(told, None),
                Err(reason) => troubles.add(&path, reason, 1),
            }
        }
    }

    fn take(&mut self, told: Told, at: Option<DateTime<Utc>>) {
        self.genesis = self.genesis.take().or(told.genesis);
        self.spec = self.spec.take().or(told.spec);
        self.client = self.client.take().or(told.version);
        self.unnamed.extend(told.unnamed);
        self.starts.extend(told.clock);
        match at {
            Some(at) => {
                self.heard
                    .extend(told.facts.into_iter().map(|fact| (at, fact)));
                self.on_chain.extend(told.on_chain.map(|block| (at, block)));
            }
            None => self.links.extend(told.facts),
        }
    }

    /// The clock as the stream shows it, where nobody states it.
    pub(super) fn read_clock(&self, stated: &mut Stated) {
        for path in &self.files.streams {
            let mut stream = Stream::default();
            // What is wrong is said when the stream is read for all it has.
            each_line(path, &mut Troubles::default(), |line| {
                match stream.push(line)? {
                    Some((at, stream::Told::Event(event))) => {
                        stated.starts.extend(stream::clock_of(&event));
                        stated.began = stated.began.into_iter().chain(at).min();
                    }
                    Some((_, stream::Told::Vote(vote))) => {
                        stated.epochs.insert((vote.slot, vote.target_epoch));
                    }
                    None => {}
                }
                Ok(())
            });
        }
    }

    /// What takes the chain's clock.
    pub(super) fn read_times(&mut self, spec: &ChainSpec, troubles: &mut Troubles) {
        let files = &self.files;
        let (streams, heads, blocks) = (
            files.streams.clone(),
            files.heads.clone(),
            files.blocks.clone(),
        );
        for path in streams {
            self.read_stream(&path, spec, troubles);
        }
        for path in heads {
            self.read_heads(&path, spec, troubles);
        }
        for path in blocks {
            self.read_blocks(&path, spec, troubles);
        }
        let tells_head = |fact: &Fact| matches!(fact, Fact::Head(_) | Fact::PolledHead(_));
        if !self.heard.iter().any(|(_, fact)| tells_head(fact)) {
            // A node that has a block on its chain has a head that is no older.
            self.on_chain.sort();
            for (at, block) in std::mem::take(&mut self.on_chain) {
                if self.asked_up_to < Some(block.slot) {
                    self.asked_up_to = Some(block.slot);
                    self.heard.push((at, Fact::PolledHead(block)));
                    self.heard.push((at, seen_by_asking(block, None)));
                }
            }
        }
    }

    fn read_stream(&mut self, path: &Path, spec: &ChainSpec, troubles: &mut Troubles) {
        let mut stream = Stream::default();
        let mut votes = Votes::default();
        let (mut untimed, mut last) = (0, DateTime::<Utc>::MIN_UTC);
        let mut events = 0;
        each_line(path, troubles, |line| {
            let Some((at, told)) = stream.push(line)? else {
                return Ok(());
            };
            events += 1;
            untimed += u64::from(at.is_none());
            match told {
                stream::Told::Vote(vote) => {
                    votes.take(
                        &vote,
                        at.unwrap_or_else(|| spec.slot_start(vote.slot)),
                        spec,
                    );
                }
                stream::Told::Event(event) => {
                    // Where nobody wrote down when, its slot says where it belongs.
                    let start = event.slot.map(|slot| spec.slot_start(slot));
                    last = at.or(start.map(|start| start.max(last))).unwrap_or(last);
                    if last > DateTime::<Utc>::MIN_UTC {
                        let facts = stream::facts(&event, at, spec)?;
                        self.heard
                            .extend(facts.into_iter().map(|fact| (last, fact)));
                    }
                }
            }
            Ok(())
        });
        self.heard.extend(votes.facts());
        troubles.add(
            path,
            "event cut off at the end",
            u64::from(stream.is_cut_off()),
        );
        troubles.add(
            path,
            "events without receive time, put where their slot begins",
            untimed,
        );
        troubles.add(
            path,
            "no event in it",
            u64::from(events == 0 && path.exists()),
        );
    }

    /// A head that changed between two polls is a sighting of its block; the first one of all, or after a time without
    /// answers, may be old.
    fn read_heads(&mut self, path: &Path, spec: &ChainSpec, troubles: &mut Troubles) {
        let mut before = None;
        each_line(path, troubles, |line| {
            let poll: PolledHead = serde_json::from_slice(line).map_err(|_| NO_HEAD)?;
            let (Some(slot), Some(Value::String(root))) = (poll.slot, poll.root) else {
                before = None;
                return Ok(());
            };
            let block = BlockRef {
                slot: unsigned(&slot).ok_or(NO_HEAD)?,
                root: root.parse().map_err(|_| NO_HEAD)?,
            };
            let at = DateTime::from_timestamp_nanos(poll.t1_ns);
            self.heard.push((at, Fact::PolledHead(block)));
            let changed = before.replace(block).is_some_and(|before| before != block);
            let arrival_ms = changed.then(|| spec.arrival_ms(block.slot, at, 0.0));
            self.heard.push((at, seen_by_asking(block, arrival_ms)));
            if poll.t1_ns.saturating_sub(poll.t0_ns) / 1_000_000 > spec.slot_duration_ms as i64 {
                return Err("answer took longer than a slot");
            }
            Ok(())
        });
    }

    /// Each block was asked for the moment its event came, so the time of asking stands for an event that is missing.
    fn read_blocks(&mut self, path: &Path, spec: &ChainSpec, troubles: &mut Troubles) {
        each_line(path, troubles, |line| {
            let answer = Answer::parse(line)?;
            let told = answer.told()?;
            if let Some(at) = answer.asked_at() {
                for fact in &told.facts {
                    if let Fact::Block { block, .. } = fact {
                        let arrival_ms = spec.arrival_ms(block.slot, at, 0.0);
                        self.heard
                            .push((at, seen_by_asking(*block, Some(arrival_ms))));
                    }
                }
            }
            self.take(told, answer.at());
            Ok(())
        });
    }

    pub(super) fn observations(&mut self) -> Vec<Observation> {
        let heard = std::mem::take(&mut self.heard);
        let numbered = heard
            .into_iter()
            .enumerate()
            .map(|(order, (at, fact))| Observation {
                node: self.name.clone(),
                client: self.client.clone(),
                at,
                order: order as u64,
                fact,
            });
        numbered.collect()
    }

    pub(super) fn genesis_root(&self) -> Option<Root> {
        let genesis = self.genesis.as_ref()?;
        let data = genesis.get("data").unwrap_or(genesis);
        data["genesis_validators_root"].as_str()?.parse().ok()
    }
}

/// An answer that lies in a file of its own. An empty one, as of `/eth/v1/node/health`, tells nothing.
pub(super) fn body(path: &Path, troubles: &mut Troubles) -> Result<Told, &'static str> {
    let bytes = whole(path, troubles);
    if bytes.trim_ascii().is_empty() || !bytes.trim_ascii().starts_with(b"{") {
        return Ok(Told::default());
    }
    Told::of_body(&bytes)
}

fn seen_by_asking(block: BlockRef, arrival_ms: Option<i64>) -> Fact {
    Fact::Seen {
        block,
        source: Source::Poll,
        arrival_ms,
    }
}
