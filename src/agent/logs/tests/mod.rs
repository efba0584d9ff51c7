//! Golden lines, whole recorded logs, and files that are rotated under the tailer.

mod identity;
mod lodestar;
mod recorded;
mod rig;
mod tail;
