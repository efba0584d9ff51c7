//! Gives memory back to the system that only the start, or a rush, needed. The one place with unsafe code: two calls of
//! the C library.
//!
//! The allocator keeps what was freed, and of the program's own code all that ever ran stays mapped, the start's
//! included. Both count as the agent's memory, though nobody needs them any more.

#![allow(unsafe_code)]

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

/// Gives back what is free, and lets go of the program's code; what runs is read again, from the page cache mostly.
/// Does nothing where it is not known how.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: takes no pointer and may be called by any thread at any time.
        unsafe { libc::malloc_trim(0) };
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        for pages in program_around(&maps, give_back as fn() as usize) {
            let start = std::ptr::without_provenance_mut(pages.start);
            // SAFETY: a private mapping of a file that nobody can write to or could, since `program_around` returns no other.
            // So its pages are the file's own, and are the same when they are read again. Advice that is not taken changes
            // nothing.
            unsafe { libc::madvise(start, pages.len(), libc::MADV_DONTNEED) };
        }
    }
}

/// Out of `/proc/PID/maps`: where the code of a file is mapped around one address, private and unwritable, and the
/// constants right before it. Constants behind the code were written to when the program was loaded.
fn program_around(maps: &str, address: usize) -> Vec<Range<usize>> {
    let mappings: Vec<Mapping> = maps.lines().filter_map(Mapping::parse).collect();
    let is_it = |mapping: &&Mapping| mapping.is("r-xp") && mapping.range.contains(&address);
    let Some(code) = mappings.iter().find(is_it) else {
        return Vec::new();
    };
    let is_beside = |mapping: &&Mapping| {
        mapping.is("r--p") && mapping.inode == code.inode && mapping.range.end == code.range.start
    };
    let constants = mappings.iter().find(is_beside);
    let both = [Some(code), constants].into_iter().flatten();
    both.map(|mapping| mapping.range.clone()).collect()
}

/// A line of `/proc/PID/maps`.
struct Mapping<'a> {
    range: Range<usize>,
    access: &'a str,
    /// 0: of no file.
    inode: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        Some(Self {
            range: number(start)?..number(end)?,
            access: words.next()?,
            inode: words.nth(2)?,
        })
    }

    fn is(&self, access: &str) -> bool {
        self.access == access && self.inode != "0"
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
        let maps = "\
            1000-2000 r--p 00000000 fe:00 7   /usr/bin/ethmon\n\
            2000-3000 r-xp 00001000 fe:00 7   /usr/bin/ethmon (deleted)\n\
            3000-4000 r--p 00002000 fe:00 7   /usr/bin/ethmon\n\
            4000-5000 rw-p 00003000 fe:00 7   /usr/bin/ethmon\n\
            odd\n\
            6000-7000 r--p 00000000 fe:00 8   /usr/lib/libc.so.6\n\
            7000-8000 r-xp 00000000 00:00 0   [vdso]\n\
            8000-9000 rwxp 00000000 fe:00 7   /usr/bin/ethmon\n\
            9000-a000 r-xp 00000000 fe:00 7   /usr/bin/ethmon\n";
        let code_and_constants = [0x2000..0x3000, 0x1000..0x2000];
        assert_eq!(program_around(maps, 0x2abc), code_and_constants);
        let elsewhere = program_around(maps, 0x9abc);
        assert!(matches!(&elsewhere[..], [code] if *code == (0x9000..0xa000)));
        for elsewhere in [0x1fff, 0x3000, 0x4100, 0x7100, 0x8100, 0xa000] {
            assert!(program_around(maps, elsewhere).is_empty(), "{elsewhere:x}");
        }
    }

    #[test]
    fn life_goes_on_without_it() {
        let before: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        give_back();
        let after: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        assert_eq!(before, after);
    }
}
