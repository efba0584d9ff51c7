//! Configuration: one TOML file per process, one file here per section, defaults beside the fields.
//!
//! An absent section switches its part off. Unknown keys are errors. `${VAR}` in a string is replaced from the
//! environment; secrets come from there or from `*_file` keys, and can't be printed.

pub mod duration;
mod execution;
mod file;
mod host;
mod logs;
mod node;
mod secret;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::execution::Execution;
pub use self::file::{Problem, parse};
pub use self::host::Host;
pub use self::logs::Logs;
pub use self::node::Node;
pub use self::secret::Secret;

/// `agent.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Where spool, registry and dead letters are kept; one agent per directory.
    pub data_dir: PathBuf,
    pub node: Node,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/ethmon".into(),
            node: Node::default(),
        }
    }
}

/// Reads and checks `agent.toml`.
pub fn load_agent(path: &Path) -> Result<Agent, Problem> {
    file::load(path)
}

/// The filter for log lines, `ETHMON_LOG` or `RUST_LOG` (`info`, `ethmon=debug,warn`, …).
pub fn log_filter() -> Option<String> {
    environment("ETHMON_LOG").or_else(|| environment("RUST_LOG"))
}

/// The one place that reads the environment.
#[allow(clippy::disallowed_methods)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
