//! `[[processors]]`: read table by table, so that each kind has its own keys and every complaint its place.

mod quoted;
#[cfg(test)]
mod tests;

use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, de::Error};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer as TomlDeserializer};

use super::file::{Environment, Problem, Text};
use crate::agent::process::{self, Chain, Condition, Parsed, Processor, Step, SyntaxError};

/// Leaves the tables for [`read`].
pub(super) fn skip<'de, D: Deserializer<'de>>(tables: D) -> Result<Chain, D::Error> {
    IgnoredAny::deserialize(tables).map(|_| Chain::default())
}

/// The processors of a file, each of them able to do what it says.
pub(super) fn read(text: Text<'_>, environment: Environment<'_>) -> Result<Chain, Problem> {
    let as_written = tables(&text, text.as_written()?)?;
    let expanded = tables(&text, text.expanded(environment)?)?;
    let steps = expanded.into_iter().zip(as_written);
    let steps: Result<Vec<Step>, Problem> = steps
        .map(|(expanded, written)| step(&text, expanded, written))
        .collect();
    steps.map(Chain::new)
}

type Table<'a> = Spanned<DeTable<'a>>;

fn tables<'a>(text: &Text<'_>, tree: Table<'a>) -> Result<Vec<Table<'a>>, Problem> {
    let Some(list) = tree.into_inner().remove("processors") else {
        return Ok(Vec::new());
    };
    let wrong = |offset| text.problem(Some(offset), "expected tables [[processors]]");
    let at = list.span().start;
    let DeValue::Array(items) = list.into_inner() else {
        return Err(wrong(at));
    };
    let table = |item: Spanned<DeValue<'a>>| {
        let span = item.span();
        match item.into_inner() {
            DeValue::Table(table) => Ok(Spanned::new(span, table)),
            _ => Err(wrong(span.start)),
        }
    };
    items.into_iter().map(table).collect()
}

fn step<'a>(text: &Text<'a>, table: Table<'a>, written: Table<'a>) -> Result<Step, Problem> {
    let at = table.span().start;
    let whole = written.clone();
    let Parts { keys, kind, when } = apart(text, table)?;
    let written = apart(text, written)?;
    let kinds = || Processor::KINDS.join(", ");
    let Some((kind, (kind_at, kind_written))) = kind.map(|(_, kind)| kind).zip(written.kind) else {
        return Err(text.problem(Some(at), format!("a processor needs a type: {}", kinds())));
    };
    let read = |keys: TomlDeserializer<'a>| {
        let unknown = || format!("no processor is called {kind_written:?}: {}", kinds());
        let read = Processor::read(&kind, keys);
        read.unwrap_or_else(|| Err(toml::de::Error::custom(unknown())))
    };
    let processor = text.understand(keys, Some(written.keys.clone()), read);
    // What has no place of its own is about the type.
    let processor = processor.map_err(|problem| match problem.at {
        None => text.problem(Some(kind_at), problem.message),
        Some(_) => problem,
    })?;
    let when = match when {
        Some((at, source)) => Some(condition(text, at, &source)?),
        None => None,
    };
    process::verify(&processor, when.as_ref()).map_err(|complaint| {
        // As for values of a wrong type: what came from the environment is not shown.
        let as_written = read(TomlDeserializer::from(written.keys));
        let as_written = as_written.map(|written| process::verify(&written, when.as_ref()));
        let message = match as_written {
            Ok(Err(written)) if written.keys == complaint.keys => written.message,
            _ => "the value from the environment does not fit here".into(),
        };
        let place = place(whole.get_ref(), &complaint.keys).unwrap_or(at);
        text.problem(Some(place), message)
    })?;
    Ok(Step { processor, when })
}

/// A processor's table: what all kinds have, with its place, and the keys of the kind.
struct Parts<'a> {
    kind: Option<(usize, String)>,
    when: Option<(usize, String)>,
    keys: Table<'a>,
}

fn apart<'a>(text: &Text<'_>, table: Table<'a>) -> Result<Parts<'a>, Problem> {
    let span = table.span();
    let mut keys = table.into_inner();
    let mut take = |key: &str| match keys.remove(key) {
        None => Ok(None),
        Some(value) => match value.get_ref() {
            DeValue::String(string) => Ok(Some((value.span().start, string.to_string()))),
            _ => {
                let message = format!("{key}: expected a string");
                Err(text.problem(Some(value.span().start), message))
            }
        },
    };
    let (kind, when) = (take("type")?, take("when")?);
    let keys = Spanned::new(span, keys);
    Ok(Parts { kind, when, keys })
}

fn condition(text: &Text<'_>, at: usize, source: &str) -> Result<Condition, Problem> {
    let token = &text.text[at..];
    let complain = |offset, message: String| match quoted::offset_in(token, source, offset) {
        Some(inside) => text.problem(Some(at + inside), message),
        // What stands there may be a secret.
        None => text.problem(
            Some(at),
            "the condition is wrong with the values from the environment",
        ),
    };
    let parsed: Parsed = process::parse_condition(source).map_err(
        |SyntaxError {
             at: offset,
             message,
         }| { complain(offset, format!("in the condition: {message}")) },
    )?;
    match process::unknown_field(&parsed) {
        Some((offset, message)) => Err(complain(offset, message)),
        None => Ok(parsed.condition),
    }
}

/// Where the value under the keys begins; as far as they lead.
fn place(table: &DeTable<'_>, keys: &[String]) -> Option<usize> {
    let (first, rest) = keys.split_first()?;
    let mut value = table.get(first.as_str())?;
    for key in rest {
        let inner = match value.get_ref() {
            DeValue::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        value = inner?;
    }
    Some(value.span().start)
}
