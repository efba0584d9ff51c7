//! Slots, epochs, roots and the chain's time parameters. Knows nobody.
//!
//! Every arrival in the project is computed here, so that the agent, the aggregator and a replay agree to the millisecond.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Arrivals this close to the attestation deadline are neither late nor timely: clocks are no better.
pub const BORDERLINE_MS: i64 = 50;

/// The wall clock. The only place that reads it: everything that judges takes `now` as an argument.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A 32-byte hash-tree root, hexadecimal with `0x` outside the program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Root(pub [u8; 32]);

impl Root {
    /// The parent of the genesis block.
    pub const ZERO: Self = Self([0; 32]);

    /// First four bytes with `0x`, as clients abbreviate roots: enough for a person to tell two apart.
    pub fn short(&self) -> String {
        format!("0x{}", hex::encode(&self.0[..4]))
    }
}

/// The text is not `0x` and 64 hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a 32-byte root in hexadecimal")]
pub struct NotARoot;

impl FromStr for Root {
    type Err = NotARoot;

    fn from_str(text: &str) -> Result<Self, NotARoot> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotARoot)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Root {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RootText)
    }
}

/// Reads a root where it stands: thirty thousand votes a slot name three each.
struct RootText;

impl de::Visitor<'_> for RootText {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 32-byte root in hexadecimal")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Root, E> {
        text.parse().map_err(E::custom)
    }
}

/// A block by slot and root: where a head points, what a reorg starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockRef {
    pub slot: u64,
    pub root: Root,
}

/// The chain's clock and limits as its nodes state them (`/eth/v1/beacon/genesis`, `/eth/v1/config/spec`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSpec {
    /// `CONFIG_NAME`: mainnet, sepolia, or what a devnet calls itself.
    pub network: String,
    /// Nodes with different values are on different chains and are never compared.
    pub genesis_validators_root: Root,
    pub genesis_time: DateTime<Utc>,
    pub slot_duration_ms: u64,
    pub slots_per_epoch: u64,
    /// Milliseconds into the slot at which attesters vote without the block: an arrival at or after it is late.
    pub attestation_due_ms: u64,
    /// Milliseconds into the slot at which votes are put together: one that comes at or after it misses the next block.
    pub aggregate_due_ms: u64,
    pub sync_committee_size: u64,
    /// Blobs a block may carry from an epoch on, ascending by epoch; empty before Deneb.
    pub blob_schedule: Vec<(u64, u64)>,
}

impl ChainSpec {
    /// The slot that is running at `at`; `None` before genesis.
    ///
    /// ```
    /// # use ethmon::slot::ChainSpec;
    /// # use chrono::{DateTime, TimeDelta};
    /// let spec = ChainSpec::example();
    /// assert_eq!(spec.slot_at(spec.genesis_time + TimeDelta::milliseconds(24_001)), Some(2));
    /// assert_eq!(spec.slot_at(spec.genesis_time - TimeDelta::milliseconds(1)), None);
    /// ```
    pub fn slot_at(&self, at: DateTime<Utc>) -> Option<u64> {
        let since = (at - self.genesis_time).num_milliseconds();
        u64::try_from(since)
            .ok()
            .map(|ms| ms / self.slot_duration_ms)
    }

    /// When a slot begins. Slots beyond the calendar (hostile input) saturate at its end.
    pub fn slot_start(&self, slot: u64) -> DateTime<Utc> {
        let offset = slot
            .checked_mul(self.slot_duration_ms)
            .and_then(|ms| i64::try_from(ms).ok());
        offset
            .and_then(TimeDelta::try_milliseconds)
            .and_then(|delta| self.genesis_time.checked_add_signed(delta))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Milliseconds from the start of `slot` to `received`, corrected by the clock's offset. Signed: a block may
    /// arrive before its slot on a clock that runs behind.
    ///
    /// ```
    /// # use ethmon::slot::ChainSpec;
    /// # use chrono::TimeDelta;
    /// let spec = ChainSpec::example();
    /// let received = spec.slot_start(5) + TimeDelta::milliseconds(400);
    /// assert_eq!(spec.arrival_ms(5, received, 0.0), 400);
    /// assert_eq!(spec.arrival_ms(5, received, 500.0), -100);
    /// ```
    pub fn arrival_ms(&self, slot: u64, received: DateTime<Utc>, clock_offset_ms: f64) -> i64 {
        let raw_us = (received - self.slot_start(slot))
            .num_microseconds()
            .unwrap_or(i64::MIN);
        let corrected_us = raw_us as f64 - clock_offset_ms * 1000.0;
        (corrected_us / 1000.0).floor() as i64
    }

    /// Definition D2: at or after the attestation deadline.
    pub fn is_late(&self, arrival_ms: i64) -> bool {
        arrival_ms >= self.attestation_due_ms as i64
    }

    /// Within ±[`BORDERLINE_MS`] of the deadline.
    pub fn is_borderline(&self, arrival_ms: i64) -> bool {
        (arrival_ms - self.attestation_due_ms as i64).abs() <= BORDERLINE_MS
    }

    pub fn epoch_of(&self, slot: u64) -> u64 {
        slot / self.slots_per_epoch
    }

    /// Blobs a block of this slot may carry; `None` before the first entry of the schedule.
    pub fn max_blobs(&self, slot: u64) -> Option<u64> {
        let epoch = self.epoch_of(slot);
        self.blob_schedule
            .iter()
            .rev()
            .find(|(from, _)| *from <= epoch)
            .map(|(_, max)| *max)
    }

    /// A mainnet-shaped chain for tests and documentation.
    pub fn example() -> Self {
        Self {
            network: "mainnet".into(),
            genesis_validators_root: Root([7; 32]),
            genesis_time: DateTime::from_timestamp(1_606_824_023, 0).unwrap_or_default(),
            slot_duration_ms: 12_000,
            slots_per_epoch: 32,
            attestation_due_ms: 3_999,
            aggregate_due_ms: 8_000,
            sync_committee_size: 512,
            blob_schedule: vec![(269_568, 6), (364_032, 9)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_survive_the_round_trip_and_refuse_garbage() {
        let text = format!("0x{}", "ab".repeat(32));
        assert_eq!(text.parse::<Root>().unwrap().to_string(), text);
        assert_eq!("0x12".parse::<Root>(), Err(NotARoot));
        assert_eq!("".parse::<Root>(), Err(NotARoot));
    }

    #[test]
    fn lateness_begins_at_the_deadline() {
        let spec = ChainSpec::example();
        assert!(!spec.is_late(3_998) && spec.is_late(3_999));
        assert!(spec.is_borderline(3_949) && !spec.is_borderline(3_948));
    }

    #[test]
    fn overflowing_slots_do_not_panic() {
        let spec = ChainSpec::example();
        assert_eq!(spec.slot_start(u64::MAX), DateTime::<Utc>::MAX_UTC);
        assert!(spec.arrival_ms(u64::MAX, spec.genesis_time, 0.0) < 0);
    }

    #[test]
    fn blob_limit_follows_the_schedule() {
        let spec = ChainSpec::example();
        assert_eq!(spec.max_blobs(0), None);
        assert_eq!(spec.max_blobs(269_568 * 32), Some(6));
        assert_eq!(spec.max_blobs(364_032 * 32 + 5), Some(9));
    }
}
