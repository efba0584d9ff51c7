//! `system.process`: the processes that take most of the machine, the Ethereum clients, and those asked for by name.
//!
//! Every process costs one small file a sample; the many others are read only of those that are reported.

mod cgroup;
mod command;
mod details;
mod document;
mod ethereum;
mod select;
mod stat;

pub(super) use self::cgroup::{Cgroup, CpuTime, Membership};
pub(super) use self::command::Command;
pub(super) use self::details::{Details, parse_io, parse_limits, parse_statm, parse_status};
pub(super) use self::document::{Machine, Process, document};
pub(super) use self::select::{Candidate, select};
pub(super) use self::stat::Stat;
