//! The fields of a document that is not a tree yet: a list, and one piece of memory for their texts.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::Pairs;
use super::document::set;

/// Enough for nearly every document.
const FIELDS: usize = 16;
const TEXT_BYTES: usize = 512;

/// What was set, in that order; later fields win.
#[derive(Clone, Default)]
pub struct Fields {
    list: Vec<(Path, Field)>,
    /// The texts of the fields, one behind the other.
    texts: String,
    /// Made when it is first asked for.
    tree: OnceLock<Map<String, Value>>,
}

#[derive(Debug, Clone)]
pub(super) enum Field {
    Value(Value),
    Text(Range<usize>),
    Pairs(Box<Pairs>),
    Word(&'static str),
}

/// The value of a field, to be written.
#[derive(Debug, Clone, Copy)]
pub enum Scalar<'a> {
    Value(&'a Value),
    Text(&'a str),
    Pairs(&'a Pairs),
    /// A text of the program itself: there are not many.
    Word(&'static str),
}

/// A dotted name. Nearly all are written in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Cow<'static, str>);

impl Fields {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, Scalar<'_>)> {
        self.list
            .iter()
            .map(|(path, field)| (path, self.scalar(field)))
    }

    /// The value that was set as the `number`th, from 0.
    pub fn value(&self, number: usize) -> Scalar<'_> {
        self.scalar(&self.list[number].1)
    }

    pub(super) fn scalar<'a>(&'a self, field: &'a Field) -> Scalar<'a> {
        match field {
            Field::Text(range) => Scalar::Text(&self.texts[range.clone()]),
            Field::Word(word) => Scalar::Word(word),
            Field::Pairs(pairs) => Scalar::Pairs(pairs),
            Field::Value(value) => Scalar::Value(value),
        }
    }

    pub(super) fn push(&mut self, path: Path, field: Field) {
        if self.list.is_empty() {
            self.list.reserve(FIELDS);
            self.texts.reserve(TEXT_BYTES);
        }
        self.forget_tree();
        self.list.push((path, field));
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.forget_tree();
        let shift = self.texts.len();
        self.texts.push_str(&other.texts);
        let moved = other.list.into_iter().map(|(path, field)| match field {
            Field::Text(text) => (path, Field::Text(text.start + shift..text.end + shift)),
            other => (path, other),
        });
        self.list.extend(moved);
    }

    /// It is seldom there, and most documents change often.
    fn forget_tree(&mut self) {
        if self.tree.get().is_some() {
            self.tree.take();
        }
    }

    pub(super) fn clear(&mut self) {
        self.forget_tree();
        self.list.clear();
        self.texts.clear();
    }

    /// The last field that decides about what is at the path.
    pub(super) fn last_related(&self, path: &str) -> Option<&(Path, Field)> {
        let mut related = self.list.iter().rev();
        related.find(|(set, _)| set.is_related(path))
    }

    pub(super) fn write(&mut self, path: Path, write: impl FnOnce(&mut String)) {
        let begin = self.texts.len();
        write(&mut self.texts);
        let text = begin..self.texts.len();
        self.push(path, Field::Text(text));
    }

    pub(super) fn as_map(&self) -> &Map<String, Value> {
        self.tree.get_or_init(|| self.to_tree())
    }

    pub(super) fn into_map(mut self) -> Map<String, Value> {
        self.tree.take().unwrap_or_else(|| self.to_tree())
    }

    fn to_tree(&self) -> Map<String, Value> {
        let mut tree = Map::new();
        for (path, value) in self.iter() {
            set(&mut tree, path.as_str(), value.to_value());
        }
        tree
    }
}

impl Scalar<'_> {
    pub fn is_object(self) -> bool {
        matches!(self, Self::Value(Value::Object(_)) | Self::Pairs(_))
    }

    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Text(text) => text.into(),
            Self::Word(word) => word.into(),
            Self::Pairs(pairs) => Value::Object(pairs.to_map()),
        }
    }
}

impl<'a> Scalar<'a> {
    pub(super) fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::Text(text) => Some(text),
            Self::Word(word) => Some(word),
            Self::Pairs(_) => None,
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
        // Most names are told apart by where they end, without being compared.
        let next = long.as_bytes().get(short.len());
        next.is_none_or(|byte| *byte == b'.') && long.starts_with(short)
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
