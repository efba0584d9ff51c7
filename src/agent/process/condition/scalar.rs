//! The values of a condition: booleans, numbers, strings, patterns.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Number(Number),
    Text(String),
}

impl Scalar {
    pub(super) fn equals(&self, value: &Value) -> bool {
        match self {
            Self::Bool(expected) => value.as_bool() == Some(*expected),
            Self::Number(expected) => expected.compare(value) == Some(Ordering::Equal),
            Self::Text(expected) => value.as_str() == Some(expected),
        }
    }
}

/// As written: an integer of JSON's range, or with a point or exponent. Never NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok()?;
            let is_json = i128::from(i64::MIN) <= number && number <= i128::from(u64::MAX);
            return is_json.then_some(Self::Integer(number));
        }
        let number: f64 = text.parse().ok()?;
        let is_written = digits.starts_with(|c: char| c.is_ascii_digit());
        (is_written && number.is_finite()).then_some(Self::Float(number))
    }

    /// How the value stands to this number; exact between integers. `None`: it is no number.
    pub(super) fn compare(self, value: &Value) -> Option<Ordering> {
        let signed = value.as_i64().map(i128::from);
        let integer = signed.or_else(|| value.as_u64().map(i128::from));
        match (self, integer) {
            (Self::Integer(limit), Some(integer)) => Some(integer.cmp(&limit)),
            (Self::Integer(limit), None) => value.as_f64()?.partial_cmp(&(limit as f64)),
            (Self::Float(limit), _) => value.as_f64()?.partial_cmp(&limit),
        }
    }
}

/// A regular expression of bounded size, matched in linear time.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// Bytes of the compiled program.
    const MAX_SIZE: usize = 1 << 20;
    /// Bytes that matching may keep per thread.
    const MAX_CACHE: usize = 256 << 10;

    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        let regex = RegexBuilder::new(&pattern)
            .size_limit(Self::MAX_SIZE)
            .dfa_size_limit(Self::MAX_CACHE)
            .build();
        regex.map(Self).map_err(|error| {
            // The library draws the pattern over several lines; the last one says what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim().trim_start_matches("error: ");
            format!("no regular expression: {reason}")
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
