//! An entity that should send and does not.
//!
//! Fires when the newest document of a key is older than `after`. A key is watched once it was seen, or if it is
//! listed in `expect`; it is forgotten after `remember`. Silence before the reader itself was reading says nothing.
//!
//! ```toml
//! [condition]
//! type = "absence"
//! after = "5 slots"
//! remember = "7d"
//! expect = [["beacon-1"], ["beacon-2"]]   # values of the key fields
//! ```

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::condition::{Judgement, Kind, Outcome, Scene};
use super::key::Key;
use super::period::Period;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    #[serde(rename = "type")]
    _kind: Kind,
    pub after: Period,
    #[serde(default = "week")]
    pub remember: Period,
    #[serde(default)]
    pub expect: Vec<Key>,
}

fn week() -> Period {
    Period::Ms(7 * 86_400_000)
}

impl Absence {
    pub(super) fn judge(&self, scene: &Scene<'_>) -> Judgement {
        let after = self.after.resolve(scene.chain);
        let Some(seen) = scene.window.newest(scene.now) else {
            return self.never_seen(scene);
        };
        let silent = scene.now - seen;
        let value = Some(silent.as_seconds_f64());
        let outcome = if silent <= after {
            let since = self.returned(scene);
            Outcome::Clear { since }
        } else if silent > self.remember.resolve(scene.chain) {
            let reason = "silent for so long that it is no longer watched";
            Outcome::Gone { reason }
        } else if scene.now - scene.reading_since <= after {
            let reason = "the reader has only begun to read";
            Outcome::NoData { reason }
        } else {
            let last = scene.now;
            Outcome::Breach { since: seen, last }
        };
        Judgement::new(outcome, value)
    }

    /// A listed entity that never sent is silent since we listen.
    fn never_seen(&self, scene: &Scene<'_>) -> Judgement {
        let silent = scene.now - scene.reading_since;
        let outcome = if !scene.expected {
            let reason = "nothing is known of it since the start";
            Outcome::NoData { reason }
        } else if silent <= self.after.resolve(scene.chain) {
            let reason = "not seen yet";
            Outcome::NoData { reason }
        } else {
            let since = scene.reading_since;
            let last = scene.now;
            Outcome::Breach { since, last }
        };
        Judgement::new(outcome, Some(silent.as_seconds_f64()))
    }

    /// The first document after the newest gap.
    fn returned(&self, scene: &Scene<'_>) -> Option<DateTime<Utc>> {
        let after = self.after.resolve(scene.chain);
        let times: Vec<_> = scene
            .window
            .between(DateTime::<Utc>::MIN_UTC, scene.now)
            .map(|(at, _)| at)
            .collect();
        let gap = times
            .windows(2)
            .rev()
            .find(|pair| pair[1] - pair[0] > after);
        gap.map(|pair| pair[1])
    }
}
