//! `[[logs]]`: files of one client.

use serde::Deserialize;

use crate::agent::logs::{Client, Zone};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Globs; rotated files may be among them.
    pub paths: Vec<String>,
    /// Globs of files that are left alone though `paths` matches them.
    pub exclude: Vec<String>,
    /// Whose format the files have.
    pub client: Client,
    /// What times without a zone mean: `local`, `UTC` or an offset as `+02:00`.
    pub timezone: Zone,
    /// The rest of a longer line is cut and counted.
    pub max_line_bytes: usize,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            exclude: vec!["*.gz".into()],
            client: Client::Generic,
            timezone: Zone::Local,
            max_line_bytes: 128 * 1024,
        }
    }
}
