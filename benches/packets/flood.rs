//! More flows than there is room for: what is kept, and what it weighs.

use std::net::Ipv4Addr;
use std::time::Instant;

use ethmon::agent::packets::{Analyzer, Link};
use ethmon::config;

use crate::frames::{self, ACK, End, SYN};
use crate::resident_mib;

const SECOND: i64 = 1_000_000_000;

pub(crate) fn run() {
    let config = config::Packets::default();
    let mut analyzer = Analyzer::new(&config, "agent", "bench", &[], config.max_flows);
    let before = resident_mib();
    let (mut out, mut documents) = (Vec::new(), 0);
    let mut offer = |analyzer: &mut Analyzer, number: u32, flags: u8, at: i64| {
        let [a, b, c, d] = number.to_be_bytes();
        let ip = Ipv4Addr::new(100 + a, b, c, d);
        let ours = Ipv4Addr::new(10, 0, 0, 1);
        let (peer, ours) = (
            End { ip, port: 30_000 },
            End {
                ip: ours,
                port: 9_000,
            },
        );
        let frame = frames::tcp(peer, ours, 1, flags, &[]);
        analyzer.frame(Link::Ethernet, at, frame.len() as u32, &frame, &mut out);
        documents += out.len();
        out.clear();
    };
    let flows = config.max_flows as u32;
    for number in 0..flows {
        offer(&mut analyzer, number, ACK, SECOND);
    }
    let full = resident_mib();
    println!(
        "{} flows at once: {:.1} MiB more, {:.0} bytes each",
        analyzer.flows(),
        full - before,
        (full - before) * f64::from(1 << 20) / f64::from(flows)
    );
    let began = Instant::now();
    let flood = 1_000_000;
    for number in 0..flood {
        let at = SECOND + i64::from(number) * 1_000;
        offer(&mut analyzer, flows + number, SYN, at);
    }
    println!(
        "then {flood} SYNs from as many addresses: {:.0} k/s, {} flows, {} evicted and reported, {:.1} MiB more",
        f64::from(flood) / began.elapsed().as_secs_f64() / 1e3,
        analyzer.flows(),
        analyzer.stats().evicted_flows,
        resident_mib() - full
    );
    assert_eq!(analyzer.flows(), config.max_flows);
    assert!(documents as u64 >= analyzer.stats().evicted_flows);
}
