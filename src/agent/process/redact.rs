//! `redact`: makes what must not leave the node unreadable. It can't fail: what can't be replaced is removed.
//!
//! ```toml
//! [[processors]]
//! type = "redact"
//! pattern = 'Bearer [\w.~+/-]+=*'    # absent: the whole value
//! fields = ["message"]               # absent: every field of the event but those that say whose it is
//! replacement = "[redacted]"
//! ```
//! Patterns see text and the decimal form of numbers, through objects and lists. The key of an object that matches
//! goes with its value. What the envelope adds (host, node, labels of the configuration) is not looked at.

use std::borrow::Cow;

use regex::NoExpand;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Pattern;
use super::draft::Draft;
use super::field::{self, Target};
use crate::event::DataStream;
use crate::setup;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redact {
    #[serde(default)]
    pub(super) fields: Vec<Target>,
    pub(super) pattern: Option<Pattern>,
    /// Taken literally.
    #[serde(default = "redacted")]
    pub(super) replacement: String,
}

fn redacted() -> String {
    "[redacted]".into()
}

impl Redact {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) {
        let stream = draft.event.stream;
        let fields = draft.fields_mut();
        for target in &self.fields {
            let path = target.as_str();
            field::edit(fields, path, &mut |value| self.redact(stream, path, value));
        }
        if self.fields.is_empty() && self.pattern.is_some() {
            self.redact_object(stream, "", fields);
        }
    }

    /// Whether anything may be kept of the value.
    fn redact(&self, stream: DataStream, path: &str, value: &mut Value) -> bool {
        if field::is_ours(path) {
            return true;
        }
        let Some(pattern) = &self.pattern else {
            return self.put(stream, path, value, self.replacement.clone());
        };
        match value {
            Value::Null => true,
            Value::Object(object) => {
                self.redact_object(stream, path, object);
                !object.is_empty()
            }
            Value::Array(items) => {
                items.retain_mut(|item| self.redact(stream, path, item));
                !items.is_empty()
            }
            scalar => {
                let text = match &*scalar {
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                if !pattern.regex().is_match(&text) {
                    return true;
                }
                let replaced = pattern
                    .regex()
                    .replace_all(&text, NoExpand(&self.replacement));
                let replaced = replaced.into_owned();
                self.put(stream, path, scalar, replaced)
            }
        }
    }

    /// Whether the field takes what is left.
    fn put(&self, stream: DataStream, path: &str, value: &mut Value, redacted: String) -> bool {
        *value = redacted.into();
        setup::accepts(stream, path, value).is_ok()
    }

    fn redact_object(&self, stream: DataStream, path: &str, object: &mut Map<String, Value>) {
        object.retain(|key, value| {
            let path = match path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            let names = self.pattern.as_ref().is_some_and(|pattern| {
                !field::is_protected(&path) && pattern.regex().is_match(key)
            });
            !names && self.redact(stream, &path, value)
        });
    }
}
