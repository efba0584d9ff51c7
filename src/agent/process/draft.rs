//! An event while processors work on it: what they may read, and the one way to write, which is all or nothing.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::field::{self, Field};
use crate::event::{Document, Event};
use crate::setup::{self, Misfit};

/// Why a processor left an event as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A name that is no name of a field.
    BadName,
    /// The dissected text does not have the pattern's form.
    NoMatch,
    NotABoolean,
    NotANumber,
    NotAnObject,
    NotJson,
    /// Text is needed, and the value is none.
    NotText,
    /// A field that says whose the document is.
    Protected,
    /// There is a value already, and `overwrite` is not set.
    TargetExists,
    TooDeep,
    TooLong,
    /// The stream's template has no such field.
    UnknownField,
    /// The stream's template has the field with another type, or a value lies where an object is needed.
    WrongType,
}

impl Failure {
    pub fn name(self) -> &'static str {
        match self {
            Self::BadName => "bad_name",
            Self::NoMatch => "no_match",
            Self::NotABoolean => "not_a_boolean",
            Self::NotANumber => "not_a_number",
            Self::NotAnObject => "not_an_object",
            Self::NotJson => "not_json",
            Self::NotText => "not_text",
            Self::Protected => "protected",
            Self::TargetExists => "target_exists",
            Self::TooDeep => "too_deep",
            Self::TooLong => "too_long",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
        }
    }
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Unknown => Self::UnknownField,
            Misfit::WrongType => Self::WrongType,
        }
    }
}

/// What is to be written: dotted names with their values.
pub(super) type Writes<'a> = Vec<(Cow<'a, str>, Value)>;

#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) event: &'a mut Event,
    /// What the envelope will add.
    pub(super) base: &'a Document,
}

impl Draft<'_> {
    /// The event's own value, or the envelope's. Null is no value.
    pub(super) fn get(&self, field: &Field) -> Option<&Value> {
        self.own(field.as_str())
            .or_else(|| self.base.get(field.as_str()))
    }

    pub(super) fn own(&self, path: &str) -> Option<&Value> {
        let value = self.event.document.get(path);
        value.filter(|value| !value.is_null())
    }

    /// The text of a field; `None` where it is absent.
    pub(super) fn text(&self, field: &Field) -> Result<Option<&str>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Failure::NotText),
        }
    }

    pub(super) fn fields_mut(&mut self) -> &mut Map<String, Value> {
        self.event.document.as_map_mut()
    }

    /// Writes all, or nothing where one of them can't be.
    pub(super) fn write(&mut self, mut writes: Writes<'_>, overwrite: bool) -> Result<(), Failure> {
        writes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut collide = writes.windows(2).map(|pair| (&pair[0].0, &pair[1].0));
        if collide.any(|(a, b)| field::overlap(a, b)) {
            return Err(Failure::WrongType);
        }
        writes
            .iter()
            .try_for_each(|(path, value)| self.check(path, value, overwrite))?;
        for (path, value) in writes {
            self.put(&path, value);
        }
        Ok(())
    }

    /// Whether the value may be written.
    pub(super) fn check(&self, path: &str, value: &Value, overwrite: bool) -> Result<(), Failure> {
        if !field::is_name(path) {
            return Err(Failure::BadName);
        }
        if field::is_protected(path) {
            return Err(Failure::Protected);
        }
        setup::accepts(self.event.stream, path, value)?;
        if !overwrite && self.own(path).is_some() {
            return Err(Failure::TargetExists);
        }
        match label(path).is_none() && field::is_blocked(self.event.document.as_map(), path) {
            true => Err(Failure::WrongType),
            false => Ok(()),
        }
    }

    /// Writes what was checked.
    pub(super) fn put(&mut self, path: &str, value: Value) {
        field::edit(self.fields_mut(), path, &mut |_| false);
        let Some(name) = label(path) else {
            self.event.document.set(path.to_owned(), value);
            return;
        };
        // A dot in a label is part of its name, as in the operator's own: so the event's label wins over the node's.
        let labels = self.fields_mut().entry("labels");
        let labels = labels.or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(labels) = labels {
            labels.insert(name.to_owned(), value);
        }
    }
}

fn label(path: &str) -> Option<&str> {
    path.strip_prefix("labels.")
}
