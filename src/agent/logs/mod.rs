//! Client logs: files are followed by [`tail`], cut into lines and records, and parsed by one file per client.
//!
//! A file is its own queue: the registry keeps how far each was shipped and acknowledged. Only [`tail`], [`scan`] and [`file`]
//! touch the disk; lines, records, identity and formats are pure.

mod check;
mod client;
mod file;
mod frame;
mod generic;
mod hints;
mod identity;
mod lodestar;
mod multiline;
mod record;
mod registry;
mod scan;
mod tail;
#[cfg(test)]
mod tests;
mod text;

pub use self::check::check;
pub use self::client::Client;
pub use self::registry::{FileKey, Fingerprint, LogBatch, RegistryEntry};
pub use self::tail::{Counters, run};
pub use self::text::time::Zone;
