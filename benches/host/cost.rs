//! CPU time, of this thread by the kernel's own account.

use std::fs;
use std::time::Duration;

use ethmon::agent::envelope::Envelope;
use ethmon::agent::host::{MetricSet, Sampler};
use ethmon::config;
use ethmon::event::Event;

use crate::{at, envelope};

/// An hour of samples, back to back.
const HOUR: u32 = 360;
const ROUNDS: usize = 5;
/// Between two samples of those that find nothing of theirs in the processor's caches.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSED_SAMPLES: u32 = 30;

pub(crate) fn run() {
    println!(
        "\n{:<16}{:>10}{:>10}{:>12}",
        "set", "µs", "documents", "bytes each"
    );
    for set in MetricSet::ALL
        .into_iter()
        .filter(|set| *set != MetricSet::Service)
    {
        let (us, shipped) = median(|| one_set(set));
        let documents = shipped.documents as f64 / f64::from(HOUR);
        let bytes = shipped.bytes / shipped.documents.max(1);
        println!("{:<16}{us:>10.1}{documents:>10.1}{bytes:>12}", set.name());
    }
    println!("(a sample with its documents encoded; service is a process of its own, see below)");

    let (us, shipped) = median(|| sample(&config::Host::default(), HOUR, Duration::ZERO));
    report("default sets, back to back", us, &shipped);
    let (us, shipped) = sample(&config::Host::default(), PAUSED_SAMPLES, PAUSE);
    report("default sets, half a second apart", us, &shipped);
    systemctl();
}

#[derive(Debug, Clone, Default)]
struct Shipped {
    documents: usize,
    bytes: usize,
    samples: u32,
}

fn report(what: &str, us: f64, shipped: &Shipped) {
    let per_hour = shipped.documents as f64 * f64::from(HOUR) / f64::from(shipped.samples);
    let of_a_core = us / 10_000_000.0 * 100.0;
    println!(
        "\n{what}: {us:.0} µs a sample, each 10 s {of_a_core:.4} % of a core; {per_hour:.0} documents an hour"
    );
}

fn one_set(set: MetricSet) -> (f64, Shipped) {
    let all_at_once = Duration::from_secs(10);
    let config = config::Host {
        sets: Some(vec![set]),
        filesystem_period: all_at_once,
        slow_period: all_at_once,
        ..config::Host::default()
    };
    sample(&config, HOUR, Duration::ZERO)
}

/// Microseconds of CPU time a sample.
fn sample(config: &config::Host, samples: u32, pause: Duration) -> (f64, Shipped) {
    let envelope = envelope("default");
    let mut sampler = Sampler::new(config, "agent");
    // What is read once in a process's life is read here.
    sampler.sample(at(0));
    let mut shipped = Shipped {
        samples,
        ..Shipped::default()
    };
    let mut spent_ns = 0;
    for sample in 1..=samples {
        std::thread::sleep(pause);
        let before = cpu_ns();
        let events = sampler.sample(at(sample));
        shipped.documents += events.len();
        shipped.bytes += encode(&envelope, events, sample);
        spent_ns += cpu_ns() - before;
    }
    (spent_ns as f64 / 1e3 / f64::from(samples), shipped)
}

fn encode(envelope: &Envelope, events: Vec<Event>, sample: u32) -> usize {
    let records = events
        .into_iter()
        .map(|event| envelope.seal(event, at(sample)));
    records.map(|record| record.document().len()).sum()
}

fn median(measure: impl Fn() -> (f64, Shipped)) -> (f64, Shipped) {
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds.swap_remove(ROUNDS / 2)
}

fn cpu_ns() -> u64 {
    // A thread that gives up the processor is accounted for until now.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// What asking systemd takes, which it does itself not account to us.
fn systemctl() {
    let children_ticks = || {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let columns = stat.rsplit_once(')').unwrap().1;
        let mut columns = columns.split_whitespace().skip(13);
        let mut next = || columns.next().unwrap().parse::<u64>().unwrap();
        next() + next()
    };
    let runs = 100;
    let before = children_ticks();
    for _ in 0..runs {
        let mut command = std::process::Command::new("systemctl");
        let Ok(output) = command
            .args(["show", "--no-pager", "--", "lighthouse*"])
            .output()
        else {
            println!("\nservice: there is no systemctl here");
            return;
        };
        drop(output);
    }
    let ms = (children_ticks() - before) as f64 * 10.0 / f64::from(runs);
    println!(
        "\nservice: {ms:.1} ms of CPU for systemctl, each 60 s {:.4} % of a core",
        ms / 60_000.0 * 100.0
    );
}
