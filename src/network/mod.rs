//! The chain as several nodes see it: block tree, arrivals, reorgs, head splits, slot statuses.
//!
//! Pure: observations and `now` in, findings out. Live, replay, test and backtest are the same code. Observations may
//! come late, repeated and in any order between nodes; a finding is told once, and its document has an id made of what
//! it says, so that telling it again after a restart stores nothing twice.
//!
//! - `tree` parent links, common ancestors · `nodes` what each node said, in its order · `branches` who stands where
//! - `arrival`, `reorg`, `head_split`, `slots` one kind of finding each · `chain` takes what is heard, `advance` judges it
//! - `documents` the findings as documents, with the list of their fields

mod advance;
mod arrival;
mod branches;
mod chain;
mod documents;
mod head_split;
mod nodes;
mod reorg;
mod slots;
mod tree;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use arrival::{Dispersion, NetworkBlock, Seen};
pub use chain::{Network, Refused};
pub use head_split::{Group, HeadSplit, Step};
pub use nodes::{NodeName, ReportedReorg};
pub use reorg::{NodeReorg, Reorg};
pub use slots::{Finality, SlotStatus, Status};
pub use tree::{Fork, Tree};

use crate::slot::{BlockRef, Root};

/// Something a node said or showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub node: String,
    /// As the node calls itself, `Lodestar/v1.5.1/…`.
    pub client: Option<String>,
    /// Receive time, corrected by the clock's offset.
    pub at: DateTime<Utc>,
    /// The place among what the node said at the same instant; 0 where nobody counted.
    pub order: u64,
    pub fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The node got to know a block. `arrival_ms` is signed and corrected; `None` for a block that was back-filled.
    Seen {
        block: BlockRef,
        source: Source,
        arrival_ms: Option<i64>,
    },
    /// The node served a block: its links, at whatever time.
    Block {
        block: BlockRef,
        parent_root: Root,
        proposer_index: Option<u64>,
    },
    /// The node's stream said that this is its head now.
    Head(BlockRef),
    /// The node answered, asked for its head. Fills in where the stream is silent.
    PolledHead(BlockRef),
    /// The client's own word on a reorg: kept beside ours, never used.
    Reorg(ReportedReorg),
    Status {
        syncing: bool,
    },
    Finalized {
        epoch: u64,
        root: Root,
    },
}

/// How a block's arrival was noticed, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Passed the gossip rules: the earliest view.
    Gossip,
    /// Imported by fork choice.
    Block,
    Head,
    /// Noticed by asking: an upper bound.
    Poll,
}

impl Source {
    pub const ALL: [Self; 4] = [Self::Gossip, Self::Block, Self::Head, Self::Poll];

    /// As the event stream names its topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gossip => "block_gossip",
            Self::Block => "block",
            Self::Head => "head",
            Self::Poll => "poll",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// What the network did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Block(NetworkBlock),
    Reorg(Reorg),
    Split(HeadSplit),
    Slot(SlotStatus),
}

/// How findings are made. Durations in slots follow the chain's slot length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Nodes that have to agree; all of them where fewer are known.
    pub quorum: usize,
    /// How long a head waits for observations that overtook each other, in ms.
    pub reorder_ms: u64,
    /// How long a block waits for all nodes before its first record, and between further records.
    pub settle_slots: u64,
    /// How long branches have to contradict each other to be a split, and to agree for its end.
    pub split_slots: u64,
    /// How long a change of head waits for missing parent links.
    pub link_slots: u64,
    /// Silence after which a node counts no more.
    pub live_slots: u64,
    /// Slots behind another node's head at which a lone node that changes its head counts as catching up.
    pub behind_slots: u64,
    /// Slots of which arrivals, heads and statuses are remembered. Older observations are refused.
    pub slots_kept: u64,
    /// Slots of which blocks and parent links are remembered: splits and reorgs reach back no further.
    pub links_kept: u64,
    /// Nodes remembered. Observations of further ones are refused.
    pub nodes_limit: usize,
    /// Blocks remembered, all branches: a flood of invented blocks ends here.
    pub blocks_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quorum: 2,
            reorder_ms: 2_000,
            settle_slots: 1,
            split_slots: 2,
            link_slots: 4,
            live_slots: 8,
            behind_slots: 32,
            slots_kept: 256,
            links_kept: 32_768,
            nodes_limit: 4_096,
            blocks_limit: 131_072,
        }
    }
}
