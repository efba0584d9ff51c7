//! The agent under random schedules: killed, frozen, with its clock set, its files rotated in every way, and an Elasticsearch
//! that fails; in the end every line is one document.

mod agent;
mod outcome;
mod plan;
mod run;
mod steps;
mod writer;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::scope;

use tokio::time::Instant;

use self::agent::Agent;
use self::plan::Plan;
use self::run::Report;
use crate::environment::{self, Tier};

#[test]
fn schedule() {
    let Tier { schedules, at_once } = environment::tier();
    let seeds: VecDeque<u64> = match environment::seed() {
        Some(seed) => [seed].into(),
        None => (0..schedules)
            .map(|_| u64::from(rand::random::<u32>()))
            .collect(),
    };
    if !Agent::has_clock() {
        assert!(!environment::is_ci(), "libfaketime is not here");
        say("libfaketime is not here: clock jumps are left to the times of the files");
    }
    let began = Instant::now();
    let (left, totals) = (Mutex::new(seeds), Mutex::new(Totals::default()));
    scope(|threads| {
        for _ in 0..at_once {
            threads.spawn(|| {
                loop {
                    let Some(seed) = left.lock().unwrap().pop_front() else {
                        return;
                    };
                    let judged = judge(seed);
                    totals.lock().unwrap().add(judged);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    say(&format!(
        "{} schedules in {} s: {} lines, {} requests, {} faults, {} starts; {} lost, {} duplicated; {} stored late and again after a rollover",
        totals.schedules,
        began.elapsed().as_secs(),
        totals.lines,
        totals.requests,
        totals.faults,
        totals.starts,
        totals.lost,
        totals.duplicated,
        totals.repeated_late,
    ));
    assert!(
        totals.failures.is_empty(),
        "{} of {} schedules failed:\n{}",
        totals.failures.len(),
        totals.schedules,
        totals.failures.join("\n")
    );
}

#[derive(Default)]
struct Totals {
    schedules: usize,
    lines: usize,
    lost: usize,
    duplicated: usize,
    repeated_late: usize,
    requests: u64,
    faults: u64,
    starts: usize,
    failures: Vec<String>,
}

/// A schedule that went well, or what is to be said of it.
fn judge(seed: u64) -> (Option<Report>, Option<String>) {
    let plan = Plan::draw(seed);
    let folder = tempfile::Builder::new()
        .prefix("ethmon-chaos")
        .tempdir()
        .unwrap();
    let began = Instant::now();
    let result = run::run(&plan, folder.path());
    let seconds = began.elapsed().as_secs();
    let mut complaint = String::new();
    match &result {
        Ok(report) if report.outcome.is_exact() => say(&format!(
            "schedule {seed}: {} lines, {} requests, {} faults, {} starts, {seconds} s",
            report.outcome.lines, report.requests, report.faults, report.starts
        )),
        Ok(report) => writeln!(complaint, "{}", report.outcome).unwrap(),
        Err(error) => writeln!(complaint, "{error}").unwrap(),
    }
    if complaint.is_empty() {
        return (result.ok(), None);
    }
    let kept: PathBuf = folder.keep();
    let complaint = format!(
        "schedule {seed} failed after {seconds} s: {complaint}{plan}its files: {}\nto repeat it: ETHMON_CHAOS_SEED={seed} cargo test --test chaos schedule -- --nocapture\n",
        kept.display()
    );
    say(&complaint);
    (result.ok(), Some(complaint))
}

impl Totals {
    fn add(&mut self, (report, failure): (Option<Report>, Option<String>)) {
        self.schedules += 1;
        self.failures.extend(failure);
        let Some(report) = report else { return };
        let outcome = report.outcome;
        self.lines += outcome.lines;
        self.lost += outcome.lost.len();
        self.duplicated +=
            outcome.duplicated.len() + outcome.invented.len() + outcome.repeated.len();
        self.repeated_late += outcome.repeated_late;
        self.requests += report.requests;
        self.faults += report.faults;
        self.starts += report.starts;
    }
}

/// Past the harness, which shows nothing of a test that passes.
fn say(text: &str) {
    let mut screen = std::io::stderr();
    writeln!(screen, "{text}").unwrap();
}
