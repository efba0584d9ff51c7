//! The flows that are going on: bounded, found in constant time, visited evenly.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::address::FlowKey;
use super::flow::Flow;

/// Flows by key. A slot keeps its place, so that a visit of all can be spread over a period.
pub struct Table {
    slots: Vec<Option<Flow>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hashes: RandomState,
    most: usize,
    /// Where the next visit begins.
    visited: usize,
    visited_at: i64,
    /// Where the next search for a flow that can go begins.
    searched: usize,
    /// Before it nothing is left, once all are ended.
    taken: usize,
}

/// Where a flow stands while it is in the table.
pub type Slot = u32;

/// Looked at when there is no room; one of them goes.
const CANDIDATES: usize = 16;

impl Table {
    pub fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hashes: RandomState::default(),
            most: most.max(1),
            visited: 0,
            visited_at: i64::MIN,
            searched: 0,
            taken: 0,
        }
    }

    pub fn flows(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn find(&self, key: &FlowKey) -> Option<Slot> {
        let hash = self.hashes.hash_one(key);
        let found = self.index.find(hash, |slot| is(&self.slots, *slot, key));
        found.copied()
    }

    pub fn flow(&mut self, slot: Slot) -> Option<&mut Flow> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Adds a flow that is not there; returns the one that had to make room.
    pub fn insert(&mut self, flow: Flow) -> (Slot, Option<Flow>) {
        let evicted = (self.flows() >= self.most).then(|| self.evict()).flatten();
        let hash = self.hashes.hash_one(flow.key);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(flow);
                slot
            }
            None => {
                self.slots.push(Some(flow));
                (self.slots.len() - 1) as Slot
            }
        };
        let (slots, hashes) = (&self.slots, &self.hashes);
        self.index
            .insert_unique(hash, slot, |slot| rehash(slots, hashes, *slot));
        (slot, evicted)
    }

    pub fn remove(&mut self, key: &FlowKey) -> Option<Flow> {
        let hash = self.hashes.hash_one(key);
        let slots = &self.slots;
        let entry = self
            .index
            .find_entry(hash, |slot| is(slots, *slot, key))
            .ok()?;
        let (slot, _) = entry.remove();
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Visits as many flows as the time since the last visit asks for, so that each is visited once per period. At most
    /// so many at once; whether there are more.
    pub fn sweep(
        &mut self,
        now: i64,
        period: i64,
        most: usize,
        mut visit: impl FnMut(&mut Flow),
    ) -> bool {
        let period = period.max(1);
        if self.slots.is_empty() || self.visited_at == i64::MIN || now < self.visited_at {
            self.visited_at = now;
            return false;
        }
        // After a leap in time each is visited once.
        self.visited_at = self.visited_at.max(now.saturating_sub(period));
        let slots = self.slots.len() as i128;
        let elapsed = i128::from(now - self.visited_at);
        let due = slots * elapsed / i128::from(period);
        let visits = due.min(most as i128);
        // What is left of a flow's share of the time counts the next time.
        self.visited_at += (visits * i128::from(period) / slots) as i64;
        for _ in 0..visits {
            self.visited = (self.visited + 1) % self.slots.len();
            if let Some(flow) = &mut self.slots[self.visited] {
                visit(flow);
            }
        }
        due > visits
    }

    /// Any flow that is there; for ending all.
    pub fn take_any(&mut self) -> Option<Flow> {
        let key = loop {
            match self.slots.get(self.taken)? {
                Some(flow) => break flow.key,
                None => self.taken += 1,
            }
        };
        self.remove(&key)
    }

    /// Of the next few the one that nobody would miss, or the longest silent. Exact order would cost each packet the
    /// upkeep of a list. A flood of first packets pushes itself out, not the connections that are there.
    fn evict(&mut self) -> Option<Flow> {
        let mut worst: Option<((bool, i64), FlowKey)> = None;
        for _ in 0..CANDIDATES.min(self.slots.len()) {
            self.searched = (self.searched + 1) % self.slots.len();
            if let Some(flow) = &self.slots[self.searched] {
                let rank = (flow.is_answered(), flow.last);
                if worst.is_none_or(|(other, _)| rank < other) {
                    worst = Some((rank, flow.key));
                }
            }
        }
        worst.and_then(|(_, key)| self.remove(&key))
    }
}

fn is(slots: &[Option<Flow>], slot: Slot, key: &FlowKey) -> bool {
    matches!(slots.get(slot as usize), Some(Some(flow)) if flow.key == *key)
}

fn rehash(slots: &[Option<Flow>], hashes: &RandomState, slot: Slot) -> u64 {
    match slots.get(slot as usize) {
        Some(Some(flow)) => hashes.hash_one(flow.key),
        _ => 0,
    }
}
