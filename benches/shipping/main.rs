//! What shipping costs: `ethmon agent` against a loop that does the same job with nothing around it.
//!
//! ```text
//! cargo bench --bench shipping -- [--quick] [--case NAME]… [--pairs N] [--peer 'COMMAND'] [--json]
//! ```
//!
//! Files in which every line has a number, shipper on core 0, null sink on core 1. Each case runs in alternating pairs
//! (agent, loop), so that what else the machine does meets both; CPU time is that of the shipper's whole life, start and
//! end included. A row counts only if every line arrived and the sink was not the bottleneck: otherwise it says so.
//!
//! A peer runs in the same place, after each pair: in COMMAND `{input}` is the glob of the files, `{url}` the sink
//! (`{host}` without `http://`), `{state}` an empty directory of its own. It must stay in the foreground; it is asked to
//! end (SIGTERM) once every line is there.

// It measures and prints: clocks and standard output are its business.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod case;
mod corpus;
mod process;
mod reference;
mod run;
mod sink;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use self::case::{CASES, Case};
use self::corpus::Kind;
use self::run::{Outcome, Place, Shipper};

/// Measures what shipping costs.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Three pairs of a fifth of the lines: to see whether it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only these cases.
    #[arg(long = "case", value_name = "NAME", value_parser = CASES.map(|case| case.name))]
    cases: Vec<String>,
    /// Alternating runs of each shipper.
    #[arg(long)]
    pairs: Option<usize>,
    /// Another shipper on the same work: {input}, {url}, {host}, {state} are replaced.
    #[arg(long, value_name = "COMMAND")]
    peer: Option<String>,
    /// One JSON object per case and shipper, every run in it.
    #[arg(long)]
    json: bool,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the benchmark starts itself as.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    Sink(sink::Options),
    #[command(hide = true)]
    Reference {
        #[arg(long)]
        url: String,
        #[arg(long)]
        client: String,
        /// Do not end, but look once a second whether a file has grown.
        #[arg(long)]
        stay: bool,
        corpus: PathBuf,
    },
}

const PAIRS: usize = 7;
const QUICK_PAIRS: usize = 3;
const IDLE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Sink(options)) => sink::run(*options),
        Some(Role::Reference {
            url,
            client,
            stay,
            corpus,
        }) => {
            let kind = match client.as_str() {
                "lodestar" => Kind::Lodestar,
                _ => Kind::Plain,
            };
            reference::run(corpus, kind, url)?;
            if *stay {
                reference::stay(corpus)?;
            }
            Ok(())
        }
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipping");
    let chosen = |case: &&Case| {
        arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == case.name)
    };
    let mut table = table::Table::new(arguments.json);
    for case in CASES.iter().filter(chosen) {
        let mut case = *case;
        if arguments.quick && !case.idle {
            case.lines /= 5;
        }
        let corpus = scratch.join("corpus");
        if corpus.exists() {
            std::fs::remove_dir_all(&corpus)?;
        }
        let bytes = corpus::write(&corpus, case.kind, case.files, case.lines)?;
        let place = Place {
            corpus: &corpus,
            scratch: &scratch,
            idle: IDLE,
        };
        let shippers: Vec<Shipper> = [Shipper::Ethmon, Shipper::Reference]
            .into_iter()
            .chain(arguments.peer.clone().map(Shipper::Peer))
            .collect();
        let pairs = match (arguments.pairs, arguments.quick) {
            (Some(pairs), _) => pairs,
            (None, true) if case.idle => 1,
            (None, true) => QUICK_PAIRS,
            (None, false) => PAIRS,
        };
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); shippers.len()];
        for pair in 0..pairs {
            // A-B, B-A: who is first has no advantage.
            let mut order: Vec<usize> = (0..shippers.len()).collect();
            if pair % 2 == 1 {
                order.reverse();
            }
            for shipper in order {
                let outcome = run::run(&shippers[shipper], &case, &place)
                    .with_context(|| format!("{}: {:?}", case.name, shippers[shipper]))?;
                outcomes[shipper].push(outcome);
            }
        }
        table.add(&case, bytes, &shippers, &outcomes)?;
    }
    std::fs::remove_dir_all(&scratch).ok();
    table.end()
}
