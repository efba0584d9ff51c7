//! Answers about duties: who proposes, and how large the committees are. Pure.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::tally::Sizes;
use crate::agent::beacon::heavy::{MAX_COMMITTEES, Number};

/// The answer of `/eth/v1/beacon/states/{id}/committees`. Of a committee only its size is kept: the members of all of
/// mainnet's would be a megabyte a slot.
#[derive(Debug, Deserialize)]
pub struct Committees {
    data: Vec<Committee>,
}

#[derive(Debug, Deserialize)]
struct Committee {
    index: Number,
    slot: Number,
    validators: Count,
}

impl Committees {
    /// The sizes of a slot's committees in their order; `None` where one of them is missing. Lodestar 1.5.1 exchanges
    /// slot and index: among a chain's first slots, an answer with one committee for each slot of an epoch is that.
    pub fn of_slot(&self, slot: u64, slots_per_epoch: u64) -> Option<Sizes> {
        let of_slot = || self.data.iter().filter(|one| one.slot.0 == slot);
        let count = of_slot().count() as u64;
        if slot < MAX_COMMITTEES && count == slots_per_epoch {
            return None;
        }
        let size = |index| of_slot().find(|one| one.index.0 == index);
        let sizes: Option<Sizes> = (0..count)
            .map(|index| size(index).map(|one| one.validators.0))
            .collect();
        sizes.filter(|sizes| (1..=MAX_COMMITTEES as usize).contains(&sizes.len()))
    }
}

/// The answer of `/eth/v1/validator/duties/proposer/{epoch}`.
#[derive(Debug, Deserialize)]
pub struct Proposers {
    data: Vec<Proposer>,
}

#[derive(Debug, Deserialize)]
struct Proposer {
    slot: Number,
    validator_index: Number,
}

impl Proposers {
    /// Slots and who proposes there.
    pub fn by_slot(&self) -> impl Iterator<Item = (u64, u64)> {
        let duties = self.data.iter();
        duties.map(|duty| (duty.slot.0, duty.validator_index.0))
    }
}

/// How long a list is.
#[derive(Debug)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Counting)
    }
}

struct Counting;

impl<'de> de::Visitor<'de> for Counting {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        let mut count = 0;
        while list.next_element::<de::IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Count(count))
    }
}
