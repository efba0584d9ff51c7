//! Finds the files that the configuration names, and how they begin.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use glob::{MatchOptions, Pattern};
use tracing::warn;

use super::identity::Seen;
use super::registry::{Fingerprint, Node};
use crate::config;

/// A file that was not written for so long is not being copied.
const SETTLED: TimeDelta = TimeDelta::seconds(2);

/// Looks for files; remembers the beginnings of those that did not change since it looked last.
pub(super) struct Scanner {
    sections: Vec<Section>,
    heads: HashMap<Inode, Head>,
    /// Whose trouble was said.
    unreadable: HashSet<String>,
}

/// Device and number.
type Inode = (u64, u64);

struct Section {
    paths: Vec<String>,
    exclude: Vec<Pattern>,
}

struct Head {
    size: u64,
    written_at: DateTime<Utc>,
    bytes: Vec<u8>,
}

/// A file that belongs to a section of the configuration.
pub(super) struct Found {
    /// Which `[[logs]]` it is.
    pub(super) section: usize,
    pub(super) seen: Seen,
    pub(super) written_at: DateTime<Utc>,
    /// Open where it changed since the last scan: opened a second time by its path, it might be another by then.
    pub(super) file: Option<File>,
}

impl Borrow<Seen> for Found {
    fn borrow(&self) -> &Seen {
        &self.seen
    }
}

impl Scanner {
    pub(super) fn new(sections: &[config::Logs]) -> anyhow::Result<Self> {
        let section = |config: &config::Logs| {
            for path in &config.paths {
                Pattern::new(path)
                    .with_context(|| format!("cannot read the path pattern {path:?}"))?;
            }
            let pattern = |text: &String| {
                Pattern::new(text)
                    .with_context(|| format!("cannot read the exclude pattern {text:?}"))
            };
            Ok(Section {
                paths: config.paths.clone(),
                exclude: config
                    .exclude
                    .iter()
                    .map(pattern)
                    .collect::<anyhow::Result<_>>()?,
            })
        };
        Ok(Self {
            sections: sections
                .iter()
                .map(section)
                .collect::<anyhow::Result<_>>()?,
            heads: HashMap::new(),
            unreadable: HashSet::new(),
        })
    }

    /// Every file once, whatever names it has; the first section that names it has it.
    pub(super) fn scan(&mut self, now: DateTime<Utc>) -> Vec<Found> {
        let mut found = Vec::new();
        let mut heads = HashMap::new();
        for section in 0..self.sections.len() {
            for path in self.sections[section].files() {
                match self.look_at(section, &path, now, &mut heads) {
                    Ok(Some(file)) => {
                        self.unreadable.remove(&path);
                        found.push(file);
                    }
                    Ok(None) => {}
                    // Removed since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        if self.unreadable.insert(path.clone()) {
                            warn!(path, %error, "cannot read log file");
                        }
                    }
                }
            }
        }
        self.heads = heads;
        found
    }

    /// Files whose trouble was said and lasts.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable.len()
    }

    /// Reads the beginning of a file anew at the next scan, even if neither its size nor its time have changed.
    pub(super) fn forget(&mut self, node: Node) {
        self.heads.remove(&(node.device, node.inode));
    }

    fn look_at(
        &mut self,
        section: usize,
        path: &str,
        now: DateTime<Utc>,
        heads: &mut HashMap<Inode, Head>,
    ) -> io::Result<Option<Found>> {
        let mut metadata = fs::metadata(path)?;
        let mut file = None;
        if !metadata.is_file() {
            return Ok(None);
        }
        let known = self.heads.get(&(metadata.dev(), metadata.ino()));
        let is_unchanged = known.is_some_and(|head| head.is_of(&metadata));
        if !is_unchanged {
            let opened = File::open(path)?;
            metadata = opened.metadata()?;
            file = Some(opened);
        }
        let identity = (metadata.dev(), metadata.ino());
        if heads.contains_key(&identity) {
            return Ok(None);
        }
        let known = self.heads.remove(&identity).filter(|_| is_unchanged);
        let head = match (known, &file) {
            (Some(head), _) => head,
            (None, Some(file)) => Head::read(file, &metadata)?,
            (None, None) => return Ok(None),
        };
        let born = metadata
            .created()
            .ok()
            .and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let seen = Seen {
            path: path.to_owned(),
            node: Node {
                device: identity.0,
                inode: identity.1,
                born_ns: born.map_or(0, |born| u64::try_from(born.as_nanos()).unwrap_or(0)),
            },
            is_settled: !(TimeDelta::zero()..SETTLED).contains(&(now - head.written_at)),
            size: head.size,
            head: head.bytes.clone(),
        };
        let written_at = head.written_at;
        heads.insert(identity, head);
        Ok(Some(Found {
            section,
            seen,
            written_at,
            file,
        }))
    }
}

impl Head {
    fn read(file: &File, metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            size: metadata.len(),
            written_at: DateTime::from(metadata.modified()?),
            bytes: head_of(file)?,
        })
    }

    fn is_of(&self, metadata: &Metadata) -> bool {
        let written_at = metadata.modified().ok().map(DateTime::from);
        self.size == metadata.len() && written_at == Some(self.written_at)
    }
}

impl Section {
    fn files(&self) -> Vec<String> {
        let options = MatchOptions::new();
        let is_excluded = |path: &str| {
            let name = Path::new(path)
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            self.exclude
                .iter()
                .any(|pattern| pattern.matches(path) || pattern.matches(name))
        };
        let globs = self
            .paths
            .iter()
            .filter_map(|path| glob::glob_with(path, options).ok());
        // A folder that can't be listed is like one that isn't there.
        let paths = globs
            .flatten()
            .filter_map(|path| path.ok()?.into_os_string().into_string().ok());
        paths.filter(|path| !is_excluded(path)).collect()
    }
}

/// The first bytes of a file, as many as a fingerprint takes.
pub(super) fn head_of(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; Fingerprint::MAX_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    head.truncate(filled);
    Ok(head)
}
