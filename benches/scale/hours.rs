//! Hours of a fleet in virtual time through the core that the aggregator runs: what it keeps, and what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use ethmon::aggregator::{Read, observations};
use ethmon::alert::{self, Ledger};
use ethmon::event::{Document, timestamp};
use ethmon::network::{Finding, Network, Settings};
use ethmon::rules::{Engine, shipped};
use ethmon::system::memory::give_back;
use procfs::process::Process;
use serde_json::Value;

use crate::chain::{Chain, Course};
use crate::envelope::{Delivery, Writer};

const MIB: f64 = (1 << 20) as f64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) hours: u64,
    pub(crate) course: Course,
    pub(crate) finality: bool,
    /// Between two judgements.
    pub(crate) tick: TimeDelta,
}

/// What the aggregator is without Elasticsearch.
struct Judge {
    engine: Engine,
    ledger: Ledger,
    network: Network,
    tally: BTreeMap<&'static str, u64>,
    /// Of findings, and of alert states, as they would be written.
    told_bytes: usize,
    state_bytes: usize,
}

/// Since the last line that was printed.
#[derive(Default)]
struct Cost {
    reading: Duration,
    judging: Duration,
    worst: Duration,
}

pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let starts = DateTime::UNIX_EPOCH + TimeDelta::days(365 * 56);
    let mut chain = Chain::new(plan.nodes, plan.course, starts);
    let mut writer = Writer::new("hours", &chain.spec);
    let mut waiting: BTreeMap<(DateTime<Utc>, u64), Delivery> = BTreeMap::new();
    let mut number = 0;
    let spec = chain.spec.clone();
    give_back();
    let empty = resident()?;
    let mut judge = Judge {
        engine: Engine::new(shipped()),
        ledger: Ledger::default(),
        network: Network::new(spec.clone(), Settings::default()),
        tally: BTreeMap::new(),
        told_bytes: 0,
        state_bytes: 0,
    };
    println!(
        "{} nodes, {} h in slots of {} s, a story every {} slots, {}",
        plan.nodes,
        plan.hours,
        spec.slot_duration_ms as f64 / 1e3,
        plan.course.story_every,
        if plan.finality {
            "finality as on mainnet"
        } else {
            "nothing becomes final"
        },
    );
    println!(
        "{:>6} {:>9} {:>10} {:>12} {:>12} {:>14} {:>11} {:>11} {:>9}",
        "hour",
        "RSS MiB",
        "KiB/node",
        "read ms/slot",
        "judge ms",
        "worst slot ms",
        "told KiB",
        "states KiB",
        "blocks"
    );
    let per_hour = 3_600_000 / spec.slot_duration_ms;
    let mut cost = Cost::default();
    for slot in chain.first..chain.first + plan.hours * per_hour {
        let mut next = chain.next(slot);
        if !plan.finality {
            next.finalized = None;
        }
        for delivery in writer.slot(&chain, &next) {
            number += 1;
            waiting.insert((delivery.at, number), delivery);
        }
        let (mut now, end) = (spec.slot_start(slot), spec.slot_start(slot + 1));
        let (mut reading, mut judging) = (Duration::ZERO, Duration::ZERO);
        while now < end {
            now = end.min(now + plan.tick);
            let later = waiting.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut waiting, later);
            let begins = cpu()?;
            for delivery in due.into_values() {
                judge.read(delivery);
            }
            let read = cpu()?;
            judge.judge(now);
            reading += read - begins;
            judging += cpu()? - read;
        }
        cost.reading += reading;
        cost.judging += judging;
        cost.worst = cost.worst.max(reading + judging);
        let past = slot + 1 - chain.first;
        if past.is_multiple_of(per_hour) {
            give_back();
            let used = resident()?.saturating_sub(empty);
            judge.print(
                past / per_hour,
                used,
                plan.nodes,
                per_hour,
                &std::mem::take(&mut cost),
            );
        }
    }
    drop(waiting);
    judge.finish()
}

impl Judge {
    fn read(&mut self, delivery: Delivery) {
        let Ok(Value::Object(source)) = serde_json::from_slice(&delivery.document) else {
            return;
        };
        let read = Read {
            stream: delivery.stream,
            id: delivery.id,
            document: Document::from(source),
        };
        for observation in observations(&read) {
            self.network.observe(observation);
        }
        self.engine.observe(read.stream, &read.id, &read.document);
    }

    fn judge(&mut self, now: DateTime<Utc>) {
        for finding in self.network.advance(now) {
            *self.tally.entry(kind(&finding)).or_default() += 1;
            let mut event = finding.to_event(self.network.spec());
            event.document.set("event.created", timestamp(now));
            self.told_bytes += serde_json::to_vec(&event.document).map_or(0, |text| text.len());
            self.engine
                .observe(event.stream, &event.id, &event.document);
        }
        let spec = self.network.spec();
        for transition in alert::step(&mut self.engine, &mut self.ledger, now, spec) {
            *self.tally.entry(transition.action.name()).or_default() += 1;
            alert::record(&transition, spec);
        }
        for change in self.ledger.take_changes() {
            let text = change
                .state
                .and_then(|state| serde_json::to_vec(&state).ok());
            self.state_bytes += text.map_or(0, |text| text.len());
        }
    }

    fn print(&mut self, hour: u64, used: u64, nodes: usize, slots: u64, cost: &Cost) {
        let each = |time: Duration| time.as_secs_f64() * 1e3 / slots as f64;
        let kib = |bytes: &mut usize| std::mem::take(bytes) as f64 / 1024.0 / slots as f64;
        println!(
            "{hour:>6} {:>9.1} {:>10.0} {:>12.1} {:>12.1} {:>14.0} {:>11.1} {:>11.1} {:>9}",
            used as f64 / MIB,
            used as f64 / 1024.0 / nodes as f64,
            each(cost.reading),
            each(cost.judging),
            cost.worst.as_secs_f64() * 1e3,
            kib(&mut self.told_bytes),
            kib(&mut self.state_bytes),
            self.network.blocks_kept(),
        );
    }

    /// What was found, what was left out, and which part held how much.
    fn finish(self) -> anyhow::Result<()> {
        println!(
            "found {:?}; alerts open {}",
            self.tally,
            self.ledger.states().count()
        );
        println!("not used: {:?}", self.network.refused());
        for (rule, counters) in self.engine.counters() {
            if counters.refused_keys + counters.pushed_out > 0 {
                println!(
                    "rule {rule}: {} documents of refused keys, {} pushed out of {}",
                    counters.refused_keys, counters.pushed_out, counters.documents
                );
            }
        }
        let held = || -> anyhow::Result<f64> {
            give_back();
            Ok(resident()? as f64 / MIB)
        };
        let all = held()?;
        drop(self.engine);
        let without_rules = held()?;
        drop(self.network);
        let rest = held()?;
        println!(
            "held by the rules {:.1} MiB, by the core {:.1} MiB\n",
            all - without_rules,
            without_rules - rest
        );
        Ok(())
    }
}

fn kind(finding: &Finding) -> &'static str {
    match finding {
        Finding::Block(_) => "block",
        Finding::Reorg(_) => "reorg",
        Finding::Split(_) => "split",
        Finding::Slot(_) => "slot",
        Finding::Offence(_) => "offence",
        Finding::Flip(_) => "flip",
        Finding::LateRun(_) => "late run",
    }
}

/// In bytes.
fn resident() -> anyhow::Result<u64> {
    let kib = Process::myself()?.status()?.vmrss;
    Ok(kib.context("no resident memory in the status")? * 1024)
}

/// Of this thread, whatever else the machine does.
fn cpu() -> anyhow::Result<Duration> {
    // A thread that gives up the processor is accounted for until now.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("no schedstat")?;
    Ok(Duration::from_nanos(first.parse()?))
}
