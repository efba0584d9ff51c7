//! Head splits: groups of nodes on branches that contradict each other, for longer than a late block explains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::branches::Conflict;
use super::nodes::NodeName;
use crate::event::DocumentId;
use crate::slot::{BlockRef, Root};

/// One step in the life of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSplit {
    /// The same for all steps: hashed from the blocks where the branches part.
    pub id: DocumentId,
    pub step: Step,
    /// Counts the steps of this split.
    pub revision: u32,
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
    pub clients: BTreeSet<Arc<str>>,
}

impl HeadSplit {
    /// Slots from the first block after the ancestor to the slot of this step.
    pub fn slots(&self) -> u64 {
        self.to_slot.saturating_sub(self.from_slot) + 1
    }
}

/// The split that stands, if any, and how often each came back.
#[derive(Debug, Default)]
pub(super) struct Splits {
    episode: Option<Episode>,
    /// By ancestor, for ids: the same branches may part company again after they agreed.
    closed: BTreeMap<Root, u32>,
}

#[derive(Debug)]
struct Episode {
    since: DateTime<Utc>,
    healed_at: Option<DateTime<Utc>>,
    conflict: Conflict,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    id: DocumentId,
    revision: u32,
    sides: BTreeSet<BTreeSet<NodeName>>,
}

/// A closed split is remembered for its id; more of them than this can't be told apart any more.
const CLOSED_LIMIT: usize = 1024;

impl Splits {
    /// Takes what holds at `at` (never earlier than the last time). A conflict is told once it has lasted `minimum`
    /// and closed once it has been over for as long: nodes go over and back while a split heals.
    pub(super) fn evaluate(
        &mut self,
        conflict: Option<Conflict>,
        at: DateTime<Utc>,
        minimum: TimeDelta,
        slot_at: impl Fn(DateTime<Utc>) -> u64,
    ) -> Vec<HeadSplit> {
        let mut steps = Vec::new();
        // What became due since the last time, before what is new.
        if let Some(episode) = &mut self.episode {
            let opens_at = episode.since + minimum;
            if episode.told.is_none() && episode.healed_at.is_none() && at >= opens_at {
                let count = self
                    .closed
                    .get(&episode.conflict.ancestor)
                    .copied()
                    .unwrap_or(0);
                steps.push(episode.open(opens_at, count, &slot_at));
            }
        }
        self.close_if_over(&mut steps, at, minimum, &slot_at);

        match (self.episode.as_mut(), conflict) {
            (None, None) => {}
            (None, Some(conflict)) => self.episode = Some(Episode::new(at, conflict)),
            (Some(episode), Some(conflict)) => {
                let same = episode.conflict.ancestor == conflict.ancestor;
                if !same && episode.told.is_none() {
                    self.episode = Some(Episode::new(at, conflict));
                } else if !same && episode.healed_at.is_some() {
                    self.close_if_over(&mut steps, DateTime::<Utc>::MAX_UTC, minimum, &slot_at);
                    self.episode = Some(Episode::new(at, conflict));
                } else {
                    episode.healed_at = None;
                    steps.extend(episode.go_on(conflict, at, &slot_at));
                }
            }
            (Some(episode), None) if episode.told.is_none() => self.episode = None,
            (Some(episode), None) => {
                episode.healed_at.get_or_insert(at);
            }
        }
        steps
    }

    fn close_if_over(
        &mut self,
        steps: &mut Vec<HeadSplit>,
        at: DateTime<Utc>,
        minimum: TimeDelta,
        slot_at: &impl Fn(DateTime<Utc>) -> u64,
    ) {
        let Some(episode) = &mut self.episode else {
            return;
        };
        let Some(healed_at) = episode.healed_at.filter(|healed| at - *healed >= minimum) else {
            return;
        };
        steps.extend(episode.step(Step::Closed, healed_at, slot_at));
        *self.closed.entry(episode.conflict.ancestor).or_default() += 1;
        if self.closed.len() > CLOSED_LIMIT {
            self.closed.pop_first();
        }
        self.episode = None;
    }
}

impl Episode {
    fn new(since: DateTime<Utc>, conflict: Conflict) -> Self {
        Self {
            since,
            healed_at: None,
            conflict,
            told: None,
        }
    }

    fn open(
        &mut self,
        at: DateTime<Utc>,
        earlier: u32,
        slot_at: &impl Fn(DateTime<Utc>) -> u64,
    ) -> HeadSplit {
        let mut parts = vec!["head_split".to_owned(), self.conflict.ancestor.to_string()];
        parts.extend(self.conflict.bases.iter().map(Root::to_string));
        parts.push(earlier.to_string());
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        let told = self.told.insert(Told {
            id: DocumentId::of(&parts),
            revision: 0,
            sides: sides(&self.conflict),
        });
        describe(Step::Opened, &self.conflict, told, at, slot_at)
    }

    /// New heads on the same sides are no news; another partition of the nodes is.
    fn go_on(
        &mut self,
        conflict: Conflict,
        at: DateTime<Utc>,
        slot_at: &impl Fn(DateTime<Utc>) -> u64,
    ) -> Option<HeadSplit> {
        self.conflict = conflict;
        let now = sides(&self.conflict);
        if self.told.as_ref()?.sides == now {
            return None;
        }
        self.step(Step::Updated, at, slot_at)
    }

    fn step(
        &mut self,
        step: Step,
        at: DateTime<Utc>,
        slot_at: &impl Fn(DateTime<Utc>) -> u64,
    ) -> Option<HeadSplit> {
        let told = self.told.as_mut()?;
        told.revision += 1;
        told.sides = sides(&self.conflict);
        Some(describe(step, &self.conflict, told, at, slot_at))
    }
}

fn sides(conflict: &Conflict) -> BTreeSet<BTreeSet<NodeName>> {
    conflict
        .groups
        .iter()
        .map(|group| group.nodes.clone())
        .collect()
}

fn describe(
    step: Step,
    conflict: &Conflict,
    told: &Told,
    at: DateTime<Utc>,
    slot_at: &impl Fn(DateTime<Utc>) -> u64,
) -> HeadSplit {
    let groups = conflict.groups.iter().map(|branch| Group {
        head: branch.head,
        nodes: branch.nodes.clone(),
        clients: BTreeSet::new(),
    });
    HeadSplit {
        id: told.id.clone(),
        step,
        revision: told.revision,
        at,
        ancestor: conflict.ancestor,
        ancestor_slot: conflict.ancestor_slot,
        from_slot: conflict.from_slot,
        to_slot: slot_at(at),
        groups: groups.collect(),
    }
}
