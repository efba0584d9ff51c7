//! The central process: reads what all agents shipped, judges, writes findings and alerts.

mod cursor;
mod reader;
