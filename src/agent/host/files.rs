//! Reads files below the host's root and says once what can't be read.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

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

    /// As [`Files::read`], for files that come and go by their nature: `buffer` is filled, nothing is said.
    pub(super) fn read_volatile(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let mut file = fs::File::open(self.full(path))?;
        io::Read::read_to_end(&mut file, buffer)?;
        Ok(())
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.full(path).exists()
    }

    /// A path of the host below its root as it is mounted here.
    pub(super) fn full(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// `proc/…` as the host's own processes see it: in a container, `self` would show the container's mounts and
    /// interfaces.
    pub(super) fn host_process(&self, file: &str) -> String {
        let process = if self.root == Path::new("/") {
            "self"
        } else {
            "1"
        };
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
