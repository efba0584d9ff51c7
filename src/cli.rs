//! The command line: what can be asked of `ethmon`, and nothing of how it is done.

use std::path::PathBuf;

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
    /// Play recorded node data through the same core; one JSON report per directory.
    Replay {
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Documents that Elasticsearch refused.
    #[command(subcommand)]
    DeadLetter(DeadLetter),
    /// Print a completion script for a shell.
    Completions { shell: clap_complete::Shell },
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
        /// An agent's configuration: its [packets] section says which ports are what.
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
    List(DataDir),
    /// One refused document, whole.
    Show {
        number: u64,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Put refused documents back into the queue.
    Replay(DataDir),
    /// Delete them.
    Purge(DataDir),
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
}
