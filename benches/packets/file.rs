//! A capture from the first packet to the last, on one thread: nothing may be missing in the end.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chrono::DateTime;
use ethmon::agent::envelope::{Envelope, Identity};
use ethmon::agent::packets::{Analyzer, Link, Stats};
use ethmon::config;
use ethmon::event::{DataStream, Event};
use pcap::{Capture, Precision};

use crate::traffic::{Known, Traffic};
use crate::{cpu_seconds, resident_mib};

/// Conversations at once, and packets a second by the capture's own clock.
const AT_ONCE: usize = 5_000;
const PER_SECOND: i64 = 50_000;
const RUNS: usize = 5;

pub(crate) fn run(packets: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mixed.pcap");
    // By another process, so that the memory here is what reading takes.
    let writer = Command::new(std::env::current_exe().unwrap())
        .args(["--packets", &packets.to_string(), "--write"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(writer.status.success());
    let known = Known::parse(&String::from_utf8(writer.stdout).unwrap());
    let bytes = path.metadata().unwrap().len();
    println!(
        "capture: {packets} packets, {} bytes each on average, {known:?}",
        bytes as usize / packets - 16
    );
    for (name, is_sealed) in [
        ("flows + DNS/TLS/HTTP/ICMP", false),
        ("the same, documents sealed", true),
    ] {
        let mut runs: Vec<f64> = (0..RUNS)
            .map(|_| read(&path, packets, &known, is_sealed))
            .collect();
        runs.sort_by(f64::total_cmp);
        let (median, best) = (runs[RUNS / 2], runs[RUNS - 1]);
        println!(
            "{name}: {:.0} k packets/s of CPU in the median of {RUNS} runs, {:.0} k at best, {:.2} µs each; {:.0} MiB resident",
            median / 1e3,
            best / 1e3,
            1e6 / median,
            resident_mib()
        );
    }
}

/// Prints what is in it.
pub(crate) fn write(path: &Path, packets: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&0xa1b2_3c4d_u32.to_ne_bytes()).unwrap();
    file.write_all(&[2_u16, 4].map(u16::to_ne_bytes).concat())
        .unwrap();
    file.write_all(&[0_u32, 0, 262_144, 1].map(u32::to_ne_bytes).concat())
        .unwrap();
    let mut traffic = Traffic::new(AT_ONCE);
    for number in 0..packets {
        let frame = traffic.frame();
        let ns = number as i64 * (1_000_000_000 / PER_SECOND);
        let length = frame.len() as u32;
        let header = [
            1_760_000_000 + (ns / 1_000_000_000) as u32,
            (ns % 1_000_000_000) as u32,
            length,
            length,
        ];
        file.write_all(&header.map(u32::to_ne_bytes).concat())
            .unwrap();
        file.write_all(&frame).unwrap();
    }
    file.flush().unwrap();
    println!("{}", traffic.known.line());
}

/// Packets per second of CPU.
fn read(path: &Path, packets: usize, known: &Known, is_sealed: bool) -> f64 {
    let config = config::Packets::default();
    let mut analyzer = Analyzer::new(&config, "agent", "bench", &[], config.max_flows);
    let mut capture = Capture::from_file_with_precision(path, Precision::Nano).unwrap();
    let envelope = Envelope::new(&Identity {
        agent_id: "5f1c7b2e-0d7a-4a55-9d0b-1c2f9b0d9f11".into(),
        node_name: "beacon-1".into(),
        namespace: "default".into(),
        ..Identity::default()
    });
    let now = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
    let mut found = Found::default();
    let mut out = Vec::new();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    loop {
        let read = capture.dispatch(Some(512), |packet| {
            let time = packet.header.ts;
            let at = time.tv_sec * 1_000_000_000 + time.tv_usec;
            analyzer.frame(Link::Ethernet, at, packet.header.len, packet.data, &mut out);
        });
        let is_read = read.unwrap() == 0;
        let is_over = is_read && !analyzer.finish(&mut out);
        for event in out.drain(..) {
            found.add(&event);
            if is_sealed {
                std::hint::black_box(envelope.seal(event, now));
            }
        }
        if is_over {
            break;
        }
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    found.check(packets as u64, known, analyzer.stats());
    packets as f64 / cpu.max(wall / 100.0)
}

#[derive(Default)]
struct Found {
    documents: u64,
    packets: u64,
    known: Known,
}

impl Found {
    fn add(&mut self, event: &Event) {
        self.documents += 1;
        match event.stream {
            DataStream::Flow => {
                self.packets += event.document.get_u64("network.packets").unwrap();
            }
            DataStream::Dns => self.known.dns += 1,
            DataStream::Http => self.known.http += 1,
            DataStream::Tls => self.known.tls += 1,
            DataStream::Icmp => self.known.icmp += 1,
            _ => {}
        }
    }

    /// All packets are in flows or known as not IP, and all transactions are there but those whose first packet is not:
    /// each conversation that the end of the capture cut short may have some to come.
    fn check(&self, packets: u64, known: &Known, stats: &Stats) {
        assert_eq!(self.packets + stats.not_ip, packets, "{stats:?}");
        assert_eq!(stats.malformed + stats.undecoded + stats.evicted_flows, 0);
        for (found, planned) in [
            (self.known.dns, known.dns),
            (self.known.http, known.http),
            (self.known.tls, known.tls),
            (self.known.icmp, known.icmp),
        ] {
            let to_come = AT_ONCE as u64 * 8;
            assert!(
                found <= planned && found + to_come >= planned && found > 0,
                "{found} of {planned}"
            );
        }
    }
}
