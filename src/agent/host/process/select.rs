//! Which processes are reported.

/// What a process is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Candidate {
    /// Since the sample before; `None` of a process that was not there then.
    pub(in crate::agent::host) spent_ticks: Option<u64>,
    pub(in crate::agent::host) rss_pages: u64,
    /// Asked for by name, or an Ethereum client.
    pub(in crate::agent::host) is_wanted: bool,
}

/// The places of those wanted, of the `by_cpu` that worked most, and of the `by_memory` largest; ascending. Nobody is
/// among the first by having done nothing.
pub(in crate::agent::host) fn select(
    candidates: &[Candidate],
    by_cpu: usize,
    by_memory: usize,
) -> Vec<usize> {
    let mut selected: Vec<usize> = (0..candidates.len())
        .filter(|at| candidates[*at].is_wanted)
        .collect();
    let spent = |candidate: &Candidate| candidate.spent_ticks.unwrap_or_default();
    selected.extend(top(candidates, by_cpu, spent));
    selected.extend(top(candidates, by_memory, |candidate| candidate.rss_pages));
    selected.sort_unstable();
    selected.dedup();
    selected
}

/// The first among equals is the older process, as they are listed.
fn top(candidates: &[Candidate], n: usize, by: impl Fn(&Candidate) -> u64) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..candidates.len())
        .filter(|at| by(&candidates[*at]) > 0)
        .collect();
    ranked.sort_by_key(|at| std::cmp::Reverse(by(&candidates[*at])));
    ranked.truncate(n);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(spent_ticks: Option<u64>, rss_pages: u64, is_wanted: bool) -> Candidate {
        Candidate {
            spent_ticks,
            rss_pages,
            is_wanted,
        }
    }

    #[test]
    fn most_work_most_memory_and_those_wanted_once_each() {
        let candidates = [
            candidate(Some(0), 500, false),
            candidate(Some(9), 10, false),
            candidate(Some(7), 20, false),
            candidate(None, 400, false),
            candidate(Some(0), 0, true),
            candidate(Some(9), 600, false),
        ];
        assert_eq!(select(&candidates, 2, 2), [0, 1, 4, 5]);
        assert_eq!(
            select(&candidates, 9, 0),
            [1, 2, 4, 5],
            "idle ones are none of the first"
        );
        assert_eq!(select(&candidates, 0, 0), [4]);
    }

    proptest! {
        #[test]
        fn bounded_and_sorted(
            candidates in prop::collection::vec((prop::option::of(0..4_u64), 0..4_u64), 0..30),
            by_cpu in 0..6_usize,
            by_memory in 0..6_usize,
        ) {
            let candidates: Vec<_> = candidates.into_iter().map(|(cpu, rss)| candidate(cpu, rss, false)).collect();
            let selected = select(&candidates, by_cpu, by_memory);
            prop_assert!(selected.len() <= by_cpu + by_memory);
            prop_assert!(selected.is_sorted_by(|a, b| a < b));
        }
    }
}
