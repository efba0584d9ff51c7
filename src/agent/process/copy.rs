//! `copy`: gives a second field the value of the first, which may be one of the envelope.
//!
//! ```toml
//! [[processors]]
//! type = "copy"
//! from = "message"
//! to = "event.original"
//! overwrite = false
//! ```

use std::borrow::Cow;

use serde::Deserialize;

use super::draft::{Draft, Failure};
use super::field::{Field, Target};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    pub(super) from: Field,
    pub(super) to: Target,
    /// Without it, a field that is there already is kept, and the copying fails.
    #[serde(default)]
    overwrite: bool,
}

impl Copy {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let Some(value) = draft.get(&self.from).cloned() else {
            return Ok(());
        };
        let to = Cow::Borrowed(self.to.as_str());
        draft.write(vec![(to, value)], self.overwrite)
    }
}
