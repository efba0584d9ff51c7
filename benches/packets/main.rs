//! What packets cost: a capture of a million, mixed sizes, on one core; the same as documents ready to ship; memory with
//! 100,000 flows at once; and an interface, with what the kernel dropped.
//!
//! `cargo bench --bench packets [-- --packets N] [--skip-live]`. The live part needs root (or user namespaces): it makes a
//! pair of interfaces in a namespace of its own.

// Whoever runs it sees what it prints, and a mistake in it should end it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "its threads and its clock are its own"
)]

mod file;
mod flood;
mod frames;
mod live;
mod messages;
mod traffic;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let packets = value("--packets").map_or(1_000_000, |number| number.parse().unwrap());
    if let Some(path) = value("--write") {
        return file::write(path.as_ref(), packets);
    }
    if has("--in-namespace") {
        return live::run(packets);
    }
    // First, while no memory is left over from anything else.
    flood::run();
    file::run(packets);
    if !has("--skip-live") {
        live::in_namespace(packets);
    }
}

/// Resident, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1024.0
}

/// CPU of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}
