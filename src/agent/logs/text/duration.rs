//! Durations in milliseconds.

use super::number;

/// Seconds as a plain number, in milliseconds.
pub(in crate::agent::logs) fn seconds_to_ms(text: &str) -> Option<f64> {
    let seconds = number::decimal(text)?;
    Some(rounded(seconds * 1_000.0))
}

/// Milliseconds as a plain number, quoted or not.
pub(in crate::agent::logs) fn plain_ms(text: &str) -> Option<f64> {
    number::decimal(text)
}

/// Numbers with units, one after another: `467us953ns`, `Some(5.1s)`, `+3199ms`, `0.558s`, `1m2.5s`, `2 hrs 11 mins`,
/// `05h12m`. `None` for `None`, `"unknown"` and anything else.
pub(in crate::agent::logs) fn to_ms(text: &str) -> Option<f64> {
    let (total_ms, rest) = leading(text)?;
    rest.trim().is_empty().then_some(total_ms)
}

/// The duration at the beginning of a text, and the rest.
pub(in crate::agent::logs) fn leading(text: &str) -> Option<(f64, &str)> {
    let text = number::unwrapped(text);
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total_ms = None;
    while let Some((value, after)) = number::leading(rest) {
        let Some((unit_ms, after)) = unit(after.trim_start_matches(' ')) else {
            break;
        };
        total_ms = Some(total_ms.unwrap_or(0.0) + value * unit_ms);
        rest = after;
    }
    Some((rounded(sign * total_ms?), rest))
}

fn unit(text: &str) -> Option<(f64, &str)> {
    let is_part = |c: char| c.is_ascii_alphabetic() || c == 'µ' || c == 'μ';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (unit, rest) = text.split_at(end);
    let unit_ms = match unit {
        "ns" => 1e-6,
        "us" | "µs" | "μs" => 1e-3,
        "ms" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
        "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600e3,
        "d" | "day" | "days" => 86_400e3,
        "w" | "week" | "weeks" => 604_800e3,
        _ => return None,
    };
    Some((unit_ms, rest))
}

/// To the nanosecond: what a product of floats adds below it is noise.
fn rounded(ms: f64) -> f64 {
    (ms * 1_000_000.0).round() / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_without_the_noise() {
        assert_eq!(seconds_to_ms("4.0940001010894775"), Some(4_094.000_101));
        assert_eq!(seconds_to_ms("-0.5"), Some(-500.0));
        for no_number in ["NaN", "inf", "", "1s"] {
            assert_eq!(seconds_to_ms(no_number), None, "{no_number}");
        }
    }

    #[test]
    fn the_zoo() {
        let durations = [
            ("467us953ns", 0.467_953),
            ("Some(5.103477108s)", 5_103.477_108),
            ("Some(49.14801ms)", 49.148_01),
            ("+3199ms", 3_199.0),
            ("0.558s", 558.0),
            ("1m2.5s", 62_500.0),
            ("12,106 ms", 12_106.0),
            ("2 hrs 11 mins", 7_860_000.0),
            ("\"83.115µs\"", 0.083_115),
            ("6s113ms402us557ns", 6_113.402_557),
            ("-12ms", -12.0),
        ];
        for (text, ms) in durations {
            assert_eq!(to_ms(text), Some(ms), "{text}");
        }
        for no_duration in [
            "None",
            "\"unknown\"",
            "",
            "12",
            "ms",
            "12 parsecs",
            "5s of 7s",
        ] {
            assert_eq!(to_ms(no_duration), None, "{no_duration}");
        }
        assert_eq!(
            leading("3417 ms, time limit"),
            Some((3_417.0, ", time limit"))
        );
    }
}
