//! Which files of a directory hold what.
//!
//! A folder `node-NAME` is a node, and so is one with a node's files of another name; so is a stream `NAME.sse` or `NAME.tsv`, or a list of answers `NAME.ndjson`, that lies in
//! the directory itself. What lies beside them is of the whole network: answers in `*.json` and `rest/*.json`, blocks,
//! logs, `run.json`, a chain's configuration in YAML.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::files::{Troubles, find, first_line};
use super::rest::Answer;

/// Directories within directories in which recordings are looked for.
const MAX_DEPTH: usize = 3;

/// A node's files, compressed or not.
const NODE_FILES: [&str; 4] = ["sse.tsv", "rest.ndjson", "heads.ndjson", "blocks.ndjson"];

/// Answers a recorder keeps that are not of the Beacon API.
const OTHER_ANSWERS: [&str; 4] = ["host", "metrics", "tx-truth", "el-rpc"];

/// A directory's files by what they hold; each list in the order of its names.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: BTreeMap<String, NodeFiles>,
    pub(super) run: Option<PathBuf>,
    pub(super) configs: Vec<PathBuf>,
    /// Answers without the time they came at.
    pub(super) bodies: Vec<PathBuf>,
    pub(super) block_lines: Vec<PathBuf>,
    pub(super) ssz_blocks: Vec<PathBuf>,
    pub(super) logs: Vec<PathBuf>,
}

/// The files of one node.
#[derive(Debug, Default)]
pub(super) struct NodeFiles {
    pub(super) path: PathBuf,
    pub(super) streams: Vec<PathBuf>,
    pub(super) answers: Vec<PathBuf>,
    pub(super) heads: Vec<PathBuf>,
    pub(super) blocks: Vec<PathBuf>,
    pub(super) bodies: Vec<PathBuf>,
}

/// The recordings in a directory: itself, or those in the directories within.
pub(super) fn recordings(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(dir, 0, &mut found)?;
    anyhow::ensure!(
        !found.is_empty(),
        "no recording in it, expected a folder node-NAME for each node (with sse.tsv, rest.ndjson, heads.ndjson, blocks.ndjson), \
         or a stream NAME.sse of each, or answers in NAME.ndjson, all of them compressed (.gz) or not"
    );
    Ok(found)
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !Layout::of(dir, &mut Troubles::default())?.nodes.is_empty() {
        found.push(dir.to_owned());
    } else if depth < MAX_DEPTH {
        for (_, path) in list(dir)?.into_iter().filter(|(_, path)| path.is_dir()) {
            collect(&path, depth + 1, found)?;
        }
    }
    Ok(())
}

impl Layout {
    pub(super) fn of(dir: &Path, troubles: &mut Troubles) -> anyhow::Result<Self> {
        let mut layout = Self::default();
        for (name, path) in list(dir)? {
            if path.is_dir() && (name.starts_with("node-") || is_node(&path)) {
                layout.add_folder(&name, &path, troubles)?;
            }
        }
        if layout.nodes.is_empty() && is_node(dir) {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            layout.add_folder(&name, dir, troubles)?;
            return Ok(layout);
        }
        let has_folders = !layout.nodes.is_empty();
        for (stem, path) in files(dir, troubles)? {
            let (name, kind) = stem.rsplit_once('.').unwrap_or((&stem, ""));
            match kind {
                "sse" | "tsv" => layout.node(name, dir).streams.push(path),
                "ndjson" if name.starts_with("blocks") => layout.block_lines.push(path),
                "ndjson"
                    if !has_folders && !OTHER_ANSWERS.contains(&name) && has_answers(&path) =>
                {
                    layout.node(name, dir).answers.push(path);
                }
                "json" if name == "run" => layout.run = Some(path),
                "json" if name != "truth" => layout.bodies.push(path),
                "yml" | "yaml" => layout.configs.push(path),
                "log" => layout.logs.push(path),
                "ssz" => layout.ssz_blocks.push(path),
                _ => {}
            }
        }
        for folder in ["rest", "blocks"].map(|name| dir.join(name)) {
            if folder.is_dir() {
                for (stem, path) in files(&folder, troubles)? {
                    match stem.rsplit_once('.') {
                        Some((_, "json")) => layout.bodies.push(path),
                        Some((_, "ssz")) => layout.ssz_blocks.push(path),
                        _ => {}
                    }
                }
            }
        }
        layout.hand_out_bodies();
        if layout.configs.is_empty() {
            layout.configs = configs_above(dir);
        }
        Ok(layout)
    }

    fn add_folder(
        &mut self,
        node: &str,
        dir: &Path,
        troubles: &mut Troubles,
    ) -> anyhow::Result<()> {
        let mut logs = Vec::new();
        let files_of = self.node(node, dir);
        for (stem, path) in files(dir, troubles)? {
            let (name, kind) = stem.rsplit_once('.').unwrap_or((&stem, ""));
            match (name, kind) {
                (_, "sse" | "tsv") => files_of.streams.push(path),
                ("rest", "ndjson") => files_of.answers.push(path),
                ("heads", "ndjson") => files_of.heads.push(path),
                ("blocks", "ndjson") => files_of.blocks.push(path),
                (_, "json") => files_of.bodies.push(path),
                (_, "log") => logs.push(path),
                _ => {}
            }
        }
        if dir.join("rest").is_dir() {
            let rest = files(&dir.join("rest"), troubles)?.into_values();
            files_of
                .bodies
                .extend(rest.filter(|path| path.extension().is_some_and(|kind| kind == "json")));
        }
        // What is not there is said once it is asked for.
        let lists = [
            &mut files_of.streams,
            &mut files_of.answers,
            &mut files_of.heads,
            &mut files_of.blocks,
        ];
        for (list, name) in lists.into_iter().zip(NODE_FILES) {
            if list.is_empty() {
                list.push(find(dir, name));
            }
        }
        self.logs.extend(logs);
        Ok(())
    }

    /// `nodeA`, `node-A`, `node_A` and `A` are one name.
    fn node(&mut self, name: &str, path: &Path) -> &mut NodeFiles {
        let bare = name
            .strip_prefix("node")
            .map(|name| name.trim_start_matches(['-', '_']));
        let name = bare.filter(|name| !name.is_empty()).unwrap_or(name);
        let files = self.nodes.entry(name.to_owned()).or_default();
        files.path = path.to_owned();
        files
    }

    /// Answers whose name begins with a node's (`A-node-version.json`), or that can only be of one.
    fn hand_out_bodies(&mut self) {
        let is_alone = self.nodes.len() == 1;
        for body in std::mem::take(&mut self.bodies) {
            let name = body
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let owner = self.nodes.iter_mut().find(|(node, _)| {
                let rest = name.strip_prefix(node.as_str());
                is_alone || rest.is_some_and(|rest| rest.starts_with(['-', '_', '.']))
            });
            match owner {
                Some((_, files)) => files.bodies.push(body),
                None => self.bodies.push(body),
            }
        }
    }
}

/// Of several recordings of one network the configuration lies above them.
fn configs_above(dir: &Path) -> Vec<PathBuf> {
    let above = dir
        .parent()
        .and_then(|above| files(above, &mut Troubles::default()).ok());
    let files = above.unwrap_or_default().into_iter();
    let configs = files.filter(|(stem, _)| stem.ends_with(".yml") || stem.ends_with(".yaml"));
    configs.map(|(_, path)| path).collect()
}

fn is_node(dir: &Path) -> bool {
    NODE_FILES.iter().any(|name| find(dir, name).is_file())
}

fn has_answers(path: &Path) -> bool {
    first_line(path).is_some_and(|line| Answer::parse(&line).is_ok_and(|answer| answer.is_beacon()))
}

/// The files of a folder by their names without `.gz`.
fn files(dir: &Path, troubles: &mut Troubles) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for (name, path) in list(dir)? {
        if path.is_dir() {
            continue;
        }
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        // In the order of names the one without `.gz` comes first.
        if let Some(plain) = files.insert(stem.to_owned(), path) {
            troubles.add(&plain, "also there compressed, not read", 1);
        }
    }
    Ok(files)
}

fn list(dir: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let cannot = || format!("cannot list {}", dir.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        entries.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    entries.sort();
    Ok(entries)
}
