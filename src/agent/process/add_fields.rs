//! `add_fields`: sets fields to constants; what was there is replaced.
//!
//! ```toml
//! [[processors]]
//! type = "add_fields"
//! fields = { labels.team = "infra" }
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::draft::{Draft, Failure, Writes};
use super::field::{Field, Target};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddFields {
    #[serde(deserialize_with = "constants")]
    fields: Vec<(Target, Value)>,
}

impl AddFields {
    pub(super) fn fields(&self) -> &[(Target, Value)] {
        &self.fields
    }

    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let writes: Writes<'_> = self
            .fields
            .iter()
            .map(|(target, value)| (Cow::Borrowed(target.as_str()), value.clone()))
            .collect();
        draft.write(writes, true)
    }
}

/// Tables within tables as dotted names.
fn constants<'de, D: Deserializer<'de>>(fields: D) -> Result<Vec<(Target, Value)>, D::Error> {
    let fields = serde_json::Map::deserialize(fields)?;
    let mut leaves = Vec::new();
    flatten(String::new(), &Value::Object(fields), &mut leaves);
    if leaves.is_empty() {
        return Err(D::Error::custom("expected at least one field"));
    }
    let constant = |(path, value): (String, Value)| {
        if !is_constant(&value) {
            return Err(format!(
                "{path}: expected text, a number, a boolean, or a list of these"
            ));
        }
        Ok((Target::try_from(Field::try_from(path)?)?, value))
    };
    let constants: Result<_, _> = leaves.into_iter().map(constant).collect();
    constants.map_err(D::Error::custom)
}

/// The leaves of a tree by their dotted names.
pub(super) fn flatten(path: String, value: &Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = match path.as_str() {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(path, value, leaves);
            }
        }
        leaf => leaves.push((path, leaf.clone())),
    }
}

fn is_constant(value: &Value) -> bool {
    match value {
        Value::Array(items) => items
            .iter()
            .all(|item| !item.is_array() && is_constant(item)),
        Value::Object(_) | Value::Null => false,
        _ => true,
    }
}
