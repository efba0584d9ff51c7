//! Community id, version 1: the same text for the same conversation in every tool that knows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

use super::address::{Endpoint, FlowKey, Side};
use super::decode::{ICMP, ICMPV6, TCP, UDP};

const SCTP: u8 = 132;

/// `icmp` is type and code of the message that opened the flow; other protocols ignore it.
pub fn community_id(key: &FlowKey, opener: Side, icmp: (u8, u8)) -> String {
    let (mut from, mut to) = (key.end(opener), key.end(opener.other()));
    let mut ordered = true;
    match key.protocol {
        TCP | UDP | SCTP => {}
        ICMP | ICMPV6 => {
            from.port = u16::from(icmp.0);
            match counterpart(key.protocol, icmp.0) {
                Some(answer) => to.port = u16::from(answer),
                None => (to.port, ordered) = (u16::from(icmp.1), false),
            }
        }
        _ => (from.port, to.port) = (0, 0),
    }
    if ordered && from > to {
        (from, to) = (to, from);
    }
    let has_ports = matches!(key.protocol, TCP | UDP | SCTP | ICMP | ICMPV6);
    hash(key.protocol, from, to, has_ports)
}

fn hash(protocol: u8, from: Endpoint, to: Endpoint, has_ports: bool) -> String {
    let mut sha = Sha1::new();
    let seed = [0, 0];
    sha.update(seed);
    sha.update(from.address.octets());
    sha.update(to.address.octets());
    sha.update([protocol, 0]);
    if has_ports {
        sha.update(from.port.to_be_bytes());
        sha.update(to.port.to_be_bytes());
    }
    format!("1:{}", BASE64.encode(sha.finalize()))
}

/// The type that answers a type, or is answered by it.
fn counterpart(protocol: u8, kind: u8) -> Option<u8> {
    const V4: [(u8, u8); 5] = [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];
    const V6: [(u8, u8); 5] = [(128, 129), (133, 134), (135, 136), (130, 131), (144, 145)];
    const V6_NODE_INFORMATION: (u8, u8) = (139, 140);
    let (pairs, more) = match protocol {
        ICMP => (V4, None),
        _ => (V6, Some(V6_NODE_INFORMATION)),
    };
    let mut pairs = pairs.into_iter().chain(more);
    pairs.find_map(|(ask, answer)| match kind {
        kind if kind == ask => Some(answer),
        kind if kind == answer => Some(ask),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::packets::address::Address;
    use crate::agent::packets::decode::{NO_VLAN, Packet};

    fn id(protocol: u8, from: &str, to: &str, ports: [u16; 2], icmp: (u8, u8)) -> String {
        let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
        let packet = Packet {
            macs: None,
            vlans: [NO_VLAN; 2],
            source: address(from),
            destination: address(to),
            protocol,
            fragment: None,
            body: &[],
            missing: 0,
        };
        let (key, side) = FlowKey::new(&packet, ports);
        community_id(&key, side, icmp)
    }

    /// From the specification's own table and from Packetbeat's published samples.
    #[test]
    fn known_conversations() {
        let tcp = id(TCP, "128.232.110.120", "66.35.250.204", [34855, 80], (0, 0));
        assert_eq!(tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let back = id(TCP, "66.35.250.204", "128.232.110.120", [80, 34855], (0, 0));
        assert_eq!(back, tcp);
        let udp = id(UDP, "192.168.1.52", "8.8.8.8", [54585, 53], (0, 0));
        assert_eq!(udp, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        let ping = id(ICMP, "192.168.0.89", "192.168.0.1", [7, 7], (8, 0));
        assert_eq!(ping, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        let v6 = id(TCP, "::1", "::1", [51320, 8000], (0, 0));
        assert_eq!(v6, "1:5y9AkdbV9U8xqD9dhlj6obkubHg=");
        let ping6 = id(ICMPV6, "::1", "::2", [7, 7], (128, 0));
        assert_eq!(ping6, "1:9UpHcZHFAOl8WqZVOs5YRQ5wDGE=");
    }
}
