//! How far the shared data streams have been read. Pure.
//!
//! Elasticsearch numbers the operations of an index shard (`_seq_no`), so "what is new" needs no clock and finds a
//! document however late its `@timestamp` is. An operation can become visible a moment after a higher numbered one:
//! every read therefore goes back over what appeared within the last [`SETTLE`], and known ids are passed over.

use std::collections::{BTreeMap, HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::event::{DataStream, DocumentId, timestamp};

/// How long an operation may take to become visible behind a higher numbered one.
pub(super) const SETTLE: TimeDelta = TimeDelta::seconds(3);

/// Ids remembered per generation; two generations are kept. Far above what arrives within [`SETTLE`].
const GENERATION: usize = 200_000;

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
}

#[derive(Debug)]
struct Position {
    /// All up to here has been read and has settled; −1 before the first document.
    settled: i64,
    /// The highest number seen.
    read: i64,
    /// When `read` had which value, oldest first.
    recent: VecDeque<(DateTime<Utc>, i64)>,
}

impl Cursor {
    /// Notes a document that was read at `now`.
    pub(super) fn advance(&mut self, index: &str, seq_no: i64, now: DateTime<Utc>) {
        let start = Position {
            settled: -1,
            read: -1,
            recent: VecDeque::new(),
        };
        if !self.positions.contains_key(index) {
            self.positions.insert(index.to_owned(), start);
        }
        let Some(position) = self.positions.get_mut(index) else {
            return;
        };
        if seq_no > position.read {
            position.read = seq_no;
            match position.recent.back_mut() {
                Some((at, last)) if *at == now => *last = seq_no,
                _ => position.recent.push_back((now, seq_no)),
            }
        }
    }

    /// Moves the settled mark to what was read more than [`SETTLE`] before `now`.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) {
        for position in self.positions.values_mut() {
            while position
                .recent
                .front()
                .is_some_and(|(at, _)| now - *at > SETTLE)
            {
                if let Some((_, seq_no)) = position.recent.pop_front() {
                    position.settled = position.settled.max(seq_no);
                }
            }
        }
    }

    /// The search for what is new. `overlap` starts at the settled marks, otherwise at the highest numbers seen.
    /// An index never seen before (a rollover, a new stream) is read from `started` − lookback.
    pub(super) fn query(
        &self,
        interests: &[Interest],
        started: DateTime<Utc>,
        overlap: bool,
        size: usize,
    ) -> Value {
        let known: Vec<&String> = self.positions.keys().collect();
        let mut places: Vec<Value> = self
            .positions
            .iter()
            .map(|(index, position)| {
                let after = if overlap {
                    position.settled
                } else {
                    position.read
                };
                filter([
                    json!({"term": {"_index": index}}),
                    json!({"range": {"_seq_no": {"gt": after}}}),
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
            "_source": {"excludes": ["ethereum.payload", "ethereum.log.fields", "event.original"]},
            "query": filter([json!({"bool": {"should": places}}), json!({"bool": {"should": wanted}})]),
        })
    }
}

fn filter(clauses: impl IntoIterator<Item = Value>) -> Value {
    json!({"bool": {"filter": clauses.into_iter().collect::<Vec<_>>()}})
}

/// The ids seen of late, in two generations so that memory is bounded and nothing recent is forgotten.
#[derive(Debug, Default)]
pub(super) struct Seen {
    young: HashSet<(DataStream, DocumentId)>,
    old: HashSet<(DataStream, DocumentId)>,
}

impl Seen {
    /// True the first time.
    pub(super) fn insert(&mut self, stream: DataStream, id: &DocumentId) -> bool {
        let key = (stream, id.clone());
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
        let key = (stream, id.clone());
        self.young.contains(&key) || self.old.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn what_was_just_read_is_read_again_until_it_has_settled() {
        let mut cursor = Cursor::default();
        cursor.advance("a", 7, at(0));
        cursor.settle(at(2));
        assert_eq!(cursor.positions["a"].settled, -1);
        cursor.advance("a", 5, at(2));
        cursor.advance("a", 9, at(2));
        cursor.settle(at(4));
        assert_eq!(
            (cursor.positions["a"].settled, cursor.positions["a"].read),
            (7, 9)
        );
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
    fn an_id_is_new_once() {
        let mut seen = Seen::default();
        let id = DocumentId::of(&["x"]);
        assert!(seen.insert(DataStream::Block, &id));
        assert!(!seen.insert(DataStream::Block, &id));
        assert!(seen.insert(DataStream::Node, &id));
    }
}
