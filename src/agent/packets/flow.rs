//! One flow: who opened it, what passed since its last report, and how far its TCP connection is.

use super::address::{FlowKey, Side};
use super::community_id::community_id;
use super::decode::{ACK, FIN, Mac, RST, SYN, TCP, UDP};
use super::label::Label;
use super::short::Short;
use super::talk::Look;
use super::transaction::{Setting, nanos, network_type, set_transport};
use crate::event::{DataStream, DocumentId, Event};

pub struct Flow {
    pub key: FlowKey,
    /// Who sent first, or who dialled where that was seen.
    pub opener: Side,
    /// The end that is not ours.
    pub peer: Side,
    pub label: Label,
    /// Its line in the summary.
    pub line: u16,
    pub phase: Phase,
    /// Type and code of the first message.
    pub icmp: (u8, u8),
    /// In order of the sides.
    pub macs: Option<[Mac; 2]>,
    /// Nanoseconds since 1970.
    pub started: i64,
    pub last: i64,
    /// Since the last report, by the side that sent.
    pub counts: [Counts; 2],
    pub reports: u32,
    pub look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub packets: u64,
    /// On the wire, headers included.
    pub bytes: u64,
}

/// Of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not TCP, or its beginning was not seen.
    Unknown,
    /// A SYN without answer.
    Asked,
    /// Answered by SYN and ACK, and not confirmed: half open.
    Answered,
    Established,
    /// One side has said FIN.
    Closing(Side),
    Closed,
    /// The first SYN was answered by RST.
    Refused,
}

impl Phase {
    /// Where a segment that `from` sent leads to.
    pub fn after(self, flags: u8, from: Side, opener: Side) -> Self {
        match (self, flags & (SYN | ACK | FIN | RST)) {
            (Self::Closed | Self::Refused, _) => self,
            (Self::Asked, set) if set & RST != 0 && from != opener => Self::Refused,
            (_, set) if set & RST != 0 => Self::Closed,
            (Self::Asked, set) if set & (SYN | ACK) == SYN | ACK && from != opener => {
                Self::Answered
            }
            (Self::Answered, set) if set & (SYN | ACK) == ACK && from == opener => {
                Self::Established.after(flags & FIN, from, opener)
            }
            (Self::Closing(side), set) if set & FIN != 0 && side != from => Self::Closed,
            (Self::Established | Self::Unknown, set) if set & FIN != 0 => Self::Closing(from),
            _ => self,
        }
    }

    /// Before any segment, by the flags of the first one.
    pub fn first(flags: u8) -> Self {
        match flags & (SYN | ACK) {
            SYN => Self::Asked,
            set if set == SYN | ACK => Self::Answered,
            _ => Self::Unknown,
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Refused)
    }
}

/// Why a flow is reported for the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Timeout,
    Closed,
    /// Room was needed for another.
    Evicted,
    /// The capture ends.
    Stopped,
}

impl Flow {
    pub fn total(&self) -> Counts {
        let [a, b] = self.counts;
        Counts {
            packets: a.packets + b.packets,
            bytes: a.bytes + b.bytes,
        }
    }

    /// Whether both ends have spoken, as far as that is known.
    pub fn is_answered(&self) -> bool {
        match self.phase {
            Phase::Asked | Phase::Answered | Phase::Closed | Phase::Refused => false,
            Phase::Established | Phase::Closing(_) => true,
            Phase::Unknown => self.reports > 0 || self.counts.iter().all(|sum| sum.packets > 0),
        }
    }

    /// What came since the last report, which begins anew.
    pub fn report(&mut self, setting: &Setting, end: Option<End>) -> Event {
        let community_id = community_id(&self.key, self.opener, self.icmp);
        let [outer_vlan, inner_vlan] = self.key.vlans;
        // ICMP's own number of a conversation, which the community id leaves out.
        let low_port = self.key.end(Side::Low).port;
        let flow_id = DocumentId::of(&[
            &setting.agent_id,
            &setting.interface,
            &community_id,
            Short::of(self.started).as_str(),
            Short::of(format_args!("{outer_vlan} {inner_vlan} {low_port}")).as_str(),
        ]);
        let id = DocumentId::of(&[flow_id.as_str(), Short::of(self.reports).as_str()]);
        let mut event = Event::new(DataStream::Flow, id, nanos(self.last));
        let document = &mut event.document;
        document.set_word("type", "flow");
        document.set_text("flow.id", flow_id.as_str());
        document.set("flow.final", end.is_some());
        let vlans: Vec<u16> = self.key.vlan_ids().collect();
        if !vlans.is_empty() {
            document.set("flow.vlan", vlans);
        }
        for (side, names) in [(self.opener, &SOURCE), (self.opener.other(), &DESTINATION)] {
            let [ip, port, mac, packets, bytes] = *names;
            let end = self.key.end(side);
            let counts = self.counts[side as usize];
            document.set_text(ip, Short::of(end.address.ip()).as_str());
            if matches!(self.key.protocol, TCP | UDP) {
                document.set(port, end.port);
            }
            if let Some(macs) = self.macs {
                document.set_text(mac, Short::of_mac(macs[side as usize]).as_str());
            }
            document.set(packets, counts.packets);
            document.set(bytes, counts.bytes);
        }
        let total = self.total();
        document.set_word("network.type", network_type(&self.key));
        set_transport(document, self.key.protocol);
        document.set_text("network.community_id", &community_id);
        let [source, destination] =
            [self.opener, self.opener.other()].map(|side| self.key.end(side).address.ip());
        let direction = setting.networks.direction(source, destination);
        document.set_word("network.direction", direction);
        document.set("network.packets", total.packets);
        document.set("network.bytes", total.bytes);
        if self.label != Label::Other {
            document.set_word("network.application", self.label.name());
        }
        document.set_word("event.kind", "event");
        document.set_word("event.action", "network_flow");
        document.set("event.category", vec!["network"]);
        let mut kinds = vec!["connection"];
        kinds.extend(end.map(|_| "end"));
        document.set("event.type", kinds);
        document.set_time("event.start", nanos(self.started));
        document.set_time("event.end", nanos(self.last));
        document.set("event.duration", self.last.saturating_sub(self.started));
        if end == Some(End::Evicted) {
            document.set_word("event.reason", "evicted");
        }
        self.counts = Default::default();
        self.reports += 1;
        event
    }
}

/// What an end of a flow is called: address, port, hardware address, packets and bytes that it sent.
const SOURCE: [&str; 5] = [
    "source.ip",
    "source.port",
    "source.mac",
    "source.packets",
    "source.bytes",
];
const DESTINATION: [&str; 5] = [
    "destination.ip",
    "destination.port",
    "destination.mac",
    "destination.packets",
    "destination.bytes",
];
