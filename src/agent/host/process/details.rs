//! Small files of `/proc/PID` that are read of the processes that are reported.

/// A file that may not be read (`io` is its owner's alone) costs its fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Details {
    pub(in crate::agent::host) memory: Memory,
    pub(in crate::agent::host) status: Status,
    pub(in crate::agent::host) io: Io,
    pub(in crate::agent::host) open_files: Option<u64>,
    pub(in crate::agent::host) limits: Limits,
    pub(in crate::agent::host) executable: Option<String>,
    pub(in crate::agent::host) working_directory: Option<String>,
    pub(in crate::agent::host) user: Option<String>,
}

/// In pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Memory {
    pub(super) rss_pages: Option<u64>,
    pub(super) shared_pages: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Status {
    /// Under which it acts.
    pub(in crate::agent::host) effective_uid: Option<u32>,
    pub(super) swap_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Io {
    pub(super) read_char: Option<u64>,
    pub(super) write_char: Option<u64>,
    pub(super) read_ops: Option<u64>,
    pub(super) write_ops: Option<u64>,
    pub(super) read_bytes: Option<u64>,
    pub(super) write_bytes: Option<u64>,
    pub(super) cancelled_write_bytes: Option<u64>,
}

/// Of open files; `None` for no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Limits {
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
}

/// `/proc/PID/statm`
pub(in crate::agent::host) fn parse_statm(statm: &[u8]) -> Memory {
    let text = String::from_utf8_lossy(statm);
    let mut columns = text.split_whitespace().skip(1);
    let mut next = || columns.next()?.parse().ok();
    Memory {
        rss_pages: next(),
        shared_pages: next(),
    }
}

/// `/proc/PID/status`
pub(in crate::agent::host) fn parse_status(status: &[u8]) -> Status {
    let mut parsed = Status::default();
    for (name, value) in pairs(&String::from_utf8_lossy(status)) {
        match name {
            // Real, effective, saved, of the file system.
            "Uid" => {
                let effective = value.split_whitespace().nth(1);
                parsed.effective_uid = effective.and_then(|uid| uid.parse().ok());
            }
            "VmSwap" => {
                let kib = value.trim_end_matches("kB").trim_end().parse::<u64>();
                parsed.swap_bytes = kib.ok().and_then(|kib| kib.checked_mul(1_024));
            }
            _ => {}
        }
    }
    parsed
}

/// `/proc/PID/io`
pub(in crate::agent::host) fn parse_io(io: &[u8]) -> Io {
    let mut parsed = Io::default();
    for (name, value) in pairs(&String::from_utf8_lossy(io)) {
        let field = match name {
            "rchar" => &mut parsed.read_char,
            "wchar" => &mut parsed.write_char,
            "syscr" => &mut parsed.read_ops,
            "syscw" => &mut parsed.write_ops,
            "read_bytes" => &mut parsed.read_bytes,
            "write_bytes" => &mut parsed.write_bytes,
            "cancelled_write_bytes" => &mut parsed.cancelled_write_bytes,
            _ => continue,
        };
        *field = value.parse().ok();
    }
    parsed
}

/// `/proc/PID/limits`
pub(in crate::agent::host) fn parse_limits(limits: &[u8]) -> Limits {
    let text = String::from_utf8_lossy(limits);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut columns = line.unwrap_or_default().split_whitespace();
    let mut next = || columns.next()?.parse().ok();
    Limits {
        soft: next(),
        hard: next(),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name, value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_as_the_kernel_writes_them() {
        let memory = parse_statm(b"34594 1908 541 500 0 3000 0\n");
        assert_eq!(
            (memory.rss_pages, memory.shared_pages),
            (Some(1_908), Some(541))
        );
        let status =
            parse_status(b"Name:\ta: b\nUid:\t1000\t1001\t1000\t1000\nVmSwap:\t     12 kB\n");
        assert_eq!(
            (status.effective_uid, status.swap_bytes),
            (Some(1_001), Some(12_288))
        );
        let io = parse_io(b"rchar: 6976\nwchar: 1\nsyscr: 10\nsyscw: x\nread_bytes: 4096\nwrite_bytes: 0\ncancelled_write_bytes: 7\n");
        assert_eq!(
            (io.read_char, io.read_ops, io.write_ops),
            (Some(6_976), Some(10), None)
        );
        assert_eq!(
            (io.read_bytes, io.cancelled_write_bytes),
            (Some(4_096), Some(7))
        );
        let limits = parse_limits(b"Limit  Soft Limit  Hard Limit  Units\nMax open files            20000                unlimited            files     \n");
        assert_eq!((limits.soft, limits.hard), (Some(20_000), None));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "(Uid|VmSwap|rchar|Max open files)?:?[ \\t0-9kB-]{0,40}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                parse_statm(bytes);
                parse_status(bytes);
                parse_io(bytes);
                parse_limits(bytes);
            }
        }
    }
}
