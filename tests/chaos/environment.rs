//! What the environment asks of the tests. The one place that reads it.

use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// How many schedules, how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) schedules: usize,
    pub(crate) at_once: usize,
}

/// `ETHMON_CHAOS_TIER` is `quick` (the default), `full` or `soak`; `ETHMON_CHAOS_SCHEDULES` and `ETHMON_CHAOS_AT_ONCE` are
/// numbers of one's own.
pub(crate) fn tier() -> Tier {
    let (schedules, at_once) = match variable("ETHMON_CHAOS_TIER").as_deref() {
        None | Some("quick") => (5, 5),
        Some("full") => (40, 10),
        Some("soak") => (200, 10),
        Some(other) => panic!("ETHMON_CHAOS_TIER is {other:?}, not quick, full or soak"),
    };
    Tier {
        schedules: number("ETHMON_CHAOS_SCHEDULES").unwrap_or(schedules),
        at_once: number("ETHMON_CHAOS_AT_ONCE").unwrap_or(at_once),
    }
}

/// `ETHMON_CHAOS_SEED`: the one schedule to run.
pub(crate) fn seed() -> Option<u64> {
    number("ETHMON_CHAOS_SEED")
}

/// `ETHMON_CHAOS_PROGRAM`: another build of ethmon than the one that belongs to the tests.
pub(crate) fn program() -> PathBuf {
    let ours = || env!("CARGO_BIN_EXE_ethmon").to_owned();
    variable("ETHMON_CHAOS_PROGRAM").unwrap_or_else(ours).into()
}

/// Whether everything that the tests need must be here.
pub(crate) fn is_ci() -> bool {
    variable("CI").is_some()
}

/// The real Elasticsearch, where there is one; where CI is set there must be.
pub(crate) fn elasticsearch() -> Option<Url> {
    if let Some(url) = variable("ETHMON_TEST_ELASTICSEARCH") {
        return Some(url.parse().unwrap());
    }
    assert!(!is_ci(), "ETHMON_TEST_ELASTICSEARCH is not set");
    None
}

fn number<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    Some(variable(name)?.parse().unwrap())
}

#[allow(clippy::disallowed_methods)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
