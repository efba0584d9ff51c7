//! Globs turned into paths. A folder is listed again only when it changed: names come from memory, and asking ten
//! thousand files for news costs one question per folder.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use glob::Pattern;

/// A folder that changed so recently may change again without another time to show for it.
const SETTLED: TimeDelta = TimeDelta::seconds(2);

/// No file lies deeper below a `**`; links make circles.
const MAX_DEPTH: usize = 32;

#[derive(Default)]
pub(super) struct Listing {
    folders: HashMap<PathBuf, Folder>,
    /// Where something may lie that the globs name and that can't be had, and why; since this was asked last.
    troubles: Vec<(String, String)>,
}

struct Folder {
    /// Device, inode and time of the last change; `None` where there was no folder.
    state: Option<State>,
    is_settled: bool,
    names: Arc<[Name]>,
    trouble: Option<String>,
}

type State = (u64, u64, i64, i64);

struct Name {
    name: String,
    is_text: bool,
    inode: u64,
    is_folder: bool,
    is_link: bool,
}

/// One glob, component by component.
pub(super) struct Glob {
    root: PathBuf,
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    Pattern(Pattern),
    /// `**`: any folders, or none.
    Folders,
}

impl Glob {
    pub(super) fn new(text: &str) -> Result<Self, glob::PatternError> {
        let root = if text.starts_with('/') { "/" } else { "" };
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty()) {
            parts.push(match part {
                "**" => Part::Folders,
                _ if part.contains(['*', '?', '[']) => Part::Pattern(Pattern::new(part)?),
                _ => Part::Literal(part.to_owned()),
            });
        }
        if let Some(Part::Folders) = parts.last() {
            parts.push(Part::Pattern(Pattern::new("*")?));
        }
        Ok(Self {
            root: root.into(),
            parts,
        })
    }
}

impl Listing {
    /// Whether any folder that was looked into is another now, or may be.
    pub(super) fn has_changed(&self) -> bool {
        let mut folders = self.folders.iter();
        folders.any(|(path, folder)| !folder.is_settled || state_of(path) != folder.state)
    }

    pub(super) fn folders(&self) -> usize {
        self.folders.len()
    }

    /// Forgets all folders: for file systems that do not tell the time of a change.
    pub(super) fn forget(&mut self) {
        self.folders.clear();
    }

    pub(super) fn take_troubles(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.troubles)
    }

    /// Paths that match, whatever lies there. Names that are no UTF-8 are left out: paths are fields of documents.
    pub(super) fn paths(&mut self, glob: &Glob, now: DateTime<Utc>) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(&glob.root, &glob.parts, 0, now, &mut found);
        found
    }

    /// The name in the folder of `path` that a file has now.
    pub(super) fn beside(&mut self, path: &str, inode: u64, now: DateTime<Utc>) -> Option<String> {
        let folder = Path::new(path).parent()?;
        let names = self.list(folder, now);
        let name = names
            .iter()
            .find(|name| name.inode == inode && !name.is_link)?;
        folder.join(&name.name).into_os_string().into_string().ok()
    }

    fn walk(
        &mut self,
        base: &Path,
        parts: &[Part],
        depth: usize,
        now: DateTime<Utc>,
        found: &mut Vec<String>,
    ) {
        let Some((part, rest)) = parts.split_first() else {
            found.extend(base.to_owned().into_os_string().into_string());
            return;
        };
        match part {
            Part::Literal(name) => {
                if rest.is_empty() {
                    // Listed for the sake of its time: the name may come. One that can't be listed may hold it.
                    let names = self.list(base, now);
                    if !names.is_empty() && names.iter().all(|other| other.name != *name) {
                        return;
                    }
                }
                self.walk(&base.join(name), rest, depth, now, found);
            }
            Part::Pattern(pattern) => {
                for name in self.list_or_say(base, now).iter() {
                    let may_lead = rest.is_empty() || name.is_folder || name.is_link;
                    if !may_lead || !pattern.matches(&name.name) {
                        continue;
                    }
                    let path = base.join(&name.name);
                    if name.is_text {
                        self.walk(&path, rest, depth, now, found);
                    } else {
                        let reason = "its name is no UTF-8".to_owned();
                        self.troubles.push((path.display().to_string(), reason));
                    }
                }
            }
            Part::Folders => {
                self.walk(base, rest, depth, now, found);
                if depth == MAX_DEPTH {
                    return;
                }
                for name in self
                    .list_or_say(base, now)
                    .iter()
                    .filter(|name| name.is_folder)
                {
                    self.walk(&base.join(&name.name), parts, depth + 1, now, found);
                }
            }
        }
    }

    /// As [`Self::list`], for a glob that needs the names to go on.
    fn list_or_say(&mut self, path: &Path, now: DateTime<Utc>) -> Arc<[Name]> {
        let names = self.list(path, now);
        let trouble = self
            .folders
            .get(path)
            .and_then(|folder| folder.trouble.clone());
        self.troubles
            .extend(trouble.map(|reason| (path.display().to_string(), reason)));
        names
    }

    fn list(&mut self, path: &Path, now: DateTime<Utc>) -> Arc<[Name]> {
        let state = state_of(path);
        if let Some(folder) = self.folders.get(path)
            && folder.is_settled
            && folder.state == state
        {
            return folder.names.clone();
        }
        let changed_at = state.and_then(|(_, _, seconds, nanoseconds)| {
            DateTime::from_timestamp(seconds, u32::try_from(nanoseconds).ok()?)
        });
        let (names, trouble) = match names_in(path) {
            Ok(names) => (names.into(), None),
            Err(error) => (Arc::default(), state.map(|_| error.to_string())),
        };
        let folder = Folder {
            state,
            // What isn't there is there as soon as it has a state.
            is_settled: state.is_none() || changed_at.is_some_and(|at| now - at >= SETTLED),
            names: Arc::clone(&names),
            trouble,
        };
        self.folders.insert(path.to_owned(), folder);
        names
    }
}

fn state_of(path: &Path) -> Option<State> {
    let metadata = fs::metadata(here(path)).ok()?;
    let time = (metadata.mtime(), metadata.mtime_nsec());
    metadata
        .is_dir()
        .then_some((metadata.dev(), metadata.ino(), time.0, time.1))
}

fn names_in(path: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(here(path))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        names.push(Name {
            is_text: name.to_str().is_some(),
            name: name.to_string_lossy().into_owned(),
            inode: entry.ino(),
            is_folder: kind.is_dir(),
            is_link: kind.is_symlink(),
        });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

fn here(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn long_after() -> DateTime<Utc> {
        crate::slot::now() + TimeDelta::hours(1)
    }

    #[test]
    fn globs_find_what_the_shell_would() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("pods/a/c1")).unwrap();
        fs::create_dir_all(path("pods/b/c2/deep")).unwrap();
        for name in [
            "x.log",
            "x.log.1",
            "pods/a/c1/0.log",
            "pods/b/c2/0.log",
            "pods/b/c2/deep/9.log",
        ] {
            fs::write(path(name), "").unwrap();
        }
        symlink(path("pods/a"), path("pods/link")).unwrap();
        symlink(path("pods"), path("pods/b/circle")).unwrap();
        let check = |glob: &str, expected: &[&str]| {
            let glob = Glob::new(&format!("{}/{glob}", root.path().display())).unwrap();
            let mut found = Listing::default().paths(&glob, long_after());
            found.sort();
            let expected: Vec<_> = expected
                .iter()
                .map(|name| path(name).display().to_string())
                .collect();
            assert_eq!(found, expected);
        };
        check("x.log", &["x.log"]);
        check("x.log*", &["x.log", "x.log.1"]);
        check("[xy].lo?", &["x.log"]);
        let through_a_link = "pods/link/c1/0.log";
        check(
            "pods/*/*/0.log",
            &["pods/a/c1/0.log", "pods/b/c2/0.log", through_a_link],
        );
        check(
            "pods/**/*.log",
            &["pods/a/c1/0.log", "pods/b/c2/0.log", "pods/b/c2/deep/9.log"],
        );
        check("none/*.log", &[]);
    }

    #[test]
    fn what_a_glob_names_and_cannot_be_had_is_said() {
        let root = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"\xff.log");
        fs::write(root.path().join(name), "").unwrap();
        let glob = Glob::new(&format!("{}/*.log", root.path().display())).unwrap();
        let mut listing = Listing::default();
        for now in [crate::slot::now(), long_after(), long_after()] {
            assert!(listing.paths(&glob, now).is_empty());
            let troubles = listing.take_troubles();
            assert_eq!(troubles.len(), 1);
            assert_eq!(troubles[0].1, "its name is no UTF-8");
        }
    }

    #[test]
    fn a_folder_is_listed_again_once_it_changed_and_not_before() {
        let root = tempfile::tempdir().unwrap();
        let glob = Glob::new(&format!("{}/*/*.log", root.path().display())).unwrap();
        let mut listing = Listing::default();
        assert!(listing.paths(&glob, long_after()).is_empty());
        assert!(!listing.has_changed());
        fs::create_dir(root.path().join("a")).unwrap();
        assert!(listing.has_changed());
        assert!(listing.paths(&glob, crate::slot::now()).is_empty());
        assert!(listing.has_changed(), "so recent a change is not trusted");
        assert!(listing.paths(&glob, long_after()).is_empty());
        assert!(!listing.has_changed());
        fs::write(root.path().join("a/x.log"), "").unwrap();
        assert!(listing.has_changed());
        assert_eq!(listing.paths(&glob, long_after()).len(), 1);
        assert_eq!(listing.folders(), 2);
        let inode = fs::metadata(root.path().join("a/x.log")).unwrap().ino();
        fs::rename(root.path().join("a/x.log"), root.path().join("a/gone")).unwrap();
        let path = root.path().join("a/x.log").display().to_string();
        let found = listing.beside(&path, inode, crate::slot::now());
        assert_eq!(
            found,
            Some(root.path().join("a/gone").display().to_string())
        );
    }
}
