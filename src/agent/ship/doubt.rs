//! What may be stored already, though nobody said so: where to look for it before it is sent again.
//!
//! Within one backing index `create` recognises what is there. After a rollover the same id would be stored once more. So
//! where a stream got a new backing index since an item may have been stored, the item is looked up in the older one. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Item;
use crate::elastic::BackingIndex;

/// The server's clock and ours may differ by so much.
const CLOCKS_DIFFER_MS: u64 = 10 * 60 * 1000;
/// A list of backing indices is believed for so long: what a crash left in doubt would else ask again for every request.
const LIST_IS_FRESH: Duration = Duration::from_secs(1);
/// Lines read again after a start were sent before it at most so long ago, we assume.
const LAST_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

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
        for item in items.iter().filter(|item| item.in_doubt_since.is_some()) {
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

/// The beginning of the doubt about what the last life may have sent: `taken_at_ms` is when a spooled record was taken,
/// `None` for a line that is read again.
pub(super) fn since_last_life(taken_at_ms: Option<u64>, started_ms: u64) -> Option<u64> {
    match taken_at_ms {
        Some(taken) => (taken < started_ms).then_some(taken),
        None => Some(started_ms.saturating_sub(LAST_LIFE_MS)),
    }
}

/// Which ids to look for in which backing index. Empty where no stream rolled over since.
pub(super) fn plan<'a>(
    items: impl Iterator<Item = (&'a str, &'a str, u64)>,
    list: &'a [BackingIndex],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut of_stream: BTreeMap<&str, Vec<&BackingIndex>> = BTreeMap::new();
    for index in list {
        of_stream.entry(&index.stream).or_default().push(index);
    }
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (stream, id, since) in items {
        let indices = of_stream.get(stream).map_or(&[][..], Vec::as_slice);
        // An index was written to until the next one was made. The newest one judges by itself, but a further rollover
        // may be on its way.
        let older = indices
            .windows(2)
            .filter(|pair| pair[1].created_ms + CLOCKS_DIFFER_MS >= since)
            .count();
        if older > 0 {
            for index in indices.iter().rev().take(older + 1) {
                wanted.entry(&index.name).or_default().push(id);
            }
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

    fn names(list: &[BackingIndex], since: u64) -> Vec<&str> {
        plan([("a", "id", since)].into_iter(), list)
            .into_keys()
            .collect()
    }

    #[test]
    fn nothing_is_looked_up_where_no_rollover_came_between() {
        let list = indices("a", &[1, 5]);
        assert_eq!(names(&list, 6 * HOUR), [""; 0]);
        assert_eq!(names(&indices("a", &[1]), 0), [""; 0]);
        assert_eq!(names(&indices("b", &[1, 5]), 0), [""; 0], "another stream");
    }

    #[test]
    fn every_index_that_was_written_to_since_is_asked() {
        let list = indices("a", &[1, 5, 7]);
        assert_eq!(names(&list, 6 * HOUR), [".ds-a-5", ".ds-a-7"]);
        assert_eq!(names(&list, 2 * HOUR), [".ds-a-1", ".ds-a-5", ".ds-a-7"]);
        let soon_after = 7 * HOUR + CLOCKS_DIFFER_MS;
        assert_eq!(
            names(&list, soon_after),
            [".ds-a-5", ".ds-a-7"],
            "clocks differ"
        );
        assert_eq!(names(&list, soon_after + 1), [""; 0]);
    }

    #[test]
    fn the_last_life_sent_nothing_that_was_taken_since() {
        assert_eq!(since_last_life(Some(9), 10), Some(9));
        assert_eq!(since_last_life(Some(10), 10), None);
        assert_eq!(since_last_life(None, HOUR), Some(0));
        assert_eq!(since_last_life(None, 25 * HOUR), Some(HOUR));
    }
}
