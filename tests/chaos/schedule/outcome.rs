//! What was written against what is stored. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::server::cluster::Place;

/// Lines shown of each kind.
const SHOWN: usize = 10;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) lines: usize,
    pub(super) lost: Vec<String>,
    pub(super) duplicated: Vec<String>,
    /// Documents that nobody wrote: halves of lines, or lines of two.
    pub(super) invented: Vec<String>,
    /// The same id in two backing indices.
    pub(super) repeated: Vec<String>,
    /// The same, where a request was carried out after everybody had given it up: no client can look for what is not there
    /// yet.
    pub(super) repeated_late: usize,
}

/// `refused` are the lines that were found as dead letters.
pub(super) fn compare<'a>(
    written: impl Iterator<Item = &'a String>,
    stored: &HashMap<String, Vec<Place>>,
    refused: &[String],
) -> Outcome {
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for line in written {
        *expected.entry(line).or_default() += 1;
    }
    let mut found: HashMap<&str, usize> = HashMap::new();
    let mut outcome = Outcome {
        lines: expected.values().sum(),
        ..Outcome::default()
    };
    for (message, places) in stored {
        let ids: HashSet<&str> = places.iter().map(|place| place.id.as_str()).collect();
        for id in &ids {
            let copies: Vec<&Place> = places.iter().filter(|place| place.id == **id).collect();
            if copies.iter().any(|place| place.is_late) {
                outcome.repeated_late += copies.len() - 1;
            } else if copies.len() > 1 {
                outcome.repeated.push(told(message, 1, &copies));
            }
        }
        found.insert(message, ids.len());
    }
    for message in refused {
        *found.entry(message).or_default() += 1;
    }
    for (line, count) in &expected {
        let found = found.remove(line).unwrap_or(0);
        let places: Vec<&Place> = stored.get(*line).into_iter().flatten().collect();
        match found.cmp(count) {
            Ordering::Less => outcome.lost.push(told(line, *count, &places)),
            Ordering::Greater => outcome.duplicated.push(told(line, *count, &places)),
            Ordering::Equal => {}
        }
    }
    outcome.invented = found.into_keys().map(beginning).collect();
    outcome.invented.sort();
    outcome.repeated.sort();
    outcome
}

fn told(line: &str, written: usize, places: &[&Place]) -> String {
    let copy = |place: &&Place| format!("{}: {}", place.generation, place.origin);
    let places: Vec<String> = places.iter().map(copy).collect();
    let line = beginning(line);
    format!("{line} (written {written}, stored {places:?})")
}

pub(super) fn beginning(line: &str) -> String {
    line.chars().take(90).collect()
}

impl Outcome {
    pub(super) fn is_exact(&self) -> bool {
        [&self.lost, &self.duplicated, &self.invented, &self.repeated]
            .iter()
            .all(|lines| lines.is_empty())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("invented", &self.invented),
            ("repeated after a rollover", &self.repeated),
        ];
        for (name, lines) in kinds.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            writeln!(out, "{} of {} lines {name}:", lines.len(), self.lines)?;
            for line in lines.iter().take(SHOWN) {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(generation: usize, id: &str) -> Place {
        Place {
            generation,
            id: id.to_owned(),
            is_late: false,
            origin: format!("{id}!"),
        }
    }

    #[test]
    fn what_is_lost_doubled_or_invented_is_told() {
        let written: Vec<String> = ["b", "c", "c", "d"].map(String::from).to_vec();
        let stored = HashMap::from([
            (
                "c".to_owned(),
                vec![place(0, "2"), place(0, "3"), place(0, "4")],
            ),
            ("x".to_owned(), vec![place(0, "5")]),
        ]);
        let outcome = compare(written.iter(), &stored, &["d".to_owned()]);
        assert!(!outcome.is_exact());
        assert_eq!((outcome.lines, &outcome.repeated[..]), (4, &[][..]));
        assert_eq!(outcome.lost, ["b (written 1, stored [])"]);
        assert_eq!(
            outcome.duplicated,
            [r#"c (written 2, stored ["0: 2!", "0: 3!", "0: 4!"])"#]
        );
        assert_eq!(outcome.invented, ["x"]);
    }

    #[test]
    fn an_id_in_two_indices_is_a_repetition_unless_one_came_late() {
        let written: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let late = Place {
            is_late: true,
            ..place(1, "2")
        };
        let stored = HashMap::from([
            ("a".to_owned(), vec![place(0, "1"), place(1, "1")]),
            ("b".to_owned(), vec![place(0, "2"), late]),
        ]);
        let outcome = compare(written.iter(), &stored, &[]);
        assert_eq!(
            outcome.repeated,
            [r#"a (written 1, stored ["0: 1!", "1: 1!"])"#]
        );
        assert_eq!(outcome.repeated_late, 1);
        assert!(outcome.lost.is_empty() && outcome.duplicated.is_empty());
        assert!(!outcome.is_exact());
    }
}
