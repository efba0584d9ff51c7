//! Numbers that were passed over, and since when. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A shorter gap is asked for number by number: a query takes many numbers, but few ranges.
const SHORT: i64 = 64;

/// Numbers in one query, of the 65,536 that Elasticsearch takes.
const MOST_NUMBERS: usize = 32_768;

/// Ranges in one query, of at least 1,024 clauses that Elasticsearch takes for all indices together.
const MOST_RANGES: usize = 64;

/// Gaps kept. Beyond it the last one grows over what comes next.
const MOST_GAPS: usize = 16_384;

/// Gaps by their beginning: none empty, no two overlapping.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<i64, Gap>);

#[derive(Debug, Clone, Copy)]
struct Gap {
    end: i64,
    since: DateTime<Utc>,
}

impl Gaps {
    /// The numbers were passed over at `now`. They lie above all others.
    pub(super) fn open(&mut self, numbers: Range<i64>, now: DateTime<Utc>) {
        if numbers.is_empty() {
            return;
        }
        let gap = Gap {
            end: numbers.end,
            since: now,
        };
        let is_full = self.0.len() >= MOST_GAPS;
        match self.0.last_entry() {
            Some(mut last) if is_full => *last.get_mut() = gap,
            _ => {
                self.0.insert(numbers.start, gap);
            }
        }
    }

    /// The number came after all.
    pub(super) fn fill(&mut self, number: i64) {
        let below = self.0.range(..=number).next_back();
        let Some((start, gap)) = below.map(|(start, gap)| (*start, *gap)) else {
            return;
        };
        if number >= gap.end {
            return;
        }
        self.0.remove(&start);
        for (start, end) in [(start, number), (number + 1, gap.end)] {
            if start < end {
                self.0.insert(start, Gap { end, ..gap });
            }
        }
    }

    /// Gives up what was passed over before `floor`.
    pub(super) fn forget(&mut self, floor: DateTime<Utc>) {
        self.0.retain(|_, gap| gap.since >= floor);
    }

    /// Query DSL clauses, any of which holds for what is missing. Where that is too much to name, all between the first and
    /// the last gap is asked for.
    pub(super) fn clauses(&self) -> Vec<Value> {
        let (mut numbers, mut ranges) = (Vec::new(), Vec::new());
        for (start, gap) in &self.0 {
            match gap.end - start < SHORT {
                true => numbers.extend(*start..gap.end),
                false => ranges.push(range(*start, gap.end)),
            }
        }
        if numbers.len() > MOST_NUMBERS || ranges.len() > MOST_RANGES {
            let first = self.0.keys().next().copied();
            let last = self.0.values().next_back().map(|gap| gap.end);
            return first
                .zip(last)
                .map(|(first, last)| range(first, last))
                .into_iter()
                .collect();
        }
        if !numbers.is_empty() {
            ranges.push(json!({"terms": {"_seq_no": numbers}}));
        }
        ranges
    }

    #[cfg(test)]
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.0
            .iter()
            .flat_map(|(start, gap)| *start..gap.end)
            .collect()
    }
}

fn range(start: i64, end: i64) -> Value {
    json!({"range": {"_seq_no": {"gte": start, "lt": end}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn clauses(gaps: &Gaps) -> String {
        Value::from(gaps.clauses()).to_string()
    }

    #[test]
    fn short_gaps_are_named_and_long_ones_are_ranges() {
        let mut gaps = Gaps::default();
        let now = DateTime::UNIX_EPOCH;
        gaps.open(0..3, now);
        gaps.open(10..100, now);
        gaps.fill(1);
        gaps.fill(5);
        assert_eq!(
            clauses(&gaps),
            r#"[{"range":{"_seq_no":{"gte":10,"lt":100}}},{"terms":{"_seq_no":[0,2]}}]"#
        );
    }

    #[test]
    fn what_is_too_much_to_name_is_asked_for_as_a_whole() {
        let mut gaps = Gaps::default();
        for nth in 0..=MOST_RANGES as i64 {
            gaps.open(nth * 200..nth * 200 + 100, DateTime::UNIX_EPOCH);
        }
        assert_eq!(
            clauses(&gaps),
            r#"[{"range":{"_seq_no":{"gte":0,"lt":12900}}}]"#
        );
        let mut gaps = Gaps::default();
        for nth in 0..MOST_GAPS as i64 + 5 {
            gaps.open(nth * 2..nth * 2 + 1, DateTime::UNIX_EPOCH);
        }
        assert_eq!(gaps.0.len(), MOST_GAPS);
        assert_eq!(gaps.numbers().last(), Some(&((MOST_GAPS as i64 + 4) * 2)));
    }

    proptest! {
        #[test]
        fn gaps_are_the_numbers_that_did_not_come(opened in prop::collection::vec((0i64..4, 0i64..5), 0..12), filled in prop::collection::vec(0i64..60, 0..40)) {
            let (mut gaps, mut oracle, mut at) = (Gaps::default(), BTreeSet::new(), 0);
            for (skip, length) in opened {
                at += skip;
                gaps.open(at..at + length, DateTime::UNIX_EPOCH);
                oracle.extend(at..at + length);
                at += length;
            }
            for number in filled {
                gaps.fill(number);
                oracle.remove(&number);
            }
            prop_assert_eq!(gaps.numbers(), oracle.into_iter().collect::<Vec<_>>());
        }
    }
}
