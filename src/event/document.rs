//! A JSON object, built and read by dotted field names.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::fields::{Field, Fields, Path};
use super::{Pairs, write_timestamp};

/// A JSON object, built and read by dotted field names and stored nested, as Elastic's own agents store theirs.
///
/// Most documents are made field by field, written once and never read: such a document is a list of what was set, and
/// becomes a tree only when somebody asks for more than a field.
#[derive(Clone)]
pub struct Document(Form);

#[derive(Clone)]
enum Form {
    Fields(Fields),
    Tree(Map<String, Value>),
}

impl Document {
    pub fn at(at: DateTime<Utc>) -> Self {
        let mut document = Self::default();
        document.begin(at);
        document
    }

    /// Forgets everything but its memory, and has `@timestamp` set.
    pub fn begin(&mut self, at: DateTime<Utc>) {
        match &mut self.0 {
            Form::Fields(fields) => fields.clear(),
            Form::Tree(_) => *self = Self::default(),
        }
        self.set_time("@timestamp", at);
    }

    /// `ethereum.block.slot` sets `{"ethereum": {"block": {"slot": …}}}`. A scalar in the way is replaced.
    pub fn set(&mut self, path: impl Into<Path>, value: impl Into<Value>) {
        let (path, value) = (path.into(), value.into());
        match &mut self.0 {
            Form::Fields(fields) => fields.push(path, Field::Value(value)),
            Form::Tree(tree) => set(tree, path.as_str(), value),
        }
    }

    pub fn set_some(&mut self, path: impl Into<Path>, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// As [`Document::set`], without memory of its own for the text.
    pub fn set_text(&mut self, path: impl Into<Path>, text: &str) {
        self.set_written(path.into(), |texts| texts.push_str(text));
    }

    /// As [`Document::set`], for texts of the program of which there are not many: documents that differ in such a text
    /// have different shapes.
    pub fn set_word(&mut self, path: impl Into<Path>, word: &'static str) {
        match &mut self.0 {
            Form::Fields(fields) => fields.push(path.into(), Field::Word(word)),
            Form::Tree(tree) => set(tree, path.into().as_str(), word.into()),
        }
    }

    /// An object of texts.
    pub fn set_pairs(&mut self, path: impl Into<Path>, pairs: Pairs) {
        match &mut self.0 {
            Form::Fields(fields) => fields.push(path.into(), Field::Pairs(Box::new(pairs))),
            Form::Tree(tree) => set(tree, path.into().as_str(), Value::Object(pairs.to_map())),
        }
    }

    /// A time as [`super::timestamp`] writes it.
    pub fn set_time(&mut self, path: impl Into<Path>, at: DateTime<Utc>) {
        self.set_written(path.into(), |texts| write_timestamp(texts, at));
    }

    fn set_written(&mut self, path: Path, write: impl FnOnce(&mut String)) {
        match &mut self.0 {
            Form::Fields(fields) => fields.write(path, write),
            Form::Tree(tree) => {
                let mut text = String::new();
                write(&mut text);
                set(tree, path.as_str(), text.into());
            }
        }
    }

    /// Sets all that `other` has.
    pub fn extend(&mut self, other: Document) {
        match (&mut self.0, other.0) {
            (Form::Fields(fields), Form::Fields(other)) => fields.extend(other),
            (Form::Tree(_), Form::Fields(other)) => {
                for (path, value) in other.iter() {
                    self.set(path.clone(), value.to_value());
                }
            }
            (_, Form::Tree(mut tree)) => {
                merge(&mut tree, self.as_map());
                self.0 = Form::Tree(tree);
            }
        }
    }

    /// Reads a field whether it is stored nested, dotted, or half of each, as foreign documents may be.
    pub fn get(&self, path: &str) -> Option<&Value> {
        if let Form::Fields(fields) = &self.0 {
            let (set, field) = fields.last_related(path)?;
            if let Field::Value(value) = field
                && set.as_str() == path
            {
                return Some(value);
            }
        }
        lookup(self.as_map(), path)
    }

    pub fn get_str(&self, path: &str) -> Option<&str> {
        if let Form::Fields(fields) = &self.0
            && let (set, field @ (Field::Text(_) | Field::Word(_))) = fields.last_related(path)?
            && set.as_str() == path
        {
            return fields.scalar(field).as_str();
        }
        self.get(path)?.as_str()
    }

    pub fn get_u64(&self, path: &str) -> Option<u64> {
        self.get(path)?.as_u64()
    }

    pub fn get_f64(&self, path: &str) -> Option<f64> {
        self.get(path)?.as_f64()
    }

    pub fn get_bool(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// `@timestamp`, where it is there and is a time.
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        self.get_str("@timestamp")?.parse().ok()
    }

    /// Adds what is missing here from `other`, object by object; what is here stays.
    pub fn merge_missing(&mut self, other: &Document) {
        merge(self.as_map_mut(), other.as_map());
    }

    pub fn as_map(&self) -> &Map<String, Value> {
        match &self.0 {
            Form::Fields(fields) => fields.as_map(),
            Form::Tree(tree) => tree,
        }
    }

    /// For changing what [`Document::set`] can't: removing, renaming, going through lists.
    pub fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        if let Form::Fields(_) = self.0 {
            let document = std::mem::take(self);
            self.0 = Form::Tree(document.into_map());
        }
        let Form::Tree(tree) = &mut self.0 else {
            unreachable!("it has just been made one");
        };
        tree
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.into_map())
    }

    /// What was set, in that order; `None` for a document that is a tree.
    pub fn fields(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Fields(fields) => Some(fields),
            Form::Tree(_) => None,
        }
    }

    fn into_map(self) -> Map<String, Value> {
        match self.0 {
            Form::Fields(fields) => fields.into_map(),
            Form::Tree(tree) => tree,
        }
    }
}

impl Default for Document {
    fn default() -> Self {
        Self(Form::Fields(Fields::default()))
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.as_map() == other.as_map()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_map().fmt(f)
    }
}

impl From<Map<String, Value>> for Document {
    fn from(map: Map<String, Value>) -> Self {
        Self(Form::Tree(map))
    }
}

impl serde::Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_map().serialize(serializer)
    }
}

pub(super) fn set(mut object: &mut Map<String, Value>, path: &str, value: Value) {
    let mut rest = path;
    while let Some((head, tail)) = rest.split_once('.') {
        let child = object
            .entry(head)
            .or_insert_with(|| Value::Object(Map::new()));
        if !child.is_object() {
            *child = Value::Object(Map::new());
        }
        let Value::Object(inner) = child else { return };
        object = inner;
        rest = tail;
    }
    object.insert(rest.to_owned(), value);
}

fn lookup<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| lookup(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn fields_are_set_nested_and_read_either_way() {
        let mut document = Document::default();
        document.set("ethereum.block.slot", 5);
        document.set("ethereum.block.root", "0x01");
        assert_eq!(
            document.clone().into_value(),
            json!({"ethereum": {"block": {"slot": 5, "root": "0x01"}}})
        );
        assert_eq!(document.get_u64("ethereum.block.slot"), Some(5));

        let Value::Object(dotted) = json!({"ethereum.block": {"slot": 6}, "a": {"b.c": 1}}) else {
            unreachable!()
        };
        let dotted = Document::from(dotted);
        assert_eq!(dotted.get_u64("ethereum.block.slot"), Some(6));
        assert_eq!(dotted.get_u64("a.b.c"), Some(1));
        assert_eq!(dotted.get("a.b.d"), None);
    }

    #[test]
    fn merging_keeps_what_is_there() {
        let mut document = Document::default();
        document.set("host.name", "own");
        let mut base = Document::default();
        base.set("host.name", "other");
        base.set("host.arch", "x86_64");
        document.merge_missing(&base);
        assert_eq!(
            document.into_value(),
            json!({"host": {"name": "own", "arch": "x86_64"}})
        );
    }

    proptest! {
        /// Names that lie in each other, values that are objects themselves: a list of fields is what its tree is.
        #[test]
        fn a_list_of_fields_is_read_as_its_tree(
            sets in prop::collection::vec(("[ab](\\.[ab]){0,2}", prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!({"a": 2}))]), 0..8),
            path in "[ab](\\.[ab]){0,2}",
        ) {
            let mut fields = Document::default();
            let mut tree = Document::from(Map::new());
            for (path, value) in sets {
                fields.set(path.clone(), value.clone());
                tree.set(path, value);
            }
            prop_assert_eq!(fields.get(&path), tree.get(&path));
            prop_assert_eq!(&fields, &tree);
            let mut again = Document::from(Map::new());
            again.extend(fields.clone());
            prop_assert_eq!(&again, &tree);
            prop_assert_eq!(fields.into_value(), tree.into_value());
        }
    }
}
