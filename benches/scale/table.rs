//! What all runs came to.

use std::time::Duration;

use crate::run::{Outcome, Plan};

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn head() {
    println!(
        "{:>6} {:>9} {:>9} {:>8} {:>8} {:>17} {:>13} {:>15} {:>15} {:>8}  found",
        "nodes",
        "sent",
        "read",
        "MiB",
        "requests",
        "CPU ms (worst)",
        "RSS MiB",
        "judged s",
        "told s",
        "ES CPU s"
    );
}

pub(crate) fn row(outcome: &Outcome, plan: Plan) {
    let (now, most) = outcome.memory;
    let judged = Spread::of(
        outcome
            .judged
            .iter()
            .map(|time| time.num_milliseconds() as f64 / 1e3),
    );
    let told = Spread::of(
        outcome
            .told
            .iter()
            .map(|time| time.num_milliseconds() as f64 / 1e3),
    );
    println!(
        "{:>6} {:>9.0} {:>9.0} {:>8.2} {:>8.1} {:>9.0} ({:>5.0}) {:>6.0} ({:>4.0}) {:>7.2} ({:>5.2}) {:>7.2} ({:>5.2}) {:>8.2}  {}/{} slots, {} missed, {} late, {} reorgs, {} splits; slowest request {} ms, sent {} ms late",
        outcome.nodes,
        outcome.sent,
        outcome.read,
        outcome.read_bytes / MIB,
        outcome.requests,
        outcome.cpu_ms(),
        outcome.worst_ms(),
        now as f64 / MIB,
        most as f64 / MIB,
        judged.median,
        judged.most,
        told.median,
        told.most,
        outcome.elasticsearch_cpu.as_secs_f64(),
        outcome.slots_judged,
        plan.slots,
        outcome.missed,
        outcome.late,
        outcome.reorgs,
        outcome.splits,
        outcome.slowest_request.as_millis(),
        outcome.lag.num_milliseconds(),
    );
    if let Some(caught_up) = outcome.caught_up {
        println!(
            "{:>6} after {} s without an answer, the last word about the slots of that time came {:.1} s after its end",
            "",
            plan.stall.as_secs(),
            caught_up.num_milliseconds() as f64 / 1e3
        );
    }
}

/// How the figures grow with the nodes: 1 is linear.
pub(crate) fn growth(outcomes: &[Outcome], slot_ms: u64) {
    let exponent = |name: &str, figure: &dyn Fn(&Outcome) -> f64| {
        let points: Vec<(f64, f64)> = outcomes
            .iter()
            .map(|outcome| (outcome.nodes as f64, figure(outcome)))
            .collect();
        match slope(&points) {
            Some(all) => println!("{name:>22} grows as nodes^{all:.2}"),
            None => println!("{name:>22} needs two sizes"),
        }
    };
    println!();
    exponent("documents read", &|outcome| outcome.read);
    exponent("requests", &|outcome| outcome.requests);
    exponent("CPU per slot", &Outcome::cpu_ms);
    exponent("CPU of the worst slot", &Outcome::worst_ms);
    exponent("memory, at most", &|outcome| outcome.memory.1 as f64);
    for outcome in outcomes {
        let share = outcome.worst_ms() / slot_ms as f64;
        let last = outcome
            .told
            .iter()
            .chain(&outcome.judged)
            .max()
            .map_or(0, |time| time.num_milliseconds());
        let within = share < 1.0 && last < slot_ms as i64 && !outcome.told.is_empty();
        println!(
            "{:>6} nodes: the worst slot took {:.1} % of one core, the last word came {:.1} s after its last document: {}",
            outcome.nodes,
            share * 100.0,
            last as f64 / 1e3,
            if within {
                "served within a slot"
            } else {
                "NOT served within a slot"
            },
        );
    }
}

impl Outcome {
    fn cpu_ms(&self) -> f64 {
        ms(self.cpu.iter().sum::<Duration>()) / self.cpu.len().max(1) as f64
    }

    fn worst_ms(&self) -> f64 {
        self.cpu.iter().copied().max().map_or(0.0, ms)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Of the line through the logarithms, least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let count = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|(x, _)| x).sum::<f64>() / count,
        points.iter().map(|(_, y)| y).sum::<f64>() / count,
    );
    let covariance: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (points.len() > 1 && variance > 0.0).then(|| covariance / variance)
}

struct Spread {
    median: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}
