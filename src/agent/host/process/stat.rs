//! `/proc/PID/stat`: the one file that is read of every process.

/// Times in clock ticks, memory in the units of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Stat {
    /// The command's name as the kernel keeps it: the first 15 bytes.
    pub(in crate::agent::host) name: String,
    pub(in crate::agent::host) state: u8,
    pub(in crate::agent::host) parent: u64,
    pub(in crate::agent::host) group: u64,
    pub(in crate::agent::host) user_ticks: u64,
    pub(in crate::agent::host) system_ticks: u64,
    pub(in crate::agent::host) threads: u64,
    /// After boot. Together with the number it tells one process from the next of that number.
    pub(in crate::agent::host) started_ticks: u64,
    pub(in crate::agent::host) size_bytes: u64,
    pub(in crate::agent::host) rss_pages: u64,
    is_kernel_thread: bool,
}

/// `PF_KTHREAD` of `include/linux/sched.h`
const KERNEL_THREAD: u64 = 0x0020_0000;

impl Stat {
    /// `None` of a line that was cut.
    pub(in crate::agent::host) fn parse(stat: &[u8]) -> Option<Self> {
        // The name may itself hold blanks and parentheses.
        let open = memchr::memchr(b'(', stat)?;
        let close = memchr::memrchr(b')', stat)?;
        let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
        let columns = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        let mut columns = columns.split_ascii_whitespace();
        let state = *columns.next()?.as_bytes().first()?;
        let mut next = |skipped: usize| columns.nth(skipped)?.parse::<i64>().ok();
        Some(Self {
            name,
            state,
            parent: unsigned(next(0)?),
            group: unsigned(next(0)?),
            is_kernel_thread: unsigned(next(3)?) & KERNEL_THREAD != 0,
            user_ticks: unsigned(next(4)?),
            system_ticks: unsigned(next(0)?),
            threads: unsigned(next(4)?),
            started_ticks: unsigned(next(1)?),
            size_bytes: unsigned(next(0)?),
            rss_pages: unsigned(next(0)?),
        })
    }

    /// User and system time.
    pub(in crate::agent::host) fn ticks(&self) -> u64 {
        self.user_ticks.saturating_add(self.system_ticks)
    }

    /// Threads of the kernel have no command line, no memory and no files.
    pub(in crate::agent::host) fn is_kernel_thread(&self) -> bool {
        self.is_kernel_thread
    }

    /// As Metricbeat names it.
    pub(in crate::agent::host) fn state_name(&self) -> &'static str {
        match self.state {
            b'R' => "running",
            b'S' => "sleeping",
            b'D' => "disk_sleep",
            b'I' => "idle",
            b'T' | b't' => "stopped",
            b'Z' => "zombie",
            b'X' | b'x' => "dead",
            b'P' => "parked",
            _ => "unknown",
        }
    }
}

/// Nothing here is negative but the process group of some kernel threads, -1 for none.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "4242 (odd ) R (name) S 1 4240 4240 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 12 0 9000 141697024 1908 18446744073709551615 1 1 0 0\n";

    #[test]
    fn columns_after_whatever_name() {
        let stat = Stat::parse(LINE.as_bytes()).unwrap();
        assert_eq!(stat.name, "odd ) R (name");
        assert_eq!(stat.state_name(), "sleeping");
        assert_eq!((stat.parent, stat.group), (1, 4_240));
        assert_eq!((stat.user_ticks, stat.system_ticks), (250, 50));
        assert_eq!((stat.threads, stat.started_ticks), (12, 9_000));
        assert_eq!((stat.size_bytes, stat.rss_pages), (141_697_024, 1_908));
        assert!(!stat.is_kernel_thread());
        let kernel = LINE.replace("4194560", "2129984").replace("4240", "-1");
        let kernel = Stat::parse(kernel.as_bytes()).unwrap();
        assert!(kernel.is_kernel_thread());
        assert_eq!(kernel.group, 0);
    }

    #[test]
    fn a_cut_line_is_none() {
        for end in 0..LINE.find(" 1908").unwrap() {
            assert_eq!(Stat::parse(&LINE.as_bytes()[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..100_usize, by in any::<u8>()) {
            Stat::parse(&bytes);
            let mut line = LINE.as_bytes().to_vec();
            line[at] = by;
            Stat::parse(&line);
        }
    }
}
