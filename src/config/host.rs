//! `[host]`: metrics of the machine.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// One sample of each set per period.
    #[serde(with = "super::duration")]
    pub period: Duration,
    /// File systems fill slowly and are many: they have a period of their own, rounded up to whole `period`s.
    #[serde(with = "super::duration")]
    pub filesystem_period: Duration,
    /// Where the host's `/` is mounted; other than `/` in a container.
    pub hostfs: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            filesystem_period: Duration::from_secs(60),
            hostfs: "/".into(),
        }
    }
}
