//! Frames made by hand through the whole analyzer; real tools and tshark are in tests/integration.

mod flows;
mod frames;
