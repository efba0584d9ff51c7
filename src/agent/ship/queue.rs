//! What waits to be sent, and what the next request takes of it. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::doubt::Doubt;
use super::files::BatchNumber;
use crate::agent::store::{Record, SpoolKey};
use crate::elastic::{BadItem, BulkBody};

/// How long an event waits for company before it is sent.
pub(super) const MAX_AGE: Duration = Duration::from_millis(200);

/// One document under way. It stays where it came from until it has an outcome.
#[derive(Debug)]
pub(super) struct Item {
    pub record: Record,
    pub origin: Origin,
    /// How often Elasticsearch said: not now.
    pub attempts: u32,
    /// It waits for a person, and finds out when they have acted.
    pub is_probe: bool,
    /// It may be in the index already: it is looked up whenever it is to be sent.
    pub in_doubt: Option<Doubt>,
}

impl Item {
    /// It was in a request of this time, and what became of it is not known.
    pub(super) fn doubt(&mut self, sent_at: Instant, ended_at: Instant) {
        let doubt = self.in_doubt.get_or_insert(Doubt {
            at: sent_at,
            age_ms: 0,
            until: ended_at,
        });
        doubt.until = doubt.until.max(ended_at);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Spool(SpoolKey),
    File(BatchNumber),
}

/// What one request carries.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub items: Vec<Item>,
    /// Part of a request that was refused as a whole: not to be mixed with others until the culprit is found.
    pub alone: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: VecDeque<Item>,
    /// When the first of `fresh` came.
    since: Option<Instant>,
    /// Sent again when their time has come.
    again: BTreeMap<Instant, Vec<Item>>,
    alone: VecDeque<Vec<Item>>,
    /// The last request was one of `alone`: the others have their turn.
    others_turn: bool,
}

impl Queue {
    pub(super) fn push(&mut self, item: Item, now: Instant) {
        self.since.get_or_insert(now);
        self.fresh.push_back(item);
    }

    /// Elasticsearch asked for these again, later.
    pub(super) fn again(&mut self, items: Vec<Item>, due: Instant) {
        if !items.is_empty() {
            let apart = items.into_iter().map(|item| Item {
                record: item.record.apart(),
                ..item
            });
            self.again.entry(due).or_default().extend(apart);
        }
    }

    /// The request never got an answer, or was not sent yet: first in line, as it was.
    pub(super) fn put_back(&mut self, batch: Batch, now: Instant) {
        self.others_turn = !batch.alone;
        if batch.alone {
            self.alone.push_front(batch.items);
            return;
        }
        for item in batch.items.into_iter().rev() {
            self.fresh.push_front(item);
        }
        self.since = Some(now.checked_sub(MAX_AGE).unwrap_or(now));
    }

    /// The request was refused as a whole: each half is sent by itself.
    pub(super) fn split(&mut self, mut items: Vec<Item>) {
        let second = items.split_off(items.len() / 2);
        self.alone.push_front(second);
        self.alone.push_front(items);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.again.is_empty() && self.alone.is_empty()
    }

    /// Is there enough, or something old enough, for a request? `hurry`: anything is enough.
    pub(super) fn is_ready(&self, now: Instant, max_items: usize, hurry: bool) -> bool {
        !self.alone.is_empty() || self.others_are_ready(now, max_items, hurry)
    }

    fn others_are_ready(&self, now: Instant, max_items: usize, hurry: bool) -> bool {
        let old = self.since.is_some_and(|since| now >= since + MAX_AGE);
        let full = self.fresh.len() >= max_items;
        let due = self.again.keys().next().is_some_and(|due| *due <= now);
        due || (!self.fresh.is_empty() && (old || full || hurry))
    }

    /// When [`Queue::is_ready`] may change its answer by time alone.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let age = self.since.map(|since| since + MAX_AGE);
        let due = self.again.keys().next().copied();
        age.into_iter().chain(due).min()
    }

    /// Fills the body. Items that can't be sent at all come back with the reason.
    pub(super) fn cut(
        &mut self,
        now: Instant,
        body: &mut BulkBody,
    ) -> (Batch, Vec<(Item, BadItem)>) {
        let mut bad = Vec::new();
        // The search for a culprit delays nobody who is not under suspicion.
        let alone =
            match std::mem::take(&mut self.others_turn) && self.others_are_ready(now, 1, true) {
                true => None,
                false => self.alone.pop_front(),
            };
        if let Some(items) = alone {
            self.others_turn = true;
            let mut rest = VecDeque::from(items);
            let items = fill(&mut rest, body, &mut bad);
            if !rest.is_empty() {
                self.alone.push_front(rest.into());
            }
            return (Batch { items, alone: true }, bad);
        }
        while let Some(entry) = self.again.first_entry().filter(|entry| *entry.key() <= now) {
            for item in entry.remove() {
                self.fresh.push_front(item);
            }
        }
        let items = fill(&mut self.fresh, body, &mut bad);
        self.since = (!self.fresh.is_empty()).then(|| self.since.unwrap_or(now));
        (
            Batch {
                items,
                alone: false,
            },
            bad,
        )
    }
}

/// Takes what fits from the front.
pub(super) fn fill(
    from: &mut VecDeque<Item>,
    body: &mut BulkBody,
    bad: &mut Vec<(Item, BadItem)>,
) -> Vec<Item> {
    let mut items = Vec::with_capacity(from.len().min(body.limits().items));
    while let Some(item) = from.pop_front() {
        let record = &item.record;
        match body.push(record.index(), record.id(), record.document()) {
            Ok(true) => items.push(item),
            Ok(false) => {
                from.push_front(item);
                break;
            }
            Err(reason) => bad.push((item, reason)),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elastic::Limits;

    fn item(id: &str) -> Item {
        let record = Record::new(0, "logs-x-y", id, |out| out.extend_from_slice(b"{}"));
        let origin = Origin::Spool(SpoolKey::default());
        Item {
            record,
            origin,
            attempts: 0,
            is_probe: false,
            in_doubt: None,
        }
    }

    fn items(ids: &[&str]) -> Vec<Item> {
        ids.iter().map(|id| item(id)).collect()
    }

    fn queue(ids: &[&str], now: Instant) -> Queue {
        let mut queue = Queue::default();
        items(ids)
            .into_iter()
            .for_each(|item| queue.push(item, now));
        queue
    }

    /// The ids of the next request.
    fn cut(queue: &mut Queue, now: Instant, max_items: usize) -> (Vec<String>, bool) {
        let mut body = BulkBody::new(Limits {
            bytes: 1 << 20,
            items: max_items,
        });
        let (batch, _) = queue.cut(now, &mut body);
        assert_eq!(batch.items.len(), body.items());
        let ids = batch.items.iter().map(|item| item.record.id().to_owned());
        (ids.collect(), batch.alone)
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_request_goes_when_it_is_full_or_old_or_in_a_hurry() {
        let now = Instant::now();
        let queue = queue(&["a", "b"], now);
        assert!(!queue.is_ready(now, 3, false));
        assert!(queue.is_ready(now, 2, false) && queue.is_ready(now, 3, true));
        assert_eq!(queue.wake_at(), Some(now + MAX_AGE));
        assert!(queue.is_ready(now + MAX_AGE, 3, false));
        assert!(!Queue::default().is_ready(now, 0, true));
    }

    #[tokio::test]
    async fn what_was_refused_for_now_waits_beside_the_others() {
        let now = Instant::now();
        let due = now + Duration::from_secs(5);
        let mut queue = queue(&["new"], now);
        queue.again(items(&["again"]), due);
        assert_eq!(cut(&mut queue, now, 10), (ids(&["new"]), false));
        assert!(!queue.is_ready(now, 10, true) && !queue.is_empty());
        assert_eq!(queue.wake_at(), Some(due));
        assert!(queue.is_ready(due, 10, false));
        assert_eq!(cut(&mut queue, due, 10), (ids(&["again"]), false));
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn an_unanswered_request_comes_first_and_in_order() {
        let now = Instant::now();
        let mut queue = queue(&["c"], now);
        let batch = Batch {
            items: items(&["a", "b"]),
            alone: false,
        };
        queue.put_back(batch, now);
        assert_eq!(cut(&mut queue, now, 2), (ids(&["a", "b"]), false));
        assert_eq!(cut(&mut queue, now, 2), (ids(&["c"]), false));
    }

    #[tokio::test]
    async fn halves_are_sent_by_themselves_and_no_item_is_left_behind() {
        let now = Instant::now();
        let mut queue = queue(&["new"], now);
        queue.split(items(&["a", "b", "c", "d", "e"]));
        assert_eq!(cut(&mut queue, now, 10), (ids(&["a", "b"]), true));
        assert_eq!(
            cut(&mut queue, now, 2),
            (ids(&["new"]), false),
            "nobody else waits for the search"
        );
        // A limit learnt meanwhile cuts the half again.
        assert_eq!(cut(&mut queue, now, 2), (ids(&["c", "d"]), true));
        assert_eq!(cut(&mut queue, now, 2), (ids(&["e"]), true));
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_sent_does_not_hold_up_its_neighbours() {
        let now = Instant::now();
        let mut queue = queue(&["a", "", "b"], now);
        let mut body = BulkBody::new(Limits::default());
        let (batch, bad) = queue.cut(now, &mut body);
        assert_eq!((batch.items.len(), bad.len()), (2, 1));
    }
}
