//! The entity a rule speaks about: the values of its key fields.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::values;
use crate::event::Document;

/// One value per key field, in the order of the rule; none for a rule about the network as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Key(Vec<String>);

impl Key {
    pub fn new(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }

    /// `None` where the document lacks one of the fields.
    pub fn of(document: &Document, fields: &[String]) -> Option<Self> {
        let value = |field: &String| match values(document, field).first()? {
            Value::String(text) => Some(text.clone()),
            number @ (Value::Number(_) | Value::Bool(_)) => Some(number.to_string()),
            _ => None,
        };
        fields.iter().map(value).collect::<Option<_>>().map(Self)
    }

    /// Where the first field has several values, one key for each of them; empty where the document lacks a field.
    pub fn each_of(document: &Document, fields: &[String]) -> Vec<Self> {
        let Some(whole) = Self::of(document, fields) else {
            return Vec::new();
        };
        let Some(first) = fields.first() else {
            return vec![whole];
        };
        let each = values(document, first).into_iter().map(|value| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let rest = whole.0.iter().skip(1).cloned();
            Self(std::iter::once(text).chain(rest).collect())
        });
        each.collect()
    }

    pub fn values(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("network");
        }
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn a_key_needs_all_its_fields() {
        let mut document = Document::at(DateTime::UNIX_EPOCH);
        document.set("host.name", "h1");
        document.set("ethereum.slot", 7);
        let key = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).into()).collect();
            Key::of(&document, &fields).map(|key| key.to_string())
        };
        assert_eq!(key(&[]).as_deref(), Some("network"));
        assert_eq!(
            key(&["host.name", "ethereum.slot"]).as_deref(),
            Some("h1 7")
        );
        assert_eq!(key(&["host.name", "nowhere"]), None);
    }

    #[test]
    fn several_values_are_keys_of_their_own() {
        let mut document = Document::at(DateTime::UNIX_EPOCH);
        document.set("nodes", vec!["a", "b"]);
        document.set("slot", 7);
        let keys = |fields: &[&str]| -> Vec<String> {
            let fields: Vec<String> = fields.iter().map(|field| (*field).into()).collect();
            let keys = Key::each_of(&document, &fields);
            keys.iter().map(ToString::to_string).collect()
        };
        assert_eq!(keys(&["nodes"]), ["a", "b"]);
        assert_eq!(keys(&["nodes", "slot"]), ["a 7", "b 7"]);
        assert_eq!(keys(&[]), ["network"]);
        assert!(keys(&["nowhere"]).is_empty());
    }
}
