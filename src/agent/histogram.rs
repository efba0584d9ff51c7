//! How often something took how long, in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds; beyond the last there is one more.
pub const BOUNDS_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How many were at most so long as the bound of the same place.
    pub up_to: [u64; BOUNDS_SECONDS.len()],
    pub count: u64,
    pub sum_seconds: f64,
}

impl Histogram {
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Relaxed);
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let mut up_to = [0; BOUNDS_SECONDS.len()];
        for (bucket, at_most) in self.buckets.iter().zip(&mut up_to) {
            count += bucket.load(Relaxed);
            *at_most = count;
        }
        count += self.buckets[BOUNDS_SECONDS.len()].load(Relaxed);
        Snapshot {
            up_to,
            count,
            sum_seconds: self.sum_us.load(Relaxed) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_at_most_their_bound() {
        let histogram = Histogram::default();
        for ms in [5, 6, 30_000, 31_000] {
            histogram.add(Duration::from_millis(ms));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.up_to[..2], [1, 2]);
        assert_eq!((snapshot.up_to[11], snapshot.count), (3, 4));
        assert_eq!(snapshot.sum_seconds, 61.011);
    }
}
