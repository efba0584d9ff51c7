//! Golden lines, samples and whole recorded logs of all clients, any text at all, and files that are rotated under the
//! tailer.

mod auto;
mod consensus;
mod execution;
mod field;
mod golden;
mod identity;
mod input;
mod journal;
mod lodestar;
mod lossless;
mod names;
mod packed;
mod places;
mod recorded;
mod recordings;
mod rig;
mod samples;
mod schedules;
mod tail;
mod variants;
