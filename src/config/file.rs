//! TOML text → a typed section tree, with every complaint at its file, line and column.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// What is wrong with a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Line and column, from 1; `None` where the file as a whole is meant.
    pub at: Option<(usize, usize)>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| Problem {
        file: path.display().to_string(),
        at: None,
        message: format!("cannot read: {error}"),
    })
}

/// Reads a file and parses it as [`parse`] does.
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    parse(
        &path.display().to_string(),
        &read(path)?,
        &super::environment,
    )
}

/// Parses one file's text. `environment` gives the values of `${VAR}`.
pub fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    environment: Environment<'_>,
) -> Result<T, Problem> {
    let text = Text { file, text };
    let tree = text.expanded(environment)?;
    text.understand(tree, text.as_written().ok(), T::deserialize)
}

/// The values of variables by their names.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A file's text, for those who need to know where in it something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Text<'a> {
    pub(super) fn problem(&self, offset: Option<usize>, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_owned(),
            at: offset.map(|offset| line_and_column(self.text, offset)),
            message: message.into(),
        }
    }

    pub(super) fn as_written(&self) -> Result<Spanned<DeTable<'a>>, Problem> {
        DeTable::parse(self.text).map_err(|error| self.complain(&error))
    }

    /// With the values of variables in their places.
    pub(super) fn expanded(
        &self,
        environment: Environment<'_>,
    ) -> Result<Spanned<DeTable<'a>>, Problem> {
        let mut tree = self.as_written()?;
        let mut unset = None;
        expand_table(tree.get_mut(), environment, &mut unset);
        match unset {
            Some((span, name)) => {
                let message = format!("the environment variable {name} is not set");
                Err(self.problem(Some(span.start), message))
            }
            None => Ok(tree),
        }
    }

    /// What `read` makes of a table. `written` is the table as it stands in the file.
    pub(super) fn understand<T>(
        &self,
        tree: Spanned<DeTable<'a>>,
        written: Option<Spanned<DeTable<'a>>>,
        read: impl Fn(Deserializer<'a>) -> Result<T, toml::de::Error>,
    ) -> Result<T, Problem> {
        read(Deserializer::from(tree)).map_err(|error| {
            // serde quotes the value it could not use. What came from the environment may be a secret, so the same
            // complaint about the text as written is preferred.
            let as_written = written.map(|written| read(Deserializer::from(written)));
            match as_written {
                Some(Err(as_written)) if as_written.span() == error.span() => {
                    self.complain(&as_written)
                }
                _ if self.text.contains("${") => self.problem(
                    error.span().map(|span| span.start),
                    "the value from the environment does not fit here",
                ),
                _ => self.complain(&error),
            }
        })
    }

    fn complain(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map(|span| span.start);
        self.problem(offset, error.message().trim().replace('\n', ", "))
    }
}

fn expand_table(table: &mut DeTable<'_>, environment: Environment<'_>, unset: &mut Option<Unset>) {
    for (_, value) in table.iter_mut() {
        let span = value.span();
        expand_value(value.get_mut(), span, environment, unset);
    }
}

type Unset = (Range<usize>, String);

fn expand_value(
    value: &mut DeValue<'_>,
    span: Range<usize>,
    environment: Environment<'_>,
    unset: &mut Option<Unset>,
) {
    match value {
        DeValue::String(text) if text.contains("${") => match expand(text, environment) {
            Ok(expanded) => *text = Cow::Owned(expanded),
            Err(name) => *unset = unset.take().or(Some((span, name))),
        },
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                let span = item.span();
                expand_value(item.get_mut(), span, environment, unset);
            }
        }
        DeValue::Table(table) => expand_table(table, environment, unset),
        _ => {}
    }
}

/// Replaces `${NAME}`; `$${` stands for `${`. `Err` names the first variable that is not set.
fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(literal) = after.strip_prefix("${") {
            out.push_str("${");
            rest = literal;
        } else if let Some((name, tail)) = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            out.push_str(&environment(name).ok_or_else(|| name.to_owned())?);
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// From 1; the column counts characters, as editors do.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        name: String,
        port: u16,
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        hosts: Vec<String>,
    }

    fn environment(name: &str) -> Option<String> {
        (name == "SECRET").then(|| "hunter2 \" \n[inner]".to_owned())
    }

    #[track_caller]
    fn complaint(text: &str) -> String {
        parse::<Sample>("a.toml", text, &environment)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn unknown_keys_and_wrong_types_name_their_place() {
        assert_eq!(
            complaint("name = \"x\"\n[inner]\nhots = []\n"),
            "a.toml:3:1: unknown field `hots`, expected `hosts`"
        );
        assert_eq!(
            complaint("port = \"x\""),
            "a.toml:1:8: invalid type: string \"x\", expected u16"
        );
        assert!(complaint("name = ").starts_with("a.toml:1:"));
    }

    #[test]
    fn variables_are_values_and_never_syntax() {
        let sample: Sample = parse(
            "a.toml",
            "name = \"<${SECRET}>\"\n[inner]\nhosts = [\"${SECRET}\"]",
            &environment,
        )
        .unwrap();
        assert_eq!(sample.name, "<hunter2 \" \n[inner]>");
        assert_eq!(sample.inner.hosts.len(), 1);
        assert_eq!(
            expand("a $ b $$ $${c} ${SECRET", &environment),
            Ok("a $ b $$ ${c} ${SECRET".into())
        );
    }

    #[test]
    fn an_unset_variable_is_an_error_at_its_place() {
        assert_eq!(
            complaint("\nname = \"${NOPE}\""),
            "a.toml:2:8: the environment variable NOPE is not set"
        );
    }

    #[test]
    fn complaints_do_not_show_what_came_from_the_environment() {
        assert!(!complaint("port = \"${SECRET}\"").contains("hunter2"));
    }
}
