//! Signed arrival times in a fixed number of counters, however many come. Pure.

/// Percentiles are told to so much.
const BIN_MS: i64 = 10;
/// Where the first counter begins: an arrival before it is a clock that is wrong, and counts there.
const FROM_MS: i64 = -4_000;
/// Up to 36.96 s into the slot, which is three slots of mainnet; later ones count in the last.
const BINS: usize = 4_096;

/// Counts arrivals. Least and last are exact.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    bins: Vec<u32>,
    count: u64,
    least_ms: i64,
    last_ms: i64,
}

impl Arrivals {
    pub(super) fn add(&mut self, arrival_ms: i64) {
        if self.count == 0 {
            self.bins = vec![0; BINS];
            (self.least_ms, self.last_ms) = (arrival_ms, arrival_ms);
        }
        self.count += 1;
        self.least_ms = self.least_ms.min(arrival_ms);
        self.last_ms = self.last_ms.max(arrival_ms);
        let bin = arrival_ms.saturating_sub(FROM_MS).div_euclid(BIN_MS);
        let bin = usize::try_from(bin).unwrap_or(0).min(BINS - 1);
        self.bins[bin] = self.bins[bin].saturating_add(1);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn least_ms(&self) -> Option<i64> {
        (self.count > 0).then_some(self.least_ms)
    }

    pub(super) fn last_ms(&self) -> Option<i64> {
        (self.count > 0).then_some(self.last_ms)
    }

    /// The arrival that this share of all is not after (nearest rank), to 10 ms; never beyond least and last.
    pub(super) fn percentile_ms(&self, share: f64) -> Option<i64> {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let bin = self.bins.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        let middle_ms = FROM_MS + bin as i64 * BIN_MS + BIN_MS / 2;
        Some(middle_ms.clamp(self.least_ms, self.last_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Arrivals::default().percentile_ms(0.5), None);
        assert_eq!(Arrivals::default().least_ms(), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_as_if_all_were_kept(mut all in prop::collection::vec(-3_000_i64..30_000, 1..300), share in 0.01_f64..1.0) {
            let mut arrivals = Arrivals::default();
            for ms in &all {
                arrivals.add(*ms);
            }
            all.sort_unstable();
            let rank = ((share * all.len() as f64).ceil() as usize).max(1);
            let told = arrivals.percentile_ms(share).unwrap();
            prop_assert!((told - all[rank - 1]).abs() < BIN_MS, "{told} for {}", all[rank - 1]);
            prop_assert_eq!((arrivals.least_ms(), arrivals.last_ms()), (all.first().copied(), all.last().copied()));
        }

        #[test]
        fn any_number_fits(ms in any::<i64>()) {
            let mut arrivals = Arrivals::default();
            arrivals.add(ms);
            prop_assert_eq!(arrivals.percentile_ms(0.5), Some(ms));
        }
    }
}
