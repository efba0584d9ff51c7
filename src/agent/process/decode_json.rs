//! `decode_json`: reads a field that holds a JSON object, and puts the object's fields into the document.
//!
//! ```toml
//! [[processors]]
//! type = "decode_json"
//! field = "message"
//! to = "labels"           # the object they are put under; absent: the document itself
//! max_bytes = 65536       # a longer text is left alone, as is one that is nested deeper
//! max_depth = 4
//! overwrite = false
//! ```

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::draft::{Draft, Failure, Writes};
use super::field::{self, Field, Target};
use crate::event::DataStream;
use crate::setup;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeJson {
    pub(super) field: Field,
    pub(super) to: Option<Target>,
    #[serde(default = "max_bytes")]
    max_bytes: usize,
    /// Levels of objects and lists, the outermost included.
    #[serde(default = "max_depth")]
    max_depth: usize,
    /// Without it, fields that are there already are kept, and the decoding fails.
    #[serde(default)]
    overwrite: bool,
}

fn max_bytes() -> usize {
    64 << 10
}

fn max_depth() -> usize {
    4
}

impl DecodeJson {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let Some(text) = draft.text(&self.field)? else {
            return Ok(());
        };
        if text.len() > self.max_bytes {
            return Err(Failure::TooLong);
        }
        // The library refuses more than 128 levels by itself.
        let Value::Object(object) = serde_json::from_str(text).map_err(|_| Failure::NotJson)?
        else {
            return Err(Failure::NotAnObject);
        };
        if depth(object.values()) >= self.max_depth {
            return Err(Failure::TooDeep);
        }
        let under = self.to.as_ref().map_or("", Target::as_str);
        let mut writes = Writes::new();
        gather(draft.event.stream, under, object, &mut writes)?;
        draft.write(writes, self.overwrite)
    }
}

/// Fields as the template has them: whole where it takes objects whole, else one by one. Null says nothing.
fn gather(
    stream: DataStream,
    under: &str,
    object: Map<String, Value>,
    writes: &mut Writes<'_>,
) -> Result<(), Failure> {
    for (key, value) in object {
        let path = match under {
            "" => key,
            under => format!("{under}.{key}"),
        };
        match value {
            Value::Null => {}
            Value::Object(inner) if !takes_objects(stream, &path) => {
                gather(stream, &path, inner, writes)?;
            }
            value if has_good_names(&value) => writes.push((Cow::Owned(path), value)),
            _ => return Err(Failure::BadName),
        }
    }
    Ok(())
}

/// Whether any object would do here: the template does not name what is in it.
fn takes_objects(stream: DataStream, path: &str) -> bool {
    setup::accepts(stream, path, &Value::Object(Map::new())).is_ok()
}

fn has_good_names(value: &Value) -> bool {
    match value {
        Value::Object(object) => object
            .iter()
            .all(|(key, value)| field::is_name(key) && has_good_names(value)),
        Value::Array(items) => items.iter().all(has_good_names),
        _ => true,
    }
}

/// Levels of objects and lists.
fn depth<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let levels = values.map(|value| match value {
        Value::Object(object) => 1 + depth(object.values()),
        Value::Array(items) => 1 + depth(items.iter()),
        _ => 0,
    });
    levels.max().unwrap_or(0)
}
