//! Counters that only grow, until they wrap or begin anew.

/// Where the counters of old drivers and of 32-bit kernels end.
const WRAP: u64 = 1 << 32;

/// What a counter grew by. One that ran out of 32 bits goes on at nought; any other that is less than before began anew,
/// and what it counted in between is not known.
pub(super) fn growth(now: u64, before: u64) -> Option<u64> {
    match now.checked_sub(before) {
        Some(growth) => Some(growth),
        // From the last quarter to the first: no counter that began anew comes from just there to just here often.
        None if (WRAP / 4 * 3..WRAP).contains(&before) && now < WRAP / 4 => {
            Some(WRAP - before + now)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_wrap_and_begin_anew() {
        assert_eq!(growth(12, 10), Some(2));
        assert_eq!(growth(5, u64::from(u32::MAX) - 4), Some(10));
        assert_eq!(growth(5, 1_000), None, "a restarted interface");
        assert_eq!(growth(5, u64::MAX), None, "64 bits do not run out");
        assert_eq!(growth(WRAP / 2, WRAP - 1), None);
    }
}
