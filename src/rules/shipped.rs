//! The rules of `rules/` and their scenarios, embedded.

use super::load::parse;
use super::rule::Rule;

pub(crate) struct Shipped {
    pub name: &'static str,
    pub rule: &'static str,
    pub scenarios: &'static str,
}

pub(crate) const FILES: [Shipped; 26] = [
    Shipped {
        name: "attestation_participation",
        rule: include_str!("../../rules/attestation_participation.toml"),
        scenarios: include_str!("../../rules/attestation_participation.scenario.toml"),
    },
    Shipped {
        name: "clock_disparity",
        rule: include_str!("../../rules/clock_disparity.toml"),
        scenarios: include_str!("../../rules/clock_disparity.scenario.toml"),
    },
    Shipped {
        name: "clock_skew",
        rule: include_str!("../../rules/clock_skew.toml"),
        scenarios: include_str!("../../rules/clock_skew.scenario.toml"),
    },
    Shipped {
        name: "disk_nearly_full",
        rule: include_str!("../../rules/disk_nearly_full.toml"),
        scenarios: include_str!("../../rules/disk_nearly_full.scenario.toml"),
    },
    Shipped {
        name: "equivocation",
        rule: include_str!("../../rules/equivocation.toml"),
        scenarios: include_str!("../../rules/equivocation.scenario.toml"),
    },
    Shipped {
        name: "error_logs",
        rule: include_str!("../../rules/error_logs.toml"),
        scenarios: include_str!("../../rules/error_logs.scenario.toml"),
    },
    Shipped {
        name: "finality_delay",
        rule: include_str!("../../rules/finality_delay.toml"),
        scenarios: include_str!("../../rules/finality_delay.scenario.toml"),
    },
    Shipped {
        name: "head_split",
        rule: include_str!("../../rules/head_split.toml"),
        scenarios: include_str!("../../rules/head_split.scenario.toml"),
    },
    Shipped {
        name: "inactivity_leak",
        rule: include_str!("../../rules/inactivity_leak.toml"),
        scenarios: include_str!("../../rules/inactivity_leak.scenario.toml"),
    },
    Shipped {
        name: "justification_flip",
        rule: include_str!("../../rules/justification_flip.toml"),
        scenarios: include_str!("../../rules/justification_flip.scenario.toml"),
    },
    Shipped {
        name: "late_block_network",
        rule: include_str!("../../rules/late_block_network.toml"),
        scenarios: include_str!("../../rules/late_block_network.scenario.toml"),
    },
    Shipped {
        name: "late_block_node",
        rule: include_str!("../../rules/late_block_node.toml"),
        scenarios: include_str!("../../rules/late_block_node.scenario.toml"),
    },
    Shipped {
        name: "late_block_rate",
        rule: include_str!("../../rules/late_block_rate.toml"),
        scenarios: include_str!("../../rules/late_block_rate.scenario.toml"),
    },
    Shipped {
        name: "late_block_run",
        rule: include_str!("../../rules/late_block_run.toml"),
        scenarios: include_str!("../../rules/late_block_run.scenario.toml"),
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
        name: "node_lagging",
        rule: include_str!("../../rules/node_lagging.toml"),
        scenarios: include_str!("../../rules/node_lagging.scenario.toml"),
    },
    Shipped {
        name: "node_silent",
        rule: include_str!("../../rules/node_silent.toml"),
        scenarios: include_str!("../../rules/node_silent.scenario.toml"),
    },
    Shipped {
        name: "orphaned_block",
        rule: include_str!("../../rules/orphaned_block.toml"),
        scenarios: include_str!("../../rules/orphaned_block.scenario.toml"),
    },
    Shipped {
        name: "parent_distance",
        rule: include_str!("../../rules/parent_distance.toml"),
        scenarios: include_str!("../../rules/parent_distance.scenario.toml"),
    },
    Shipped {
        name: "reorg_deep",
        rule: include_str!("../../rules/reorg_deep.toml"),
        scenarios: include_str!("../../rules/reorg_deep.scenario.toml"),
    },
    Shipped {
        name: "reorg_shallow",
        rule: include_str!("../../rules/reorg_shallow.toml"),
        scenarios: include_str!("../../rules/reorg_shallow.scenario.toml"),
    },
    Shipped {
        name: "stream_stale",
        rule: include_str!("../../rules/stream_stale.toml"),
        scenarios: include_str!("../../rules/stream_stale.scenario.toml"),
    },
    Shipped {
        name: "sync_participation",
        rule: include_str!("../../rules/sync_participation.toml"),
        scenarios: include_str!("../../rules/sync_participation.scenario.toml"),
    },
    Shipped {
        name: "target_votes_lost",
        rule: include_str!("../../rules/target_votes_lost.toml"),
        scenarios: include_str!("../../rules/target_votes_lost.scenario.toml"),
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
