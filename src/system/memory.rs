//! Gives memory back to the system that only the start, or a rush, needed.
//!
//! The allocator keeps what was freed, and of the program's own code all that ever ran stays mapped, the start's
//! included. Both count as the agent's memory, though nobody needs them any more.

use std::ops::Range;

/// A period that took more of a core than this was busy.
const QUIET_CPU: f64 = 0.02;

/// When to give back: once in the first quiet period after each busy one. Pure.
#[derive(Debug)]
pub struct Spare {
    is_due: bool,
}

impl Default for Spare {
    fn default() -> Self {
        Self { is_due: true }
    }
}

impl Spare {
    /// Whether to give back now. `cpu`: what the last period took of a core, 0 to 1 and beyond; unknown in the first one.
    pub fn is_due_after(&mut self, cpu: Option<f64>) -> bool {
        match cpu {
            Some(cpu) if cpu <= QUIET_CPU => std::mem::take(&mut self.is_due),
            Some(_) => {
                self.is_due = true;
                false
            }
            None => false,
        }
    }
}

/// Gives back what is free, and lets go of the code of the program and of its libraries; what runs is read again, from the
/// page cache mostly. Does nothing where it is not known how.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: takes no pointer and may be called by any thread at any time.
        unsafe { libc::malloc_trim(0) };
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        for pages in code_in(&maps) {
            let start = std::ptr::without_provenance_mut(pages.start);
            // SAFETY: a private mapping of a file that nobody can write to, and of which no page was written to before, since
            // `code_in` returns no other. So its pages are the file's own, and are the same when they are read again.
            // Advice that is not taken changes nothing.
            unsafe { libc::madvise(start, pages.len(), libc::MADV_DONTNEED) };
        }
    }
}

/// Out of `/proc/PID/smaps`: where the code of files is mapped, private and unwritable, and the constants right before it.
/// Constants behind the code were written to when the file was loaded; what was written to is no page of the file any more.
fn code_in(maps: &str) -> Vec<Range<usize>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in maps.lines() {
        if let Some(mapping) = Mapping::parse(line) {
            mappings.push(mapping);
        } else if let (Some(pages), Some(mapping)) =
            (line.strip_prefix("Anonymous:"), mappings.last_mut())
        {
            mapping.is_untouched = pages.trim() == "0 kB";
        }
    }
    let code = mappings.iter().filter(|mapping| mapping.is("r-xp"));
    let with_constants = code.flat_map(|code| {
        let constants = mappings.iter().find(|mapping| {
            mapping.is("r--p")
                && mapping.inode == code.inode
                && mapping.range.end == code.range.start
        });
        [Some(code), constants]
    });
    let ranges = with_constants.flatten();
    ranges.map(|mapping| mapping.range.clone()).collect()
}

/// A mapping of `/proc/PID/smaps`.
struct Mapping<'a> {
    range: Range<usize>,
    access: &'a str,
    /// 0: of no file.
    inode: &'a str,
    /// No page of it was written to.
    is_untouched: bool,
}

impl<'a> Mapping<'a> {
    /// Its first line.
    fn parse(line: &'a str) -> Option<Self> {
        let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        Some(Self {
            range: number(start)?..number(end)?,
            access: words.next()?,
            inode: words.nth(2)?,
            is_untouched: false,
        })
    }

    fn is(&self, access: &str) -> bool {
        self.access == access && self.inode != "0" && self.is_untouched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_after_each_busy_time() {
        let mut spare = Spare::default();
        let periods = [
            (None, false),
            (Some(0.5), false),
            (Some(0.01), true),
            (Some(0.01), false),
            (Some(0.3), false),
            (Some(0.0), true),
            (Some(0.0), false),
        ];
        for (number, (cpu, expected)) in periods.into_iter().enumerate() {
            assert_eq!(spare.is_due_after(cpu), expected, "{number}");
        }
    }

    #[test]
    fn only_what_no_one_wrote_to_is_let_go() {
        let mappings = [
            ("1000-2000 r--p 00000000 fe:00 7   /usr/bin/ethmon", 0),
            (
                "2000-3000 r-xp 00001000 fe:00 7   /usr/bin/ethmon (deleted)",
                0,
            ),
            ("3000-4000 r--p 00002000 fe:00 7   /usr/bin/ethmon", 0),
            ("4000-5000 rw-p 00003000 fe:00 7   /usr/bin/ethmon", 0),
            ("5000-6000 r--p 00000000 fe:00 8   /usr/lib/libc.so.6", 4),
            ("6000-7000 r-xp 00000000 fe:00 8   /usr/lib/libc.so.6", 0),
            ("7000-8000 r-xp 00000000 00:00 0   [vdso]", 0),
            ("8000-9000 rwxp 00000000 fe:00 7   /usr/bin/ethmon", 0),
            ("9000-a000 r-xp 00000000 fe:00 9   /usr/lib/patched.so", 8),
        ];
        let maps: String = mappings
            .iter()
            .map(|(head, own)| {
                format!("{head}\nSize: 4 kB\nAnonymous:     {own} kB\nVmFlags: rd\n")
            })
            .collect();
        let expected = [0x2000..0x3000, 0x1000..0x2000, 0x6000..0x7000];
        assert_eq!(code_in(&maps), expected);
        assert!(code_in("2000-3000 r-xp 00001000 fe:00 7 /usr/bin/ethmon\n").is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_own_code_is_found() {
        let here = the_own_code_is_found as fn() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(code_in(&maps).iter().any(|range| range.contains(&here)));
    }

    #[test]
    fn life_goes_on_without_it() {
        let before: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        give_back();
        let after: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        assert_eq!(before, after);
    }
}
