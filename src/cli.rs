//! The command line: what can be asked of `ethmon`, and nothing of how it is done.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent::dead_letter::Filter;
use crate::agent::logs::Client;
use crate::setup::Part;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Ethereum network monitor on Elasticsearch.
#[derive(Debug, Parser)]
#[command(name = "ethmon", version, propagate_version = true)]
pub struct Cli {
    /// How log lines look on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Collect on this node and ship to Elasticsearch.
    Agent {
        #[arg(long, default_value = "/etc/ethmon/agent.toml")]
        config: PathBuf,
        /// Read all log files there are, ship them and what waits, and end: 0 when everything was acknowledged.
        #[arg(long)]
        once: bool,
        /// With --once: give up when Elasticsearch took nothing for so long.
        #[arg(long, value_name = "DURATION", default_value = "60s", requires = "once", value_parser = duration)]
        patience: Duration,
    },
    /// Read what all agents shipped; judge, alert and mail.
    Aggregator {
        #[arg(long, default_value = "/etc/ethmon/aggregator.toml")]
        config: PathBuf,
    },
    /// Install index templates, lifecycle and state indices; doing it twice changes nothing.
    Setup(Setup),
    /// Say what is wrong, with file, line and column.
    #[command(subcommand)]
    Check(Check),
    /// Work on alert rules.
    #[command(subcommand)]
    Rules(Rules),
    /// Play recorded node data through the same core; one JSON report per recording.
    Replay {
        /// A recording: a folder node-NAME for each node, or a stream NAME.sse of each; or a directory of recordings.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Genesis time in Unix seconds; without it as the nodes, run.json or the blocks say.
        #[arg(long, value_name = "SECONDS")]
        genesis: Option<u64>,
        /// Length of a slot; without it as the nodes, the chain's configuration, run.json or the blocks say.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds_per_slot: Option<u64>,
        /// Slots of an epoch; without it the same, or 32.
        #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u64).range(1..=65_536))]
        slots_per_epoch: Option<u64>,
    },
    /// Documents that Elasticsearch refused.
    #[command(subcommand)]
    DeadLetter(DeadLetter),
    /// What waits for Elasticsearch on this node.
    #[command(subcommand)]
    Queue(Queue),
    /// How far each log file is acknowledged.
    #[command(subcommand)]
    Registry(Registry),
    /// Print a completion script for a shell.
    Completions { shell: clap_complete::Shell },
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration::parse(text)
        .ok_or_else(|| "expected a number and ms, s, m, h or d, as in 60s".to_owned())
}

#[derive(Debug, Args)]
pub struct Setup {
    /// An agent's or the aggregator's configuration: its [elasticsearch] section is used.
    #[arg(long, default_value = "/etc/ethmon/aggregator.toml")]
    pub config: PathBuf,
    /// Compare only; exit 1 if anything differs.
    #[arg(long, conflicts_with = "print")]
    pub check: bool,
    /// Print every object instead of installing it.
    #[arg(long)]
    pub print: bool,
    /// Restrict to one part.
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Option<Part>,
}

#[derive(Debug, Subcommand)]
pub enum Check {
    /// Read configuration files as the agent or the aggregator would.
    Config {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Walk to Elasticsearch step by step.
    Output {
        #[arg(long, default_value = "/etc/ethmon/agent.toml")]
        config: PathBuf,
    },
    /// Ask the beacon node what it offers.
    Beacon {
        #[arg(long, default_value = "/etc/ethmon/agent.toml")]
        config: PathBuf,
    },
    /// Parse rule files.
    Rules { files: Vec<PathBuf> },
    /// Run test cases through the processors of a configuration: what goes in, what has to come out.
    Processors {
        #[arg(long, default_value = "/etc/ethmon/agent.toml")]
        config: PathBuf,
        /// TOML files, each a list of `case` tables.
        #[arg(required = true)]
        tests: Vec<PathBuf>,
    },
    /// Parse client logs and print one JSON document per record.
    Logs {
        /// Whose log it is: lodestar, … or generic.
        #[arg(long)]
        client: Client,
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Read captures (pcap, pcapng) and print one JSON document per flow report and transaction.
    Packets {
        /// An agent's configuration: its `[packets]` section says which ports are what.
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Run rule scenarios on a simulated clock; without files, those of the shipped rules.
    Test { files: Vec<PathBuf> },
}

#[derive(Debug, Subcommand)]
pub enum DeadLetter {
    /// One line per refused document.
    List {
        #[command(flatten)]
        filter: Filter,
        /// Count them instead, by data stream, status and kind.
        #[arg(long)]
        count: bool,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// One refused document, whole.
    Show {
        number: u64,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Put refused documents back into the queue.
    Replay {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Delete them. Without a filter that needs --all.
    Purge {
        #[command(flatten)]
        filter: Filter,
        #[arg(long, required_unless_present_any = ["reason", "stream", "numbers"])]
        all: bool,
        #[command(flatten)]
        data_dir: DataDir,
    },
}

#[derive(Debug, Subcommand)]
pub enum Queue {
    /// One line per data stream: events, bytes and age of what waits.
    Inspect(DataDir),
    /// Compare everything with its checksums; exit 1 if something is damaged.
    Verify(DataDir),
}

#[derive(Debug, Subcommand)]
pub enum Registry {
    /// One line per file.
    Show(DataDir),
    /// Forget a file: the agent reads it again from its beginning. Refused while the agent runs.
    Reset {
        #[arg(required_unless_present = "all")]
        path: Option<String>,
        /// Forget all files.
        #[arg(long, conflicts_with = "path")]
        all: bool,
        #[command(flatten)]
        data_dir: DataDir,
    },
}

#[derive(Debug, Args)]
pub struct DataDir {
    #[arg(long, default_value = "/var/lib/ethmon")]
    pub data_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_forgets_or_deletes_everything_has_to_be_meant() {
        let is_taken = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(!is_taken("ethmon registry reset"));
        assert!(is_taken("ethmon registry reset /a.log"));
        assert!(is_taken("ethmon registry reset --all"));
        assert!(!is_taken("ethmon registry reset --all /a.log"));
        assert!(!is_taken("ethmon dead-letter purge"));
        assert!(is_taken("ethmon dead-letter purge --all"));
        assert!(is_taken("ethmon dead-letter purge --number 3"));
        assert!(is_taken("ethmon dead-letter purge --reason mapping"));
    }
}
