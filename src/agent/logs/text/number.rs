//! Numbers with separators and units, in base units.

/// What a number was wrapped in by the code that printed it: quotes, `Some(…)`, `Slot(…)`, `#`.
pub(in crate::agent::logs) fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let inner = match text.as_bytes() {
            [b'"', .., b'"'] if text.len() > 1 => &text[1..text.len() - 1],
            [b'A'..=b'Z', .., b')'] => match text.split_once('(') {
                Some((name, inner)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    &inner[..inner.len() - 1]
                }
                _ => return text,
            },
            [b'#', ..] => &text[1..],
            _ => return text,
        };
        text = inner.trim();
    }
}

/// A whole number, thousands separators removed. `None` where anything else stands beside it.
pub(in crate::agent::logs) fn integer(text: &str) -> Option<i64> {
    let text = unwrapped(text);
    if memchr::memchr(b',', text.as_bytes()).is_none() {
        return text.parse().ok().or_else(|| scientific(text));
    }
    let (number, rest) = grouped(text)?;
    rest.is_empty().then_some(number)
}

/// `7.7399973E7`, as some that pass JSON on write large numbers. `None` where it is not whole, or too large to be exact.
fn scientific(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.')?;
    if !is_number(whole) || !is_number(fraction) || !is_number(exponent) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0).then(|| scaled(number))?
}

/// The number at the beginning of a text, its fraction included, and the rest.
pub(in crate::agent::logs) fn leading(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',');
    let length = text.bytes().take_while(is_part).count();
    // A separator at the end belongs to the sentence.
    let number = text[..length].trim_end_matches(['.', ',']);
    let value = if number.contains(',') {
        let (whole, fraction) = grouped(number)?;
        whole as f64
            + if fraction.is_empty() {
                0.0
            } else {
                fraction.parse::<f64>().ok()?
            }
    } else {
        number.parse().ok()?
    };
    Some((value, &text[number.len()..]))
}

/// The whole number at the beginning of a text, and the rest.
pub(in crate::agent::logs) fn leading_integer(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    let text = text.strip_prefix('#').unwrap_or(text);
    grouped(text)
}

/// Digits with commas only before groups of three, and the rest.
fn grouped(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    let mut number: i64 = 0;
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(byte @ b'0'..=b'9') => {
                number = number
                    .checked_mul(10)?
                    .checked_add(i64::from(byte - b'0'))?;
                at += 1;
            }
            Some(b',') if at > 0 && is_group(&bytes[at + 1..]) => at += 1,
            _ => break,
        }
    }
    (at > 0).then(|| (number, &text[at..]))
}

/// Exactly three digits begin here.
fn is_group(bytes: &[u8]) -> bool {
    let digits = bytes
        .iter()
        .take(4)
        .take_while(|byte| byte.is_ascii_digit());
    digits.count() == 3
}

/// `18.23 Mgas`, `15.14 MGas`, `20.40Mgas`, `1.2Ggas` in gas.
pub(in crate::agent::logs) fn gas(text: &str) -> Option<i64> {
    let (number, rest) = leading(unwrapped(text))?;
    scaled(number * gas_unit(rest)?)
}

/// Millions of gas, bare, in gas.
pub(in crate::agent::logs) fn mega_gas(text: &str) -> Option<i64> {
    scaled(unwrapped(text).parse::<f64>().ok()? * 1e6)
}

/// `113.79 Mgas/second`, `1.2Ggas/s` in millions of gas a second.
pub(in crate::agent::logs) fn gas_rate(text: &str) -> Option<f64> {
    let (number, rest) = leading(unwrapped(text))?;
    let rest = rest.trim_start();
    let unit = rest.split(['/', ' ']).next().unwrap_or_default();
    let rate = number * gas_unit(unit)? / 1e6;
    // What the scaling adds below the last printed digit is noise.
    Some((rate * 1e6).round() / 1e6)
}

fn gas_unit(text: &str) -> Option<f64> {
    Some(match text.trim().as_bytes() {
        b"" | b"gas" | b"Gas" => 1.0,
        b"Kgas" | b"kgas" | b"KGas" => 1e3,
        b"Mgas" | b"MGas" | b"mgas" => 1e6,
        b"Ggas" | b"GGas" => 1e9,
        _ => return None,
    })
}

/// `8.55 gwei`, `0.00gwei`, `7 wei` in wei.
pub(in crate::agent::logs) fn wei(text: &str) -> Option<i64> {
    let (number, rest) = leading(unwrapped(text))?;
    let unit = match rest.trim().as_bytes() {
        b"wei" => 1.0,
        b"kwei" => 1e3,
        b"mwei" => 1e6,
        b"gwei" | b"Gwei" | b"GWei" => 1e9,
        b"eth" | b"ETH" => 1e18,
        _ => return None,
    };
    scaled(number * unit)
}

/// `11.7%` as a share of one.
pub(in crate::agent::logs) fn share(text: &str) -> Option<f64> {
    let (percent, rest) = leading(unwrapped(text))?;
    let is_percent = rest.trim_start().starts_with('%');
    is_percent.then(|| (percent * 1e4).round() / 1e6)
}

/// A finite decimal number, bare.
pub(in crate::agent::logs) fn decimal(text: &str) -> Option<f64> {
    let number: f64 = unwrapped(text).parse().ok()?;
    number.is_finite().then_some(number)
}

fn scaled(number: f64) -> Option<i64> {
    let rounded = number.round();
    // 2^63 is the first that does not fit.
    (rounded.abs() < 9_223_372_036_854_775_808.0).then_some(rounded as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_as_they_are_printed() {
        let numbers = [
            ("13,742,440", 13_742_440),
            ("\"2180\"", 2_180),
            ("Some(Slot(9648896))", 9_648_896),
            ("#18,148,064", 18_148_064),
            ("-3", -3),
        ];
        for (text, number) in numbers {
            assert_eq!(integer(text), Some(number), "{text}");
        }
        for no_number in [
            "",
            "1,2",
            "1,2345",
            ",123",
            "12 txs",
            "Some(",
            "99999999999999999999",
            "None",
        ] {
            assert_eq!(integer(no_number), None, "{no_number}");
        }
        assert_eq!(leading_integer("#21 (7f)"), Some((21, " (7f)")));
        assert_eq!(leading("12,106.5 ms, x"), Some((12_106.5, " ms, x")));
        assert_eq!(leading("3. Peers"), Some((3.0, ". Peers")));
    }

    #[test]
    fn units_become_base_units() {
        assert_eq!(gas("18.23 Mgas"), Some(18_230_000));
        assert_eq!(gas("20.40Mgas"), Some(20_400_000));
        assert_eq!(mega_gas("18.535"), Some(18_535_000));
        assert_eq!(gas_rate("113.79 Mgas/second"), Some(113.79));
        assert_eq!(gas_rate("1.2Ggas/s"), Some(1_200.0));
        assert_eq!(wei("8.55 gwei"), Some(8_550_000_000));
        assert_eq!(wei("7 wei"), Some(7));
        assert_eq!(share("( 29.9%"), None);
        assert_eq!(share("29.9%"), Some(0.299));
        for no_value in ["", "gas", "1 kg", "1e400", "NaN"] {
            assert_eq!(
                (gas(no_value), wei(no_value), decimal(no_value)),
                (None, None, None),
                "{no_value}"
            );
        }
    }
}
