//! Which servers we talk to. Pure.

use serde_json::Value;

/// The oldest version the queries and mappings are tried with, as (major, minor).
const OLDEST: (u64, u64) = (8, 19);
/// The newest major version they are tried with.
const NEWEST: u64 = 9;

/// Asks the node that answers, on every distribution; `GET /` is not everywhere. Needs the cluster privilege `monitor`.
pub(super) const VERSIONS: &str = "_nodes/_local/http?filter_path=nodes.*.version";

/// What a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    Supported(String),
    /// Nobody knows yet whether this works.
    Newer(String),
    TooOld(String),
}

impl Version {
    /// Of the oldest node in the answer to `_nodes/…/http`. `None`: it names no version.
    pub fn of(nodes: &Value) -> Option<Self> {
        let nodes = nodes.get("nodes")?.as_object()?;
        let versions = nodes.values().filter_map(|node| node["version"].as_str());
        let (numbers, version) = versions
            .filter_map(|version| Some((numbers(version)?, version)))
            .min()?;
        let version = version.to_owned();
        Some(match numbers {
            old if old < OLDEST => Self::TooOld(version),
            (major, _) if major > NEWEST => Self::Newer(version),
            _ => Self::Supported(version),
        })
    }

    /// What is asked for, in words.
    pub fn wanted() -> String {
        let (major, minor) = OLDEST;
        format!("{major}.{minor} or newer, or {NEWEST}.x")
    }
}

fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_compare_by_number_and_the_oldest_node_counts() {
        let version = |of: &[&str]| {
            let nodes: serde_json::Map<_, _> = of
                .iter()
                .enumerate()
                .map(|(at, version)| (at.to_string(), json!({"version": version})))
                .collect();
            Version::of(&json!({"nodes": nodes}))
        };
        for good in ["8.19.0", "8.20.1", "9.0.0", "9.3.2-SNAPSHOT"] {
            assert_eq!(version(&[good]), Some(Version::Supported(good.into())));
        }
        for old in ["7.17.29", "8.9.0", "8.18.4"] {
            assert_eq!(version(&["9.3.2", old]), Some(Version::TooOld(old.into())));
        }
        assert_eq!(version(&["10.0.0"]), Some(Version::Newer("10.0.0".into())));
        assert_eq!(version(&["x"]), None);
        assert_eq!(version(&[]), None);
        assert_eq!(Version::of(&json!({})), None);
    }
}
