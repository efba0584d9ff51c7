//! Alert rules, judged without I/O and without a clock: documents and `now` in, evaluations out.
//!
//! A rule is a TOML file: a `[query]` that says which documents count, a `key` that splits them into entities and
//! one `[condition]`. Each kind of condition is a file here and a variant of [`Condition`]. What a condition says
//! depends only on the documents of the rule's look-back and on `now`, so live, replay, test and restart agree.

mod absence;
mod condition;
mod engine;
mod event;
mod facts;
mod filter;
mod key;
mod load;
mod period;
mod rule;
mod shipped;
mod span;
mod threshold;
mod window;

pub use self::condition::{Condition, Outcome};
pub use self::engine::{Counters, Engine, Evaluation};
pub use self::facts::{Facts, Shown, Witness, clean};
pub use self::filter::Query;
pub use self::key::Key;
pub use self::load::{Overrides, load, parse, parse_with};
pub use self::period::Period;
pub(crate) use self::period::elapsed;
pub use self::rule::{NoData, Rule, Settings, Severity};
pub(crate) use self::shipped::FILES as SHIPPED_FILES;
pub use self::shipped::shipped;

#[cfg(test)]
mod tests;
