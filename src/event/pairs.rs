//! Names and texts that have no type, within one field.

use std::ops::Range;

use serde_json::{Map, Value};

/// Enough for most.
const TEXT_BYTES: usize = 128;

/// An object of texts, in one piece of memory.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    texts: String,
    list: Vec<(Range<usize>, Range<usize>)>,
}

impl Pairs {
    /// With room for so many, and so many bytes of names and texts.
    pub fn with_capacity(number: usize, bytes: usize) -> Self {
        Self {
            texts: String::with_capacity(bytes),
            list: Vec::with_capacity(number),
        }
    }

    /// Instead of what the name had before.
    pub fn set(&mut self, name: &str, text: &str) {
        if self.list.is_empty() {
            self.texts.reserve(TEXT_BYTES);
        }
        let text = self.push(text);
        let known = self
            .list
            .iter()
            .position(|(key, _)| &self.texts[key.clone()] == name);
        match known {
            Some(known) => self.list[known].1 = text,
            None => {
                let name = self.push(name);
                self.list.push((name, text));
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.iter().filter(|(key, _)| *key == name);
        found.next().map(|(_, text)| text)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = &self.texts;
        let text = |range: &Range<usize>| &texts[range.clone()];
        self.list
            .iter()
            .map(move |(name, value)| (text(name), text(value)))
    }

    pub(super) fn to_map(&self) -> Map<String, Value> {
        let pairs = self.iter();
        pairs
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect()
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let begin = self.texts.len();
        self.texts.push_str(text);
        begin..self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_last_text_that_was_set() {
        let mut pairs = Pairs::default();
        for (name, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
            pairs.set(name, text);
        }
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert_eq!((pairs.get("b"), pairs.get("c")), (Some("2"), None));
        assert_eq!(
            Value::Object(pairs.to_map()),
            serde_json::json!({"a": "3", "b": "2"})
        );
    }
}
