//! What the host metrics cost: CPU of the default sets and of each set, documents an hour, and with a server the bytes a
//! day takes in its indices.
//!
//! `cargo bench --bench host [-- --elasticsearch URL [--samples N] [--every MS]]`. With a server, N samples (8640, a day)
//! are taken MS milliseconds (80) apart, shipped as if they were ten seconds apart, and scaled up to a day.

// Whoever runs it sees what it prints, and a mistake in it should end it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "its threads and its clock are its own"
)]

mod company;
mod cost;
mod day;

use std::time::Duration;

use chrono::{DateTime, Utc};
use ethmon::agent::envelope::{Envelope, Identity};
use ethmon::agent::host::host_metadata;

fn main() {
    let (mut url, mut samples, mut every_ms) = (None, 1_440, 400);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.windows(2) {
        match pair[0].as_str() {
            "--elasticsearch" => url = Some(pair[1].clone()),
            "--samples" => samples = pair[1].parse().unwrap(),
            "--every" => every_ms = pair[1].parse().unwrap(),
            _ => {}
        }
    }
    let company = company::gather(100);
    println!("{} processes on this machine", company.processes());
    match url {
        Some(url) => day::run(&url, samples, Duration::from_millis(every_ms)),
        None => cost::run(),
    }
}

/// As on an agent: with all that is known of the host on every document.
fn envelope(namespace: &str) -> Envelope {
    Envelope::new(&Identity {
        agent_id: "5f1c7b2e-0d7a-4a55-9d0b-1c2f9b0d9f11".into(),
        ephemeral_id: "a3b8e0b0-8a53-4c0a-8d39-7a3b1c9e6f02".into(),
        node_name: "beacon-1".into(),
        namespace: namespace.into(),
        host: host_metadata("/".as_ref()),
        ..Identity::default()
    })
}

/// The time of a sample, ten seconds after the one before.
fn at(sample: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + i64::from(sample) * 10, 0).unwrap()
}
