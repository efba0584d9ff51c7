//! Flows, their ends, their sums.

use proptest::prelude::*;
use serde_json::json;

use super::frames::*;
use crate::agent::packets::decode::{ACK, FIN, Link, RST, SYN, TCP, UDP};
use crate::event::{DataStream, Document};

const PORTS: [u16; 2] = [40_000, 9_000];
const BACK: [u16; 2] = [9_000, 40_000];

fn figures(flow: &Document) -> [Option<u64>; 4] {
    [
        "source.packets",
        "source.bytes",
        "destination.packets",
        "destination.bytes",
    ]
    .map(|field| flow.get_u64(field))
}

#[test]
fn both_directions_are_one_flow_of_who_dialled() {
    let mut rig = Rig::new(|_| {});
    // The answer was captured first.
    rig.frame(0, &inward(TCP, &tcp(BACK, 9, SYN | ACK, b"")));
    rig.frame(10, &outward(TCP, &tcp(PORTS, 1, ACK, b"hello")));
    let (events, _) = rig.finish();
    let flows = of(&events, DataStream::Flow);
    assert_eq!(flows.len(), 1);
    assert_eq!(figures(flows[0]), [Some(1), Some(59), Some(1), Some(54)]);
    assert_eq!(flows[0].get("source.ip"), Some(&json!("10.0.0.1")));
    assert_eq!(flows[0].get("destination.port"), Some(&json!(9000)));
    assert_eq!(
        flows[0].get("source.mac"),
        Some(&json!("02-00-00-00-00-02"))
    );
    assert_eq!(flows[0].get("network.direction"), Some(&json!("outbound")));
    assert_eq!(flows[0].get("network.application"), Some(&json!("libp2p")));
    assert_eq!(flows[0].get("flow.final"), Some(&json!(true)));
}

#[test]
fn reports_are_deltas_and_the_last_is_final() {
    let mut rig = Rig::new(|_| {});
    for second in 0..25 {
        rig.frame(second * SECOND, &outward(UDP, &udp(PORTS, b"x")));
    }
    // Silence, which only another flow's packets tell.
    for second in 25..80 {
        rig.frame(second * SECOND, &outward(UDP, &udp([1, 2], b"y")));
    }
    let (events, _) = rig.finish();
    let flows: Vec<_> = of(&events, DataStream::Flow)
        .into_iter()
        .filter(|flow| flow.get_u64("destination.port") == Some(9000))
        .collect();
    let packets: u64 = flows
        .iter()
        .filter_map(|flow| flow.get_u64("network.packets"))
        .sum();
    assert_eq!(packets, 25);
    assert!(flows.len() >= 3, "{flows:?}");
    let last: Vec<_> = flows
        .iter()
        .map(|flow| flow.get("flow.final") == Some(&json!(true)))
        .collect();
    assert_eq!(last.iter().filter(|last| **last).count(), 1);
    assert!(last[last.len() - 1]);
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(
        ids.len(),
        events.len(),
        "every document has an id of its own"
    );
}

#[test]
fn tags_and_families_are_told_apart() {
    let mut rig = Rig::new(|_| {});
    let body = udp(PORTS, b"x");
    let v4 = ipv4([OURS, THEIRS], UDP, (0, 0, false), &body);
    for tags in [&[][..], &[5], &[5, 6], &[6, 5]] {
        rig.frame(0, &ethernet(tags, &v4));
    }
    // Hop-by-hop options before UDP.
    let options = [&[UDP, 0, 1, 4, 0, 0, 0, 0][..], &body].concat();
    rig.frame(0, &ethernet(&[], &ipv6([1, 2], 0, &options)));
    rig.frame(0, &ethernet(&[], &ipv6([2, 1], UDP, &udp(BACK, b"y"))));
    let (events, stats) = rig.finish();
    let flows = of(&events, DataStream::Flow);
    assert_eq!((flows.len(), stats.malformed), (5, 0));
    let vlans: Vec<_> = flows
        .iter()
        .filter_map(|flow| flow.get("flow.vlan"))
        .collect();
    assert_eq!(vlans, [&json!([5]), &json!([5, 6]), &json!([6, 5])]);
    let v6: Vec<_> = flows
        .iter()
        .filter(|flow| flow.get_str("network.type") == Some("ipv6"))
        .collect();
    assert_eq!(v6.len(), 1);
    assert_eq!(v6[0].get_u64("network.packets"), Some(2));
}

#[test]
fn fragments_belong_to_the_flow_of_their_first() {
    let datagram = udp([40_000, 53], &[7; 2_000]);
    let pieces = [(1_480, 2_008, false), (0, 800, true), (800, 1_480, true)];
    let mut rig = Rig::new(|_| {});
    for (from, to, more) in pieces {
        let ip = ipv4(
            [OURS, THEIRS],
            UDP,
            (77, from as u16, more),
            &datagram[from..to],
        );
        rig.frame(0, &ethernet(&[], &ip));
    }
    // One whose end never comes.
    let ip = ipv4([OURS, THEIRS], UDP, (78, 0, true), &datagram[..800]);
    rig.frame(SECOND, &ethernet(&[], &ip));
    let (events, stats) = rig.finish();
    let flows = of(&events, DataStream::Flow);
    assert_eq!(flows.len(), 1);
    assert_eq!(
        figures(flows[0])[..2],
        [Some(4), Some(2_008 + 800 + 4 * 34)]
    );
    assert_eq!(stats.fragments_lost, 1);
    // The whole one was handed to the decoder, which found no DNS in it.
    assert_eq!(stats.undecoded, 1);
}

#[test]
fn a_flood_is_seen_and_costs_a_bounded_table() {
    let mut rig = Rig::new(|config| config.max_flows = 500);
    for number in 0..5_000_u16 {
        let from = [1, 1, (number >> 8) as u8, number as u8];
        let syn = tcp([1_000, 9_000], 0, SYN, b"");
        let ip = ipv4([from, OURS], TCP, (0, 0, false), &syn);
        rig.frame(i64::from(number) * SECOND / 1_000, &ethernet(&[], &ip));
    }
    for number in 0..3_u16 {
        let from = [2, 2, 2, number as u8];
        for (sender, flags) in [(0, SYN), (1, SYN | ACK), (0, RST)]
            .into_iter()
            .take(2 + usize::from(number == 0))
        {
            let (ends, ports) = match sender {
                0 => ([from, OURS], PORTS),
                _ => ([OURS, from], BACK),
            };
            let ip = ipv4(ends, TCP, (0, 0, false), &tcp(ports, 0, flags, b""));
            rig.frame(6 * SECOND, &ethernet(&[], &ip));
        }
    }
    assert_eq!(rig.analyzer.flows(), 500);
    rig.analyzer.advance(START + 11 * SECOND, &mut rig.events);
    let summary: Vec<_> = of(&rig.events, DataStream::Traffic)
        .into_iter()
        .filter(|document| document.get_str("event.action") == Some("protocol"))
        .collect();
    assert_eq!(summary.len(), 1);
    let get = |field: &str| summary[0].get_u64(&format!("ethereum.traffic.{field}"));
    assert_eq!(get("inbound.opened"), Some(5_003));
    assert_eq!(get("half_open"), Some(2));
    assert_eq!(get("waiting"), Some(497));
    assert_eq!(get("unanswered"), Some(5_000 - 497));
    assert_eq!(get("in.packets"), Some(5_004));
    let (events, stats) = rig.finish();
    assert_eq!(stats.evicted_flows, 4_503);
    let reported: u64 = of(&events, DataStream::Flow)
        .iter()
        .filter_map(|flow| flow.get_u64("network.packets"))
        .sum();
    assert_eq!(reported, 5_000 + 7, "what had to go was reported before");
}

#[test]
fn the_same_ports_can_be_used_again() {
    let mut rig = Rig::new(|_| {});
    let mut connection = |at: i64| {
        rig.frame(at, &outward(TCP, &tcp(PORTS, 0, SYN, b"")));
        rig.frame(at, &inward(TCP, &tcp(BACK, 0, SYN | ACK, b"")));
        rig.frame(at, &outward(TCP, &tcp(PORTS, 1, ACK | FIN, b"")));
        rig.frame(at, &inward(TCP, &tcp(BACK, 1, ACK | FIN, b"")));
    };
    connection(0);
    connection(SECOND);
    let (events, _) = rig.finish();
    let flows = of(&events, DataStream::Flow);
    assert_eq!(flows.len(), 2);
    assert!(
        flows
            .iter()
            .all(|flow| flow.get_u64("network.packets") == Some(4))
    );
}

#[test]
fn a_clock_set_back_loses_nothing() {
    let mut rig = Rig::new(|_| {});
    for at in [100, 99, 3_000, 0, 1, 40] {
        rig.frame(at * SECOND, &outward(UDP, &udp(PORTS, b"x")));
    }
    let (events, _) = rig.finish();
    let flows = of(&events, DataStream::Flow);
    let packets: u64 = flows
        .iter()
        .filter_map(|flow| flow.get_u64("network.packets"))
        .sum();
    assert_eq!(packets, 6);
}

proptest! {
    /// Whatever comes, of whatever link, nothing panics and every frame is accounted for.
    #[test]
    fn any_bytes(frames in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..120), 0..5_u8), 0..40)) {
        let mut rig = Rig::new(|_| {});
        let links = [Link::Ethernet, Link::Raw, Link::Loopback, Link::Cooked, Link::Cooked2];
        for (bytes, link) in &frames {
            let link = links[usize::from(*link)];
            rig.analyzer.frame(link, START, bytes.len() as u32, bytes, &mut rig.events);
        }
        let (events, stats) = rig.finish();
        let flows: u64 = of(&events, DataStream::Flow)
            .iter()
            .filter_map(|flow| flow.get_u64("network.packets"))
            .sum();
        prop_assert_eq!(flows + stats.malformed + stats.not_ip, frames.len() as u64);
        prop_assert_eq!(stats.decoder_panics, 0);
    }
}
