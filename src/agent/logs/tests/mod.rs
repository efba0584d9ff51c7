//! Golden lines, whole recorded logs, and files that are rotated under the tailer.

mod identity;
mod input;
mod journal;
mod lodestar;
mod names;
mod packed;
mod places;
mod recorded;
mod rig;
mod schedules;
mod tail;
