//! The votes for one slot. Memory does not grow with their number. Pure.
//!
//! A vote may come alone and again in aggregates. Alone it names its validator, in an aggregate its place in a
//! committee; which place is whose takes a megabyte of committees. So for each committee and block the larger of both
//! counts: never more than there were, and all of them as soon as either form is complete.

use std::collections::BTreeMap;

use super::histogram::Arrivals;
use crate::agent::beacon::heavy::{MAX_COMMITTEES, Vote, Voters};
use crate::slot::Root;

/// Roots and targets told apart within a slot. Honest votes name one to three.
const MAX_ROOTS: usize = 16;
/// Aggregates over several committees, by which committees, kept per root.
const MAX_MIXES: usize = 8;
/// The specification's MAX_VALIDATORS_PER_COMMITTEE, one bit each.
const MAX_COMMITTEE_BYTES: usize = 2_048 / 8;
/// Mainnet has 2.2 million validators ever; an index beyond this is made up.
const MAX_VALIDATORS: u64 = 1 << 23;

#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) singles: u64,
    pub(super) aggregates: u64,
    pub(super) late: u64,
    pub(super) duplicates: u64,
    pub(super) validators: u64,
    /// One bit a validator that was heard.
    heard: Vec<u64>,
    pub(super) committees: u64,
    pub(super) roots: Vec<RootVotes>,
    pub(super) targets: Vec<(u64, Root)>,
    pub(super) of_singles: Arrivals,
    pub(super) of_aggregates: Arrivals,
}

#[derive(Debug)]
pub(super) struct RootVotes {
    pub(super) root: Root,
    /// Single votes by committee.
    singles: [u32; MAX_COMMITTEES as usize],
    /// The union of the aggregates' bits, by which committees they are of.
    unions: BTreeMap<u64, Vec<u8>>,
}

impl Sum {
    /// `false` for a vote beyond a bound, which is counted as an event only.
    pub(super) fn add(&mut self, vote: &Vote, arrival_ms: Option<i64>, due_ms: u64) -> bool {
        self.late += u64::from(arrival_ms.is_some_and(|ms| ms >= due_ms as i64));
        let target = (vote.target_epoch, vote.target_root);
        if !self.targets.contains(&target) && self.targets.len() < MAX_ROOTS {
            self.targets.push(target);
        }
        match &vote.by {
            Voters::One {
                validator,
                committee,
            } => {
                self.singles += 1;
                let Some(is_new) = self.hear(*validator) else {
                    return false;
                };
                if !is_new {
                    self.duplicates += 1;
                    return true;
                }
                if let Some(ms) = arrival_ms {
                    self.of_singles.add(ms);
                }
                if *committee >= MAX_COMMITTEES {
                    return false;
                }
                self.validators += 1;
                self.committees |= 1 << committee;
                let Some(of_root) = self.of_root(vote.root) else {
                    return false;
                };
                of_root.singles[*committee as usize] += 1;
            }
            Voters::Many { committees, bits } => {
                self.aggregates += 1;
                if let Some(ms) = arrival_ms {
                    self.of_aggregates.add(ms);
                }
                self.committees |= committees;
                let Some(of_root) = self.of_root(vote.root) else {
                    return false;
                };
                return of_root.unite(*committees, bits);
            }
        }
        true
    }

    /// Whether the validator was not heard before; `None` for one that cannot be.
    fn hear(&mut self, validator: u64) -> Option<bool> {
        if validator >= MAX_VALIDATORS {
            return None;
        }
        let (word, bit) = ((validator / 64) as usize, 1_u64 << (validator % 64));
        if word >= self.heard.len() {
            self.heard.resize(word + 1, 0);
        }
        let is_new = self.heard[word] & bit == 0;
        self.heard[word] |= bit;
        Some(is_new)
    }

    fn of_root(&mut self, root: Root) -> Option<&mut RootVotes> {
        let known = self.roots.iter().position(|of_root| of_root.root == root);
        let at = match known {
            Some(at) => at,
            None if self.roots.len() >= MAX_ROOTS => return None,
            None => {
                self.roots.push(RootVotes {
                    root,
                    singles: [0; MAX_COMMITTEES as usize],
                    unions: BTreeMap::new(),
                });
                self.roots.len() - 1
            }
        };
        self.roots.get_mut(at)
    }
}

impl RootVotes {
    /// `false`: there is no room, or there are more bits than such committees have members.
    fn unite(&mut self, committees: u64, bits: &[u8]) -> bool {
        if bits.len() > committees.count_ones() as usize * MAX_COMMITTEE_BYTES {
            return false;
        }
        let mixes = |masks: &BTreeMap<u64, Vec<u8>>| {
            masks.keys().filter(|mask| mask.count_ones() != 1).count()
        };
        if committees.count_ones() != 1
            && !self.unions.contains_key(&committees)
            && mixes(&self.unions) >= MAX_MIXES
        {
            return false;
        }
        let union = self.unions.entry(committees).or_default();
        if union.len() < bits.len() {
            union.resize(bits.len(), 0);
        }
        for (byte, more) in union.iter_mut().zip(bits) {
            *byte |= more;
        }
        true
    }

    /// Distinct votes.
    pub(super) fn count(&self) -> u64 {
        let set = |bits: &Vec<u8>| bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
        let by_committee = (0..MAX_COMMITTEES).map(|committee| {
            let united = self.unions.get(&(1 << committee)).map_or(0, set);
            united.max(u64::from(self.singles[committee as usize]))
        });
        // Aggregates over several committees cannot be taken apart without the committees' sizes.
        let mixed = self.unions.iter().filter(|(mask, _)| mask.count_ones() > 1);
        let largest = mixed.map(|(_, bits)| set(bits)).max().unwrap_or(0);
        by_committee.sum::<u64>().max(largest)
    }
}
