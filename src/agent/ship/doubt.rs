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
/// A refusal that may be a passing mistake of what stands before the server is believed once it has lasted so long.
const REFUSAL_LASTS: Duration = Duration::from_secs(60);
/// The server's own word that we lack the rights is, too: roles that are being changed, or that it has yet to read, refuse
/// for a moment what they grant.
const LACK_OF_RIGHTS_LASTS: Duration = Duration::from_secs(20);
/// Where nobody may look, it is tried again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Lines read again after a start were sent before it at most so long ago, we assume: a host that fails on a Friday may be
/// back on a Monday.
pub(super) const LAST_LIFE_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// An item may have been stored at any time from `age_ms` before `at` up to `until`; where a server carries a request out
/// after everybody gave it up, later, too. So what was ever in doubt is looked up before each time it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) at: Instant,
    pub(super) age_ms: u64,
    /// When the last request that may have stored it ended: an older list may lack the index it went to.
    pub(super) until: Instant,
}

impl Doubt {
    /// Milliseconds.
    pub(super) fn age_ms(self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.at).as_millis();
        self.age_ms
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// In doubt for as long as either of two.
    pub(super) fn join(self, other: Self) -> Self {
        let now = self.at.max(other.at);
        let older = match self.age_ms(now) < other.age_ms(now) {
            true => other,
            false => self,
        };
        Self {
            until: self.until.max(other.until),
            ..older
        }
    }
}

/// The backing indices of some data streams.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// When they were asked for: all that were made before are there.
    pub(super) asked_at: Instant,
    /// Of these data streams.
    pub(super) streams: Arc<[String]>,
    pub(super) indices: Arc<[BackingIndex]>,
}

/// What was found out about looking.
#[derive(Debug, Default)]
pub(super) struct Known {
    list: Option<List>,
    /// Of all items that were in doubt so far.
    streams: BTreeSet<String>,
    /// Since when every look was refused.
    refused_since: Option<Instant>,
    /// Nobody asks before this.
    denied_until: Option<Instant>,
    is_told: bool,
}

/// What to do about a look that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It may pass: the items wait.
    Wait,
    /// It lasts: the items are sent as they are. `is_news`: nobody was told.
    GoOn { is_news: bool },
}

impl Known {
    pub(super) fn may_look(&self, now: Instant) -> bool {
        self.denied_until.is_none_or(|until| now >= until)
    }

    /// `lacks_rights`: Elasticsearch itself says that our rights do not suffice. Anything else may be the word of a proxy
    /// that is being restarted.
    pub(super) fn refused(&mut self, lacks_rights: bool, now: Instant) -> Refusal {
        let since = *self.refused_since.get_or_insert(now);
        let lasts = if lacks_rights {
            LACK_OF_RIGHTS_LASTS
        } else {
            REFUSAL_LASTS
        };
        if now < since + lasts {
            return Refusal::Wait;
        }
        self.denied_until = Some(now + LOOK_AGAIN);
        let is_news = !std::mem::replace(&mut self.is_told, true);
        Refusal::GoOn { is_news }
    }

    /// A look succeeded, with this list.
    pub(super) fn learn(&mut self, list: List) {
        (self.refused_since, self.denied_until, self.is_told) = (None, None, false);
        let rank = |list: &List| (list.asked_at, list.streams.len());
        let is_better = |known: &List| rank(known) < rank(&list);
        if self.list.as_ref().is_none_or(is_better) {
            self.list = Some(list);
        }
    }

    /// The list, where it was asked for after all that is in doubt of the items ended, is fresh, and has every stream of
    /// them; and otherwise the streams to ask for.
    pub(super) fn list(&mut self, items: &[Item], now: Instant) -> Result<List, Arc<[String]>> {
        let mut until = None;
        for item in items {
            let Some(doubt) = item.in_doubt else { continue };
            until = until.max(Some(doubt.until));
            if !self.streams.contains(item.record.index()) {
                self.streams.insert(item.record.index().to_owned());
            }
        }
        // All streams so far are asked for each time: a list has them all, or lacks one that came since.
        let is_good = |list: &&List| {
            until <= Some(list.asked_at)
                && now < list.asked_at + LIST_IS_FRESH
                && list.streams.len() == self.streams.len()
        };
        match self.list.as_ref().filter(is_good) {
            Some(list) => Ok(list.clone()),
            None => Err(self.streams.iter().cloned().collect()),
        }
    }
}

/// How long before the start what the last life may have sent was sent at most, in milliseconds. `None` for a record that
/// this life took: neither was it in the spool at the start, nor is it older by the clock, which may have been set.
pub(super) fn age_at_start(was_there: bool, taken_at_ms: u64, started_ms: u64) -> Option<u64> {
    let is_old = was_there || taken_at_ms < started_ms;
    is_old.then(|| started_ms.saturating_sub(taken_at_ms).max(LAST_LIFE_MS))
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
    use crate::agent::ship::queue::Origin;
    use crate::agent::store::{Record, SpoolKey};

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

    /// In doubt until so many milliseconds after `began`.
    fn item(stream: &str, began: Instant, until_ms: u64) -> Item {
        Item {
            record: Record::new(0, stream, "id", |out| out.extend_from_slice(b"{}")),
            origin: Origin::Spool(SpoolKey::default()),
            attempts: 0,
            is_probe: false,
            in_doubt: Some(Doubt {
                at: began,
                age_ms: 0,
                until: began + Duration::from_millis(until_ms),
            }),
        }
    }

    #[tokio::test]
    async fn a_list_from_before_the_end_of_the_doubtful_request_is_not_believed() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let list = |ms| List {
            asked_at: at(ms),
            streams: ["a".to_owned()].into(),
            indices: [].into(),
        };
        let all = || Err(["a".to_owned()].into());
        let mut known = Known::default();
        let mut ask = |learnt: Option<List>, until_ms, now_ms| {
            learnt.into_iter().for_each(|list| known.learn(list));
            let given = known.list(&[item("a", began, until_ms)], at(now_ms));
            given.map(|list| (list.asked_at - began).as_millis())
        };
        assert_eq!(ask(None, 0, 0), all());
        assert_eq!(ask(Some(list(10)), 10, 20), Ok(10));
        assert_eq!(ask(None, 11, 20), all(), "a rollover may have come between");
        assert_eq!(ask(Some(list(30)), 11, 40), Ok(30));
        // To have used it is no news of it, and an older one that comes late is none either.
        assert_eq!(ask(Some(list(30)), 11, 1_029), Ok(30));
        assert_eq!(ask(Some(list(30)), 11, 1_030), all());
        assert_eq!(ask(Some(list(20)), 11, 1_025), Ok(30));
        let other = known.list(&[item("b", began, 0)], at(40));
        assert_eq!(*other.unwrap_err(), ["a", "b"], "another stream");
        // It was asked for before the other stream was known: what is missing there says nothing.
        known.learn(list(35));
        for name in ["a", "b"] {
            let other = known.list(&[item(name, began, 0)], at(40));
            assert_eq!(*other.unwrap_err(), ["a", "b"]);
        }
        let both = List {
            streams: ["a".to_owned(), "b".to_owned()].into(),
            ..list(35)
        };
        known.learn(both);
        known.learn(list(35));
        assert!(known.list(&[item("b", began, 0)], at(40)).is_ok());
    }

    #[tokio::test]
    async fn a_new_doubt_about_an_item_leaves_it_as_old_as_it_was() {
        let began = Instant::now();
        let later = |seconds| began + Duration::from_secs(seconds);
        let mut item = item("a", began, 0);
        item.doubt(later(5), later(8));
        item.doubt(later(5), later(7));
        let doubt = item.in_doubt.unwrap();
        assert_eq!((doubt.at, doubt.until), (began, later(8)));
        assert_eq!(doubt.age_ms(later(9)), 9_000);
    }

    #[tokio::test]
    async fn two_doubts_in_one_begin_with_the_first_and_end_with_the_last() {
        let began = Instant::now();
        let doubt = |at_s, age_ms, until_s| Doubt {
            at: began + Duration::from_secs(at_s),
            age_ms,
            until: began + Duration::from_secs(until_s),
        };
        let (early, old) = (doubt(1, 0, 9), doubt(5, 4_001, 6));
        for both in [early.join(old), old.join(early)] {
            assert_eq!((both.at, both.age_ms), (old.at, old.age_ms));
            assert_eq!(both.until, early.until);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_believed_once_it_lasts_and_not_for_ever() {
        let began = Instant::now();
        let mut known = Known::default();
        assert_eq!(known.refused(false, began), Refusal::Wait);
        let lasting = began + REFUSAL_LASTS;
        assert_eq!(
            known.refused(false, lasting - Duration::from_millis(1)),
            Refusal::Wait
        );
        assert!(known.may_look(lasting));
        let go_on = |is_news| Refusal::GoOn { is_news };
        assert_eq!(known.refused(false, lasting), go_on(true));
        assert!(!known.may_look(lasting));
        let again = lasting + LOOK_AGAIN;
        assert!(known.may_look(again));
        assert_eq!(
            known.refused(false, again),
            go_on(false),
            "it still lasts, and was told"
        );
        known.learn(List {
            asked_at: again,
            streams: [].into(),
            indices: [].into(),
        });
        assert!(known.may_look(again));
        assert_eq!(known.refused(true, again), Refusal::Wait);
        let lasting = again + LACK_OF_RIGHTS_LASTS;
        assert_eq!(
            known.refused(false, lasting),
            Refusal::Wait,
            "a proxy's word lasts longer"
        );
        assert_eq!(known.refused(true, lasting), go_on(true));
        assert!(!known.may_look(lasting));
    }

    #[test]
    fn the_last_life_sent_nothing_that_was_taken_since() {
        assert_eq!(age_at_start(false, 9, 10), Some(LAST_LIFE_MS));
        assert_eq!(age_at_start(false, 10, 10), None);
        assert_eq!(age_at_start(true, 11, 10), Some(LAST_LIFE_MS), "set back");
        assert_eq!(age_at_start(true, 0, 300 * HOUR), Some(300 * HOUR));
    }
}
