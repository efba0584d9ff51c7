//! The chain as several nodes see it: block tree, arrivals, reorgs, head splits, slot statuses.
//!
//! Pure: observations and `now` in, findings out. Live, replay, test and backtest are the same code. Observations may
//! come late, repeated and in any order between nodes; a finding is told once, and its document has an id made of what
//! it says, so that telling it again after a restart stores nothing twice.
//!
//! - `tree` parent links, common ancestors · `nodes` what each node said, in its order · `heads`, `branches` who stands where
//! - `lead` which branch statuses follow · `moves` who went over in a split · `gaps` blocks passed over because of one
//! - `arrival`, `reorg`, `head_split`, `slots`, `offences`, `justification`, `late_run` one kind of finding each ·
//!   `latency` what is usual for a node, a client, a block of a size · `chain` takes what is heard, `advance` judges it
//! - `votes` who named which block · `triage` attack or bug, with the evidence
//! - `documents` the findings as documents, with the list of their fields

mod advance;
mod arrival;
mod branches;
mod chain;
mod documents;
mod gaps;
mod head_split;
mod heads;
mod justification;
mod late_run;
mod latency;
mod lead;
mod moves;
mod nodes;
mod offences;
mod reorg;
mod slots;
mod tree;
pub mod triage;
mod votes;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use arrival::{NetworkBlock, Seen};
pub use chain::{Network, Refused};
pub use head_split::{Group, HeadSplit, Step};
pub use justification::{Checkpoint, JustificationFlip, NodeFlips};
pub use late_run::{LateBlock, LateRun};
pub use latency::{ClientLatency, Dispersion, Slowness};
pub use moves::{Absence, Move, Moves};
pub use nodes::{NodeName, ReportedReorg};
pub use offences::{Offence, OffenceBlock, OffenceKind};
pub use reorg::{NodeReorg, Reorg};
pub use slots::{Finality, SlotStatus, Status};
pub use tree::{Fork, Tree};
pub use votes::Ballot;

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
    /// The node served a block: what is in it.
    Contents {
        block: BlockRef,
        contents: Contents,
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
    /// The checkpoint justified by the node's head.
    Justified {
        epoch: u64,
        root: Root,
    },
    /// The votes for a slot that the node saw pass. Further ones for the slot have another time.
    Votes {
        slot: u64,
        ballot: Ballot,
    },
    /// A slashing was published: the proposer made two blocks for the slot.
    Slashing {
        slot: u64,
        proposer_index: u64,
    },
    /// A slashing was published: these validators cast two votes that contradict each other.
    VoteSlashing {
        slot: u64,
        validators: Vec<u64>,
    },
}

/// What is in a block, as far as it matters between nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// SSZ bytes of the signed block.
    pub size_bytes: Option<u64>,
    pub blobs: Option<u64>,
    /// Set bits of the sync aggregate, and how many there are.
    pub sync_participants: Option<u64>,
    pub sync_size: Option<u64>,
}

impl Contents {
    /// What either says. A root has one content; of two that differ the larger is taken, whoever speaks first.
    fn merged(self, other: Self) -> Self {
        Self {
            size_bytes: self.size_bytes.max(other.size_bytes),
            blobs: self.blobs.max(other.blobs),
            sync_participants: self.sync_participants.max(other.sync_participants),
            sync_size: self.sync_size.max(other.sync_size),
        }
    }
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
    Offence(Offence),
    Flip(JustificationFlip),
    LateRun(LateRun),
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
    /// How long after a reorg its triage is gone over: votes are told slots after they were cast.
    pub triage_slots: u64,
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
            // Over an hour on mainnet: an agent that was away for so long still changes the record.
            slots_kept: 384,
            links_kept: 32_768,
            nodes_limit: 4_096,
            blocks_limit: 131_072,
            triage_slots: 6,
        }
    }
}
