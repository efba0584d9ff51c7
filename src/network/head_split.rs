//! Head splits: groups of nodes on branches that contradict each other, for longer than a late block explains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::branches::{Branch, Conflict, Standing};
use super::gaps::{Gap, Span, Spans};
use super::justification::{Checkpoint, any_contradict};
use super::moves::{self, Moves, Stands};
use super::nodes::{Node, NodeName, Nodes};
use super::tree::Tree;
use super::triage::Triage;
use crate::event::DocumentId;
use crate::slot::{BlockRef, ChainSpec, Root};

/// One step in the life of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSplit {
    /// The same for all steps: hashed from the blocks where the branches part.
    pub id: DocumentId,
    pub step: Step,
    /// Counts the steps of this split.
    pub revision: u32,
    /// When the heads parted.
    pub since: DateTime<Utc>,
    /// When the step happened, not when it was noticed.
    pub at: DateTime<Utc>,
    pub ancestor: Root,
    pub ancestor_slot: Option<u64>,
    /// First slot after the ancestor for which a branch has a block.
    pub from_slot: u64,
    /// The slot that was running at `at`.
    pub to_slot: u64,
    /// Largest group first. At closing: as they were before the heads agreed.
    pub groups: Vec<Group>,
    /// Who went where since the step before. At closing: how the heads came to agree.
    pub moves: Moves,
    /// What the nodes that are there and in sync have justified, on whatever branch they stand: how many each.
    pub justified: BTreeMap<Checkpoint, usize>,
    /// Two of these checkpoints contradict each other: one is not merely behind the other.
    pub justified_contradict: bool,
    /// Attack or bug, by what was known at this step.
    pub triage: Triage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Opened,
    Updated,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub head: BlockRef,
    pub nodes: BTreeSet<NodeName>,
    /// Clients with their versions, and how many of the nodes run each. Nodes that never said are not counted.
    pub clients: BTreeMap<Arc<str>, usize>,
    /// The checkpoints that the nodes' heads justified, and that the nodes finalized: how many nodes each.
    pub justified: BTreeMap<Checkpoint, usize>,
    pub finalized: BTreeMap<Checkpoint, usize>,
}

impl HeadSplit {
    /// Slots from the first block after the ancestor to the slot of this step.
    pub fn slots(&self) -> u64 {
        self.to_slot.saturating_sub(self.from_slot) + 1
    }

    /// From the moment when the heads parted to this step.
    pub fn duration(&self) -> TimeDelta {
        self.at - self.since
    }
}

/// What judging needs besides the heads.
pub(super) struct Context<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    /// How long a conflict has to last to be told, and to be over to be closed.
    pub minimum: TimeDelta,
    /// Silence after which a node counts no more.
    pub silence: TimeDelta,
}

/// The split that stands, if any, and how often each came back.
#[derive(Debug, Default)]
pub(super) struct Splits {
    episode: Option<Episode>,
    /// By ancestor, for ids: the same branches may part company again after they agreed.
    closed: BTreeMap<Root, u32>,
    /// Where splits stood.
    past: Spans,
    /// Conflicts that were over before they were told: the lowest slot of them since this was asked last.
    dissolved_from: Option<u64>,
}

#[derive(Debug)]
struct Episode {
    since: DateTime<Utc>,
    healed: Option<Healed>,
    conflict: Conflict,
    told: Option<Told>,
}

/// The heads agree, but may part again.
#[derive(Debug)]
struct Healed {
    at: DateTime<Utc>,
    /// On which they agreed.
    heads: Vec<BlockRef>,
    /// Where the nodes stand since, when asked last: some come a moment later, by way of the ancestor.
    branches: Vec<Branch>,
    asked_at: DateTime<Utc>,
}

#[derive(Debug)]
struct Told {
    id: DocumentId,
    revision: u32,
    sides: BTreeSet<BTreeSet<NodeName>>,
    stands: Stands,
}

/// A closed split is remembered for its id; more of them than this can't be told apart any more.
const CLOSED_LIMIT: usize = 1024;

impl Splits {
    /// Takes what holds at `at` (never earlier than the last time). A conflict is told once it has lasted the minimum
    /// and closed once it has been over for as long: nodes go over and back while a split heals. Who went over is told
    /// at the ends of slots: one after the other a thousand nodes would fill as many documents with a thousand names.
    pub(super) fn evaluate(
        &mut self,
        standing: Standing,
        (at, ends_slot): (DateTime<Utc>, bool),
        context: &Context,
    ) -> Vec<HeadSplit> {
        let mut steps = Vec::new();
        // What became due since the last time, before what is new.
        if let Some(episode) = &mut self.episode {
            let opens_at = episode.since + context.minimum;
            if episode.told.is_none() && at >= opens_at {
                let count = self
                    .closed
                    .get(&episode.conflict.ancestor)
                    .copied()
                    .unwrap_or(0);
                steps.push(episode.open(opens_at, count, context));
            }
        }
        self.close_if_over(&mut steps, at, context);

        match (self.episode.as_mut(), standing) {
            (None, Standing::Agreed(_)) => {}
            (None, Standing::Parted(conflict)) => self.episode = Some(Episode::new(at, conflict)),
            (Some(episode), Standing::Parted(conflict)) => {
                let same = episode.conflict.ancestor == conflict.ancestor;
                if !same && episode.told.is_none() {
                    self.dissolve();
                    self.episode = Some(Episode::new(at, conflict));
                } else if !same && episode.healed.is_some() {
                    self.close_if_over(&mut steps, DateTime::<Utc>::MAX_UTC, context);
                    self.episode = Some(Episode::new(at, conflict));
                } else {
                    episode.healed = None;
                    episode.take(conflict, context.tree);
                    if ends_slot {
                        steps.extend(episode.go_on(at, context));
                    }
                }
            }
            (Some(episode), Standing::Agreed(_)) if episode.told.is_none() => self.dissolve(),
            (Some(episode), Standing::Agreed(branches)) => {
                let healed = episode.healed.get_or_insert_with(|| Healed {
                    at,
                    heads: branches.iter().map(|branch| branch.head).collect(),
                    branches: Vec::new(),
                    asked_at: at,
                });
                healed.branches = branches;
                healed.asked_at = at;
            }
        }
        steps
    }

    /// Whether something begins or ends at `at` by time alone.
    pub(super) fn is_due(&self, at: DateTime<Utc>, minimum: TimeDelta) -> bool {
        let due = self.episode.as_ref().and_then(|episode| {
            let opens = episode.told.is_none().then_some(episode.since);
            let healed = episode.healed.as_ref().map(|healed| healed.at);
            healed.or(opens)
        });
        due.is_some_and(|since| at - since >= minimum)
    }

    /// Whether the blocks that a block passes over are those of another side of a split. A conflict that has not lasted
    /// long enough to be told counts until it is over. `None` of a block that passes over no slot.
    pub(super) fn explain_gap(
        &self,
        spec: &ChainSpec,
        tree: &Tree,
        block: BlockRef,
    ) -> Option<bool> {
        let gap = Gap::of(tree, block)?;
        let standing = self.episode.as_ref().map(|episode| episode.span(spec));
        let mut spans = standing.iter().chain(self.past.iter());
        Some(spans.any(|span| span.explains(tree, &gap)))
    }

    /// The lowest slot of which a conflict was thought to explain something and was then over too soon.
    pub(super) fn take_dissolved(&mut self) -> Option<u64> {
        self.dissolved_from.take()
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        self.past.prune_below(slot);
    }

    fn dissolve(&mut self) {
        if let Some(episode) = self.episode.take() {
            let from = episode.conflict.from_slot;
            self.dissolved_from = Some(self.dissolved_from.map_or(from, |slot| slot.min(from)));
        }
    }

    fn close_if_over(&mut self, steps: &mut Vec<HeadSplit>, at: DateTime<Utc>, context: &Context) {
        let over = |healed: &Healed| at - healed.at >= context.minimum;
        let Some(mut episode) = self
            .episode
            .take_if(|episode| episode.healed.as_ref().is_some_and(over))
        else {
            return;
        };
        steps.extend(episode.close(context));
        self.past.push(episode.span(context.spec));
        *self.closed.entry(episode.conflict.ancestor).or_default() += 1;
        if self.closed.len() > CLOSED_LIMIT {
            self.closed.pop_first();
        }
    }
}

impl Episode {
    fn new(since: DateTime<Utc>, conflict: Conflict) -> Self {
        Self {
            since,
            healed: None,
            conflict,
            told: None,
        }
    }

    fn take(&mut self, conflict: Conflict, tree: &Tree) {
        self.conflict = conflict;
        if let Some(told) = &mut self.told {
            told.stands.grow(&self.conflict.groups, tree);
        }
    }

    fn open(&mut self, at: DateTime<Utc>, earlier: u32, context: &Context) -> HeadSplit {
        let mut parts = vec!["head_split".to_owned(), self.conflict.ancestor.to_string()];
        parts.extend(self.conflict.bases.iter().map(Root::to_string));
        parts.push(earlier.to_string());
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        let told = Told {
            id: DocumentId::of(&parts),
            revision: 0,
            sides: self.conflict.sides(),
            stands: Stands::of(&self.conflict.groups),
        };
        let split = self.describe(Step::Opened, &told, Moves::default(), at, context);
        self.told = Some(told);
        split
    }

    /// New heads on the same sides are no news; another partition of the nodes is.
    fn go_on(&mut self, at: DateTime<Utc>, context: &Context) -> Option<HeadSplit> {
        let mut told = self.told.take()?;
        let groups = &self.conflict.groups;
        let (now, moves) = (
            self.conflict.sides(),
            told.stands.moves(groups, &context.view(at)),
        );
        let news = told.sides != now || !moves.is_empty();
        let split = news.then(|| {
            told.revision += 1;
            told.sides = now;
            told.stands.renew(groups, context.nodes);
            self.describe(Step::Updated, &told, moves, at, context)
        });
        self.told = Some(told);
        split
    }

    fn close(&mut self, context: &Context) -> Option<HeadSplit> {
        let (mut told, healed) = (self.told.take()?, self.healed.as_ref()?);
        told.revision += 1;
        let agreed = healed.agreed(context.tree);
        let view = context.view(healed.asked_at);
        let moves = told.stands.moves(&agreed, &view);
        Some(self.describe(Step::Closed, &told, moves, healed.at, context))
    }

    fn span(&self, spec: &ChainSpec) -> Span {
        let healed = self.healed.as_ref();
        Span {
            ancestor: self.conflict.ancestor,
            ancestor_slot: self.conflict.ancestor_slot,
            from_slot: self.conflict.from_slot,
            to_slot: healed.map_or(u64::MAX, |healed| spec.slot_at(healed.at).unwrap_or(0)),
        }
    }

    fn describe(
        &self,
        step: Step,
        told: &Told,
        moves: Moves,
        at: DateTime<Utc>,
        context: &Context,
    ) -> HeadSplit {
        let conflict = &self.conflict;
        let justified = context.justified(at);
        HeadSplit {
            id: told.id.clone(),
            step,
            revision: told.revision,
            since: self.since,
            at,
            ancestor: conflict.ancestor,
            ancestor_slot: conflict.ancestor_slot,
            from_slot: conflict.from_slot,
            to_slot: context.spec.slot_at(at).unwrap_or(0),
            groups: conflict
                .groups
                .iter()
                .map(|branch| context.group(branch, at))
                .collect(),
            moves,
            justified_contradict: any_contradict(context.tree, justified.keys().copied()),
            justified,
            triage: Triage::default(),
        }
    }
}

impl Healed {
    /// The branches with the heads that they had when the heads agreed.
    fn agreed(&self, tree: &Tree) -> Vec<Branch> {
        let mut branches = self.branches.clone();
        for branch in &mut branches {
            let below = |head: &&BlockRef| tree.is_ancestor(**head, branch.head.root) == Some(true);
            branch.head = *self.heads.iter().find(below).unwrap_or(&branch.head);
        }
        branches
    }
}

impl<'a> Context<'a> {
    fn view(&self, at: DateTime<Utc>) -> moves::View<'a> {
        moves::View {
            tree: self.tree,
            nodes: self.nodes,
            silent_since: at - self.silence,
            at,
        }
    }

    fn group(&self, branch: &Branch, at: DateTime<Utc>) -> Group {
        let nodes = || branch.nodes.iter().filter_map(|name| self.nodes.get(name));
        Group {
            head: branch.head,
            nodes: branch.nodes.clone(),
            clients: tally(nodes().filter_map(|node| node.client.clone())),
            justified: tally(nodes().filter_map(|node| node.justified_at(at))),
            finalized: tally(nodes().filter_map(|node| node.finalized_at(at))),
        }
    }

    fn justified(&self, at: DateTime<Utc>) -> BTreeMap<Checkpoint, usize> {
        let since = Some(at - self.silence);
        let there = |node: &&Node| node.last_seen >= since && !node.was_syncing(at);
        let nodes = self.nodes.values().filter(there);
        tally(nodes.filter_map(|node| node.justified_at(at)))
    }
}

fn tally<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}
