//! Addresses as they are compared and hashed on the way of every packet.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::decode::{NO_VLAN, Packet};

/// An IP address of either family in one shape; an IPv4 address stands in the first four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    bytes: [u8; 16],
    v6: bool,
}

impl Address {
    pub fn v4(address: [u8; 4]) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address);
        Self { bytes, v6: false }
    }

    pub fn v6(bytes: [u8; 16]) -> Self {
        Self { bytes, v6: true }
    }

    /// In network order: 4 or 16 bytes.
    pub fn octets(&self) -> &[u8] {
        if self.v6 {
            &self.bytes
        } else {
            &self.bytes[..4]
        }
    }

    pub fn ip(&self) -> IpAddr {
        let [a, b, c, d, ..] = self.bytes;
        match self.v6 {
            true => Ipv6Addr::from(self.bytes).into(),
            false => Ipv4Addr::new(a, b, c, d).into(),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.bytes));
    }
}

/// One of the two ends of a flow, by the order of their addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Low = 0,
    High = 1,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Low, Self::High];

    pub fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub address: Address,
    pub port: u16,
}

/// Who talks with whom, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    ends: [Endpoint; 2],
    pub vlans: [u16; 2],
    pub protocol: u8,
}

impl FlowKey {
    /// The key, and which side of it sent. Ports are 0 where a protocol has none; ICMP's identifier stands for both.
    pub fn new(packet: &Packet<'_>, ports: [u16; 2]) -> (Self, Side) {
        let end = |address, port| Endpoint { address, port };
        let from = end(packet.source, ports[0]);
        let to = end(packet.destination, ports[1]);
        let (ends, side) = match from.cmp(&to) {
            Ordering::Greater => ([to, from], Side::High),
            _ => ([from, to], Side::Low),
        };
        let key = Self {
            ends,
            vlans: packet.vlans,
            protocol: packet.protocol,
        };
        (key, side)
    }

    pub fn end(&self, side: Side) -> Endpoint {
        self.ends[side as usize]
    }

    pub fn is_v6(&self) -> bool {
        self.ends[0].address.v6
    }

    /// From the outside in.
    pub fn vlan_ids(&self) -> impl Iterator<Item = u16> {
        self.vlans.into_iter().filter(|id| *id != NO_VLAN)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high] = self.ends;
        low.address.hash(state);
        high.address.hash(state);
        let ports = u64::from(low.port) << 48 | u64::from(high.port) << 32;
        let vlans = u64::from(self.vlans[0]) << 16 | u64::from(self.vlans[1]);
        state.write_u64(ports | vlans);
        state.write_u8(self.protocol);
    }
}
