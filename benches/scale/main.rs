//! What one aggregator can serve: documents of 10 to 1,000 nodes at mainnet's rate into a real Elasticsearch, read and
//! judged by the real `ethmon aggregator` with all shipped rules.
//!
//! ```text
//! ETHMON_TEST_ELASTICSEARCH=URL cargo bench --bench scale -- [--nodes 10,100,200,1000] [--slots 14] [--slot-ms 12000] [--stall 60] [--program PATH]
//! ```
//!
//! It runs in real time: a slot lasts 12 s, and every document is sent when an agent would send it. `--slot-ms` makes
//! slots shorter, which is a multiple of mainnet's load (the nodes' latencies shrink with them, the pauses of the
//! aggregator and of Elasticsearch's refresh do not). Without the variable it starts a server of its own and stops it.
//!
//! ```text
//! cargo bench --bench scale -- --hours 24 [--nodes 200] [--story 14] [--no-finality] [--tick-ms 1000]
//! ```
//!
//! With `--hours` there is no Elasticsearch and no waiting: the same documents go through the same parsing, the same core
//! and the same rules in this process, in virtual time, as fast as they can. It prints every hour what is resident, so
//! that whatever grows shows within minutes instead of days.
//!
//! Columns, per slot: documents the agents sent; documents, MiB (packed, as they come) and requests that the aggregator read; its CPU time, mean
//! and worst slot; its memory at the end and at most; from the acknowledgement of the last document about a block to
//! the slot's status and to the block's record being stored, median and worst, over blocks that all nodes take (status
//! may come before the last node's document: then it is negative); Elasticsearch's own CPU time, writing included.

// It measures and prints: clocks and standard output are its business.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod aggregator;
mod chain;
mod documents;
mod envelope;
mod feed;
mod hours;
mod proxy;
mod run;
mod server;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use chrono::TimeDelta;
use clap::Parser;
use ethmon::config::Elasticsearch;
use ethmon::elastic::Client;
use ethmon::setup::{self, Mode, Options};

/// Measures what one aggregator can serve.
#[derive(Parser)]
struct Arguments {
    /// Sizes of fleets, one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 200, 1_000])]
    nodes: Vec<usize>,
    /// Slots of a run. The story of a chain that goes wrong takes 14.
    #[arg(long, default_value_t = 14)]
    slots: u64,
    /// Length of a slot: mainnet's is 12 s.
    #[arg(long, default_value_t = 12_000)]
    slot_ms: u64,
    /// Another build of the program, to compare.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_ethmon"))]
    program: PathBuf,
    /// Seconds for which Elasticsearch does not answer the aggregator, from the fourth slot on.
    #[arg(long, default_value_t = 0)]
    stall: u64,
    /// So many hours in virtual time, without Elasticsearch, for what memory does.
    #[arg(long)]
    hours: Option<u64>,
    /// With --hours: late, missed and orphaned blocks, a reorg and a split every so many slots.
    #[arg(long, default_value_t = chain::STORY)]
    story: u64,
    /// With --hours: nothing becomes final.
    #[arg(long)]
    no_finality: bool,
    /// With --hours: how often the aggregator judges.
    #[arg(long, default_value_t = 1_000)]
    tick_ms: u64,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(hours) = arguments.hours {
        return arguments.nodes.iter().try_for_each(|nodes| {
            hours::run(hours::Plan {
                nodes: *nodes,
                hours,
                course: chain::Course {
                    slot_ms: arguments.slot_ms,
                    slots_per_epoch: 32,
                    story_every: arguments.story,
                },
                finality: !arguments.no_finality,
                tick: TimeDelta::milliseconds(arguments.tick_ms as i64),
            })
        });
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale");
    let server = server::Server::find()?;
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&arguments, &server, &scratch))
}

async fn measure(
    arguments: &Arguments,
    server: &server::Server,
    scratch: &Path,
) -> anyhow::Result<()> {
    let config = Elasticsearch {
        hosts: vec![server.url.parse()?],
        request_timeout: Duration::from_secs(120),
        ..Elasticsearch::default()
    };
    let client = Client::new(&config)?;
    let mut report = Vec::new();
    let options = Options {
        mode: Mode::Apply,
        only: None,
    };
    let good = setup::run(&client, &options, &mut report).await?;
    ensure!(good, "{}", String::from_utf8_lossy(&report));
    println!(
        "slots of {} s, {} of them; shipped rules, no mail",
        arguments.slot_ms as f64 / 1e3,
        arguments.slots
    );
    table::head();
    let place = run::Place {
        program: &arguments.program,
        scratch,
    };
    let mut outcomes = Vec::new();
    for nodes in &arguments.nodes {
        let plan = run::Plan {
            nodes: *nodes,
            slots: arguments.slots,
            slot_ms: arguments.slot_ms,
            stall: Duration::from_secs(arguments.stall),
        };
        let outcome = run::run(&client, &server.url, plan, &place).await?;
        table::row(&outcome, plan);
        outcomes.push(outcome);
    }
    table::growth(&outcomes, arguments.slot_ms);
    Ok(())
}
