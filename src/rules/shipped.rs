//! The rules of `rules/` and their scenarios, embedded.

use super::load::parse;
use super::rule::Rule;

pub(crate) struct Shipped {
    pub name: &'static str,
    pub rule: &'static str,
    pub scenarios: &'static str,
}

pub(crate) const FILES: [Shipped; 12] = [
    Shipped {
        name: "disk_nearly_full",
        rule: include_str!("../../rules/disk_nearly_full.toml"),
        scenarios: include_str!("../../rules/disk_nearly_full.scenario.toml"),
    },
    Shipped {
        name: "error_logs",
        rule: include_str!("../../rules/error_logs.toml"),
        scenarios: include_str!("../../rules/error_logs.scenario.toml"),
    },
    Shipped {
        name: "head_split",
        rule: include_str!("../../rules/head_split.toml"),
        scenarios: include_str!("../../rules/head_split.scenario.toml"),
    },
    Shipped {
        name: "late_block",
        rule: include_str!("../../rules/late_block.toml"),
        scenarios: include_str!("../../rules/late_block.scenario.toml"),
    },
    Shipped {
        name: "late_block_rate",
        rule: include_str!("../../rules/late_block_rate.toml"),
        scenarios: include_str!("../../rules/late_block_rate.scenario.toml"),
    },
    Shipped {
        name: "low_peers",
        rule: include_str!("../../rules/low_peers.toml"),
        scenarios: include_str!("../../rules/low_peers.scenario.toml"),
    },
    Shipped {
        name: "missed_slots",
        rule: include_str!("../../rules/missed_slots.toml"),
        scenarios: include_str!("../../rules/missed_slots.scenario.toml"),
    },
    Shipped {
        name: "missed_slots_run",
        rule: include_str!("../../rules/missed_slots_run.toml"),
        scenarios: include_str!("../../rules/missed_slots_run.scenario.toml"),
    },
    Shipped {
        name: "node_silent",
        rule: include_str!("../../rules/node_silent.toml"),
        scenarios: include_str!("../../rules/node_silent.scenario.toml"),
    },
    Shipped {
        name: "reorg",
        rule: include_str!("../../rules/reorg.toml"),
        scenarios: include_str!("../../rules/reorg.scenario.toml"),
    },
    Shipped {
        name: "reorg_shallow",
        rule: include_str!("../../rules/reorg_shallow.toml"),
        scenarios: include_str!("../../rules/reorg_shallow.scenario.toml"),
    },
    Shipped {
        name: "sync_distance",
        rule: include_str!("../../rules/sync_distance.toml"),
        scenarios: include_str!("../../rules/sync_distance.scenario.toml"),
    },
];

impl Shipped {
    pub(crate) fn file(&self) -> String {
        format!("{}.toml", self.name)
    }
}

/// The shipped rules as they stand. A test parses every one, so that none is left out here.
pub fn shipped() -> Vec<Rule> {
    let parsed = FILES
        .iter()
        .map(|shipped| parse(&shipped.file(), shipped.rule));
    parsed.filter_map(Result::ok).collect()
}
