//! What the kernel knows of its own clock: the words of whatever program steers it (chrony, ntpd, systemd-timesyncd).

/// As `adjtimex` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelClock {
    /// A program steers the clock and has done so lately: the kernel forgets after some hours, or in 16 s of error.
    pub is_synchronized: bool,
    /// What the kernel still has to add to the clock.
    pub remaining_ns: i64,
    /// The bound of the error, which grows by 500 ppm between updates.
    pub max_error_us: i64,
}

/// Asks the kernel, which needs no privilege. `None` where it is not known how, or where a sandbox forbids it.
pub fn read() -> Option<KernelClock> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a structure of integers alone, for each of which zero is a value. Its `modes` of 0 changes nothing.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a structure of the type that the call declares, and used during the call only.
        let state = unsafe { libc::adjtimex(&mut timex) };
        (state >= 0).then(|| of(&timex, state))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(target_os = "linux")]
#[allow(clippy::useless_conversion)] // these integers differ in width by architecture
fn of(timex: &libc::timex, state: i32) -> KernelClock {
    let has = |flag: i32| timex.status & flag != 0;
    let unit_ns = if has(libc::STA_NANO) { 1 } else { 1_000 };
    KernelClock {
        is_synchronized: state != libc::TIME_ERROR && !has(libc::STA_UNSYNC),
        remaining_ns: i64::from(timex.offset).saturating_mul(unit_ns),
        max_error_us: i64::from(timex.maxerror),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_of_either_unit_and_an_error_is_no_synchrony() {
        // SAFETY: as above.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        timex.offset = -1_500;
        timex.maxerror = 20_000;
        let clock = of(&timex, libc::TIME_OK);
        let expected = KernelClock {
            is_synchronized: true,
            remaining_ns: -1_500_000,
            max_error_us: 20_000,
        };
        assert_eq!(clock, expected);
        timex.status = libc::STA_NANO;
        assert_eq!(of(&timex, libc::TIME_OK).remaining_ns, -1_500);
        assert!(!of(&timex, libc::TIME_ERROR).is_synchronized);
        timex.status |= libc::STA_UNSYNC;
        assert!(!of(&timex, libc::TIME_OK).is_synchronized);
    }

    /// A container may forbid the question; whoever answers it tells what the kernel's own list of bounds allows.
    #[test]
    fn this_kernel_is_understood() {
        if let Some(clock) = read() {
            assert!((0..=16_000_000).contains(&clock.max_error_us), "{clock:?}");
            let half_a_second_ns = 500_000_000;
            assert!(clock.remaining_ns.abs() <= half_a_second_ns, "{clock:?}");
        }
    }
}
