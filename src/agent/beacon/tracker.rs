//! Which blocks were seen, when, which are still to be fetched and which are ready to be told. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::decode::Contents;
use crate::slot::Root;

/// So long after import a block waits for its head event; it belongs to the same document.
pub(super) const HEAD_WAIT: Duration = Duration::from_millis(400);
/// A block that only gossip told of is not imported yet, and asking for it writes an error into the node's log.
pub(super) const IMPORT_WAIT: Duration = Duration::from_secs(2);
/// So long a block waits for the slot of a parent that is being fetched.
pub(super) const PARENT_WAIT: Duration = Duration::from_secs(2);
/// Blocks in hand at once. A mainnet node has one to three.
const MAX_PENDING: usize = 1_024;
/// Blocks remembered by root: two days of mainnet would be 14,400; a branch of more than 8,192 blocks is no reorg.
const MAX_KNOWN: usize = 8_192;

/// What a stream event says about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Gossip,
    Import,
    Head,
}

/// When the node told of a block: the first time of each stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Arrivals {
    pub(super) gossip: Option<DateTime<Utc>>,
    pub(super) import: Option<DateTime<Utc>>,
    pub(super) head: Option<DateTime<Utc>>,
    /// The node told of it while the agent stood still, and when nobody knows.
    pub(super) is_unknown: bool,
}

impl Arrivals {
    /// Whether the node told of it, and did not only have it when asked.
    pub(super) fn is_told(&self) -> bool {
        self.is_unknown || self.first().is_some()
    }

    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        [self.gossip, self.import, self.head]
            .into_iter()
            .flatten()
            .min()
    }

    fn note(&mut self, stage: Stage, at: Option<DateTime<Utc>>) {
        let Some(at) = at else {
            self.is_unknown = true;
            return;
        };
        let kept = match stage {
            Stage::Gossip => &mut self.gossip,
            Stage::Import => &mut self.import,
            Stage::Head => &mut self.head,
        };
        kept.get_or_insert(at);
    }
}

/// A block of which all is known that will be.
#[derive(Debug, PartialEq)]
pub(super) struct Ready {
    pub(super) root: Root,
    /// As the stream said.
    pub(super) slot: Option<u64>,
    pub(super) arrivals: Arrivals,
    pub(super) contents: Option<Contents>,
    pub(super) failure: Option<String>,
    pub(super) parent_slot: Option<u64>,
}

/// What to do about the parent of a block just fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// Told already, in hand, or there is none.
    Known,
    /// Not seen: it is fetched too.
    Missing(Root),
    /// Not seen, and the walk is at its limit.
    Cut(Root),
}

#[derive(Debug)]
struct Pending {
    slot: Option<u64>,
    arrivals: Arrivals,
    /// Ancestors that may still be walked from here.
    walk: usize,
    fetch_at: Instant,
    is_fetching: bool,
    /// Not told before this moment, or before its head event.
    hold_until: Option<Instant>,
    fetched_at: Option<Instant>,
    contents: Option<Contents>,
    failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Tracker {
    walk_limit: usize,
    pending: HashMap<Root, Pending>,
    known: HashMap<Root, Option<u64>>,
    known_order: VecDeque<Root>,
}

impl Tracker {
    /// `walk_limit`: how many unseen ancestors of a block are fetched.
    pub(super) fn new(walk_limit: usize) -> Self {
        Self {
            walk_limit,
            pending: HashMap::new(),
            known: HashMap::new(),
            known_order: VecDeque::new(),
        }
    }

    /// The stream told of a block, at a time that may be unknown. `false`: too many are in hand, and this one is not
    /// taken.
    pub(super) fn sighted(
        &mut self,
        root: Root,
        slot: Option<u64>,
        stage: Stage,
        at: Option<DateTime<Utc>>,
        now: Instant,
    ) -> bool {
        if self.known.contains_key(&root) {
            return true;
        }
        let walk = self.walk_limit;
        let Some(pending) = self.entry(root, walk, now + IMPORT_WAIT) else {
            return false;
        };
        pending.arrivals.note(stage, at);
        pending.slot = pending.slot.or(slot);
        if stage != Stage::Gossip {
            pending.fetch_at = pending.fetch_at.min(now);
            pending.hold_until.get_or_insert(now + HEAD_WAIT);
        }
        true
    }

    /// A block nobody told of: the head after a gap, or a missing ancestor.
    pub(super) fn wanted(&mut self, root: Root, walk: usize, now: Instant) -> bool {
        if self.known.contains_key(&root) {
            return true;
        }
        let Some(pending) = self.entry(root, walk, now) else {
            return false;
        };
        // REST may show a block whose event is on its way.
        pending.hold_until.get_or_insert(now + HEAD_WAIT);
        true
    }

    /// A block told in an earlier life of the agent.
    pub(super) fn remember(&mut self, root: Root, slot: Option<u64>) {
        if self.known.insert(root, slot).is_none() {
            self.known_order.push_back(root);
        }
        if self.known_order.len() > MAX_KNOWN
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn is_told(&self, root: Root) -> bool {
        self.known.contains_key(&root)
    }

    /// Whether no block of this slot or an older one is in hand. One whose slot is not known yet may be older.
    pub(super) fn is_all_told_up_to(&self, slot: u64) -> bool {
        let newer = |root| self.slot_of(root).is_some_and(|of_root| of_root > slot);
        self.pending.keys().all(|root| newer(*root))
    }

    /// Whether the stream told of it, and it is in hand.
    pub(super) fn is_sighted(&self, root: Root) -> bool {
        let pending = self.pending.get(&root);
        pending.is_some_and(|pending| pending.arrivals.is_told())
    }

    pub(super) fn slot_of(&self, root: Root) -> Option<u64> {
        if let Some(slot) = self.known.get(&root) {
            return *slot;
        }
        let pending = self.pending.get(&root)?;
        pending
            .contents
            .as_ref()
            .map(|contents| contents.slot)
            .or(pending.slot)
    }

    /// Blocks to be fetched now. Each is named once.
    pub(super) fn take_to_fetch(&mut self, now: Instant) -> Vec<Root> {
        let mut due = Vec::new();
        for (root, pending) in &mut self.pending {
            if pending.fetch_at <= now && !pending.is_fetching {
                pending.is_fetching = true;
                due.push(*root);
            }
        }
        due
    }

    /// A block came. Says what to do about its parent.
    pub(super) fn fetched(&mut self, root: Root, contents: Contents, now: Instant) -> Parent {
        let parent = contents.parent_root;
        let Some(pending) = self.pending.get_mut(&root) else {
            return Parent::Known;
        };
        pending.contents = Some(contents);
        pending.fetched_at = Some(now);
        let walk = pending.walk;
        if parent == Root::ZERO
            || parent == root
            || self.known.contains_key(&parent)
            || self.pending.contains_key(&parent)
        {
            Parent::Known
        } else if walk > 0 && self.wanted(parent, walk - 1, now) {
            Parent::Missing(parent)
        } else {
            Parent::Cut(parent)
        }
    }

    /// A block did not come. One that was seen is told without contents; `false` for one that was not, which is given up.
    pub(super) fn failed(&mut self, root: Root, reason: String, now: Instant) -> bool {
        let Some(pending) = self.pending.get_mut(&root) else {
            return true;
        };
        if !pending.arrivals.is_told() {
            self.pending.remove(&root);
            return false;
        }
        pending.failure = Some(reason);
        pending.fetched_at = Some(now);
        true
    }

    /// Blocks to be told now, by slot.
    pub(super) fn take_ready(&mut self, now: Instant) -> Vec<Ready> {
        let due = self
            .pending
            .iter()
            .filter(|(_, pending)| self.tell_at(pending).is_some_and(|at| at <= now));
        let due: Vec<Root> = due.map(|(root, _)| *root).collect();
        let mut ready = Vec::new();
        for root in due {
            let Some(pending) = self.pending.get(&root) else {
                continue;
            };
            let parent = pending
                .contents
                .as_ref()
                .map(|contents| contents.parent_root);
            let parent_slot = parent.and_then(|parent| self.slot_of(parent));
            let slot = self.slot_of(root);
            let Some(pending) = self.pending.remove(&root) else {
                continue;
            };
            self.remember(root, slot);
            ready.push(Ready {
                root,
                slot: pending.slot,
                arrivals: pending.arrivals,
                contents: pending.contents,
                failure: pending.failure,
                parent_slot,
            });
        }
        ready.sort_by_key(|ready| {
            (
                ready.contents.as_ref().map(|contents| contents.slot),
                ready.root,
            )
        });
        ready
    }

    /// When there is something to do next without anything happening.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let times = self.pending.values().filter_map(|pending| {
            if pending.is_fetching {
                self.tell_at(pending)
            } else {
                Some(pending.fetch_at)
            }
        });
        times.min()
    }

    /// `None` until the block has come or is given up.
    fn tell_at(&self, pending: &Pending) -> Option<Instant> {
        let fetched_at = pending.fetched_at?;
        let head = match pending.hold_until {
            Some(until) if pending.arrivals.head.is_none() => until,
            _ => fetched_at,
        };
        let parent = pending
            .contents
            .as_ref()
            .map(|contents| contents.parent_root);
        let awaits_parent = parent.is_some_and(|parent| {
            self.pending.contains_key(&parent) && self.slot_of(parent).is_none()
        });
        Some(if awaits_parent {
            head.max(fetched_at + PARENT_WAIT)
        } else {
            head
        })
    }

    fn entry(&mut self, root: Root, walk: usize, fetch_at: Instant) -> Option<&mut Pending> {
        if self.pending.len() >= MAX_PENDING && !self.pending.contains_key(&root) {
            return None;
        }
        Some(self.pending.entry(root).or_insert(Pending {
            slot: None,
            arrivals: Arrivals::default(),
            walk,
            fetch_at,
            is_fetching: false,
            hold_until: None,
            fetched_at: None,
            contents: None,
            failure: None,
        }))
    }
}
