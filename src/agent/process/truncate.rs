//! `truncate`: cuts text that is too long, each by itself in lists and flattened objects. Where the stream has `log.flags`, `truncated` is
//! added there.
//!
//! ```toml
//! [[processors]]
//! type = "truncate"
//! fields = ["message", "error.stack_trace"]
//! max_chars = 8192
//! ```

use serde::Deserialize;
use serde_json::Value;

use super::draft::Draft;
use super::field::{self, Target};

const FLAGS: &str = "log.flags";
const FLAG: &str = "truncated";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truncate {
    pub(super) fields: Vec<Target>,
    /// Characters, not bytes: nothing is cut in the middle of one.
    max_chars: usize,
}

impl Truncate {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) {
        let mut is_cut = false;
        for target in &self.fields {
            field::edit(draft.fields_mut(), target.as_str(), &mut |value| {
                is_cut |= cut(value, self.max_chars);
                true
            });
        }
        if is_cut {
            flag(draft);
        }
    }
}

fn cut(value: &mut Value, max_chars: usize) -> bool {
    match value {
        Value::String(text) => {
            let end = text.char_indices().nth(max_chars).map(|(end, _)| end);
            if let Some(end) = end {
                text.truncate(end);
            }
            end.is_some()
        }
        Value::Array(items) => {
            let cut = items
                .iter_mut()
                .filter_map(|item| cut(item, max_chars).then_some(()));
            cut.count() > 0
        }
        Value::Object(object) => {
            let cut = object
                .values_mut()
                .filter_map(|value| cut(value, max_chars).then_some(()));
            cut.count() > 0
        }
        _ => false,
    }
}

/// Streams without the field have no place for the mark.
fn flag(draft: &mut Draft<'_>) {
    let mut flags = match draft.own(FLAGS) {
        Some(Value::Array(flags)) => flags.clone(),
        Some(flag) => vec![flag.clone()],
        None => Vec::new(),
    };
    if !flags.iter().any(|flag| flag == FLAG) {
        flags.push(FLAG.into());
    }
    let flags = Value::Array(flags);
    if draft.check(FLAGS, &flags, true).is_ok() {
        draft.put(FLAGS, flags);
    }
}
