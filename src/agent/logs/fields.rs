//! The typed values of a record, before they are a document.

use std::borrow::Cow;

use crate::event::Document;

/// Values by the dotted name of their field, each once.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(Vec<(&'static str, Scalar<'a>)>);

/// Fields of an ordinary record.
const USUAL_FIELDS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
enum Scalar<'a> {
    Integer(i64),
    /// Always finite.
    Float(f64),
    Text(Cow<'a, str>),
}

impl<'a> Fields<'a> {
    pub(super) fn set_integer(&mut self, field: &'static str, number: i64) -> bool {
        self.set(field, Scalar::Integer(number))
    }

    pub(super) fn set_text(&mut self, field: &'static str, text: impl Into<Cow<'a, str>>) -> bool {
        self.set(field, Scalar::Text(text.into()))
    }

    /// Sets the field, whatever it was before.
    pub(super) fn replace_integer(&mut self, field: &'static str, number: i64) {
        self.0.retain(|(name, _)| *name != field);
        self.set_integer(field, number);
    }

    /// Sets a number that is finite.
    pub(super) fn set_float(&mut self, field: &'static str, number: f64) -> bool {
        self.set(field, Scalar::Float(number))
    }

    pub(super) fn get_integer(&self, field: &str) -> Option<i64> {
        match self.get(field)? {
            Scalar::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    fn get(&self, field: &str) -> Option<&Scalar<'a>> {
        let found = self.0.iter().find(|(name, _)| *name == field);
        found.map(|(_, value)| value)
    }

    /// Whether the field has this value now: of several the first stays.
    fn set(&mut self, field: &'static str, value: Scalar<'a>) -> bool {
        if let Some(first) = self.get(field) {
            return *first == value;
        }
        if self.0.capacity() == 0 {
            self.0.reserve(USUAL_FIELDS);
        }
        self.0.push((field, value));
        true
    }

    /// Whether any field's name begins so.
    pub(super) fn has_any_of(&self, start: &str) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with(start))
    }

    /// Adds those of `others` that are not there.
    pub(super) fn extend(&mut self, others: Self) {
        for (name, value) in others.0 {
            self.set(name, value);
        }
    }

    pub(super) fn into_owned(self) -> Fields<'static> {
        let fields = self.0.into_iter().map(|(name, value)| {
            let value = match value {
                Scalar::Integer(number) => Scalar::Integer(number),
                Scalar::Float(number) => Scalar::Float(number),
                Scalar::Text(text) => Scalar::Text(own(text)),
            };
            (name, value)
        });
        Fields(fields.collect())
    }

    #[cfg(test)]
    pub(super) fn into_document(self) -> Document {
        let mut document = Document::default();
        self.set_in(&mut document);
        document
    }

    pub(super) fn set_in(self, document: &mut Document) {
        for (field, value) in self.0 {
            match value {
                Scalar::Integer(number) => document.set(field, number),
                Scalar::Float(number) => document.set(field, number),
                Scalar::Text(text) => document.set(field, text.into_owned()),
            }
        }
    }
}

pub(super) fn own(text: Cow<str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
