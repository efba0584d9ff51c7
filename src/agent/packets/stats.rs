//! What a capture counts about itself, by reason: nothing is lost silently.

/// Since the capture began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub packets: u64,
    /// ARP and the like.
    pub not_ip: u64,
    /// Headers that make no sense; the packet is lost.
    pub malformed: u64,
    /// IP was readable, what it carries was not: counted in a flow without ports.
    pub transport_malformed: u64,
    pub evicted_flows: u64,
    /// Fragments whose datagram never became whole.
    pub fragments_lost: u64,
    /// Bytes of TCP that a decoder should have seen.
    pub tcp_gap_bytes: u64,
    /// Connections given up because too much was held for all of them together.
    pub conversations_dropped: u64,
    /// Messages on a protocol's port that are not of it.
    pub undecoded: u64,
    /// Questions and answers that never met.
    pub unanswered: u64,
    pub unasked: u64,
    /// Questions forgotten early because there were too many.
    pub pending_dropped: u64,
    /// A bug of ours, which cost one packet or conversation.
    pub decoder_panics: u64,
    /// Peers left out of a summary because there were too many.
    pub peers_dropped: u64,
    /// Documents that nobody took in time; live captures only.
    pub events_dropped: u64,
    /// By the kernel, because its buffer was full, and by the network card.
    pub kernel_dropped: u64,
    pub interface_dropped: u64,
    /// Attempts to read that failed: the interface is down or gone.
    pub read_failures: u64,
}

impl Stats {
    /// As the agent's own report names them.
    pub fn named(&self) -> [(&'static str, u64); 18] {
        [
            ("packets_seen", self.packets),
            ("packets_not_ip", self.not_ip),
            ("packets_malformed", self.malformed),
            ("packets_transport_malformed", self.transport_malformed),
            ("packets_evicted_flows", self.evicted_flows),
            ("packets_fragments_lost", self.fragments_lost),
            ("packets_tcp_gap_bytes", self.tcp_gap_bytes),
            ("packets_conversations_dropped", self.conversations_dropped),
            ("packets_undecoded", self.undecoded),
            ("packets_unanswered", self.unanswered),
            ("packets_unasked", self.unasked),
            ("packets_pending_dropped", self.pending_dropped),
            ("packets_decoder_panics", self.decoder_panics),
            ("packets_peers_dropped", self.peers_dropped),
            ("packets_events_dropped", self.events_dropped),
            ("packets_kernel_dropped", self.kernel_dropped),
            ("packets_interface_dropped", self.interface_dropped),
            ("packets_read_failures", self.read_failures),
        ]
    }
}
