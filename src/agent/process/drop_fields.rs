//! `drop_fields`: removes fields, objects of fields included. What the envelope adds comes after, and stays.
//!
//! ```toml
//! [[processors]]
//! type = "drop_fields"
//! fields = ["event.original", "ethereum.log.fields"]
//! ```

use serde::Deserialize;

use super::draft::Draft;
use super::field::{self, Target};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropFields {
    pub(super) fields: Vec<Target>,
}

impl DropFields {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) {
        for target in &self.fields {
            field::edit(draft.fields_mut(), target.as_str(), &mut |_| false);
        }
    }
}
