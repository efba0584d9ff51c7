//! The language of `when`: which events a processor works on. Parsed once, evaluated without allocation. Pure.
//!
//! ```text
//! stream == "logs-ethereum.client" and log.level in ["debug", "trace"]
//!   and not (message =~ 'peer [0-9a-f]+' or exists(ethereum.slot))
//! ```
//! `and` binds closer than `or`, `not` closest. A field with several values passes a test if one of them does. A field
//! that is absent, null or of another type passes none; `!=`, `not in` and `not` are the exact opposite, so it passes
//! those.

mod lexer;
mod parser;
mod print;
mod scalar;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use self::scalar::{Number, Pattern, Scalar};
use super::field::{self, Field};
use crate::event::Document;

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Two or more.
    All(Vec<Condition>),
    /// Two or more.
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Field, Test),
}

/// What is asked of a field's values.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Exists,
    Equals(Scalar),
    In(Vec<Scalar>),
    Is(Bound, Number),
    Matches(Pattern),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// Where a condition can't be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Bytes before the token that does not fit.
    pub at: usize,
    pub message: String,
}

/// A condition with the places of its fields, for complaints about those.
#[derive(Debug)]
pub struct Parsed {
    pub condition: Condition,
    /// Bytes before each field.
    pub fields: Vec<(usize, Field)>,
}

/// Reads a condition.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    parser::parse(text)
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `stream`
    pub stream: &'a Value,
    pub document: &'a Document,
    /// What the envelope will add; the document's own values win.
    pub base: &'a Document,
}

impl Condition {
    pub fn holds(&self, view: View<'_>) -> bool {
        let decided = self.decide(&|field, test| Some(test.passes(field, view)));
        decided.unwrap_or(false)
    }

    /// Whether the condition holds as far as `test` knows what each of its tests comes to.
    pub fn decide(&self, test: &impl Fn(&Field, &Test) -> Option<bool>) -> Option<bool> {
        match self {
            Self::All(parts) => decide_all(parts, false, test),
            Self::Any(parts) => decide_all(parts, true, test),
            Self::Not(inner) => inner.decide(test).map(|holds| !holds),
            Self::Test(field, which) => test(field, which),
        }
    }
}

/// One part that is `decisive` decides; without one, all must be known.
fn decide_all(
    parts: &[Condition],
    decisive: bool,
    test: &impl Fn(&Field, &Test) -> Option<bool>,
) -> Option<bool> {
    let mut all_known = true;
    for part in parts {
        match part.decide(test) {
            Some(holds) if holds == decisive => return Some(decisive),
            known => all_known &= known.is_some(),
        }
    }
    all_known.then_some(!decisive)
}

impl Test {
    fn passes(&self, field: &Field, view: View<'_>) -> bool {
        if field.as_str() == STREAM {
            return self.holds(view.stream);
        }
        let mut is_own = false;
        let passes = field::any(view.document.as_map(), field.as_str(), &mut |value| {
            is_own = true;
            self.holds(value)
        });
        passes
            || !is_own
                && field::any(view.base.as_map(), field.as_str(), &mut |value| {
                    self.holds(value)
                })
    }

    /// Whether one value passes.
    pub fn holds(&self, value: &Value) -> bool {
        let text = |passes: &dyn Fn(&str) -> bool| value.as_str().is_some_and(passes);
        match self {
            Self::Exists => true,
            Self::Equals(scalar) => scalar.equals(value),
            Self::In(scalars) => scalars.iter().any(|scalar| scalar.equals(value)),
            Self::Is(bound, number) => number
                .compare(value)
                .is_some_and(|ordering| bound.allows(ordering)),
            Self::Matches(pattern) => text(&|text| pattern.regex().is_match(text)),
            Self::Contains(part) => text(&|text| text.contains(part.as_str())),
            Self::StartsWith(part) => text(&|text| text.starts_with(part.as_str())),
            Self::EndsWith(part) => text(&|text| text.ends_with(part.as_str())),
        }
    }
}

/// The pseudo-field with the event's data stream, without namespace.
pub(super) const STREAM: &str = "stream";

impl Bound {
    fn allows(self, value_to_limit: std::cmp::Ordering) -> bool {
        match self {
            Self::Below => value_to_limit.is_lt(),
            Self::AtMost => value_to_limit.is_le(),
            Self::Above => value_to_limit.is_gt(),
            Self::AtLeast => value_to_limit.is_ge(),
        }
    }
}
