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
}
