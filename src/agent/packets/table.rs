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
    hand: usize,
    visited_at: i64,
}

/// Looked at when there is no room; the longest silent of them goes.
const CANDIDATES: usize = 16;

impl Table {
    pub fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hashes: RandomState::default(),
            most: most.max(1),
            hand: 0,
            visited_at: i64::MIN,
        }
    }

    pub fn flows(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn find(&mut self, key: &FlowKey) -> Option<&mut Flow> {
        let hash = self.hashes.hash_one(key);
        let slots = &self.slots;
        let found = self.index.find(hash, |slot| is(slots, *slot, key))?;
        self.slots.get_mut(*found as usize)?.as_mut()
    }

    /// Adds a flow that is not there; returns the one that had to make room.
    pub fn insert(&mut self, flow: Flow) -> Option<Flow> {
        let evicted = (self.flows() >= self.most).then(|| self.evict()).flatten();
        let hash = self.hashes.hash_one(flow.key);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(flow);
                slot
            }
            None => {
                self.slots.push(Some(flow));
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, hashes) = (&self.slots, &self.hashes);
        self.index
            .insert_unique(hash, slot, |slot| rehash(slots, hashes, *slot));
        evicted
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

    /// Visits as many flows as the time since the last visit asks for, so that each is visited once per period.
    pub fn sweep(&mut self, now: i64, period: i64, mut visit: impl FnMut(&mut Flow)) {
        if self.visited_at == i64::MIN || now < self.visited_at {
            self.visited_at = now;
        }
        let elapsed = i128::from(now - self.visited_at);
        let due = self.slots.len() as i128 * elapsed / i128::from(period.max(1));
        if due == 0 && !self.slots.is_empty() {
            return;
        }
        self.visited_at = now;
        let due = due.min(self.slots.len() as i128) as usize;
        for _ in 0..due {
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(flow) = &mut self.slots[self.hand] {
                visit(flow);
            }
        }
    }

    /// Visits every flow now.
    pub fn sweep_all(&mut self, visit: impl FnMut(&mut Flow)) {
        self.slots.iter_mut().flatten().for_each(visit);
    }

    /// The longest silent of the next few. Exact order would cost each packet the upkeep of a list.
    fn evict(&mut self) -> Option<Flow> {
        let mut oldest: Option<(i64, FlowKey)> = None;
        for _ in 0..CANDIDATES.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(flow) = &self.slots[self.hand]
                && oldest.is_none_or(|(last, _)| flow.last < last)
            {
                oldest = Some((flow.last, flow.key));
            }
        }
        oldest.and_then(|(_, key)| self.remove(&key))
    }
}

fn is(slots: &[Option<Flow>], slot: u32, key: &FlowKey) -> bool {
    matches!(slots.get(slot as usize), Some(Some(flow)) if flow.key == *key)
}

fn rehash(slots: &[Option<Flow>], hashes: &RandomState, slot: u32) -> u64 {
    match slots.get(slot as usize) {
        Some(Some(flow)) => hashes.hash_one(flow.key),
        _ => 0,
    }
}
