//! Lengths of time as rules write them: `90s`, `5m`, `1d`, and `3 slots`, `2 epochs`, which differ by chain.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer};

use crate::config::duration;
use crate::slot::ChainSpec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Ms(u64),
    Slots(u64),
    Epochs(u64),
}

impl Period {
    pub const ZERO: Self = Self::Ms(0);
    pub const DAY: Self = Self::Ms(86_400_000);

    pub fn parse(text: &str) -> Option<Self> {
        let Some((number, unit)) = text.split_once(' ') else {
            return duration::parse(text)
                .and_then(|time| u64::try_from(time.as_millis()).ok())
                .map(Self::Ms);
        };
        let number = number.parse().ok()?;
        match unit {
            "slot" | "slots" => Some(Self::Slots(number)),
            "epoch" | "epochs" => Some(Self::Epochs(number)),
            _ => None,
        }
    }

    /// In the time of this chain; a length beyond the calendar saturates at a thousand years.
    pub fn resolve(self, spec: &ChainSpec) -> TimeDelta {
        const LONGEST_MS: u64 = 1_000 * 365 * 86_400_000;
        let ms = match self {
            Self::Ms(ms) => ms,
            Self::Slots(slots) => slots.saturating_mul(spec.slot_duration_ms),
            Self::Epochs(epochs) => epochs
                .saturating_mul(spec.slots_per_epoch)
                .saturating_mul(spec.slot_duration_ms),
        };
        TimeDelta::milliseconds(ms.min(LONGEST_MS) as i64)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |f: &mut fmt::Formatter<'_>, number: u64, unit: &str| {
            write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
        };
        match *self {
            Self::Ms(ms) => f.write_str(&elapsed(TimeDelta::milliseconds(ms as i64))),
            Self::Slots(slots) => counted(f, slots, "slot"),
            Self::Epochs(epochs) => counted(f, epochs, "epoch"),
        }
    }
}

/// A length of time for people, its two largest units: `48 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`.
pub(crate) fn elapsed(time: TimeDelta) -> String {
    let ms = time.num_milliseconds().max(0);
    if ms > 0 && ms < 1_000 {
        return format!("{ms} ms");
    }
    let seconds = ms / 1_000;
    let (whole, unit, rest, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    match rest {
        0 => format!("{whole} {unit}"),
        rest => format!("{whole} {unit} {rest} {small}"),
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "not a length of time: {text:?}, expected one as in \"90s\", \"5m\", \"3 slots\" or \"2 epochs\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_epochs_follow_the_chain() {
        let mut spec = ChainSpec::example();
        let seconds = |text: &str, spec: &ChainSpec| {
            Period::parse(text).map(|period| period.resolve(spec).num_seconds())
        };
        assert_eq!(seconds("3 slots", &spec), Some(36));
        assert_eq!(seconds("2 epochs", &spec), Some(768));
        assert_eq!(seconds("5m", &spec), Some(300));
        spec.slot_duration_ms = 4_000;
        assert_eq!(seconds("1 slot", &spec), Some(4));
        for wrong in ["", "3", "3slots", "-1 slots", "three slots", "3 blocks"] {
            assert_eq!(Period::parse(wrong), None, "{wrong}");
        }
        let far = Period::parse("18446744073709551615 epochs").unwrap();
        assert!(far.resolve(&spec) > TimeDelta::days(300_000));
    }

    #[test]
    fn people_read_two_units() {
        let text = |seconds| elapsed(TimeDelta::seconds(seconds));
        assert_eq!(text(48), "48 s");
        assert_eq!(text(125), "2 min 5 s");
        assert_eq!(text(3_600), "1 h");
        assert_eq!(text(187_200), "2 d 4 h");
        assert_eq!(Period::Slots(1).to_string(), "1 slot");
    }
}
