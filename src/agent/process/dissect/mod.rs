//! `dissect`: cuts a text at fixed delimiters into fields, by the patterns of Logstash and Beats.
//!
//! ```toml
//! [[processors]]
//! type = "dissect"
//! field = "message"
//! pattern = "%{client->} [%{?id}] %{labels.method} took %{labels.took}ms"
//! to = "labels"           # the object that fields are put under; absent: the document itself
//! overwrite = false
//! ```
//! See [`pattern::Pattern`] for what a pattern may hold. All values are text; `convert` gives them other types.

mod pattern;

use std::borrow::Cow;

use serde::Deserialize;

pub(super) use self::pattern::Pattern;
use super::draft::{Draft, Failure, Writes};
use super::field::{Field, Target};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dissect {
    pub(super) field: Field,
    pub(super) pattern: Pattern,
    pub(super) to: Option<Target>,
    /// Without it, fields that are there already are kept, and the dissection fails.
    #[serde(default)]
    overwrite: bool,
}

impl Dissect {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let Some(text) = draft.text(&self.field)? else {
            return Ok(());
        };
        let cut = self.pattern.cut(text).ok_or(Failure::NoMatch)?;
        let named = cut
            .into_iter()
            .map(|(name, value)| (Cow::Owned(self.path(&name)), value.into()));
        let writes: Writes<'_> = named.collect();
        draft.write(writes, self.overwrite)
    }

    /// Where a field of the pattern is put.
    pub(super) fn path(&self, name: &str) -> String {
        match &self.to {
            Some(to) => format!("{}.{name}", to.as_str()),
            None => name.to_owned(),
        }
    }
}
