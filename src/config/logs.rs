//! `[[logs]]`: files, or units of the journal, of one client.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::duration;
use crate::agent::logs::{Client, Zone};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Logs {
    /// Globs; rotated files, packed with gzip or not, may be among them.
    #[serde(deserialize_with = "globs")]
    pub paths: Vec<String>,
    /// Globs of files that are left alone though `paths` matches them.
    #[serde(deserialize_with = "globs")]
    pub exclude: Vec<String>,
    /// In place of `paths`: units of the systemd journal.
    pub journald: Option<Journald>,
    /// Whose format the lines have.
    pub client: Client,
    /// What a container's runtime put around each line.
    pub format: Format,
    /// What times without a zone mean: `local`, `UTC` or an offset as `+02:00`.
    pub timezone: Zone,
    /// The rest of a longer line is cut and counted.
    pub max_line_bytes: usize,
    /// Which lines make one record; without a rule of its own the client's.
    pub multiline: Multiline,
    /// Where there are any: records that none of them matches are left out and counted.
    pub include_lines: Vec<Pattern>,
    /// Records that one of them matches are left out and counted, after `include_lines`.
    pub exclude_lines: Vec<Pattern>,
    /// A file seen for the first time and last written so long ago is read only from there on where it grows again.
    #[serde(deserialize_with = "some_duration")]
    pub ignore_older: Option<Duration>,
    /// Where files begin that are there when the section is first followed. Later ones begin at their beginning.
    pub start_at: StartAt,
    /// A file read to its end that did not grow for so long is closed until it does.
    #[serde(with = "duration")]
    pub close_inactive: Duration,
    /// How many files of this section are open at once, below what the process may open.
    pub max_open_files: Option<NonZeroU32>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            exclude: Vec::new(),
            journald: None,
            client: Client::Generic,
            format: Format::Auto,
            timezone: Zone::Local,
            max_line_bytes: 128 * 1024,
            multiline: Multiline::default(),
            include_lines: Vec::new(),
            exclude_lines: Vec::new(),
            ignore_older: None,
            start_at: StartAt::Beginning,
            close_inactive: Duration::from_secs(300),
            max_open_files: None,
        }
    }
}

impl<'de> Deserialize<'de> for Logs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let logs = Self::deserialize(deserializer)?;
        match (logs.paths.is_empty(), &logs.journald) {
            (true, None) => Err(D::Error::custom(
                "a section of logs needs `paths` or `journald`",
            )),
            (false, Some(_)) => Err(D::Error::custom(
                "`paths` and `journald` exclude each other: make two sections of them",
            )),
            _ => Ok(logs),
        }
    }
}

/// `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Each line as it looks.
    Auto,
    Plain,
    /// `TIME stdout F LINE`, as containerd and CRI-O write.
    Cri,
    /// `{"log": "LINE\n", "stream": "stdout", "time": "TIME"}`, as Docker writes.
    Docker,
}

/// `start_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    Beginning,
    End,
}

/// `journald = { units = ["lighthouse.service"] }`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Journald {
    pub units: Vec<String>,
    /// Where the journal's files are; absent: where this host has them.
    pub directory: Option<PathBuf>,
    /// The program that reads the journal.
    pub journalctl: PathBuf,
}

impl Default for Journald {
    fn default() -> Self {
        Self {
            units: Vec::new(),
            directory: None,
            journalctl: "journalctl".into(),
        }
    }
}

impl<'de> Deserialize<'de> for Journald {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let journald = Self::deserialize(deserializer)?;
        match journald.units.iter().all(|unit| !unit.is_empty()) && !journald.units.is_empty() {
            true => Ok(journald),
            false => Err(D::Error::custom("`journald` needs the names of `units`")),
        }
    }
}

/// `[logs.multiline]`: at most one of the first five is set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Multiline {
    /// A line that matches begins a record; the others belong to the one before.
    pub start: Option<Pattern>,
    /// A line that matches belongs to the one before.
    pub continues: Option<Pattern>,
    /// After a line that matches, the next one belongs to it.
    pub continued: Option<Pattern>,
    /// A line that matches is the last of its record.
    pub end: Option<Pattern>,
    /// So many lines make a record.
    pub lines: Option<NonZeroU32>,
    /// A record without a further line for so long is complete.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// More lines begin a further record.
    pub max_lines: u32,
    /// More bytes begin a further record.
    pub max_bytes: usize,
}

impl Default for Multiline {
    fn default() -> Self {
        Self {
            start: None,
            continues: None,
            continued: None,
            end: None,
            lines: None,
            timeout: Duration::from_millis(200),
            max_lines: 200,
            max_bytes: 256 * 1024,
        }
    }
}

impl<'de> Deserialize<'de> for Multiline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let multiline = Self::deserialize(deserializer)?;
        let patterns = [
            &multiline.start,
            &multiline.continues,
            &multiline.continued,
            &multiline.end,
        ];
        let rules = patterns.into_iter().flatten().count() + usize::from(multiline.lines.is_some());
        match rules > 1 {
            true => Err(D::Error::custom(
                "only one of `start`, `continues`, `continued`, `end` and `lines` can say what a record is",
            )),
            false => Ok(multiline),
        }
    }
}

/// A regular expression, matched against a text without its colours.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complain = |error: regex::Error| {
            let error = error.to_string();
            // The crate draws the expression with a caret below it; the last line says what is wrong.
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("not a regular expression: {text:?}: {reason}")
        };
        Regex::new(text).map(Self).map_err(complain)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn globs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let globs = Vec::<Glob>::deserialize(deserializer)?;
    Ok(globs.into_iter().map(|glob| glob.0).collect())
}

struct Glob(String);

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let complain = |error| D::Error::custom(format!("not a path pattern: {text:?}: {error}"));
        glob::Pattern::new(&text).map_err(complain)?;
        Ok(Self(text))
    }
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Agent, parse};

    #[track_caller]
    fn check(section: &str, complaint: &str) {
        let text = format!("[[logs]]\n{section}");
        let error = parse::<Agent>("a.toml", &text, &|_| None).unwrap_err();
        assert_eq!(error.to_string(), complaint);
    }

    #[test]
    fn mistakes_are_named_at_their_place() {
        let nothing = "a section of logs needs `paths` or `journald`";
        check("client = \"geth\"", &format!("a.toml:1:1: {nothing}"));
        check(
            "paths = [\"a\"]\njournald = { units = [\"a\"] }",
            "a.toml:1:1: `paths` and `journald` exclude each other: make two sections of them",
        );
        check(
            "journald = { units = [] }",
            "a.toml:2:12: `journald` needs the names of `units`",
        );
        check(
            "paths = [\"a\", \"a/**b\"]",
            "a.toml:2:9: not a path pattern: \"a/**b\": Pattern syntax error near position 4: \
             recursive wildcards must form a single path component",
        );
        check(
            "paths = [\"a\"]\nexclude_lines = [\"^DEBUG\", \"(\"]",
            "a.toml:3:17: not a regular expression: \"(\": unclosed group",
        );
        check(
            "paths = [\"a\"]\n[logs.multiline]\nstart = \"^a\"\nlines = 3",
            "a.toml:3:1: only one of `start`, `continues`, `continued`, `end` and `lines` can say what a record is",
        );
        check(
            "paths = [\"a\"]\nformat = \"json\"",
            "a.toml:3:10: unknown variant `json`, expected one of `auto`, `plain`, `cri`, `docker`",
        );
        check(
            "paths = [\"a\"]\nignore_older = 7",
            "a.toml:3:16: invalid type: integer `7`, expected a string",
        );
    }

    #[test]
    fn every_key_is_read() {
        let text = "[[logs]]\npaths = [\"/var/log/x/*.log*\"]\nexclude = [\"*.tmp\"]\nclient = \"geth\"\n\
            format = \"cri\"\ntimezone = \"UTC\"\nmax_line_bytes = 5\ninclude_lines = [\"a\"]\nexclude_lines = [\"b\"]\n\
            ignore_older = \"2d\"\nstart_at = \"end\"\nclose_inactive = \"1m\"\nmax_open_files = 3\n\
            multiline = { continues = \"^\\\\s\", timeout = \"1s\", max_lines = 7, max_bytes = 8 }\n\
            [[logs]]\njournald = { units = [\"reth.service\"], directory = \"/host/journal\" }\n";
        let agent: Agent = parse("a.toml", text, &|_| None).unwrap();
        let [files, journal] = &agent.logs[..] else {
            panic!("{:?}", agent.logs)
        };
        assert_eq!(files.format, Format::Cri);
        assert_eq!(files.start_at, StartAt::End);
        assert_eq!(files.ignore_older, Some(Duration::from_secs(172_800)));
        assert_eq!(files.max_open_files, NonZeroU32::new(3));
        assert_eq!(
            (files.multiline.max_lines, files.multiline.max_bytes),
            (7, 8)
        );
        assert!(
            files
                .multiline
                .continues
                .as_ref()
                .is_some_and(|rule| rule.matches("\tat x"))
        );
        assert_eq!(journal.journald.as_ref().unwrap().units, ["reth.service"]);
    }
}
