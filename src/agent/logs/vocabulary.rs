//! `event.action`: the small vocabulary that all clients are translated into.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Action {
    /// A block arrived and is not imported yet.
    BlockReceived,
    /// A block was processed.
    BlockImported,
    HeadUpdated,
    /// The client itself calls a block late.
    LateBlock,
    Reorg,
    /// The status line of a slot.
    SlotStart,
    SyncProgress,
    PeerCount,
    LowPeers,
    Finalized,
    /// The execution layer refuses or cannot process.
    PayloadInvalid,
    /// The other layer is unreachable or silent.
    EngineOffline,
    /// Slots without a block.
    MissedSlots,
    /// A duty could not be done.
    ValidatorProblem,
    /// Throughput, a blocked thread, a slow block, a step of importing one.
    Performance,
    /// The execution layer rolls back.
    Unwind,
    /// Start, stop, version.
    Lifecycle,
    /// Anything else.
    #[default]
    Generic,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BlockReceived => "block_received",
            Self::BlockImported => "block_imported",
            Self::HeadUpdated => "head_updated",
            Self::LateBlock => "late_block",
            Self::Reorg => "reorg",
            Self::SlotStart => "slot_start",
            Self::SyncProgress => "sync_progress",
            Self::PeerCount => "peer_count",
            Self::LowPeers => "low_peers",
            Self::Finalized => "finalized",
            Self::PayloadInvalid => "payload_invalid",
            Self::EngineOffline => "engine_offline",
            Self::MissedSlots => "missed_slots",
            Self::ValidatorProblem => "validator_problem",
            Self::Performance => "performance",
            Self::Unwind => "unwind",
            Self::Lifecycle => "lifecycle",
            Self::Generic => "generic",
        }
    }
}
