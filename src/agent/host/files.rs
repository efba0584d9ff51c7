//! Reads files below the host's root and says once what can't be read.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

/// Tables of the kernel have short lines.
const MAX_LINE_BYTES: u64 = 4_096;

/// A command line may be megabytes long.
const MAX_FILE_BYTES: u64 = 128 * 1_024;

pub(super) struct Files {
    root: PathBuf,
    missing: HashSet<String>,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            missing: HashSet::new(),
        }
    }

    /// The text of a file; `None`, and one warning until it is back, where it can't be read.
    pub(super) fn read(&mut self, path: &str) -> Option<String> {
        let bytes = self.noticing(path, fs::read)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What lies in a folder, unsorted.
    pub(super) fn names(&mut self, path: &str) -> Option<Vec<String>> {
        let entries = self.noticing(path, fs::read_dir)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Some(names.collect())
    }

    /// As [`Files::read`], for files that come and go by their nature: `buffer` is filled, nothing is said. Whoever writes
    /// the file does not decide how much is read.
    pub(super) fn read_volatile(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let file = fs::File::open(self.full(path))?;
        file.take(MAX_FILE_BYTES).read_to_end(buffer)?;
        Ok(())
    }

    /// As [`Files::read_volatile`], where a missing file is as good as an empty one.
    pub(super) fn volatile<'a>(&self, path: &str, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if self.read_volatile(path, buffer).is_err() {
            buffer.clear();
        }
        buffer
    }

    /// Goes through a file that may be long, with a bounded part of it in memory.
    pub(super) fn each_line(&self, path: &str, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        let file = fs::File::open(self.full(path))?;
        let mut file = io::BufReader::with_capacity(32 * 1024, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            if file
                .by_ref()
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(());
            }
            visit(&line);
        }
    }

    /// The names in a folder that comes and goes.
    pub(super) fn volatile_names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.full(path)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    }

    /// Where a link points to, as the host's processes see it.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.full(path)).ok()?;
        target.into_os_string().into_string().ok()
    }

    /// How many files a process has open: kernels since 6.2 say so without a list, and to everybody.
    pub(super) fn open_files(&self, pid: u64) -> Option<u64> {
        let path = self.full(&format!("proc/{pid}/fd"));
        match fs::metadata(&path).ok()?.len() {
            0 => Some(fs::read_dir(&path).ok()?.count() as u64),
            open => Some(open),
        }
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.full(path).exists()
    }

    /// A path of the host below its root as it is mounted here.
    pub(super) fn full(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Where the second version's control groups lie; `None` on a host that has only the first.
    pub(super) fn cgroup_tree(&self) -> Option<&'static str> {
        // Beside the first version's, the second's has a folder of its own.
        let places = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
        let is_tree = |place: &&str| self.exists(&format!("{place}/cgroup.controllers"));
        places.into_iter().find(is_tree)
    }

    /// Whether the host is seen from within, not from a container.
    pub(super) fn is_own(&self) -> bool {
        self.root == Path::new("/")
    }

    /// `proc/…` as the host's own processes see it: in a container, `self` would show the container's mounts and
    /// interfaces.
    pub(super) fn host_process(&self, file: &str) -> String {
        let process = if self.is_own() { "self" } else { "1" };
        format!("proc/{process}/{file}")
    }

    fn noticing<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(PathBuf) -> io::Result<T>,
    ) -> Option<T> {
        match read(self.full(path)) {
            Ok(value) => {
                if self.missing.remove(path) {
                    info!(path, "host file is readable again");
                }
                Some(value)
            }
            Err(error) => {
                if self.missing.insert(path.to_owned()) {
                    warn!(path, %error, "cannot read host file, its fields are left out");
                }
                None
            }
        }
    }
}
