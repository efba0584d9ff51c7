//! `sample`: keeps a share of the events. The document's id decides, so that an event that is read or sent again comes
//! to the same end, and two agents that see the same id agree.
//!
//! ```toml
//! [[processors]]
//! type = "sample"
//! rate = 0.1
//! when = 'log.level == "debug"'
//! ```

use serde::{Deserialize, Deserializer, de::Error};

use super::Fate;
use crate::event::DocumentId;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The share that is kept, from 0 to 1.
    #[serde(deserialize_with = "share")]
    rate: f64,
}

impl Sample {
    /// `number` tells processors apart: a tenth of a tenth is a hundredth.
    pub(super) fn judge(&self, id: &DocumentId, number: usize) -> Fate {
        match position(id.as_str(), number as u64) < self.rate {
            true => Fate::Kept,
            false => Fate::Dropped,
        }
    }
}

/// A place in [0, 1) that is the same on every machine and in every version: FNV-1a, its bits mixed once more.
fn position(id: &str, salt: u64) -> f64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let salted = salt.to_le_bytes().iter().fold(OFFSET, step);
    let mut hash = id.as_bytes().iter().fold(salted, step);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    // The 53 bits that a float can hold.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn share<'de, D: Deserializer<'de>>(rate: D) -> Result<f64, D::Error> {
    let rate = f64::deserialize(rate)?;
    match (0.0..=1.0).contains(&rate) {
        true => Ok(rate),
        false => Err(D::Error::custom("expected a share from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rate: f64, numbers: &[usize]) -> usize {
        let sample = Sample { rate };
        let ids = (0..20_000).map(|number: u32| DocumentId::of(&[&number.to_string()]));
        let passes = |id: &DocumentId| {
            let mut fates = numbers.iter().map(|number| sample.judge(id, *number));
            fates.all(|fate| fate == Fate::Kept)
        };
        ids.filter(passes).count()
    }

    #[test]
    fn the_share_is_what_was_asked_for() {
        assert_eq!((kept(0.0, &[1]), kept(1.0, &[1])), (0, 20_000));
        assert!((1_800..2_200).contains(&kept(0.1, &[1])));
        assert!((9_600..10_400).contains(&kept(0.5, &[1])));
        assert!((140..260).contains(&kept(0.1, &[1, 2])), "independent");
    }

    #[test]
    fn an_id_always_has_the_same_place() {
        // Literal, so that a later version can't decide otherwise about what is sent again.
        let place = position("0123456789abcdef0123456789abcdef", 1);
        assert_eq!((place * 1e6).floor(), 468_844.0);
    }
}
