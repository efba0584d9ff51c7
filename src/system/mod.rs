//! Calls of the C library that no dependency wraps: the one place with unsafe code. Few, short, and each says why it is sound.

#![allow(unsafe_code)]

pub mod clock;
pub mod memory;
