//! Attack or bug: what a fork looks like, with the evidence that says so and the reason in words.
//!
//! `evidence` gathers what the core knows of a fork, and judges nothing · `clients` whether the branches part by client ·
//! `judge` the class that the evidence allows, `late` the same for late blocks in a row · `fields` the result as fields of the fork's document.
//!
//! A class is given only where each part of its signature was seen. A signature that is met but for something nobody
//! watched (votes, most often) is [`Class::Unknown`], and the reason names what is missing.

mod clients;
mod evidence;
mod fields;
mod judge;
mod late;

pub use clients::Separation;
pub use evidence::{Equivocation, Evidence, Flips, Role, Side, Spread};
pub(super) use evidence::{View, of_reorg, of_split};
pub(super) use late::of_run;

/// What a fork looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triage {
    pub class: Class,
    /// One sentence or a few, for the mail.
    pub reason: String,
    pub evidence: Evidence,
}

/// Signatures of `reference/ethereum.md` §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// A late block was left out by the next proposer, as honest proposers do; of a run: its proposers were late.
    LateBlock,
    /// A withheld block came with votes for it and displaced a timely sibling.
    ExAnte,
    /// The proposer of the slot before left out a timely block with many votes.
    Sandwich,
    /// One proposer made two blocks for a slot: a balancing attack, or a key in use twice.
    Equivocation,
    /// The justified checkpoint goes over and back between branches.
    Bouncing,
    /// The branches part by client or version.
    ClientSplit,
    /// Only nodes that were catching up made it.
    SyncArtefact,
    #[default]
    Unknown,
}

impl Class {
    pub const ALL: [Self; 8] = [
        Self::LateBlock,
        Self::ExAnte,
        Self::Sandwich,
        Self::Equivocation,
        Self::Bouncing,
        Self::ClientSplit,
        Self::SyncArtefact,
        Self::Unknown,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::LateBlock => "late_block",
            Self::ExAnte => "ex_ante",
            Self::Sandwich => "sandwich",
            Self::Equivocation => "equivocation",
            Self::Bouncing => "bouncing",
            Self::ClientSplit => "client_split",
            Self::SyncArtefact => "sync_artefact",
            Self::Unknown => "unknown",
        }
    }

    /// The short answer: `attack`, `bug`, `benign` or `unknown`.
    pub fn looks_like(self) -> &'static str {
        match self {
            Self::ExAnte | Self::Sandwich | Self::Equivocation | Self::Bouncing => "attack",
            Self::ClientSplit => "bug",
            Self::LateBlock | Self::SyncArtefact => "benign",
            Self::Unknown => "unknown",
        }
    }
}
