//! Whole runs against a scripted node.
