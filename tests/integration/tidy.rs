//! Rules of the repository, held by a test: sizes, units with all their parts, licences, forbidden words.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ethmon::event::DataStream;

const LONGEST_FILE: usize = 400;

/// Every licence text in the tree of dependencies must offer one of these.
const LICENCES: [&str; 13] = [
    "0BSD",
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[test]
fn no_source_file_outgrows_its_job() {
    let long: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .filter(|folder| root().join(folder).exists())
        .flat_map(|folder| files(folder, ".rs"))
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "files above {LONGEST_FILE} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn tables_of_contents_begin_with_their_documentation() {
    for path in files("src", "mod.rs").iter().chain(&files("src", "lib.rs")) {
        assert!(
            text(path).starts_with("//! "),
            "{} does not say what it holds",
            path.display()
        );
    }
}

#[test]
fn every_data_stream_has_its_template_and_every_template_its_stream() {
    let mut templates: Vec<String> = files("index-templates/streams", ".json")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut streams: Vec<String> = DataStream::ALL
        .iter()
        .map(|stream| stream.prefix())
        .collect();
    templates.sort();
    streams.sort();
    assert_eq!(templates, streams);
}

#[test]
fn every_rule_has_scenarios_and_a_row_in_the_readme() {
    let readme = text(&root().join("README.md"));
    for path in files("rules", ".toml") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".scenario.toml") {
            continue;
        }
        let rule = name.trim_end_matches(".toml");
        let scenario = path.with_file_name(format!("{rule}.scenario.toml"));
        assert!(scenario.exists(), "{rule} has no {}", scenario.display());
        assert!(
            readme.contains(&format!("`{rule}`")),
            "the README does not name the rule {rule}"
        );
    }
}

#[test]
fn every_data_stream_has_a_row_in_the_readme() {
    let readme = text(&root().join("README.md"));
    for stream in DataStream::ALL {
        assert!(
            readme.contains(stream.dataset()),
            "the README does not name {}",
            stream.dataset()
        );
    }
}

#[test]
fn snapshots_belong_to_tests() {
    let sources: String = files("src", ".rs")
        .iter()
        .chain(&files("tests", ".rs"))
        .map(|path| text(path))
        .collect();
    for path in files("src", ".snap").iter().chain(&files("tests", ".snap")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let test = name.rsplit("__").next().unwrap_or(&name);
        assert!(
            sources.contains(test),
            "{} belongs to no test",
            path.display()
        );
    }
}

#[test]
fn dependencies_are_under_permissive_licences() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix",
            "none",
            "--no-dedupe",
        ])
        .args(["--edges", "normal,build", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let packages: BTreeSet<&str> = tree.lines().collect();
    assert!(
        packages.len() > 100,
        "{} packages are not the whole tree",
        packages.len()
    );
    for package in packages {
        let (name, licence) = package.split_once('|').unwrap();
        assert!(is_permissive(licence), "{name} is under {licence:?}");
    }
}

/// An SPDX expression: every part joined by AND must offer, among its ORs, a licence of the list.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression.split(" AND ").all(|part| {
        part.split(" OR ").any(|licence| {
            let licence = licence.trim().trim_end_matches(" WITH LLVM-exception");
            LICENCES.contains(&licence)
        })
    })
}

#[test]
fn the_judging_core_reads_no_clock_and_does_no_io() {
    let forbidden = [
        "slot::now",
        "tokio::",
        "std::fs",
        "std::net",
        "reqwest",
        "crate::elastic",
        "crate::agent",
    ];
    let pure = ["src/network", "src/rules", "src/agent/process"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
        .filter(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"));
    for path in pure {
        // Reading rule files from the configured folders, and test cases of processors, are the two edges.
        let text = text(&path);
        let is_edge =
            path.ends_with("src/rules/load.rs") || path.ends_with("src/agent/process/cases.rs");
        for word in forbidden {
            assert!(
                is_edge || !text.contains(word),
                "{} uses {word}",
                path.display()
            );
        }
    }
}
