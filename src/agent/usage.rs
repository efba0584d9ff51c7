//! What the agent takes of its host: time, memory, and the room its data directory has left.

use std::fs;
use std::path::Path;

/// Clock ticks of /proc/self/stat, the same on every architecture Rust runs Linux on.
const TICKS_PER_SECOND: f64 = 100.0;

/// `None` where the system does not say.
#[derive(Debug, Default)]
pub struct Usage {
    /// User and system time of this process.
    pub cpu_seconds: Option<f64>,
    pub rss_bytes: Option<u64>,
    pub disk: Option<Disk>,
}

/// The file system of the data directory, which must not run full.
#[derive(Debug)]
pub struct Disk {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Usage {
    pub fn read(data_dir: &Path) -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(&stat),
            rss_bytes: rss_bytes(&status),
            disk: Disk::of(data_dir),
        }
    }
}

impl Disk {
    fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(Self {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything, spaces and parentheses included.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "42 (eth) (mon) S 1 42 42 0 -1 4194304 900 0 0 0 150 25 0 0 20 0 5 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
        assert_eq!(
            rss_bytes("VmSize:\t  9 kB\nVmRSS:\t    1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(rss_bytes("VmRSS: lots"), None);
    }
}
