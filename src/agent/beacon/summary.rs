//! Contributions and sidecars of a slot, summed up: a thousand events become one document. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::document::Setting;
use super::topics::Topic;
use crate::event::{DataStream, DocumentId, Event};
use crate::slot::Root;

/// A sum is told so many slots after its own: hardly any event comes later than the next slot.
const OPEN_SLOTS: u64 = 2;
/// Slots held open at once, over all topics. Only nonsense or a node that syncs has more.
const MAX_OPEN: usize = 256;
/// Roots of which the sum is told, those with most first.
const ROOTS_TOLD: usize = 8;
/// Roots told apart within one sum. Honest events of a slot name one to three.
const MAX_ROOTS: usize = 64;

/// Sums by topic and slot.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    open: BTreeMap<(u64, Topic), Sum>,
}

#[derive(Debug)]
struct Sum {
    count: u64,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    roots: HashMap<Root, u64>,
}

impl Summaries {
    /// Takes an event in. `false`: there is no room for its slot.
    pub(super) fn add(
        &mut self,
        topic: Topic,
        slot: u64,
        block: Option<Root>,
        received: DateTime<Utc>,
    ) -> bool {
        let key = (slot, topic);
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&key) {
            return false;
        }
        let sum = self.open.entry(key).or_insert(Sum {
            count: 0,
            first: received,
            last: received,
            roots: HashMap::new(),
        });
        sum.count += 1;
        sum.last = received;
        if let Some(root) = block
            && (sum.roots.len() < MAX_ROOTS || sum.roots.contains_key(&root))
        {
            *sum.roots.entry(root).or_default() += 1;
        }
        true
    }

    /// The sums of slots that are over, at `now`; with `all` those still open too.
    pub(super) fn take_done(
        &mut self,
        setting: &Setting<'_>,
        now: DateTime<Utc>,
        all: bool,
    ) -> Vec<Event> {
        let running = setting.spec.slot_at(now).unwrap_or(0);
        // A slot that lies ahead was made up, or our clock is far behind: it is told when its last event is old.
        let quiet_ms = (OPEN_SLOTS * setting.spec.slot_duration_ms) as i64;
        let is_done = |slot: u64, sum: &Sum| {
            all || (running >= slot.saturating_add(OPEN_SLOTS)
                && (now - sum.last).num_milliseconds() > quiet_ms / 4)
                || (now - sum.last).num_milliseconds() > quiet_ms
        };
        let keys: Vec<_> = self
            .open
            .iter()
            .filter(|((slot, _), sum)| is_done(*slot, sum))
            .map(|(key, _)| key.clone())
            .collect();
        keys.into_iter()
            .filter_map(|key| {
                let sum = self.open.remove(&key)?;
                Some(document(setting, key.0, &key.1, sum, now))
            })
            .collect()
    }
}

fn document(
    setting: &Setting<'_>,
    slot: u64,
    topic: &Topic,
    sum: Sum,
    now: DateTime<Utc>,
) -> Event {
    let first_ns = sum.first.timestamp_nanos_opt().unwrap_or(i64::MAX);
    let id = DocumentId::of(&[
        setting.agent_id,
        "summary",
        topic.name(),
        &slot.to_string(),
        &first_ns.to_string(),
    ]);
    let ms = |at| setting.spec.arrival_ms(slot, at, setting.clock.offset_ms());
    let mut roots: Vec<_> = sum.roots.iter().collect();
    roots.sort_by(|one, other| (other.1, other.0).cmp(&(one.1, one.0)));
    let top = roots.first();
    let votes = roots.iter().take(ROOTS_TOLD);
    let votes: Vec<_> = votes
        .map(|(root, count)| json!({"root": root, "count": count}))
        .collect();
    let mut event = Event::new(DataStream::BeaconEvent, id, sum.first)
        .with("event.kind", "metric")
        .with("event.action", "summary")
        .with("ethereum.topic", topic.name())
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", setting.spec.epoch_of(slot))
        .with("ethereum.summary.count", sum.count)
        .with("ethereum.summary.first_ms", ms(sum.first))
        .with("ethereum.summary.last_ms", ms(sum.last))
        .with("ethereum.summary.roots", sum.roots.len())
        .with_some(
            "ethereum.summary.top_root",
            top.map(|(root, _)| root.to_string()),
        )
        .with_some(
            "ethereum.summary.top_root_count",
            top.map(|(_, count)| **count),
        )
        .with_some(
            "ethereum.summary.votes",
            (!votes.is_empty()).then_some(votes),
        );
    setting.stamp(&mut event.document, now);
    event
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;
    use crate::slot::ChainSpec;
    use chrono::TimeDelta;

    fn add(sums: &mut Summaries, spec: &ChainSpec, slot: u64, root: u8, after_ms: i64) -> bool {
        let at = spec.slot_start(5) + TimeDelta::milliseconds(after_ms);
        sums.add(Topic::BlobSidecar, slot, Some(Root([root; 32])), at)
    }

    #[test]
    fn a_slot_becomes_one_document_when_it_is_over() {
        let spec = ChainSpec::example();
        let setting = Setting {
            agent_id: "a",
            spec: &spec,
            clock: &Clock::default(),
            syncing: None,
        };
        let mut summaries = Summaries::default();
        for (root, ms) in [(1, 4_100), (2, 4_200), (2, 9_000)] {
            assert!(add(&mut summaries, &spec, 5, root, ms));
        }
        assert!(
            summaries
                .take_done(&setting, spec.slot_start(6), false)
                .is_empty()
        );
        let done = summaries.take_done(&setting, spec.slot_start(7), false);
        let sum = |name: &str| {
            done[0]
                .document
                .get_u64(&format!("ethereum.summary.{name}"))
        };
        assert_eq!(
            [sum("count"), sum("first_ms"), sum("last_ms"), sum("roots")],
            [Some(3), Some(4_100), Some(9_000), Some(2)]
        );
        assert_eq!(sum("top_root_count"), Some(2));
        let votes = done[0].document.get("ethereum.summary.votes").unwrap();
        assert_eq!(
            votes,
            &json!([{"root": Root([2; 32]), "count": 2}, {"root": Root([1; 32]), "count": 1}])
        );
        assert!(
            summaries
                .take_done(&setting, spec.slot_start(9), true)
                .is_empty()
        );
    }

    #[test]
    fn made_up_slots_are_bounded_and_go() {
        let spec = ChainSpec::example();
        let setting = Setting {
            agent_id: "a",
            spec: &spec,
            clock: &Clock::default(),
            syncing: None,
        };
        let mut summaries = Summaries::default();
        let taken = (0..1_000)
            .filter(|slot| add(&mut summaries, &spec, 1 << 40 | slot, 1, 0))
            .count();
        assert_eq!(taken, MAX_OPEN);
        assert_eq!(
            summaries
                .take_done(&setting, spec.slot_start(8), false)
                .len(),
            MAX_OPEN
        );
    }
}
