//! One flow: who opened it, what passed since its last report, and how far its TCP connection is.

use serde_json::{Value, json};

use super::address::{FlowKey, Side};
use super::community_id::community_id;
use super::decode::{ACK, FIN, Mac, RST, SYN, TCP, UDP};
use super::label::Label;
use super::talk::Conversation;
use super::transaction::{mac_text, nanos, network_type, transport_name};
use crate::event::{DataStream, DocumentId, Event, timestamp};

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
    pub conversation: Option<Box<Conversation>>,
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

    /// What came since the last report, which begins anew.
    pub fn report(&mut self, agent_id: &str, direction: &str, end: Option<End>) -> Event {
        let community_id = community_id(&self.key, self.opener, self.icmp);
        let flow_id = DocumentId::of(&[
            agent_id,
            &community_id,
            &self.started.to_string(),
            &self.key.vlans[0].to_string(),
        ]);
        let number = self.reports.to_string();
        let id = DocumentId::of(&[flow_id.as_str(), &number]);
        let total = self.total();
        let mut flow = json!({"id": flow_id.as_str(), "final": end.is_some()});
        let vlans: Vec<u16> = self.key.vlan_ids().collect();
        if !vlans.is_empty() {
            flow["vlan"] = json!(vlans);
        }
        let mut network = json!({
            "type": network_type(&self.key),
            "transport": transport_name(self.key.protocol),
            "community_id": community_id,
            "direction": direction,
            "bytes": total.bytes,
            "packets": total.packets,
        });
        if self.label != Label::Other {
            network["application"] = self.label.name().into();
        }
        let mut kinds = vec!["connection"];
        kinds.extend(end.map(|_| "end"));
        let mut event = json!({
            "kind": "event",
            "action": "network_flow",
            "category": ["network"],
            "type": kinds,
            "start": timestamp(nanos(self.started)),
            "end": timestamp(nanos(self.last)),
            "duration": self.last.saturating_sub(self.started),
        });
        if let Some(End::Evicted) = end {
            event["reason"] = "evicted".into();
        }
        let at = nanos(self.last);
        let report = Event::new(DataStream::Flow, id, at)
            .with("type", "flow")
            .with("flow", flow)
            .with("source", self.end_of(self.opener))
            .with("destination", self.end_of(self.opener.other()))
            .with("network", network)
            .with("event", event);
        self.counts = Default::default();
        self.reports += 1;
        report
    }

    fn end_of(&self, side: Side) -> Value {
        let end = self.key.end(side);
        let counts = self.counts[side as usize];
        let mut value = json!({
            "ip": end.address.ip().to_string(),
            "bytes": counts.bytes,
            "packets": counts.packets,
        });
        if matches!(self.key.protocol, TCP | UDP) {
            value["port"] = end.port.into();
        }
        if let Some(macs) = self.macs {
            value["mac"] = mac_text(macs[side as usize]).into();
        }
        value
    }
}
