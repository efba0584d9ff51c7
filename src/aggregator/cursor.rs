//! How far the shared data streams have been read. Pure.
//!
//! Elasticsearch numbers the operations of an index shard (`_seq_no`), so "what is new" needs no clock and finds a
//! document however late its `@timestamp` is. An operation can become visible a moment after a higher numbered one:
//! for [`SETTLE`] every number that was passed over is asked for again, and only those, so that what was read is not
//! read twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::gaps::Gaps;
use crate::event::{DataStream, DocumentId, timestamp};

/// How long an operation may take to become visible behind a higher numbered one.
pub(super) const SETTLE: TimeDelta = TimeDelta::seconds(3);

/// After a rollover, how long the index that was left is asked for more.
const LEAVE: TimeDelta = TimeDelta::hours(1);

/// Ids remembered per generation; two generations are kept. Far above what arrives within [`SETTLE`].
const GENERATION: usize = 200_000;

/// Fields that nobody reads. Of payloads only a slashing's headers are looked at.
const UNREAD: [&str; 12] = [
    "ethereum.log.fields",
    "event.original",
    "ethereum.payload.aggregation_bits",
    "ethereum.payload.b*",
    "ethereum.payload.d*",
    "ethereum.payload.e*",
    "ethereum.payload.message",
    "ethereum.payload.new_*",
    "ethereum.payload.old_*",
    "ethereum.payload.*_root",
    "ethereum.payload.state",
    "ethereum.payload.version",
];

/// Documents of a stream that somebody wants to see.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interest {
    pub stream: DataStream,
    /// A Query DSL clause; `None` for every document.
    pub filter: Option<Value>,
    /// How far back to read at the start.
    pub lookback: TimeDelta,
}

/// Positions by backing index.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    positions: BTreeMap<String, Position>,
    /// Indices that a rollover left behind: nobody writes to them any more. Asking each of them for ever would make the
    /// search longer by the week.
    left: BTreeSet<String>,
}

#[derive(Debug)]
struct Position {
    /// The highest number seen; −1 before the first document.
    read: i64,
    /// When that came.
    advanced: DateTime<Utc>,
    /// Numbers below it that were not seen: not visible yet, or of documents that nobody wants.
    gaps: Gaps,
}

impl Cursor {
    /// Notes a document that was read at `now`.
    pub(super) fn advance(&mut self, index: &str, seq_no: i64, now: DateTime<Utc>) {
        if !self.positions.contains_key(index) {
            let start = Position {
                read: -1,
                advanced: now,
                gaps: Gaps::default(),
            };
            self.positions.insert(index.to_owned(), start);
        }
        let Some(position) = self.positions.get_mut(index) else {
            return;
        };
        if seq_no > position.read {
            position.gaps.open(position.read + 1..seq_no, now);
            position.read = seq_no;
            position.advanced = now;
        } else {
            position.gaps.fill(seq_no);
        }
    }

    /// Gives up what was passed over more than [`SETTLE`] before `now`, and the indices that were left.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) {
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for (index, position) in &mut self.positions {
            position.gaps.forget(now - SETTLE);
            if let Some((stream, generation)) = generation(index) {
                let highest = newest.entry(stream.to_owned()).or_default();
                *highest = generation.max(*highest);
            }
        }
        let left = |(index, position): (&String, &mut Position)| {
            let of = generation(index);
            let is_old = of.is_some_and(|(stream, number)| newest.get(stream) > Some(&number));
            is_old && now - position.advanced >= LEAVE
        };
        let left = self
            .positions
            .extract_if(.., |index, position| left((index, position)));
        self.left.extend(left.map(|(index, _)| index));
    }

    /// The search for what is new, with `overlap` for what was passed over too.
    /// An index never seen before (a rollover, a new stream) is read from `started` − lookback.
    pub(super) fn query(
        &self,
        interests: &[Interest],
        started: DateTime<Utc>,
        overlap: bool,
        size: usize,
    ) -> Value {
        let known: Vec<&String> = self.positions.keys().chain(&self.left).collect();
        let mut places: Vec<Value> = self
            .positions
            .iter()
            .map(|(index, position)| {
                let mut numbers = vec![json!({"range": {"_seq_no": {"gt": position.read}}})];
                if overlap {
                    numbers.extend(position.gaps.clauses());
                }
                filter([
                    json!({"term": {"_index": index}}),
                    json!({"bool": {"should": numbers}}),
                ])
            })
            .collect();
        places.push(json!({"bool": {"must_not": [{"terms": {"_index": known}}]}}));
        let wanted: Vec<Value> = interests
            .iter()
            .map(|interest| {
                let since = timestamp(started - interest.lookback);
                let mut clauses = vec![
                    json!({"term": {"data_stream.dataset": interest.stream.dataset()}}),
                    json!({"range": {"@timestamp": {"gte": since}}}),
                ];
                clauses.extend(interest.filter.clone());
                filter(clauses)
            })
            .collect();
        json!({
            "size": size,
            "sort": [{"_seq_no": "asc"}],
            "track_total_hits": false,
            "_source": {"excludes": UNREAD},
            "query": filter([json!({"bool": {"should": places}}), json!({"bool": {"should": wanted}})]),
        })
    }
}

/// The stream and the generation of `.ds-STREAM-2026.11.22-000012`.
fn generation(index: &str) -> Option<(&str, u64)> {
    let (rest, number) = index.rsplit_once('-')?;
    let (stream, _date) = rest.rsplit_once('-')?;
    Some((stream, number.parse().ok()?))
}

fn filter(clauses: impl IntoIterator<Item = Value>) -> Value {
    json!({"bool": {"filter": clauses.into_iter().collect::<Vec<_>>()}})
}

/// The ids seen of late, in two generations so that memory is bounded and nothing recent is forgotten.
#[derive(Debug, Default)]
pub(super) struct Seen {
    young: HashSet<(DataStream, u128)>,
    old: HashSet<(DataStream, u128)>,
}

impl Seen {
    /// True the first time.
    pub(super) fn insert(&mut self, stream: DataStream, id: &DocumentId) -> bool {
        let key = (stream, digits(id));
        if self.old.contains(&key) || !self.young.insert(key) {
            return false;
        }
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}

impl Seen {
    pub(super) fn contains(&self, stream: DataStream, id: &DocumentId) -> bool {
        let key = (stream, digits(id));
        self.young.contains(&key) || self.old.contains(&key)
    }
}

/// The hash that an id of ours is; of another's id the hash it would be.
fn digits(id: &DocumentId) -> u128 {
    let number = |id: &DocumentId| u128::from_str_radix(id.as_str(), 16).ok();
    let ours = number(id).filter(|_| id.as_str().len() == 32);
    ours.or_else(|| number(&DocumentId::of(&[id.as_str()])))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn what_was_passed_over_is_asked_for_until_it_has_settled() {
        let mut cursor = Cursor::default();
        for (seq_no, second) in [(7, 0), (5, 2), (9, 2)] {
            cursor.advance("a", seq_no, at(second));
        }
        let missing = |cursor: &Cursor| cursor.positions["a"].gaps.numbers();
        assert_eq!(missing(&cursor), [0, 1, 2, 3, 4, 6, 8]);
        cursor.settle(at(3));
        assert_eq!(missing(&cursor), [0, 1, 2, 3, 4, 6, 8]);
        cursor.settle(at(4));
        assert_eq!(missing(&cursor), [8]);
        let query = |overlap| cursor.query(&[], at(4), overlap, 10).to_string();
        assert!(query(true).contains(r#"{"terms":{"_seq_no":[8]}}"#));
        assert!(!query(false).contains(r#"{"terms":{"_seq_no":[8]}}"#));
        assert_eq!(cursor.positions["a"].read, 9);
    }

    #[test]
    fn an_unknown_index_is_read_by_time_and_a_known_one_by_number() {
        let interest = Interest {
            stream: DataStream::Block,
            filter: None,
            lookback: TimeDelta::seconds(60),
        };
        let mut cursor = Cursor::default();
        cursor.advance("a", 7, at(0));
        let query = cursor.query(&[interest], at(100), false, 10).to_string();
        assert!(query.contains(r#"{"range":{"_seq_no":{"gt":7}}}"#));
        assert!(query.contains(r#"{"must_not":[{"terms":{"_index":["a"]}}]}"#));
        assert!(query.contains("1970-01-01T00:00:40.000Z"));
    }

    #[test]
    fn an_index_that_a_rollover_left_is_not_asked_for_ever() {
        let index = |stream: &str, day: u32, generation: u32| {
            format!(".ds-logs-ethereum.{stream}-default-2026.11.{day:02}-{generation:06}")
        };
        let (old, new, idle) = (
            index("block", 1, 9),
            index("block", 2, 10),
            index("reorg", 1, 9),
        );
        let mut cursor = Cursor::default();
        for index in [&old, &idle] {
            cursor.advance(index, 7, at(0));
        }
        let asked = |cursor: &Cursor, index: &str| {
            let query = cursor.query(&[], at(0), false, 10).to_string();
            let known = query.split("must_not").nth(1).unwrap().contains(index);
            let asked = query.contains(&json!({"term": {"_index": index}}).to_string());
            assert!(known, "what is not known is read from its beginning");
            asked
        };
        cursor.settle(at(7_200));
        assert!(asked(&cursor, &old) && asked(&cursor, &idle));
        cursor.advance(&new, 0, at(7_200));
        cursor.advance(&old, 8, at(7_201));
        cursor.settle(at(10_000));
        assert!(asked(&cursor, &old));
        cursor.settle(at(10_801));
        assert!(!asked(&cursor, &old) && asked(&cursor, &new) && asked(&cursor, &idle));
    }

    #[test]
    fn an_id_is_new_once() {
        let mut seen = Seen::default();
        let id = DocumentId::of(&["x"]);
        assert!(seen.insert(DataStream::Block, &id));
        assert!(!seen.insert(DataStream::Block, &id));
        assert!(seen.insert(DataStream::Node, &id));
    }
}
