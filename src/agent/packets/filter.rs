//! The kernel's filter, in libpcap's language.

use std::collections::BTreeSet;

use pcap::{Capture, Linktype};
use serde::Deserialize;

use crate::config::{PacketPorts, Packets, Traffic};

/// An operator's own filter, found to be one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BpfFilter(String);

impl TryFrom<String> for BpfFilter {
    type Error = pcap::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Capture::dead(Linktype::ETHERNET)?.compile(&text, true)?;
        Ok(Self(text))
    }
}

/// What the configuration asks for. Empty lets everything through.
pub fn filter(config: &Packets) -> String {
    match (&config.bpf_filter, config.traffic) {
        (Some(own), _) => own.0.clone(),
        (None, Traffic::All) => String::new(),
        (None, Traffic::Ports) => ports(&config.ports),
    }
}

/// The same behind one VLAN tag and behind two: each `vlan` moves what follows it. Link types without tags refuse it.
pub fn with_vlans(filter: &str) -> String {
    format!("({filter}) or (vlan and (({filter}) or (vlan and ({filter}))))")
}

fn ports(ports: &PacketPorts) -> String {
    let tcp = [
        &ports.dns,
        &ports.http,
        &ports.tls,
        &ports.sip,
        &ports.beacon_api,
        &ports.engine_api,
        &ports.libp2p_tcp,
        &ports.devp2p,
    ];
    let udp = [
        &ports.dns,
        &ports.sip,
        &ports.libp2p_quic,
        &ports.discv5,
        &ports.discv4,
    ];
    // Later fragments have no ports.
    let mut parts = vec![
        "icmp".to_owned(),
        "icmp6".into(),
        "ip[6:2] & 0x1fff != 0".into(),
        "ip6 proto 44".into(),
    ];
    for (protocol, lists) in [("tcp", &tcp[..]), ("udp", &udp[..])] {
        let ports: BTreeSet<u16> = lists.iter().flat_map(|list| list.iter().copied()).collect();
        let each = ports.iter().map(|port| format!("{protocol} port {port}"));
        parts.extend(each);
    }
    parts.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> pcap::BpfProgram {
        let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
        dead.compile(text, true).unwrap()
    }

    /// A frame from `head` (addresses left out), padded.
    fn frame(head: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend_from_slice(head);
        frame.resize(120, 0);
        frame
    }

    #[test]
    fn configured_ports_pass_with_and_without_tags() {
        let program = compile(&with_vlans(&filter(&Packets::default())));
        let udp = |port: u8| {
            let mut ip = vec![
                0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
            ];
            ip.extend([200, 0, 0, port, 0, 20, 0, 0]);
            ip
        };
        for tags in [
            &[][..],
            &[0x81, 0, 0, 5],
            &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6],
        ] {
            let passes = |port| program.filter(&frame(&[tags, &[8, 0], &udp(port)].concat()));
            assert!(passes(53), "{tags:?}");
            assert!(!passes(54), "{tags:?}");
        }
        let mut later = udp(99);
        later[7] = 9;
        assert!(
            program.filter(&frame(&[&[8, 0], &later[..]].concat())),
            "a fragment"
        );
        let echo = [&[8, 0][..], &udp(0)[..9], &[1]].concat();
        assert!(program.filter(&frame(&echo)), "a ping");
    }

    #[test]
    fn the_operators_own_filter_wins() {
        let config = Packets {
            bpf_filter: Some("port 1".to_owned().try_into().unwrap()),
            traffic: Traffic::All,
            ..Packets::default()
        };
        assert_eq!(filter(&config), "port 1");
        let all = Packets {
            traffic: Traffic::All,
            ..Packets::default()
        };
        assert_eq!(filter(&all), "");
        assert!(BpfFilter::try_from("port one two".to_owned()).is_err());
    }
}
