//! A directory of recorded nodes, read into the observations that a live network would have given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::files::{Troubles, each_line};
use super::rest::Answer;
use super::sse::Frames;
use crate::chain_spec::{from_rest_at_epoch, unsigned};
use crate::network::{Fact, Observation, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// What the nodes of one chain said, in the order in which it was received.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) spec: ChainSpec,
    pub(super) nodes: Vec<String>,
    pub(super) observations: Vec<Observation>,
    /// The last slot that was recorded to its end.
    pub(super) last_slot: u64,
    pub(super) ended_at: DateTime<Utc>,
}

/// One node's folder, before the chain's clock is known.
struct NodeFolder {
    name: String,
    path: PathBuf,
    client: Option<String>,
    genesis: Option<Value>,
    spec: Option<Value>,
    heard: Vec<(DateTime<Utc>, Fact)>,
}

/// A line of `heads.ndjson`: the head whenever it changed, or that nobody answered.
#[derive(Deserialize)]
struct PolledHead {
    t0_ns: i64,
    t1_ns: i64,
    #[serde(flatten)]
    head: BTreeMap<String, Value>,
}

impl Recording {
    pub(super) fn load(dir: &Path, troubles: &mut Troubles) -> anyhow::Result<Self> {
        let run = read_run(dir, troubles);
        let mut folders = node_folders(dir)?;
        for folder in &mut folders {
            folder.read_rest(troubles);
            if folder.client.is_none() {
                folder.client = client_in(&run, &folder.name);
            }
        }
        let genesis = common_genesis(&folders);
        folders.retain(|folder| {
            let same = folder
                .genesis_root()
                .is_none_or(|root| Some(root) == genesis);
            troubles.add(
                &folder.path,
                "of another chain, not compared",
                u64::from(!same),
            );
            same
        });
        let spec = chain_spec(&folders, &run)?;

        let mut observations = Vec::new();
        for folder in &mut folders {
            folder.read_stream(&spec, troubles);
            folder.read_heads(&spec, troubles);
            folder.read_blocks(&spec, troubles);
            observations.extend(folder.observations());
        }
        observations.sort_by(|one, other| {
            (one.at, &one.node, one.order).cmp(&(other.at, &other.node, other.order))
        });
        let ended_at = observations.last().context("nothing in it can be read")?.at;
        let last_ended = spec.slot_at(ended_at).unwrap_or(0).saturating_sub(1);
        Ok(Self {
            last_slot: unsigned(&run["end_slot"]).unwrap_or(last_ended),
            nodes: folders.into_iter().map(|folder| folder.name).collect(),
            spec,
            observations,
            ended_at,
        })
    }
}

impl NodeFolder {
    fn read_rest(&mut self, troubles: &mut Troubles) {
        let path = self.path.clone();
        each_line(&path, "rest.ndjson", troubles, |line| {
            let answer = Answer::parse(line)?;
            let told = answer.told()?;
            self.genesis = self.genesis.take().or(told.genesis);
            self.spec = self.spec.take().or(told.spec);
            self.client = self.client.take().or(told.version);
            let at = answer.at();
            self.heard
                .extend(told.facts.into_iter().map(|fact| (at, fact)));
            Ok(())
        });
    }

    fn read_stream(&mut self, spec: &ChainSpec, troubles: &mut Troubles) {
        let mut frames = Frames::default();
        let path = self.path.clone();
        each_line(&path, "sse.tsv", troubles, |line| {
            if let Some(frame) = frames.push(line)? {
                let facts = frame.facts(spec)?;
                self.heard
                    .extend(facts.into_iter().map(|fact| (frame.at, fact)));
            }
            Ok(())
        });
        troubles.add(
            &path.join("sse.tsv"),
            "event cut off at the end",
            u64::from(frames.is_cut_off()),
        );
    }

    /// A head that changed between two polls is a sighting of its block; the first one of all, or after a time without
    /// answers, may be old.
    fn read_heads(&mut self, spec: &ChainSpec, troubles: &mut Troubles) {
        let mut before = None;
        let path = self.path.clone();
        each_line(&path, "heads.ndjson", troubles, |line| {
            let poll: PolledHead =
                serde_json::from_slice(line).map_err(|_| "line is no polled head")?;
            let (Some(slot), Some(root)) = (
                poll.head.get("slot"),
                poll.head.get("root").and_then(Value::as_str),
            ) else {
                before = None;
                return Ok(());
            };
            let block = BlockRef {
                slot: unsigned(slot).ok_or("line is no polled head")?,
                root: root.parse().map_err(|_| "line is no polled head")?,
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
    fn read_blocks(&mut self, spec: &ChainSpec, troubles: &mut Troubles) {
        let path = self.path.clone();
        each_line(&path, "blocks.ndjson", troubles, |line| {
            let answer = Answer::parse(line)?;
            let told = answer.told()?;
            for fact in told.facts {
                if let Fact::Block { block, .. } = fact {
                    let arrival_ms = spec.arrival_ms(block.slot, answer.asked_at(), 0.0);
                    self.heard
                        .push((answer.asked_at(), seen_by_asking(block, Some(arrival_ms))));
                }
                self.heard.push((answer.at(), fact));
            }
            Ok(())
        });
    }

    fn observations(&mut self) -> Vec<Observation> {
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

    fn genesis_root(&self) -> Option<Root> {
        let genesis = self.genesis.as_ref()?;
        let data = genesis.get("data").unwrap_or(genesis);
        data["genesis_validators_root"].as_str()?.parse().ok()
    }
}

fn seen_by_asking(block: BlockRef, arrival_ms: Option<i64>) -> Fact {
    Fact::Seen {
        block,
        source: Source::Poll,
        arrival_ms,
    }
}

fn node_folders(dir: &Path) -> anyhow::Result<Vec<NodeFolder>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).context("cannot list it")? {
        let entry = entry.context("cannot list it")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_prefix("node-").filter(|_| entry.path().is_dir()) {
            folders.push(NodeFolder {
                name: name.to_owned(),
                path: entry.path(),
                client: None,
                genesis: None,
                spec: None,
                heard: Vec::new(),
            });
        }
    }
    ensure!(!folders.is_empty(), "no folder node-NAME in it");
    folders.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(folders)
}

/// How the recording was made; `Null` where that is not there.
fn read_run(dir: &Path, troubles: &mut Troubles) -> Value {
    let path = dir.join("run.json");
    let Ok(bytes) = fs::read(&path) else {
        troubles.add(&path, "missing", 1);
        return Value::Null;
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        troubles.add(&path, "is not JSON", 1);
        Value::Null
    })
}

fn client_in(run: &Value, node: &str) -> Option<String> {
    let nodes = run["nodes"].as_object()?;
    let entry = nodes
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(node));
    Some(entry?.1["client"].as_str()?.to_owned())
}

/// The genesis most nodes have; of equally many the lowest.
fn common_genesis(folders: &[NodeFolder]) -> Option<Root> {
    let mut count: BTreeMap<Root, usize> = BTreeMap::new();
    for root in folders.iter().filter_map(NodeFolder::genesis_root) {
        *count.entry(root).or_default() += 1;
    }
    count
        .into_iter()
        .rev()
        .max_by_key(|(_, nodes)| *nodes)
        .map(|(root, _)| root)
}

/// From the first node that states both halves, else from one half each, else from how the recording was made.
fn chain_spec(folders: &[NodeFolder], run: &Value) -> anyhow::Result<ChainSpec> {
    let genesis = folders.iter().find_map(|folder| folder.genesis.clone());
    let genesis = genesis.unwrap_or_else(
        || json!({"genesis_time": run["genesis_time"], "genesis_validators_root": Root::ZERO}),
    );
    let stated = folders.iter().filter_map(|folder| folder.spec.clone());
    let recorded = json!({
        "CONFIG_NAME": run["config"]["CONFIG_NAME"],
        "SECONDS_PER_SLOT": run["seconds_per_slot"],
        "SLOTS_PER_EPOCH": run["slots_per_epoch"],
    });
    let mut failure = None;
    for spec in stated.chain([recorded]) {
        match at_time_of(folders, &genesis, &spec) {
            Ok(spec) => return Ok(spec),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let failure = failure.context("no answer with the chain's parameters");
    Err(failure?.context("cannot tell the chain's clock"))
}

/// With the deadlines of the fork that was active when the recording began.
fn at_time_of(folders: &[NodeFolder], genesis: &Value, spec: &Value) -> anyhow::Result<ChainSpec> {
    let at_genesis = from_rest_at_epoch(genesis, spec, 0)?;
    let began = folders
        .iter()
        .flat_map(|folder| folder.heard.iter().map(|(at, _)| *at))
        .min();
    let slot = began
        .and_then(|at| at_genesis.slot_at(at + TimeDelta::zero()))
        .unwrap_or(0);
    from_rest_at_epoch(genesis, spec, at_genesis.epoch_of(slot))
}
