//! `[node]`: the identity on every document.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// `ethereum.node.name`; the host's name where it is empty.
    pub name: String,
    /// `labels.*` on every document.
    pub labels: BTreeMap<String, String>,
}
