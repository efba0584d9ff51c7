//! A small language for stories of a chain, told to the core in the documents that agents write.
//!
//! One statement a line, `#` begins a comment. A time is `9.5s` into the block's slot, or `@SLOT+9.5s`.
//!
//! ```text
//! chain slot 12s epoch 32 due 3.999s       # the default
//! node a b c Lighthouse/v2.3.0             # nodes and their client
//! block late 11 on g proposer 4            # a block that exists; nobody has it yet. The first has no `on`
//! arrive late a b 1.2s c 9.5s              # these nodes get it by gossip, import it and make it their head
//! import late all 13s                      # the same, but their heads stay
//! head late all @12+2.5s                   # their heads change to a block they have
//! votes 11 a late 30 other 70 @12+1s       # votes for the slot that the node counted, by the block they name
//! justified all 3 late @96+4s              # the checkpoint justified by their heads: epoch and block
//! slashing a 11 4 @12+3s                   # published: the slot's proposer made two blocks
//! syncing a @10+0s                         # the node says that it syncs; `synced` ends it
//! until 20                                 # the last slot
//! expect reorg old to new drops 1 as late_block
//! expect split as client_split
//! expect equivocation 11 4                 # slot and validator
//! expect flip at 2                         # the justified checkpoint went over and back at so many nodes
//! expect run 11 to 14 as late_block        # late blocks in a row
//! never attack                             # no word at any time that it looks like an attack
//! ```
//! All reorgs must be listed, each with the class last told, and `expect split` is the class last told of each split. Equivocations, flips
//! and runs must all be listed too, as they were told last.

mod documents;
mod parse;
mod run;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::slot::{BlockRef, ChainSpec, Root};

pub(super) use parse::parse;
pub(super) use run::{Told, run};

/// A story, ready to be told.
pub(super) struct Scenario {
    pub(super) spec: ChainSpec,
    /// The client of each node.
    pub(super) nodes: BTreeMap<String, String>,
    pub(super) blocks: BTreeMap<String, Block>,
    pub(super) steps: Vec<Step>,
    pub(super) until: u64,
    pub(super) reorgs: Vec<ExpectedReorg>,
    pub(super) splits: Vec<String>,
    /// Equivocations, flips and late runs, as they were told last.
    pub(super) events: Vec<String>,
    pub(super) never_attack: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) block: BlockRef,
    pub(super) parent: Root,
    pub(super) proposer: u64,
}

/// Something that one node says.
pub(super) struct Step {
    pub(super) node: String,
    pub(super) at: DateTime<Utc>,
    pub(super) what: What,
}

pub(super) enum What {
    Import {
        block: Block,
        head: bool,
    },
    Head(BlockRef),
    Votes {
        slot: u64,
        by_root: Vec<(Root, u64)>,
    },
    Justified {
        epoch: u64,
        root: Root,
    },
    Slashing {
        slot: u64,
        proposer: u64,
    },
    Syncing(bool),
}

pub(super) struct ExpectedReorg {
    pub(super) old: BlockRef,
    pub(super) new: BlockRef,
    pub(super) drops: usize,
    pub(super) class: String,
}
