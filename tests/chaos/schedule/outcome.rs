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
    /// The same id in two backing indices: the stated limit of ids.
    pub(super) repeated_after_rollover: usize,
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
        outcome.repeated_after_rollover += places.len() - ids.len();
        found.insert(message, ids.len());
    }
    for message in refused {
        *found.entry(message).or_default() += 1;
    }
    for (line, count) in &expected {
        let found = found.remove(line).unwrap_or(0);
        let told = || {
            let places = stored.get(*line).into_iter().flatten();
            let origins: Vec<&str> = places.map(|place| place.origin.as_str()).collect();
            let line = beginning(line);
            format!("{line} (written {count}, stored {found}: {origins:?})")
        };
        match found.cmp(count) {
            Ordering::Less => outcome.lost.push(told()),
            Ordering::Greater => outcome.duplicated.push(told()),
            Ordering::Equal => {}
        }
    }
    outcome.invented = found.into_keys().map(beginning).collect();
    outcome.invented.sort();
    outcome
}

pub(super) fn beginning(line: &str) -> String {
    line.chars().take(90).collect()
}

impl Outcome {
    pub(super) fn is_exact(&self) -> bool {
        self.lost.is_empty() && self.duplicated.is_empty() && self.invented.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("invented", &self.invented),
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

    #[test]
    fn what_is_lost_doubled_or_invented_is_told() {
        let written: Vec<String> = ["a", "b", "c", "c", "d"].map(String::from).to_vec();
        let place = |generation, id: &str| Place {
            generation,
            id: id.to_owned(),
            origin: format!("{id}!"),
        };
        let stored = HashMap::from([
            ("a".to_owned(), vec![place(0, "1"), place(1, "1")]),
            (
                "c".to_owned(),
                vec![place(0, "2"), place(0, "3"), place(0, "4")],
            ),
            ("x".to_owned(), vec![place(0, "5")]),
        ]);
        let outcome = compare(written.iter(), &stored, &["d".to_owned()]);
        assert!(!outcome.is_exact());
        assert_eq!((outcome.lines, outcome.repeated_after_rollover), (5, 1));
        assert_eq!(outcome.lost, ["b (written 1, stored 0: [])"]);
        assert_eq!(
            outcome.duplicated,
            [r#"c (written 2, stored 3: ["2!", "3!", "4!"])"#]
        );
        assert_eq!(outcome.invented, ["x"]);
    }
}
