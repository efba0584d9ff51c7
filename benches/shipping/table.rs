//! The runs as one table, the losing rows included.

use std::time::Duration;

use serde_json::json;

use crate::case::{
    Bounds, Case, IDLE_MIB, IDLE_PERCENT, LOADED_MIB, TIMES_REFERENCE, US_PER_EVENT, Verdict,
};
use crate::run::{Outcome, Shipper};

/// A busier sink would set the pace.
const BUSIEST_SINK: f64 = 0.7;
/// With one item in ten refused, of the speed without.
const REFUSED_SPEED: Bounds = Bounds {
    floor: -0.5,
    goal: -0.8,
};

pub(crate) struct Table {
    json: bool,
    /// Events per second of the agent in the case `typed`, if it ran.
    clean_speed: Option<f64>,
    missed: usize,
}

impl Table {
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            let load = load.split(' ').next().unwrap_or("?");
            println!("shipper on core 0, sink on core 1; load before: {load}");
            println!(
                "CPU per event in µs (idle: % of a core), ×: times the reference loop; median [least, most] of all runs; file: the program's own pages in MiB"
            );
            println!();
            println!(
                "{:<13} {:<10} {:>22} {:>20} {:>6} {:>5} {:>6} {:>6} {:>9} {:>5}  result",
                "case",
                "shipper",
                "CPU",
                "×",
                "MiB",
                "file",
                "wire B",
                "JSON B",
                "events/s",
                "sink"
            );
        }
        Self {
            json,
            clean_speed: None,
            missed: 0,
        }
    }

    /// `outcomes[1]` are the reference loop's, pair by pair.
    pub(crate) fn add(
        &mut self,
        case: &Case,
        corpus_bytes: u64,
        shippers: &[Shipper],
        outcomes: &[Vec<Outcome>],
    ) -> anyhow::Result<()> {
        let reference = &outcomes[1];
        for (shipper, outcomes) in shippers.iter().zip(outcomes) {
            let name = match shipper {
                Shipper::Ethmon => "ethmon",
                Shipper::Reference => "reference",
                Shipper::Peer(_) => "peer",
            };
            let spread = Spread::of(outcomes.iter().map(|run| cost(case, run)));
            let pairs = outcomes.iter().zip(reference);
            let ratio = Spread::of(pairs.map(|(own, bare)| cost(case, own) / cost(case, bare)));
            let row = Row {
                case,
                cost: spread,
                ratio,
                mib: max(outcomes, |run| run.memory_bytes as f64 / f64::from(1 << 20)),
                file_mib: max(outcomes, |run| run.file_bytes as f64 / f64::from(1 << 20)),
                sink: max(outcomes, |run| share(run.sink_cpu, run.wall)),
                speed: Spread::of(
                    outcomes
                        .iter()
                        .map(|run| case.lines as f64 / run.wall.as_secs_f64()),
                ),
                lost: outcomes
                    .iter()
                    .map(|run| case.lines - run.lines.unique)
                    .sum(),
                repeated: outcomes.iter().map(|run| run.lines.repeated).sum(),
            };
            let is_ours = matches!(shipper, Shipper::Ethmon);
            let result = self.result(&row, is_ours);
            if self.json {
                println!(
                    "{}",
                    json!({
                        "case": case.name, "shipper": name, "files": case.files, "lines": case.lines, "corpus_bytes": corpus_bytes,
                        "cost": row.cost.median, "cost_unit": if case.idle { "% of a core" } else { "µs/event" },
                        "times_reference": row.ratio.median, "memory_mib": row.mib, "file_mib": row.file_mib, "sink_share": row.sink,
                        "lost": row.lost, "repeated": row.repeated, "result": result, "runs": outcomes,
                    })
                );
                continue;
            }
            let per_line = |bytes: usize| bytes / case.lines;
            let first = outcomes.first().map(|run| run.count).unwrap_or_default();
            println!(
                "{:<13} {:<10} {:>22} {:>20} {:>6.1} {:>5.1} {:>6} {:>6} {:>9} {:>4.0}%  {result}",
                if is_ours { case.name } else { "" },
                name,
                row.cost.text(if case.idle { 3 } else { 2 }),
                if matches!(shipper, Shipper::Reference) {
                    String::new()
                } else {
                    row.ratio.text(2)
                },
                row.mib,
                row.file_mib,
                per_line(first.wire_bytes),
                per_line(first.body_bytes),
                if case.idle {
                    String::new()
                } else {
                    format!("{:.0}", row.speed.median)
                },
                row.sink * 100.0,
            );
        }
        Ok(())
    }

    /// Says how many of our own rows missed their floor.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        if !self.json {
            println!();
            println!("rows of ethmon that miss a floor: {}", self.missed);
        }
        Ok(())
    }

    fn result(&mut self, row: &Row, is_ours: bool) -> String {
        let mut words = Vec::new();
        if row.sink > BUSIEST_SINK {
            words.push("VOID: the sink was the bottleneck".to_owned());
        }
        if row.lost > 0 {
            words.push(format!("{} LOST", row.lost));
        }
        if row.repeated > 0 {
            words.push(format!("{} repeated", row.repeated));
        }
        if is_ours {
            let verdicts = self.verdicts(row);
            let missed = verdicts
                .iter()
                .filter(|(_, verdict)| *verdict == Verdict::Missed);
            let missed: Vec<&str> = missed.map(|(name, _)| *name).collect();
            let short = verdicts
                .iter()
                .filter(|(_, verdict)| *verdict == Verdict::Floor);
            let short: Vec<&str> = short.map(|(name, _)| *name).collect();
            if !missed.is_empty() {
                self.missed += 1;
                words.push(format!("MISSES the floor: {}", missed.join(", ")));
            }
            if !short.is_empty() {
                words.push(format!("floor: {}", short.join(", ")));
            }
            if missed.is_empty() && short.is_empty() {
                words.push("goal".to_owned());
            }
        }
        words.join("; ")
    }

    fn verdicts(&mut self, row: &Row) -> Vec<(&'static str, Verdict)> {
        if row.case.idle {
            return vec![
                ("CPU", IDLE_PERCENT.judge(row.cost.median)),
                ("memory", IDLE_MIB.judge(row.mib)),
            ];
        }
        let mut verdicts = vec![
            ("CPU", US_PER_EVENT.judge(row.cost.median)),
            ("×", TIMES_REFERENCE.judge(row.ratio.median)),
            ("memory", LOADED_MIB.judge(row.mib)),
        ];
        if row.case.name == "typed" {
            self.clean_speed = Some(row.speed.median);
        }
        if row.case.refuse_percent > 0
            && let Some(clean) = self.clean_speed
        {
            verdicts.push(("speed", REFUSED_SPEED.judge(-row.speed.median / clean)));
        }
        verdicts
    }
}

struct Row<'a> {
    case: &'a Case,
    cost: Spread,
    ratio: Spread,
    mib: f64,
    file_mib: f64,
    sink: f64,
    speed: Spread,
    lost: usize,
    repeated: usize,
}

/// µs per event, or % of a core.
fn cost(case: &Case, run: &Outcome) -> f64 {
    if case.idle {
        share(run.cpu, run.wall) * 100.0
    } else {
        run.cpu.as_secs_f64() * 1e6 / case.lines as f64
    }
}

fn share(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64()
}

fn max(outcomes: &[Outcome], value: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(value).fold(0.0, f64::max)
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (at(middle.saturating_sub(1)) + at(middle)) / 2.0,
            _ => at(middle),
        };
        Self {
            least: at(0),
            median,
            most: at(values.len().saturating_sub(1)),
        }
    }

    fn text(&self, digits: usize) -> String {
        let Self {
            least,
            median,
            most,
        } = self;
        format!("{median:.digits$} [{least:.digits$}, {most:.digits$}]")
    }
}
