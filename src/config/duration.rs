//! Durations as people write them: `200ms`, `10s`, `5m`, `2h`, `1d`. Use with `#[serde(with = "duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A whole number and a unit; no sign, no space.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let ms_per_unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms_per_unit).map(Duration::from_millis)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "not a duration: {text:?}, expected a number and ms, s, m, h or d, as in \"10s\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_nonsense() {
        assert_eq!(parse("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(parse("2h"), Some(Duration::from_secs(7_200)));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1 s",
            "1.5s",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
