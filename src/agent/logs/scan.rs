//! Finds the files that the configuration names, and how they begin.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use chrono::{DateTime, Utc};
use glob::Pattern;
use tokio::time::Instant;
use tracing::warn;

use super::file::{self, head_of};
use super::gzip;
use super::identity::{Seen, file_name};
use super::listing::{Glob, Listing};
use super::registry::{Entry, Node};
use crate::agent::counters::Counters;
use crate::config;

/// A file that was not written for so long is not being copied.
const SETTLED: Duration = Duration::from_secs(2);

/// Looks for files; remembers the beginnings of those that did not change since it looked last.
pub(super) struct Scanner {
    sections: Vec<Section>,
    listing: Listing,
    /// What the globs gave when folders were looked into last.
    paths: Vec<(usize, String)>,
    heads: HashMap<Inode, Head>,
    /// Whose trouble was said.
    unreadable: HashSet<String>,
    /// What is named and is no file, and was said to be so.
    no_files: HashSet<String>,
}

/// Device and number.
type Inode = (u64, u64);

struct Section {
    globs: Vec<Glob>,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

struct Head {
    size: u64,
    written_at: DateTime<Utc>,
    /// When it was first seen so. Not asked of `written_at`: clocks are set, and files touched.
    since: Instant,
    packed: Option<u32>,
    bytes: Arc<[u8]>,
}

/// A file that belongs to a section of the configuration.
pub(super) struct Found {
    /// Which `[[logs]]` it is.
    pub(super) section: usize,
    pub(super) seen: Seen,
    pub(super) written_at: DateTime<Utc>,
    pub(super) has_changed: bool,
    /// It is where no glob leads: only a known file is looked for there.
    pub(super) is_beside: bool,
    /// Open where it changed since the last scan: opened a second time by its path, it might be another by then.
    pub(super) file: Option<File>,
}

/// What lies at a path.
enum Look {
    Found(Box<Found>),
    /// By another name it was found already.
    Again,
    NoFile(&'static str),
}

impl Borrow<Seen> for Found {
    fn borrow(&self) -> &Seen {
        &self.seen
    }
}

impl Scanner {
    pub(super) fn new(sections: &[config::Logs]) -> anyhow::Result<Self> {
        Ok(Self {
            sections: sections
                .iter()
                .map(Section::new)
                .collect::<anyhow::Result<_>>()?,
            listing: Listing::default(),
            paths: Vec::new(),
            heads: HashMap::new(),
            unreadable: HashSet::new(),
            no_files: HashSet::new(),
        })
    }

    /// Whether names may have come or gone in a folder.
    pub(super) fn has_changed(&self) -> bool {
        self.listing.has_changed()
    }

    pub(super) fn folders(&self) -> usize {
        self.listing.folders()
    }

    /// Lists every folder anew at the next scan.
    pub(super) fn distrust(&mut self) {
        self.listing.forget();
        self.paths.clear();
    }

    /// Every file once, whatever names it has; the first section that names it has it. `missing` files are also looked
    /// for by their inode beside where they were. At most `max_open` files are left open.
    pub(super) fn scan<'a>(
        &mut self,
        (now, at): (DateTime<Utc>, Instant),
        missing: impl Iterator<Item = &'a Entry>,
        max_open: usize,
        counters: &Counters,
    ) -> Vec<Found> {
        if self.paths.is_empty() || self.listing.has_changed() {
            self.paths = self.list(now);
            let troubles = self.listing.take_troubles();
            // What is no longer there has no trouble.
            let mut listed: HashSet<&String> = self.paths.iter().map(|(_, path)| path).collect();
            listed.extend(troubles.iter().map(|(path, _)| path));
            self.unreadable.retain(|path| listed.contains(path));
            self.no_files.retain(|path| listed.contains(path));
            for (path, reason) in troubles {
                if self.unreadable.insert(path.clone()) {
                    counters.count("log_path_unreadable", 1);
                    warn!(
                        path,
                        reason, "log path is left out, what lies there can't be had"
                    );
                }
            }
        }
        let mut paths = std::mem::take(&mut self.paths);
        let listed = paths.len();
        paths.extend(missing.filter_map(|entry| self.elsewhere(entry, now)));
        let mut found: Vec<Found> = Vec::new();
        let (mut heads, mut open) = (HashMap::new(), 0);
        for (index, (section, path)) in paths.iter().enumerate() {
            match self.look_at(*section, path, at, &mut heads) {
                Ok(Look::Found(mut file)) => {
                    file.file = file.file.take_if(|_| open < max_open);
                    open += usize::from(file.file.is_some());
                    file.is_beside = index >= listed;
                    self.unreadable.remove(path);
                    found.push(*file);
                }
                Ok(Look::Again) => {}
                Ok(Look::NoFile(kind)) => {
                    if self.no_files.insert(path.clone()) {
                        counters.count("log_path_no_file", 1);
                        warn!(path, kind, "log path is left out, it is no file");
                    }
                }
                // Removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    if self.unreadable.insert(path.clone()) {
                        counters.count("log_file_unreadable", 1);
                        warn!(path, %error, "cannot read log file");
                    }
                }
            }
        }
        paths.truncate(listed);
        self.paths = paths;
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

    /// Whether the section names the path.
    pub(super) fn names(&self, section: usize, path: &str) -> bool {
        let section = &self.sections[section];
        section.include.iter().any(|pattern| pattern.matches(path)) && !section.excludes(path)
    }

    fn list(&mut self, now: DateTime<Utc>) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            for glob in &section.globs {
                let found = self.listing.paths(glob, now).into_iter();
                paths.extend(
                    found
                        .filter(|path| !section.excludes(path))
                        .map(|path| (index, path)),
                );
            }
        }
        paths
    }

    /// Rotation may have given the file a name that no glob matches: what was not read of it is read all the same.
    fn elsewhere(&mut self, entry: &Entry, now: DateTime<Utc>) -> Option<(usize, String)> {
        let section = (0..self.sections.len()).find(|index| self.names(*index, &entry.path))?;
        let path = self.listing.beside(&entry.path, entry.node.inode, now)?;
        let is_ours = !self.names(section, &path) && !self.sections[section].excludes(&path);
        is_ours.then_some((section, path))
    }

    fn look_at(
        &mut self,
        section: usize,
        path: &str,
        now: Instant,
        heads: &mut HashMap<Inode, Head>,
    ) -> io::Result<Look> {
        let mut metadata = fs::metadata(path)?;
        let mut file = None;
        if !metadata.is_file() {
            return Ok(Look::NoFile(kind(&metadata)));
        }
        let known = self.heads.get(&(metadata.dev(), metadata.ino()));
        let is_unchanged = known.is_some_and(|head| head.is_of(&metadata));
        if !is_unchanged {
            let opened = file::open(path)?;
            metadata = opened.metadata()?;
            file = Some(opened);
        }
        let identity = (metadata.dev(), metadata.ino());
        if heads.contains_key(&identity) {
            return Ok(Look::Again);
        }
        let known = self.heads.remove(&identity).filter(|_| is_unchanged);
        let head = match (known, &file) {
            (Some(head), _) => head,
            (None, Some(file)) => Head::read(file, &metadata, now)?,
            (None, None) => return Ok(Look::Again),
        };
        if head.packed.is_none() && path.ends_with(".gz") && head.size > 0 {
            return Err(io::Error::other("it is named .gz and is not packed"));
        }
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
            is_settled: now - head.since >= SETTLED,
            size: head.size,
            packed: head.packed,
            head: head.bytes.clone(),
        };
        let written_at = head.written_at;
        heads.insert(identity, head);
        Ok(Look::Found(Box::new(Found {
            section,
            seen,
            written_at,
            has_changed: !is_unchanged,
            is_beside: false,
            file,
        })))
    }
}

impl Section {
    fn new(config: &config::Logs) -> anyhow::Result<Self> {
        let pattern = |text: &String| {
            Pattern::new(text).with_context(|| format!("cannot read the path pattern {text:?}"))
        };
        let patterns = |texts: &[String]| texts.iter().map(pattern).collect::<anyhow::Result<_>>();
        let globs = config.paths.iter().map(|text| {
            Glob::new(text).with_context(|| format!("cannot read the path pattern {text:?}"))
        });
        Ok(Self {
            globs: globs.collect::<anyhow::Result<_>>()?,
            include: patterns(&config.paths)?,
            exclude: patterns(&config.exclude)?,
        })
    }

    fn excludes(&self, path: &str) -> bool {
        let mut exclude = self.exclude.iter();
        exclude.any(|pattern| pattern.matches(path) || pattern.matches(file_name(path)))
    }
}

impl Head {
    fn read(file: &File, metadata: &Metadata, now: Instant) -> io::Result<Self> {
        let mut bytes = head_of(file)?;
        let mut packed = None;
        if gzip::is_gzip(&bytes) {
            bytes = gzip::head_of(file);
            packed = Some(gzip::promised_bytes(file, metadata.len())?);
        }
        Ok(Self {
            size: metadata.len(),
            written_at: DateTime::from(metadata.modified()?),
            since: now,
            packed,
            bytes: bytes.into(),
        })
    }

    fn is_of(&self, metadata: &Metadata) -> bool {
        let written_at = metadata.modified().ok().map(DateTime::from);
        self.size == metadata.len() && written_at == Some(self.written_at)
    }
}

/// What it is instead.
fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "folder",
        () if kind.is_fifo() => "pipe",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}
