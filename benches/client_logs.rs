//! What a record of each client costs: `cargo bench --bench client_logs [CLIENT]`.
//!
//! The sample logs and recordings of `../shared/data`, repeated. `parse` is the format alone; `event` is all that the
//! agent does before it ships: bytes are cut into lines and records, parsed, and made a document with its id.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ethmon::agent::logs::{Client, Reading, Zone, each};
use ethmon::slot;
use flate2::read::MultiGzDecoder;

/// Each figure is the best of so many runs, each at least so long: short, so that some are not interrupted.
const RUNS: usize = 200;
const RUN: Duration = Duration::from_millis(3);

const DATA: &str = "../shared/data";

/// Recordings of real nodes beside the samples.
const RECORDINGS: [(Client, &str); 5] = [
    (Client::Prysm, "prysm/run1/beacon-text-debug.log"),
    (Client::Prysm, "prysm/run2/beaconA-json-debug.log"),
    (Client::Geth, "devnet/geth-split-6/node-a/geth.log.gz"),
    (
        Client::Lodestar,
        "devnet/split-8/node-a/beacon-debug.log.gz",
    ),
    (
        Client::Lodestar,
        "devnet/healthy-40/node-b/beacon-debug.log.gz",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = std::env::args()
        .nth(1)
        .filter(|name| !name.starts_with('-'));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<44} {:>7} {:>7} {:>9} {:>9} {:>9}",
        "log", "records", "bytes", "typed", "parse ns", "event ns"
    )?;
    for (client, path) in logs()? {
        if wanted.as_ref().is_none_or(|name| client.name() == name) {
            writeln!(out, "{}", measure(client, &path)?)?;
        }
    }
    Ok(())
}

fn logs() -> Result<Vec<(Client, PathBuf)>, Box<dyn Error>> {
    let mut logs: Vec<(Client, PathBuf)> = RECORDINGS
        .map(|(client, name)| (client, Path::new(DATA).join(name)))
        .into();
    for entry in fs::read_dir(Path::new(DATA).join("client-logs"))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if let (true, Some(client)) = (is_log, name.split('-').next()) {
            logs.push((client.parse()?, path));
        }
    }
    logs.sort_by_key(|(client, path)| (client.name(), path.clone()));
    Ok(logs)
}

fn measure(client: Client, path: &Path) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let file = File::open(path)?;
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => MultiGzDecoder::new(file).read_to_string(&mut text)?,
        false => { file }.read_to_string(&mut text)?,
    };
    let records = records(client, &text);
    let now = slot::now();
    let reading = Reading {
        at: now,
        written_at: now,
        zone: Zone::Utc,
    };
    let typed = records
        .iter()
        .filter(|record| client.parse(record, &reading).is_typed())
        .count();
    let parse = best(|| {
        for record in &records {
            black_box(client.parse(black_box(record), &reading));
        }
    });
    let event = best(|| {
        each(client, black_box(&text), now, |event| {
            black_box(event);
        });
    });
    let per_record = |time: Duration| time.as_nanos() / records.len().max(1) as u128;
    Ok(format!(
        "{:<44} {:>7} {:>7} {:>9} {:>9} {:>9}",
        path.strip_prefix(DATA)?.display(),
        records.len(),
        text.len() / records.len().max(1),
        typed,
        per_record(parse),
        per_record(event),
    ))
}

/// Lines joined to records as the tailer joins them.
fn records(client: Client, text: &str) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match records.last_mut() {
            Some(open) if !client.begins_record(line) => {
                open.push('\n');
                open.push_str(line);
            }
            _ => records.push(line.to_owned()),
        }
    }
    records
}

/// The time of one call.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn best(mut run: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < RUN {
            run();
            calls += 1;
        }
        best = best.min(start.elapsed() / calls);
    }
    best
}
