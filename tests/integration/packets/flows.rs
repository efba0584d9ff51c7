//! Packets and bytes of every flow, in each direction, by tshark's reading of each frame.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use super::{Row, number, of, ours, recorded, text, tshark, wire};

const FIELDS: &[&str] = &[
    "frame.len",
    "ieee8021ad.id",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.id",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.ident",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
];

type End = (String, u64);
/// Both ends in order, IANA's number of what runs over IP, VLANs.
type Key = ([End; 2], u64, Vec<u64>);
/// Packets and bytes that each end sent, in the order of the ends.
type Sums = BTreeMap<Key, [(u64, u64); 2]>;

fn add(sums: &mut Sums, ends: [End; 2], protocol: u64, vlans: Vec<u64>, counts: [(u64, u64); 2]) {
    let [a, b] = ends;
    // One host that talks with itself has no direction.
    let (ends, counts) = match a.cmp(&b) {
        std::cmp::Ordering::Less => ([a, b], counts),
        std::cmp::Ordering::Greater => ([b, a], [counts[1], counts[0]]),
        std::cmp::Ordering::Equal => {
            let both = (counts[0].0 + counts[1].0, counts[0].1 + counts[1].1);
            ([a, b], [both, (0, 0)])
        }
    };
    let sum = sums.entry((ends, protocol, vlans)).or_default();
    for (sum, counts) in sum.iter_mut().zip(counts) {
        sum.0 += counts.0;
        sum.1 += counts.1;
    }
}

fn theirs(capture: &Path) -> Sums {
    let rows = tshark(capture, &[], "ip or ipv6", FIELDS);
    let read = |row: &Row| {
        let (family, id) = match row.all("ip.src") {
            [] => ("ipv6", "ipv6.fraghdr.ident"),
            _ => ("ip", "ip.id"),
        };
        let place = |v4: &'static str, v6: &'static str| match family {
            "ip" => row.first(v4).to_owned(),
            _ => row.first(v6).to_owned(),
        };
        let protocol = match family {
            "ip" => row.number("ip.proto"),
            _ => row.number("ipv6.fraghdr.nxt").or(row.number("ipv6.nxt")),
        };
        let ports = match protocol {
            Some(6) => [row.number("tcp.srcport"), row.number("tcp.dstport")],
            Some(17) => [row.number("udp.srcport"), row.number("udp.dstport")],
            _ => [Some(0); 2],
        };
        (
            [place("ip.src", "ipv6.src"), place("ip.dst", "ipv6.dst")],
            protocol.unwrap(),
            ports,
            row.first(id).to_owned(),
        )
    };
    // tshark shows a datagram's ports on the frame that completes it.
    let mut datagrams = HashMap::new();
    for row in &rows {
        let (places, protocol, ports, id) = read(row);
        if let [Some(from), Some(to)] = ports {
            datagrams.insert((places, protocol, id), [from, to]);
        }
    }
    let mut sums = Sums::new();
    for row in &rows {
        let (places, protocol, ports, id) = read(row);
        let ports = match ports {
            [Some(from), Some(to)] => [from, to],
            _ => datagrams[&(places.clone(), protocol, id)],
        };
        let [from, to] = places;
        let ends = [(from, ports[0]), (to, ports[1])];
        let tags = row.all("ieee8021ad.id").iter().chain(row.all("vlan.id"));
        let vlans = tags.map(|id| id.parse().unwrap());
        let sent = (1, row.number("frame.len").unwrap());
        add(&mut sums, ends, protocol, vlans.collect(), [sent, (0, 0)]);
    }
    sums
}

fn own(documents: &[Value]) -> Sums {
    let mut sums = Sums::new();
    for document in of(documents, "network_traffic.flow") {
        let end = |name: &str| -> (End, (u64, u64)) {
            let of = |field: &str| number(document, &format!("{name}.{field}"));
            let end = (
                text(document, &format!("{name}.ip")),
                of("port").unwrap_or(0),
            );
            (end, (of("packets").unwrap(), of("bytes").unwrap()))
        };
        let ((from, sent), (to, received)) = (end("source"), end("destination"));
        let protocol = match text(document, "network.transport").as_str() {
            "tcp" => 6,
            "udp" => 17,
            "icmp" => 1,
            "ipv6-icmp" => 58,
            other => panic!("{other} was not recorded"),
        };
        let vlans = super::field(document, "flow.vlan").as_array();
        let vlans = vlans.map(|ids| ids.iter().map(|id| id.as_u64().unwrap()).collect());
        let counts = [sent, received];
        add(
            &mut sums,
            [from, to],
            protocol,
            vlans.unwrap_or_default(),
            counts,
        );
    }
    sums
}

#[track_caller]
pub(super) fn assert_agree(capture: &Path) {
    let (ours, theirs) = (own(&ours(capture)), theirs(capture));
    assert!(!theirs.is_empty());
    for (flow, sums) in &theirs {
        assert_eq!(ours.get(flow), Some(sums), "{flow:?}");
    }
    assert_eq!(ours.len(), theirs.len(), "{ours:#?}");
}

#[test]
fn packets_and_bytes_of_every_flow_are_those_that_tshark_counts() {
    for name in ["dns", "http", "tls", "icmp", "sip"] {
        assert_agree(&recorded(&format!("{name}.pcap")));
    }
}

#[test]
fn flows_behind_tags_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = wire::frames(&recorded("http.pcap"));
    let mut frames = Vec::new();
    for tags in [&[][..], &[5], &[5, 6], &[6, 5]] {
        frames.extend(recorded.iter().cloned().map(|frame| frame.tagged(tags)));
    }
    let capture = dir.path().join("tagged.pcap");
    wire::write(&capture, &frames);
    assert_agree(&capture);
}

/// Of flows whose first packet was seen; the others' order of ends does not matter to it.
#[test]
fn conversations_have_the_id_that_tshark_gives_them() {
    let with_ids = ["--enable-protocol", "communityid"];
    for name in ["dns", "http", "icmp", "sip"] {
        let capture = recorded(&format!("{name}.pcap"));
        let rows = tshark(&capture, &with_ids, "communityid", &["communityid"]);
        let theirs: BTreeSet<String> = rows
            .iter()
            .map(|row| row.first("communityid").to_owned())
            .collect();
        let ours: BTreeSet<String> = of(&ours(&capture), "network_traffic.flow")
            .iter()
            .map(|flow| text(flow, "network.community_id"))
            .collect();
        assert!(theirs.len() > 5, "{name}");
        let foreign: Vec<_> = ours.difference(&theirs).collect();
        assert!(foreign.is_empty(), "{name}: {foreign:?}");
    }
}

/// Deltas: each packet is in one report, and each flow has one that is the last.
#[test]
fn every_flow_ends_once() {
    let documents = ours(&recorded("tls.pcap"));
    let mut finals: BTreeMap<String, usize> = BTreeMap::new();
    for document in of(&documents, "network_traffic.flow") {
        let is_final = super::field(document, "flow.final") == true;
        *finals.entry(text(document, "flow.id")).or_default() += usize::from(is_final);
    }
    assert!(finals.len() > 5);
    assert!(finals.values().all(|number| *number == 1), "{finals:?}");
}
