//! Golden lines, samples and whole recorded logs of all clients, any text at all, and files that are rotated under the
//! tailer.

mod auto;
mod consensus;
mod execution;
mod golden;
mod identity;
mod lodestar;
mod lossless;
mod recorded;
mod recordings;
mod rig;
mod samples;
mod tail;
