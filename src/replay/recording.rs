//! A directory of recorded nodes, read into the observations that a live network would have given.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::blocks;
use super::clock::{self, Options, Stated};
use super::files::{Troubles, each_line, whole};
use super::layout::Layout;
use super::links::{Link, Links};
use super::node::{self, Node};
use crate::chain_spec::unsigned;
use crate::network::{Fact, Observation};
use crate::slot::{ChainSpec, Root};

/// Nearly all times: but for one in so many at either end.
const STRAYS_AMONG: usize = 20;

/// What the nodes of one chain said, in the order in which it was received.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) spec: ChainSpec,
    pub(super) nodes: Vec<String>,
    pub(super) observations: Vec<Observation>,
    /// Links that hold whenever they were read.
    pub(super) links: Vec<Link>,
    /// The last slot that was recorded to its end.
    pub(super) last_slot: u64,
    pub(super) ended_at: DateTime<Utc>,
}

impl Recording {
    pub(super) fn load(
        dir: &Path,
        options: &Options,
        troubles: &mut Troubles,
    ) -> anyhow::Result<Self> {
        let mut layout = Layout::of(dir, troubles)?;
        let run = read_run(dir, &layout, troubles);
        let nodes = std::mem::take(&mut layout.nodes).into_iter();
        let mut nodes: Vec<_> = nodes.map(|(name, files)| Node::new(name, files)).collect();
        for node in &mut nodes {
            node.read_answers(troubles);
            if node.client.is_none() {
                node.client = client_in(&run, &node.name);
            }
        }
        let genesis = common_genesis(&nodes);
        nodes.retain(|node| {
            let same = node.genesis_root().is_none_or(|root| Some(root) == genesis);
            let strange = u64::from(!same);
            troubles.add(&node.files.path, "of another chain, not compared", strange);
            same
        });
        let end_slot = unsigned(&run["end_slot"]);
        let mut links = Links::default();
        let mut stated = Stated {
            run,
            ..Stated::default()
        };
        read_shared(&layout, &mut links, &mut stated, troubles);
        let spec = chain_spec(&nodes, stated, options)?;

        let mut observations = Vec::new();
        for node in &mut nodes {
            node.read_times(&spec, troubles);
            links.take(
                std::mem::take(&mut node.links),
                std::mem::take(&mut node.unnamed),
            );
            observations.extend(node.observations());
        }
        sort(&mut observations);
        drop_strays(&mut observations, dir, troubles);
        let last = observations
            .last()
            .context("nothing with a time in it can be read")?;
        let mut ended_at = last.at;
        if let Some(slot) = end_slot.filter(|slot| spec.slot_at(ended_at) == Some(*slot)) {
            ended_at = spec.slot_start(slot.saturating_add(1));
            hold_to(ended_at, spec.slot_start(slot), &mut observations);
        }
        let (links, contents) = links.settle(&observations, &layout.logs, dir, troubles);
        observations.extend(contents);
        sort(&mut observations);
        for observation in &mut observations {
            if let Fact::Contents { contents, .. } = &mut observation.fact {
                // As live: the bits are as many as there are seats, or the block is of another preset.
                contents.sync_size = contents
                    .sync_size
                    .map(|bits| bits.min(spec.sync_committee_size));
            }
        }
        let last_ended = spec.slot_at(ended_at).unwrap_or(0).saturating_sub(1);
        // Slots that nobody asked for, where asking is all there was, are not missed.
        let asked_up_to = nodes.iter().map(|node| node.asked_up_to);
        let asked_up_to = asked_up_to
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max());
        let last_ended = asked_up_to.map_or(last_ended, |asked| asked.min(last_ended));
        Ok(Self {
            last_slot: end_slot.unwrap_or(last_ended),
            nodes: nodes.into_iter().map(|node| node.name).collect(),
            spec,
            observations,
            links,
            ended_at,
        })
    }
}

/// By time; what one node said at one time stays as it said it.
fn sort(observations: &mut [Observation]) {
    observations.sort_by(|one, other| {
        (one.at, &one.node, one.order).cmp(&(other.at, &other.node, other.order))
    });
}

/// A recording that names its last slot was made to that slot's end, `at`. Where no block came then, nobody had anything to
/// say: who was heard of since `since` has its last head still.
fn hold_to(at: DateTime<Utc>, since: DateTime<Utc>, observations: &mut Vec<Observation>) {
    let (mut heads, mut heard) = (BTreeMap::new(), BTreeSet::new());
    for observation in observations.iter() {
        if let Fact::Head(head) | Fact::PolledHead(head) = observation.fact {
            let held = Observation {
                at,
                order: u64::MAX,
                fact: Fact::PolledHead(head),
                ..observation.clone()
            };
            heads.insert(observation.node.clone(), held);
        }
        if observation.at >= since {
            heard.insert(observation.node.clone());
        }
    }
    let held = heads
        .into_values()
        .filter(|held| heard.contains(&held.node));
    observations.extend(held);
}

/// A time that is a day or more away from nearly all the others was written down wrongly, and would stretch the recording by
/// years of missed slots. `observations` are sorted.
fn drop_strays(observations: &mut Vec<Observation>, dir: &Path, troubles: &mut Troubles) {
    let told = observations.len();
    // No recorder writes others; a slot that was made up begins there.
    observations.retain(|observation| observation.at.timestamp_nanos_opt().is_some());
    let count = observations.len();
    let Some(middle) = observations
        .get(count / 2)
        .map(|observation| observation.at)
    else {
        return;
    };
    // Of few times one stray may be among the outermost twentieths.
    let (first, last) = match count {
        ..STRAYS_AMONG => (middle, middle),
        _ => (
            observations[count / STRAYS_AMONG].at,
            observations[count - 1 - count / STRAYS_AMONG].at,
        ),
    };
    let far = (last - first).max(TimeDelta::days(1));
    observations.retain(|observation| first - observation.at < far && observation.at - last < far);
    let strays = told - observations.len();
    troubles.add(
        dir,
        "received a day or more from nearly all others, not used",
        strays as u64,
    );
}

/// What is not one node's.
fn read_shared(layout: &Layout, links: &mut Links, stated: &mut Stated, troubles: &mut Troubles) {
    for path in &layout.bodies {
        match node::body(path, troubles) {
            Ok(told) => {
                stated.genesis.extend(told.genesis);
                stated.specs.extend(told.spec);
                stated.starts.extend(told.clock);
                links.take(told.facts, told.unnamed.into_iter().collect());
            }
            Err(reason) => troubles.add(path, reason, 1),
        }
    }
    for path in &layout.configs {
        let text = whole(path, troubles);
        stated
            .configs
            .push(clock::config(&String::from_utf8_lossy(&text)));
    }
    for path in &layout.block_lines {
        each_line(path, troubles, |line| {
            let (root, block) = blocks::read_line(line)
                .ok_or("line is no block, expected JSON with request, slot and parent_root")?;
            stated.starts.extend(block.clock);
            links.take(block.named(root).to_vec(), Vec::new());
            Ok(())
        });
    }
    for path in &layout.ssz_blocks {
        match blocks::read_ssz(&whole(path, troubles)) {
            Some(block) => links.take(Vec::new(), vec![block]),
            None => troubles.add(path, "no signed block in SSZ", 1),
        }
    }
}

/// The streams are asked for it only where nobody states it: they are long.
fn chain_spec(nodes: &[Node], mut stated: Stated, options: &Options) -> anyhow::Result<ChainSpec> {
    let own_genesis = nodes.iter().filter_map(|node| node.genesis.clone());
    stated.genesis.splice(..0, own_genesis);
    let own_specs = nodes.iter().filter_map(|node| node.spec.clone());
    stated.specs.splice(..0, own_specs);
    stated
        .starts
        .extend(nodes.iter().flat_map(|node| node.starts.iter().copied()));
    let heard = nodes.iter().flat_map(|node| node.heard.iter());
    stated.began = heard.map(|(at, _)| *at).min();
    if !stated.is_enough(options) {
        for node in nodes {
            node.read_clock(&mut stated);
        }
    }
    stated.chain_spec(options)
}

/// How the recording was made; `Null` where that is not there.
fn read_run(dir: &Path, layout: &Layout, troubles: &mut Troubles) -> Value {
    let Some(path) = &layout.run else {
        let has_folders = layout.nodes.values().any(|node| node.path != dir);
        troubles.add(&dir.join("run.json"), "missing", u64::from(has_folders));
        return Value::Null;
    };
    serde_json::from_slice(&whole(path, troubles)).unwrap_or_else(|_| {
        troubles.add(path, "is not JSON", 1);
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
fn common_genesis(nodes: &[Node]) -> Option<Root> {
    let mut count: BTreeMap<Root, usize> = BTreeMap::new();
    for root in nodes.iter().filter_map(Node::genesis_root) {
        *count.entry(root).or_default() += 1;
    }
    count
        .into_iter()
        .rev()
        .max_by_key(|(_, nodes)| *nodes)
        .map(|(root, _)| root)
}
