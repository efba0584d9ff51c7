//! What may be stored already, though nobody said so: where to look for it before it is sent again.
//!
//! Within one backing index `create` recognises what is there. After a rollover the same id would be stored once more. So
//! an item is looked up in every backing index that was written to since it may have been stored: in the newest one too,
//! since a further rollover may come between the look and the request. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Item;
use crate::elastic::BackingIndex;

/// The clocks of the server's nodes may differ by so much. Ours is not compared with them: it may be set at any time.
const CLOCKS_DIFFER_MS: u64 = 10 * 60 * 1000;
/// A list of backing indices is believed for so long: what a crash left in doubt would else ask again for every request.
const LIST_IS_FRESH: Duration = Duration::from_secs(1);
/// Lines read again after a start were sent before it at most so long ago, we assume.
const LAST_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// An item may have been stored at any time since `age_ms` before `at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) at: Instant,
    pub(super) age_ms: u64,
}

impl Doubt {
    /// Milliseconds.
    pub(super) fn age_ms(self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.at).as_millis();
        self.age_ms
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

/// Backing indices as they were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Known {
    list: Option<(Instant, Arc<Vec<BackingIndex>>)>,
    streams: BTreeSet<String>,
    /// The key may not look, so nobody asks any more.
    denied: bool,
}

impl Known {
    pub(super) fn may_look(&self) -> bool {
        !self.denied
    }

    /// Whether this is news.
    pub(super) fn deny(&mut self) -> bool {
        !std::mem::replace(&mut self.denied, true)
    }

    pub(super) fn learn(&mut self, list: Arc<Vec<BackingIndex>>, now: Instant) {
        self.list = Some((now, list));
    }

    /// The list, where it is fresh and has every stream of the items; and otherwise the streams to ask for.
    pub(super) fn list(
        &mut self,
        items: &[Item],
        now: Instant,
    ) -> Result<Arc<Vec<BackingIndex>>, Vec<String>> {
        let known = self.streams.len();
        for item in items.iter().filter(|item| item.in_doubt.is_some()) {
            if !self.streams.contains(item.record.index()) {
                self.streams.insert(item.record.index().to_owned());
            }
        }
        match &self.list {
            Some((at, list)) if self.streams.len() == known && now < *at + LIST_IS_FRESH => {
                Ok(Arc::clone(list))
            }
            _ => Err(self.streams.iter().cloned().collect()),
        }
    }
}

/// How long before the start what the last life may have sent was sent at most, in milliseconds: `taken_at_ms` is when a
/// spooled record was taken, `None` for a line that is read again.
pub(super) fn age_at_start(taken_at_ms: Option<u64>, started_ms: u64) -> Option<u64> {
    match taken_at_ms {
        Some(taken) => (taken < started_ms).then(|| (started_ms - taken).max(LAST_LIFE_MS)),
        None => Some(LAST_LIFE_MS),
    }
}

/// Which ids to look for in which backing index. Of an item it takes data stream, id, and how many milliseconds ago it may
/// have been stored at the earliest.
pub(super) fn plan<'a>(
    items: impl Iterator<Item = (&'a str, &'a str, u64)>,
    list: &'a [BackingIndex],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut of_stream: BTreeMap<&str, Vec<&BackingIndex>> = BTreeMap::new();
    for index in list {
        of_stream.entry(&index.stream).or_default().push(index);
    }
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (stream, id, age_ms) in items {
        let indices = of_stream.get(stream).map_or(&[][..], Vec::as_slice);
        // The server's clock says at least this.
        let now = indices.last().map_or(0, |newest| newest.created_ms);
        let since = now.saturating_sub(age_ms);
        // An index was written to until the next one was made.
        let older = indices
            .windows(2)
            .filter(|pair| pair[1].created_ms + CLOCKS_DIFFER_MS >= since)
            .count();
        for index in indices.iter().rev().take(older + 1) {
            wanted.entry(&index.name).or_default().push(id);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;

    /// Backing indices of a stream made at these hours.
    fn indices(stream: &str, hours: &[u64]) -> Vec<BackingIndex> {
        let index = |hour: &u64| BackingIndex {
            stream: stream.into(),
            name: format!(".ds-{stream}-{hour}"),
            created_ms: hour * HOUR,
        };
        hours.iter().map(index).collect()
    }

    fn names(list: &[BackingIndex], age_ms: u64) -> Vec<&str> {
        plan([("a", "id", age_ms)].into_iter(), list)
            .into_keys()
            .collect()
    }

    #[test]
    fn the_newest_index_is_asked_before_it_may_be_another() {
        assert_eq!(names(&indices("a", &[1]), 0), [".ds-a-1"]);
        assert_eq!(names(&indices("b", &[1, 5]), 0), [""; 0], "another stream");
    }

    #[test]
    fn every_index_that_was_written_to_since_is_asked() {
        let list = indices("a", &[1, 5, 7]);
        assert_eq!(
            names(&list, 0),
            [".ds-a-5", ".ds-a-7"],
            "the rollover may be of this moment"
        );
        assert_eq!(names(&list, HOUR), [".ds-a-5", ".ds-a-7"]);
        let within = 2 * HOUR - CLOCKS_DIFFER_MS;
        let all = [".ds-a-1", ".ds-a-5", ".ds-a-7"];
        assert_eq!(names(&list, 2 * HOUR), all);
        assert_eq!(names(&list, within), all, "clocks differ");
        assert_eq!(names(&list, within - 1), [".ds-a-5", ".ds-a-7"]);
        assert_eq!(names(&list, u64::MAX), all);
    }

    #[test]
    fn the_last_life_sent_nothing_that_was_taken_since() {
        assert_eq!(age_at_start(Some(9), 10), Some(LAST_LIFE_MS));
        assert_eq!(age_at_start(Some(10), 10), None);
        assert_eq!(age_at_start(Some(0), 30 * HOUR), Some(30 * HOUR));
        assert_eq!(age_at_start(None, 10), Some(LAST_LIFE_MS));
    }
}
