//! Justified checkpoints that go over and back between branches: one record per episode.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::nodes::{NodeName, Nodes, clients};
use super::tree::Tree;
use crate::slot::{BlockRef, ChainSpec, Root};

/// Epochs over which changes of the justified checkpoint are followed.
const EPOCHS: u64 = 4;

/// Epoch and root.
pub type Checkpoint = (u64, Root);

/// The justified checkpoint alternates: at one node at least it went to another branch and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JustificationFlip {
    /// When the first node went back.
    pub at: DateTime<Utc>,
    /// The first change that contradicted the checkpoint before it: what the episode is known by.
    pub from: Checkpoint,
    pub to: Checkpoint,
    pub revision: u32,
    /// Nodes that went over and back, sorted.
    pub nodes: Vec<NodeFlips>,
    pub clients: BTreeSet<Arc<str>>,
    /// All that were justified in turn.
    pub checkpoints: BTreeSet<Checkpoint>,
    pub quorum: usize,
    /// A quorum of nodes says so: it is the chain and not one node.
    pub confirmed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFlips {
    pub node: NodeName,
    /// Changes to a checkpoint that contradicts the last one.
    pub changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub at: DateTime<Utc>,
    pub from: Checkpoint,
    pub to: Checkpoint,
}

#[derive(Debug, Default)]
pub(super) struct Flips {
    episode: Option<Episode>,
    /// A node justified something else than before.
    pub moved: bool,
    /// Until when, and when last, the checkpoints are compared: a link that tells may come a little later.
    look_until: Option<DateTime<Utc>>,
    looked_at: Option<DateTime<Utc>>,
}

/// Checkpoints that are compared with each other: more are no network any more.
const COMPARED: usize = 64;

/// How often, at distances of the settling time, checkpoints are compared after one changed.
const LOOKS: i32 = 4;

#[derive(Debug)]
struct Episode {
    from: Checkpoint,
    to: Checkpoint,
    revision: u32,
    last_change: DateTime<Utc>,
    nodes: usize,
}

pub(super) struct Context<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    pub quorum: usize,
    pub settle: TimeDelta,
}

impl Flips {
    pub(super) fn tell(
        &mut self,
        context: &Context,
        now: DateTime<Utc>,
    ) -> Option<JustificationFlip> {
        let window = window(context.spec);
        self.episode
            .take_if(|episode| now - episode.last_change > window);
        if std::mem::take(&mut self.moved) {
            self.look_until = Some(now + context.settle * LOOKS);
        }
        let just_looked = self.looked_at.is_some_and(|at| now - at < context.settle);
        if self.look_until.is_none_or(|until| now > until) || just_looked {
            return None;
        }
        self.looked_at = Some(now);
        let all = contradictions(context.spec, context.tree, context.nodes, now);
        let nodes: Vec<_> = all
            .into_iter()
            .filter(|(_, changes)| changes.len() > 1)
            .map(|(node, changes)| NodeFlips { node, changes })
            .collect();
        let changes = || nodes.iter().flat_map(|node| &node.changes);
        let first = changes().min_by_key(|change| (change.at, change.from, change.to))?;
        let last_change = changes().map(|change| change.at).max()?;
        let back_at = nodes
            .iter()
            .filter_map(|node| Some(node.changes.get(1)?.at))
            .min()?;
        let revision = match &self.episode {
            None => 0,
            Some(known) if known.last_change >= last_change && known.nodes == nodes.len() => {
                return None;
            }
            Some(known) => known.revision + 1,
        };
        let (from, to) = self
            .episode
            .as_ref()
            .map_or((first.from, first.to), |known| (known.from, known.to));
        self.episode = Some(Episode {
            from,
            to,
            revision,
            last_change,
            nodes: nodes.len(),
        });
        Some(JustificationFlip {
            at: back_at,
            from,
            to,
            revision,
            clients: clients(context.nodes, nodes.iter().map(|node| &node.node)),
            checkpoints: changes()
                .flat_map(|change| [change.from, change.to])
                .collect(),
            quorum: context.quorum,
            confirmed: nodes.len() >= context.quorum,
            nodes,
        })
    }
}

/// By node, the changes of its justified checkpoint of late to one that contradicts the last.
pub(super) fn contradictions(
    spec: &ChainSpec,
    tree: &Tree,
    nodes: &Nodes,
    at: DateTime<Utc>,
) -> BTreeMap<NodeName, Vec<Change>> {
    let since = at - window(spec);
    // Most nodes go from checkpoint to checkpoint together.
    let mut known = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (name, node) in nodes {
        let mut changes = Vec::new();
        let mut last: Option<Checkpoint> = None;
        for (at, to) in node.justified_since(since) {
            if let Some(from) = last.replace(to)
                && from != to
                && *known
                    .entry((from, to))
                    .or_insert_with(|| contradict(tree, from, to))
            {
                changes.push(Change { at, from, to });
            }
        }
        if !changes.is_empty() {
            found.insert(name.clone(), changes);
        }
    }
    found
}

fn window(spec: &ChainSpec) -> TimeDelta {
    let ms = spec
        .slot_duration_ms
        .saturating_mul(spec.slots_per_epoch)
        .saturating_mul(EPOCHS);
    TimeDelta::try_milliseconds(ms as i64).unwrap_or(TimeDelta::days(1))
}

/// Whether two of the checkpoints contradict each other. There are few: all nodes go from one to the next.
pub(super) fn any_contradict(tree: &Tree, checkpoints: impl Iterator<Item = Checkpoint>) -> bool {
    let mut before: Vec<Checkpoint> = Vec::new();
    checkpoints.take(COMPARED).any(|checkpoint| {
        let found = before
            .iter()
            .any(|other| contradict(tree, *other, checkpoint));
        before.push(checkpoint);
        found
    })
}

/// Of one epoch, or neither above the other. Where links are missing nobody knows, and they are taken to agree.
fn contradict(tree: &Tree, one: Checkpoint, other: Checkpoint) -> bool {
    if one.1 == other.1 {
        return false;
    }
    if one.0 == other.0 {
        return true;
    }
    let (lower, upper) = if one.0 < other.0 {
        (one.1, other.1)
    } else {
        (other.1, one.1)
    };
    let Some(block) = tree.get(&lower) else {
        return false;
    };
    let lower = BlockRef {
        slot: block.slot,
        root: lower,
    };
    tree.is_ancestor(lower, upper) == Some(false)
}
