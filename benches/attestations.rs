//! What the votes of mainnet cost: `cargo bench --bench attestations`.
//!
//! 30,000 single votes and 1,024 aggregates a slot of 12 s, as raw bytes of the event stream in chunks of 16 KiB, cut,
//! read, counted and told as the agent does it. Prints the CPU time per slot and the memory that counting takes.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};

use chrono::TimeDelta;
use ethmon::agent::beacon::attestations::raw::RawVotes;
use ethmon::slot::{ChainSpec, Root};

const SLOTS: u64 = 24;
const SINGLES: u64 = 30_000;
const COMMITTEES: u64 = 64;
const AGGREGATES_PER_COMMITTEE: u64 = 16;
/// Active validators of mainnet are spread over indices up to this.
const VALIDATORS: u64 = 2_200_000;
const CHUNK: usize = 16 << 10;
/// The floor of the specification, in per cent of a core.
const FLOOR_PERCENT: f64 = 5.0;

fn main() -> Result<(), Box<dyn Error>> {
    let spec = ChainSpec::example();
    let start = spec.slot_start(1_000);
    let mut votes = RawVotes::new(spec.clone(), 4 << 20, start);
    let (mut cpu_ns, mut bytes, mut told, mut most_ns) = (0, 0, 0, 0);
    // The text of a slot is made before its time is taken; what it takes itself is there before memory is counted.
    let mut text = String::with_capacity(32 << 20);
    stream(&mut text, 999)?;
    let before = resident_kib()?;
    let mut peak = before;
    for slot in 1_000..1_000 + SLOTS {
        text.clear();
        stream(&mut text, slot)?;
        bytes += text.len();
        let begins = cpu_ns_now()?;
        let chunks = text.as_bytes().chunks(CHUNK);
        let count = chunks.len() as i64;
        for (number, chunk) in chunks.enumerate() {
            let into_ms = 4_000 + 6_000 * number as i64 / count;
            let at = spec.slot_start(slot) + TimeDelta::milliseconds(into_ms);
            votes.push(chunk, at);
        }
        told += votes.take_done(spec.slot_start(slot + 1)).len();
        let took = cpu_ns_now()? - begins;
        cpu_ns += took;
        most_ns = most_ns.max(took);
        peak = peak.max(resident_kib()?);
    }
    let per_slot_ms = cpu_ns as f64 / SLOTS as f64 / 1e6;
    let percent = per_slot_ms / spec.slot_duration_ms as f64 * 100.0;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "slots                     {SLOTS}, of which {told} were told"
    )?;
    writeln!(out, "votes per slot            {}", votes.events() / SLOTS)?;
    writeln!(out, "bytes per slot            {}", bytes as u64 / SLOTS)?;
    writeln!(
        out,
        "CPU per slot              {per_slot_ms:.1} ms, at most {:.1} ms",
        most_ns as f64 / 1e6
    )?;
    writeln!(
        out,
        "CPU per vote              {:.2} µs",
        cpu_ns as f64 / votes.events() as f64 / 1e3
    )?;
    writeln!(
        out,
        "share of a core           {percent:.2} % (at most {FLOOR_PERCENT} %)"
    )?;
    writeln!(
        out,
        "memory                    {} KiB at most, the input left out",
        peak - before
    )?;
    if percent > FLOOR_PERCENT {
        return Err("slower than the specification allows".into());
    }
    Ok(())
}

/// The events of a slot, as Lighthouse writes them.
fn stream(text: &mut String, slot: u64) -> Result<(), Box<dyn Error>> {
    let root = Root([slot as u8; 32]);
    let signature = "ab".repeat(96);
    let data = |index: u64| {
        format!(
            r#""data":{{"slot":"{slot}","index":"{index}","beacon_block_root":"{root}","source":{{"epoch":"30","root":"{root}"}},"target":{{"epoch":"31","root":"{root}"}}}},"signature":"0x{signature}""#
        )
    };
    let single = data(0);
    for number in 0..SINGLES {
        let validator = (number * 73 + slot * 7_919) % VALIDATORS;
        let committee = number % COMMITTEES;
        write!(
            text,
            "event: single_attestation\ndata: {{\"committee_index\":\"{committee}\",\"attester_index\":\"{validator}\",{single}}}\n\n"
        )?;
    }
    for number in 0..COMMITTEES * AGGREGATES_PER_COMMITTEE {
        let committee = 1_u64 << (number % COMMITTEES);
        let bits = hex::encode([0xff; 58]);
        let committees = hex::encode(committee.to_le_bytes());
        write!(
            text,
            "event: attestation\ndata: {{\"aggregation_bits\":\"0x{bits}01\",\"committee_bits\":\"0x{committees}\",{single}}}\n\n"
        )?;
    }
    Ok(())
}

fn cpu_ns_now() -> Result<u64, Box<dyn Error>> {
    // A thread that gives up the processor is accounted for until now.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("no schedstat")?;
    Ok(first.parse()?)
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmRSS")?.parse()?)
}
