//! `[aggregator]` and `[rules]`: what the central process reads, judges and links to.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::duration;
use crate::rules::Overrides;

/// `[aggregator]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aggregator {
    /// How often the data streams are read and the rules evaluated.
    #[serde(with = "duration")]
    pub period: Duration,
    /// `CONFIG_NAME` of the chain to watch where the namespace holds several; absent: that of the newest report.
    pub network: Option<String>,
    /// Where Kibana is, for the links in mails; absent: no links.
    pub kibana_url: Option<String>,
    /// Nodes that must report a reorg before it counts as confirmed.
    pub reorg_quorum: usize,
    /// Slots that heads must differ before a split is opened.
    pub split_min_slots: u64,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            network: None,
            kibana_url: None,
            reorg_quorum: 2,
            split_min_slots: 2,
        }
    }
}

/// `[rules]`.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Folders with further rule files; a rule of the same name replaces the shipped one.
    pub dirs: Vec<PathBuf>,
    /// Values that replace those in a rule file: `[rules.override.low_peers.condition] below = 1`.
    #[serde(rename = "override")]
    pub overrides: Overrides,
}
