//! The zoo of durations, in milliseconds.

/// `467us953ns`, `Some(5.1s)`, `+3199ms`, `0.558s`, `1m2.5s`, `210.286ms`; a bare number is milliseconds. `None` for
/// anything else, `"unknown"` included.
pub(in crate::agent::logs) fn to_ms(text: &str) -> Option<f64> {
    let text = text.trim().trim_matches('"');
    let text = text
        .strip_prefix("Some(")
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(text);
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total_ms = 0.0;
    let mut is_first = true;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let ms_per_unit = match &rest[..unit] {
            "ns" => 0.000_001,
            // The micro sign and the Greek letter look alike.
            "us" | "µs" | "μs" => 0.001,
            "" if is_first && unit == rest.len() => 1.0,
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        };
        total_ms += number * ms_per_unit;
        rest = &rest[unit..];
        is_first = false;
    }
    (!is_first).then(|| rounded(sign * total_ms))
}

/// Seconds as a plain number, in milliseconds.
pub(in crate::agent::logs) fn seconds_to_ms(text: &str) -> Option<f64> {
    let seconds: f64 = text.trim().parse().ok()?;
    seconds.is_finite().then(|| rounded(seconds * 1_000.0))
}

/// To the nanosecond: what a product of floats adds below it is noise.
fn rounded(ms: f64) -> f64 {
    (ms * 1_000_000.0).round() / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zoo() {
        let cases = [
            ("467us953ns", 0.467_953),
            ("Some(49.14801ms)", 49.148_01),
            ("5.617722101s", 5617.722_101),
            ("+3199ms", 3199.0),
            ("-1.5s", -1500.0),
            ("0.558s", 558.0),
            ("1m2.5s", 62_500.0),
            ("\"2180\"", 2180.0),
            ("26.1µs", 0.0261),
        ];
        for (text, ms) in cases {
            assert_eq!(to_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "None",
            "unknown",
            "\"unknown\"",
            "5 parsecs",
            "1.2.3s",
            "ms",
            "-",
            "Some()",
        ] {
            assert_eq!(to_ms(text), None, "{text}");
        }
        assert_eq!(seconds_to_ms("4.0940001010894775"), Some(4094.000_101));
        assert_eq!(seconds_to_ms("NaN"), None);
    }
}
