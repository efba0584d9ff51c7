//! What was left out, told as it grows. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::reader::Reader;
use super::write::Writer;
use crate::network::Refused;
use crate::rules::Engine;

/// How long one reason is not told again.
const PAUSE: TimeDelta = TimeDelta::minutes(10);

/// Something was left out since this reason was told last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub reason: String,
    pub more: u64,
    pub all: u64,
}

/// By reason, what was told of it and when.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<String, (u64, DateTime<Utc>)>);

impl Losses {
    /// Of counts since the start, those that have grown.
    pub(super) fn news(
        &mut self,
        now: DateTime<Utc>,
        counts: impl IntoIterator<Item = (String, u64)>,
    ) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (reason, all) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let told = self.0.get(&reason).copied();
            let (before, at) = told.unwrap_or((0, DateTime::<Utc>::MIN_UTC));
            if all > before && now - at >= PAUSE {
                self.0.insert(reason.clone(), (all, now));
                let more = all - before;
                losses.push(Loss { reason, more, all });
            }
        }
        losses
    }
}

/// What was left out since the start, by reason.
pub(super) fn counts(
    engine: &Engine,
    refused: Refused,
    writer: &Writer,
    reader: &Reader,
) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = [
        ("documents that cannot be read", reader.unreadable),
        ("findings not stored", writer.lost),
        ("observations from the future", refused.future),
        ("observations that are too old", refused.too_old),
        ("blocks that contradict others", refused.contradicting),
        (
            "nodes, blocks or reorgs beyond the limit",
            refused.over_limit,
        ),
        ("changes of head without links", refused.unlinked),
    ]
    .map(|(reason, count)| (reason.to_owned(), count))
    .into();
    for (rule, counters) in engine.counters() {
        let keys = format!("documents of keys beyond max_keys of the rule {rule}");
        counts.push((keys, counters.refused_keys));
        let documents = format!("documents beyond the window of the rule {rule}");
        counts.push((documents, counters.pushed_out));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told_at_once_and_then_seldom() {
        let mut losses = Losses::default();
        let mut told = |minute: i64, count: u64| -> Vec<(u64, u64)> {
            let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
            let counts = [("lost".to_owned(), count), ("kept".to_owned(), 0)];
            let news = losses.news(now, counts);
            assert!(news.iter().all(|loss| loss.reason == "lost"));
            news.iter().map(|loss| (loss.more, loss.all)).collect()
        };
        assert_eq!(told(0, 0), []);
        assert_eq!(told(1, 3), [(3, 3)]);
        assert_eq!(told(5, 4), []);
        assert_eq!(told(11, 9), [(6, 9)]);
        assert_eq!(told(90, 9), []);
    }
}
