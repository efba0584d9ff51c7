//! Durations in milliseconds.

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
    fn seconds_without_the_noise() {
        assert_eq!(seconds_to_ms("4.0940001010894775"), Some(4_094.000_101));
        assert_eq!(seconds_to_ms("-0.5"), Some(-500.0));
        for no_number in ["NaN", "inf", "", "1s"] {
            assert_eq!(seconds_to_ms(no_number), None, "{no_number}");
        }
    }
}
