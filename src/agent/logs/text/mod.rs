//! What the formats of all clients have in common: pure helpers from text to values.

pub(super) mod ansi;
pub(super) mod colon;
pub(super) mod duration;
pub(super) mod hash;
pub(super) mod json;
pub(super) mod level;
pub(super) mod number;
pub(super) mod pairs;
pub(super) mod time;
