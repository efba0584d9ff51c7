//! What a port says about a flow: the protocols a node speaks, by the configured ports.

use super::decode::{TCP, UDP};
use crate::config;

/// `network.application` of a flow, and the line it has in the summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    BeaconApi,
    EngineApi,
    Libp2p,
    Libp2pQuic,
    Discv5,
    Devp2p,
    Discv4,
    Dns,
    Http,
    Tls,
    Sip,
    Other,
}

impl Label {
    pub fn name(self) -> &'static str {
        match self {
            Self::BeaconApi => "beacon-api",
            Self::EngineApi => "engine-api",
            Self::Libp2p => "libp2p",
            Self::Libp2pQuic => "libp2p-quic",
            Self::Discv5 => "discv5",
            Self::Devp2p => "devp2p",
            Self::Discv4 => "discv4",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Sip => "sip",
            Self::Other => "other",
        }
    }
}

/// A table by port: one look for each end of a new flow.
pub struct Labels {
    tcp: Vec<Label>,
    udp: Vec<Label>,
}

impl Labels {
    pub fn new(ports: &config::PacketPorts) -> Self {
        let mut labels = Self {
            tcp: vec![Label::Other; 1 << 16],
            udp: vec![Label::Other; 1 << 16],
        };
        // The Ethereum ones come last and win.
        let tcp = [
            (Label::Dns, &ports.dns),
            (Label::Http, &ports.http),
            (Label::Tls, &ports.tls),
            (Label::Sip, &ports.sip),
            (Label::BeaconApi, &ports.beacon_api),
            (Label::EngineApi, &ports.engine_api),
            (Label::Libp2p, &ports.libp2p_tcp),
            (Label::Devp2p, &ports.devp2p),
        ];
        let udp = [
            (Label::Dns, &ports.dns),
            (Label::Sip, &ports.sip),
            (Label::Libp2pQuic, &ports.libp2p_quic),
            (Label::Discv5, &ports.discv5),
            (Label::Discv4, &ports.discv4),
        ];
        set(&mut labels.tcp, &tcp);
        set(&mut labels.udp, &udp);
        labels
    }

    /// The label, and which of the two ports has it: the listener's. Both ends of a dial between nodes may.
    pub fn find(&self, protocol: u8, ports: [u16; 2]) -> (Label, Option<usize>) {
        let table = match protocol {
            TCP => &self.tcp,
            UDP => &self.udp,
            _ => return (Label::Other, None),
        };
        let found = ports.map(|port| table[usize::from(port)]);
        match found {
            [Label::Other, Label::Other] => (Label::Other, None),
            // The second is where the first packet goes to.
            [_, Label::Other] => (found[0], Some(0)),
            _ => (found[1], Some(1)),
        }
    }
}

fn set(table: &mut [Label], ports: &[(Label, &Vec<u16>)]) {
    for (label, ports) in ports {
        for port in *ports {
            table[usize::from(*port)] = *label;
        }
    }
}
