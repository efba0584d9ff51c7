//! A JSON object, built and read by dotted field names.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::timestamp;

/// A JSON object, built and read by dotted field names and stored nested, as Elastic's own agents store theirs.
///
/// Most documents are made field by field, written once and never read: such a document is a list of what was set, and
/// becomes a tree only when somebody asks for more than a field.
#[derive(Clone)]
pub struct Document(Form);

#[derive(Clone)]
enum Form {
    /// What was set, in that order; later fields win. The tree is made when it is first asked for.
    Fields(Vec<(Path, Value)>, OnceLock<Map<String, Value>>),
    Tree(Map<String, Value>),
}

/// A dotted name. Nearly all are written in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Cow<'static, str>);

/// Enough for nearly every document.
const FIELDS: usize = 32;

impl Document {
    pub fn at(at: DateTime<Utc>) -> Self {
        let mut fields = Vec::with_capacity(FIELDS);
        fields.push(("@timestamp".into(), timestamp(at).into()));
        Self(Form::Fields(fields, OnceLock::new()))
    }

    /// `ethereum.block.slot` sets `{"ethereum": {"block": {"slot": …}}}`. A scalar in the way is replaced.
    pub fn set(&mut self, path: impl Into<Path>, value: impl Into<Value>) {
        let (path, value) = (path.into(), value.into());
        match &mut self.0 {
            Form::Fields(fields, tree) => {
                tree.take();
                fields.push((path, value));
            }
            Form::Tree(tree) => set(tree, path.as_str(), value),
        }
    }

    pub fn set_some(&mut self, path: impl Into<Path>, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// Sets all that `other` has.
    pub fn extend(&mut self, other: Document) {
        match other.0 {
            Form::Fields(fields, _) => {
                for (path, value) in fields {
                    self.set(path, value);
                }
            }
            Form::Tree(mut tree) => {
                merge(&mut tree, self.as_map());
                self.0 = Form::Tree(tree);
            }
        }
    }

    /// Reads a field whether it is stored nested, dotted, or half of each, as foreign documents may be.
    pub fn get(&self, path: &str) -> Option<&Value> {
        if let Form::Fields(fields, _) = &self.0 {
            let mut related = fields.iter().rev();
            let (set, value) = related.find(|(set, _)| set.is_related(path))?;
            if set.as_str() == path {
                return Some(value);
            }
        }
        lookup(self.as_map(), path)
    }

    pub fn get_str(&self, path: &str) -> Option<&str> {
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
            Form::Fields(fields, tree) => tree.get_or_init(|| to_tree(fields.iter().cloned())),
            Form::Tree(tree) => tree,
        }
    }

    /// For changing what [`Document::set`] can't: removing, renaming, going through lists.
    pub fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        if let Form::Fields(..) = self.0 {
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
    pub fn fields(&self) -> Option<&[(Path, Value)]> {
        match &self.0 {
            Form::Fields(fields, _) => Some(fields),
            Form::Tree(_) => None,
        }
    }

    fn into_map(self) -> Map<String, Value> {
        match self.0 {
            Form::Fields(fields, tree) => tree
                .into_inner()
                .unwrap_or_else(|| to_tree(fields.into_iter())),
            Form::Tree(tree) => tree,
        }
    }
}

impl Path {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the name lies in the program; `None` for one that was made while it ran.
    pub fn place(&self) -> Option<usize> {
        match &self.0 {
            Cow::Borrowed(name) => Some(name.as_ptr().addr()),
            Cow::Owned(_) => None,
        }
    }

    /// Whether one of the two is, or lies in, the other.
    fn is_related(&self, other: &str) -> bool {
        let (short, long) = match self.0.len() < other.len() {
            true => (self.as_str(), other),
            false => (other, self.as_str()),
        };
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl From<&'static str> for Path {
    fn from(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl From<String> for Path {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<&String> for Path {
    fn from(name: &String) -> Self {
        Self(Cow::Owned(name.clone()))
    }
}

impl Default for Document {
    fn default() -> Self {
        Self(Form::Fields(Vec::new(), OnceLock::new()))
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

fn to_tree(fields: impl Iterator<Item = (Path, Value)>) -> Map<String, Value> {
    let mut tree = Map::new();
    for (path, value) in fields {
        set(&mut tree, path.as_str(), value);
    }
    tree
}

fn set(mut object: &mut Map<String, Value>, path: &str, value: Value) {
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
