//! An hour without Elasticsearch at 5,000 events a second, as fast as the machine can: what it takes in memory and on
//! disk, and whether every event is shipped afterwards or counted as dropped.
//!
//! `cargo bench --bench outage [-- --events N --spool BYTES]`; a measurement that is out of its bounds fails.

// Whoever runs it sees what it prints, and a mistake in it should end it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "its threads and its clock are its own"
)]

mod files;
mod memory;
mod sink;
mod spool;

const SECONDS: u64 = 3_600;
const EVENTS: u64 = 5_000 * SECONDS;
const SPOOL_BYTES: u64 = 1 << 30;
const MAX_RSS_MIB: f64 = 48.0;

fn main() {
    let (mut events, mut spool_bytes) = (EVENTS, SPOOL_BYTES);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.windows(2) {
        match pair[0].as_str() {
            "sink" => return sink::run(&pair[1]),
            "--events" => events = pair[1].parse().unwrap(),
            "--spool" => spool_bytes = pair[1].parse().unwrap(),
            _ => {}
        }
    }
    println!("events {events}, spool limit {} MiB", spool_bytes >> 20);
    files::run(events);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(spool::run(events, spool_bytes));
}
