//! `drop_event`: the event ends here. Counted; a file's offset moves on past it, a live event is not spooled.
//!
//! ```toml
//! [[processors]]
//! type = "drop_event"
//! when = 'stream == "logs-ethereum.client" and log.level in ["debug", "trace"]'
//! ```

use serde::Deserialize;

/// Needs a `when`: without it nothing would ever be shipped.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropEvent {}
