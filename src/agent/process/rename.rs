//! `rename`: moves a value to another field. An event without the field is left as it is.
//!
//! ```toml
//! [[processors]]
//! type = "rename"
//! from = "ethereum.log.fields.graffiti"
//! to = "labels.graffiti"
//! overwrite = false
//! ```

use serde::Deserialize;

use super::draft::{Draft, Failure};
use super::field::{self, Target};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    pub(super) from: Target,
    pub(super) to: Target,
    /// Without it, a field that is there already is kept, and the renaming fails.
    #[serde(default)]
    overwrite: bool,
}

impl Rename {
    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let Some(value) = draft.own(self.from.as_str()).cloned() else {
            return Ok(());
        };
        draft.check(self.to.as_str(), &value, self.overwrite)?;
        field::edit(draft.fields_mut(), self.from.as_str(), &mut |_| false);
        draft.put(self.to.as_str(), value);
        Ok(())
    }
}
