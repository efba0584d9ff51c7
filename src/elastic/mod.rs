//! Elasticsearch as the rest of the program sees it: bulk bodies out, one verdict per item in; searches; compare-and-set.
//!
//! The `elasticsearch` crate gives one transport per host; failover, time-outs, compression and verdicts are here.

mod access;
mod answer;
mod authority;
mod bulk;
mod client;
mod connection;
mod document;
mod error;
mod gzip;
mod hosts;
mod lookup;
mod search;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod version;

pub use self::authority::shown_certificates;
pub use self::bulk::{BadItem, BulkBody, Limits};
pub use self::client::{Client, Reply};
pub use self::document::{CasOutcome, Versioned};
pub use self::error::SendError;
pub use self::gzip::gzip;
pub use self::lookup::BackingIndex;
pub use self::verdict::{BulkAnswer, Verdict, parse as parse_bulk_answer};
pub use self::version::Version;
