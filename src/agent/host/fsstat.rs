//! `system.fsstat`: all file systems of `system.filesystem` taken together.

use super::filesystem::Usage;
use crate::event::Event;

pub(super) fn document(event: Event, usages: &[Usage]) -> Event {
    let sum = |part: fn(&Usage) -> u64| usages.iter().map(part).fold(0, u64::saturating_add);
    let used = |usage: &Usage| usage.total.saturating_sub(usage.free);
    event
        .with("system.fsstat.count", usages.len())
        .with("system.fsstat.total_files", sum(|usage| usage.files))
        .with("system.fsstat.total_size.total", sum(|usage| usage.total))
        .with("system.fsstat.total_size.free", sum(|usage| usage.free))
        .with("system.fsstat.total_size.used", sum(used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    #[test]
    fn sums_do_not_run_over() {
        let usage = |total, free| Usage {
            total,
            free,
            available: free,
            files: 7,
            free_files: 0,
        };
        let document = document(blank(), &[usage(10, 4), usage(u64::MAX, 1), usage(1, 9)]).document;
        let get = |field: &str| document.get_u64(&format!("system.fsstat.{field}"));
        assert_eq!(get("count"), Some(3));
        assert_eq!(get("total_files"), Some(21));
        assert_eq!(get("total_size.total"), Some(u64::MAX));
        assert_eq!(get("total_size.free"), Some(14));
        assert_eq!(get("total_size.used"), Some(u64::MAX));
    }
}
