//! Whether the branches of a fork part by client: the mark of a bug, where chance can't explain it.

use std::collections::{BTreeMap, BTreeSet};

/// How the nodes' clients lie on two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separation {
    /// By name and version; else by name alone.
    pub by_version: bool,
    /// Nodes whose client is known.
    pub nodes: usize,
    /// Nodes that stand on another side than most of their client.
    pub strays: usize,
    /// How often nodes that part regardless of their client would lie like this or clearer, in parts per million.
    pub chance_ppm: u64,
}

/// Chances up to this are none: three nodes against three of two clients reach it, two against two do not.
const CHANCE_LIMIT_PPM: u64 = 100_000;

impl Separation {
    pub fn is_clear(&self) -> bool {
        self.chance_ppm <= CHANCE_LIMIT_PPM
    }
}

/// Of two sides with the clients of their nodes, `Prysm/v6.1.4`. `None` where they don't part by client, or where a
/// side has no node whose client is known.
pub(super) fn separation(one: &[&str], other: &[&str]) -> Option<Separation> {
    let by_version = part(one, other, |client| client);
    let by_name = part(one, other, |client| {
        client.split('/').next().unwrap_or(client)
    });
    let [by_version, by_name] =
        [(true, by_version), (false, by_name)].map(|(by_version, parted)| {
            let (strays, chance_ppm) = parted?;
            Some(Separation {
                by_version,
                nodes: one.len() + other.len(),
                strays,
                chance_ppm,
            })
        });
    // Where the names explain it the versions add nothing.
    [by_name, by_version]
        .into_iter()
        .flatten()
        .min_by_key(|separation| separation.chance_ppm)
}

/// Strays and chance, where all but a few nodes of each client stand together.
fn part(one: &[&str], other: &[&str], label: fn(&str) -> &str) -> Option<(usize, u64)> {
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (side, clients) in [one, other].into_iter().enumerate() {
        for client in clients {
            counts.entry(label(client)).or_default()[side] += 1;
        }
    }
    let nodes = one.len() + other.len();
    let strays: usize = counts.values().map(|[one, other]| one.min(other)).sum();
    if strays * 20 > nodes {
        return None;
    }
    // Without the strays each client has a side of its own.
    let groups: Vec<(usize, bool)> = counts
        .values()
        .map(|[one, other]| (*one.max(other), one > other))
        .collect();
    let sides: BTreeSet<bool> = groups.iter().map(|(_, first)| *first).collect();
    if sides.len() < 2 {
        return None;
    }
    let total: usize = groups.iter().map(|(size, _)| size).sum();
    let first: usize = groups
        .iter()
        .filter_map(|(size, first)| first.then_some(size))
        .sum();
    // Of all ways to choose the nodes of one side: those that cut through no client, times the choices of strays.
    let ln_chance =
        ln_whole_groups(&groups, first) + ln_choose(nodes, strays) - ln_choose(total, first);
    let chance = ln_chance.exp().min(1.0);
    Some((strays, (chance * 1e6).round() as u64))
}

/// Logarithm of the number of ways to fill a side of `size` nodes with whole groups.
fn ln_whole_groups(groups: &[(usize, bool)], size: usize) -> f64 {
    let mut ways = vec![0.0_f64; size + 1];
    ways[0] = 1.0;
    for (group, _) in groups {
        for filled in (*group..=size).rev() {
            ways[filled] += ways[filled - group];
        }
    }
    // More ways than numbers reach are no evidence anyway.
    ways[size].min(f64::MAX).ln()
}

fn ln_choose(of: usize, take: usize) -> f64 {
    (0..take.min(of - take))
        .map(|index| ((of - index) as f64 / (index + 1) as f64).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &[&str], other: &[&str], chance_ppm: Option<u64>) {
        let found = separation(one, other).map(|separation| separation.chance_ppm);
        assert_eq!(found, chance_ppm);
        assert_eq!(
            separation(other, one).map(|separation| separation.chance_ppm),
            chance_ppm
        );
    }

    #[test]
    fn chances_are_those_of_the_urn() {
        check(&["A/1"], &["B/1"], Some(1_000_000));
        check(&["A/1"; 2], &["B/1"; 2], Some(333_333));
        check(&["A/1"; 3], &["B/1"; 3], Some(100_000));
        check(&["A/1"; 2], &["B/1"; 3], Some(100_000));
        check(&["A/1"; 3], &["A/2"; 3], Some(100_000));
        check(
            &["A/1", "A/1", "B/1", "B/1"],
            &["C/1", "C/1", "D/1", "D/1"],
            Some(85_714),
        );
    }

    #[test]
    fn versions_that_all_differ_prove_nothing() {
        check(
            &["A/1", "A/2", "A/3"],
            &["A/4", "A/5", "A/6"],
            Some(1_000_000),
        );
        check(
            &["A/1", "A/2", "A/3"],
            &["B/4", "B/5", "B/6"],
            Some(100_000),
        );
    }

    #[test]
    fn a_client_on_both_sides_is_no_separation_but_a_stray_among_many_is() {
        check(&["A/1", "B/1"], &["A/1", "B/1"], None);
        check(&["A/1"; 3], &["A/1"; 3], None);
        let one = ["A/1"; 12];
        let mut other = vec!["B/1"; 12];
        other.push("A/1");
        let found = separation(&one, &other).unwrap();
        assert!(found.is_clear() && found.strays == 1, "{found:?}");
    }

    #[test]
    fn a_thousand_nodes_are_no_trouble() {
        let found = separation(&["A/1"; 2_000], &["B/1"; 2_000]).unwrap();
        assert_eq!(found.chance_ppm, 0);
    }
}
