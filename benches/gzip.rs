//! What packing a bulk body costs, beside the library's fastest level: `cargo bench --bench gzip`.
//!
//! The bodies hold documents as agents ship them, with the whole envelope: parsed log records, which share what stands
//! in most of their fields, and beacon events, whose roots and signatures share nothing.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use ethmon::elastic::{BulkBody, Limits, gzip};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const DOCUMENTS: u64 = 1_000;
/// Each figure is the best of so many runs; the two take turns.
const RUNS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<12} {:>8} {:>11} {:>11} {:>7} {:>11} {:>11}",
        "body", "bytes", "ours ns", "library ns", "ratio", "ours bytes", "library"
    )?;
    let bodies = [("log records", body(record)?), ("events", body(event)?)];
    for (name, body) in bodies {
        let (packed, theirs) = (gzip(&body), library(&body)?);
        let mut again = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut again)?;
        assert!(again == body, "what was packed did not come back");
        let mut best = [Duration::MAX; 2];
        for _ in 0..RUNS {
            let took = [
                timed(|| gzip(black_box(&body))),
                timed(|| library(black_box(&body))),
            ];
            best = [best[0].min(took[0]), best[1].min(took[1])];
        }
        let [ours, library] = best.map(|best| best.as_nanos() as f64 / DOCUMENTS as f64);
        let each = |bytes: usize| bytes as u64 / DOCUMENTS;
        writeln!(
            out,
            "{name:<12} {:>8} {ours:>11.0} {library:>11.0} {:>7.2} {:>11} {:>11}",
            each(body.len()),
            ours / library,
            each(packed.len()),
            each(theirs.len()),
        )?;
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

fn library(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(1));
    encoder.write_all(body)?;
    encoder.finish()
}

fn body(document: fn(u64) -> Value) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut body = BulkBody::new(Limits::default());
    for number in 0..DOCUMENTS {
        let mut document = document(number);
        document["agent"] = json!({
            "ephemeral_id": "5417dbb5-c729-4c67-8c00-b49bc6dc6176", "id": "074db83a-fca4-4d5e-9c9c-b3ce5ee99100",
            "name": "beacon-1", "type": "ethmon", "version": "0.1.0"
        });
        document["host"] = json!({
            "architecture": "x86_64", "hostname": "beacon-1", "id": "3d1219c7c4c5404aaa1f6d2a48adfda4",
            "ip": ["192.0.2.2", "fd00::2", "fe80::fc:ff:fe00:1"], "mac": ["02-FC-00-00-00-01"], "name": "beacon-1",
            "os": {"family": "debian", "kernel": "6.12.0", "name": "Debian GNU/Linux", "type": "linux", "version": "12"}
        });
        let id = &hex(number, 32);
        body.push(
            "logs-ethereum.client-default",
            id,
            document.to_string().as_bytes(),
        )?;
    }
    Ok(body.take().0.to_vec())
}

fn record(number: u64) -> Value {
    let (slot, millis) = (8_000_000 + number / 13, number * 7 % 1_000);
    json!({
        "@timestamp": format!("2026-11-21T09:09:43.{millis:03}Z"), "ecs": {"version": "8.17.0"},
        "data_stream": {"dataset": "ethereum.client", "namespace": "default", "type": "logs"},
        "ethereum": {"duration_ms": millis as f64 * 1.37, "layer": "consensus", "slot": slot},
        "event": {"action": "performance", "created": "2026-11-22T03:30:49.011Z", "dataset": "ethereum.client"},
        "log": {"level": "debug", "logger": "chain", "offset": 761_168 + number * 151},
        "message": format!("Transitioned gossip block slot={slot}, recvToTransition={}", millis as f64 * 1.37),
        "service": {"name": "lodestar"}
    })
}

fn event(number: u64) -> Value {
    json!({
        "@timestamp": format!("2026-11-21T09:09:43.{:03}Z", number % 1_000), "ecs": {"version": "8.17.0"},
        "data_stream": {"dataset": "ethereum.beacon_event", "namespace": "default", "type": "logs"},
        "ethereum": {
            "arrival_ms": number * 31 % 4_000, "slot": 8_000_000 + number, "topic": "attestation",
            "block": {"root": format!("0x{}", hex(number, 64))},
            "payload": {"signature": format!("0x{}", hex(number + 1, 192))}
        },
        "event": {"action": "attestation", "created": "2026-11-22T03:30:49.011Z", "dataset": "ethereum.beacon_event"}
    })
}

/// So many digits without pattern.
fn hex(seed: u64, digits: usize) -> String {
    let mut state = seed;
    let digit = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from_digit((state >> 60) as u32, 16)
    };
    (0..digits).filter_map(digit).collect()
}
