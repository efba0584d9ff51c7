//! The rules of `rules/`, embedded.

use super::rule::{Rule, parse};

/// File name and text of each shipped rule.
pub(crate) const FILES: [(&str, &str); 12] = [
    (
        "disk_nearly_full.toml",
        include_str!("../../rules/disk_nearly_full.toml"),
    ),
    (
        "error_logs.toml",
        include_str!("../../rules/error_logs.toml"),
    ),
    (
        "head_split.toml",
        include_str!("../../rules/head_split.toml"),
    ),
    (
        "late_block.toml",
        include_str!("../../rules/late_block.toml"),
    ),
    (
        "late_block_rate.toml",
        include_str!("../../rules/late_block_rate.toml"),
    ),
    ("low_peers.toml", include_str!("../../rules/low_peers.toml")),
    (
        "missed_slots.toml",
        include_str!("../../rules/missed_slots.toml"),
    ),
    (
        "missed_slots_run.toml",
        include_str!("../../rules/missed_slots_run.toml"),
    ),
    (
        "node_silent.toml",
        include_str!("../../rules/node_silent.toml"),
    ),
    ("reorg.toml", include_str!("../../rules/reorg.toml")),
    (
        "reorg_shallow.toml",
        include_str!("../../rules/reorg_shallow.toml"),
    ),
    (
        "sync_distance.toml",
        include_str!("../../rules/sync_distance.toml"),
    ),
];

/// The shipped rules as they stand. A test parses every one, so that none is left out here.
pub fn shipped() -> Vec<Rule> {
    FILES
        .iter()
        .filter_map(|(file, text)| parse(file, text).ok())
        .collect()
}
