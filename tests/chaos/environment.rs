//! What the environment asks of the tests. The one place that reads it.

use url::Url;

/// How many schedules, how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) schedules: usize,
    pub(crate) at_once: usize,
}

/// `ETHMON_CHAOS_TIER` is `quick` (the default), `full` or `soak`; `ETHMON_CHAOS_SCHEDULES` is a number of its own.
pub(crate) fn tier() -> Tier {
    let mut tier = match variable("ETHMON_CHAOS_TIER").as_deref() {
        None | Some("quick") => Tier {
            schedules: 5,
            at_once: 5,
        },
        Some("full") => Tier {
            schedules: 40,
            at_once: 10,
        },
        Some("soak") => Tier {
            schedules: 200,
            at_once: 10,
        },
        Some(other) => panic!("ETHMON_CHAOS_TIER is {other:?}, not quick, full or soak"),
    };
    if let Some(schedules) = variable("ETHMON_CHAOS_SCHEDULES") {
        tier.schedules = schedules.parse().unwrap();
    }
    tier
}

/// `ETHMON_CHAOS_SEED`: the one schedule to run.
pub(crate) fn seed() -> Option<u64> {
    Some(variable("ETHMON_CHAOS_SEED")?.parse().unwrap())
}

/// The real Elasticsearch, where there is one; where CI is set there must be.
pub(crate) fn elasticsearch() -> Option<Url> {
    if let Some(url) = variable("ETHMON_TEST_ELASTICSEARCH") {
        return Some(url.parse().unwrap());
    }
    assert!(
        variable("CI").is_none(),
        "ETHMON_TEST_ELASTICSEARCH is not set"
    );
    None
}

#[allow(clippy::disallowed_methods)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
