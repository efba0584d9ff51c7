//! What the mail tells beside the value: nodes, clients, the chain position and the fields a rule wants shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::values;
use super::rule::Settings;
use crate::event::Document;

/// Nodes named in a mail; the rest is counted.
const MAX_NODES: usize = 50;
/// Objects of a list that a mail shows.
const MAX_ROWS: usize = 8;
/// Values of a list inside such an object.
const MAX_ITEMS: usize = 12;
/// Characters of one value that a mail shows.
const MAX_TEXT: usize = 400;

/// The evidence behind an evaluation, bounded, every text clean of control characters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// One sentence, as the rule words it.
    pub line: String,
    pub nodes: Vec<Witness>,
    pub more_nodes: usize,
    pub clients: Vec<String>,
    /// The highest slot that the evidence speaks about.
    pub slot: Option<u64>,
    /// Newest first.
    pub shown: Vec<Shown>,
    pub more_documents: usize,
}

/// What a mail shows of a document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// Of documents about the same thing only the newest is shown; empty where each is a thing of its own.
    pub thing: String,
    /// Label and value.
    pub fields: Vec<(String, String)>,
}

/// A node that saw it (or is it), with what it runs where the documents say so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Witness {
    pub name: String,
    pub client: Option<String>,
    pub version: Option<String>,
}

/// The part of [`Facts`] that one document gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Details {
    nodes: Vec<Witness>,
    clients: Vec<String>,
    slot: Option<u64>,
    shown: Shown,
    /// Values of the fields that the fact line names.
    line: BTreeMap<String, String>,
}

impl Details {
    pub(super) fn of(document: &Document, settings: &Settings) -> Self {
        let text = |field: &str| document.get(field).map(plain);
        let list = |fields: &[String]| -> Vec<String> {
            let all = fields.iter().flat_map(|field| values(document, field));
            all.filter_map(Value::as_str).map(clean).collect()
        };
        let client = text("ethereum.node.client");
        let version = text("ethereum.node.version");
        let alone = text("ethereum.node.name").map(|name| Witness {
            name,
            client: client.clone(),
            version: version.clone(),
        });
        let named = list(&settings.nodes).into_iter().map(|name| Witness {
            name,
            ..Witness::default()
        });
        let shown = settings.show.iter().filter_map(|show| {
            let value = document.get(&show.field)?;
            Some(rows(&show.label, value))
        });
        let shown = Shown {
            thing: settings
                .show_one_per
                .as_deref()
                .and_then(text)
                .unwrap_or_default(),
            fields: shown.flatten().collect(),
        };
        let placeholders = placeholders(&settings.fact);
        Self {
            nodes: alone.into_iter().chain(named).take(MAX_NODES).collect(),
            clients: client
                .into_iter()
                .chain(list(&settings.clients))
                .take(MAX_NODES)
                .collect(),
            slot: settings
                .slot
                .iter()
                .find_map(|field| document.get_u64(field)),
            shown,
            line: placeholders
                .filter_map(|field| Some((field.to_owned(), text(field)?)))
                .collect(),
        }
    }
}

impl Facts {
    /// Puts the details of several documents together; `details` come newest first.
    pub(super) fn collect<'a>(
        settings: &Settings,
        figures: &[(&str, String)],
        details: impl Iterator<Item = &'a Details>,
    ) -> Self {
        let mut nodes: BTreeMap<String, Witness> = BTreeMap::new();
        let mut clients: Vec<String> = Vec::new();
        let mut facts = Self::default();
        let mut line = None;
        for details in details {
            for node in &details.nodes {
                let known = nodes
                    .entry(node.name.clone())
                    .or_insert_with(|| node.clone());
                known.client = known.client.take().or_else(|| node.client.clone());
                known.version = known.version.take().or_else(|| node.version.clone());
            }
            clients.extend_from_slice(&details.clients);
            facts.slot = facts.slot.max(details.slot);
            let known = facts
                .shown
                .iter()
                .any(|shown| shown.replaces(&details.shown));
            if details.shown.fields.is_empty() || known {
                // Nothing to add.
            } else if facts.shown.len() == settings.show_newest {
                // One is shown where all say the same: how many do so is no news.
                facts.more_documents += usize::from(settings.show_newest > 1);
            } else {
                facts.shown.push(details.shown.clone());
            }
            line.get_or_insert(&details.line);
        }
        clients.sort_unstable();
        clients.dedup();
        facts.clients = clients;
        facts.more_nodes = nodes.len().saturating_sub(MAX_NODES);
        facts.nodes = nodes.into_values().take(MAX_NODES).collect();
        facts.line = fill(&settings.fact, |name| {
            let figure = figures.iter().find(|(known, _)| *known == name);
            let figure = figure.map(|(_, text)| text.clone());
            figure.or_else(|| line?.get(name).cloned())
        });
        facts
    }
}

impl Facts {
    /// Takes newer facts over; nodes and clients of the incident so far stay named, and documents shown up to `limit`.
    pub(crate) fn renew(&mut self, newer: &Self, limit: usize) {
        let mut older = std::mem::replace(self, newer.clone());
        older
            .nodes
            .retain(|node| self.nodes.iter().all(|known| known.name != node.name));
        self.nodes.append(&mut older.nodes);
        self.nodes.sort_unstable();
        let overflow = self.nodes.len().saturating_sub(MAX_NODES);
        self.more_nodes = overflow.max(older.more_nodes).max(newer.more_nodes);
        self.nodes.truncate(MAX_NODES);
        self.clients.append(&mut older.clients);
        self.clients.sort_unstable();
        self.clients.dedup();
        self.clients.truncate(MAX_NODES);
        self.slot = self.slot.max(older.slot);
        older
            .shown
            .retain(|shown| !self.shown.iter().any(|newer| newer.replaces(shown)));
        self.shown.append(&mut older.shown);
        self.shown.truncate(limit);
    }
}

impl Shown {
    fn replaces(&self, older: &Self) -> bool {
        match self.thing.is_empty() {
            true => self.fields == older.fields,
            false => self.thing == older.thing,
        }
    }
}

/// A row for a value, one for each object of a list: the sides of a split stand below each other.
fn rows(label: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Array(items) if is_table(value) => {
            let numbered = items.iter().take(MAX_ROWS).zip(1..);
            numbered
                .map(|(item, nth)| (format!("{label} {nth}"), plain(item)))
                .collect()
        }
        value => vec![(label.to_owned(), plain(value))],
    }
}

/// The names in braces.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let pieces = template.split('{').skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('}')?.0))
}

/// Replaces `{name}`; a value that is not there reads `?`. Values are never looked into for braces of their own.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut pieces = template.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) => {
                out.push_str(value(name).as_deref().unwrap_or("?"));
                out.push_str(rest);
            }
            None => out.push_str(piece),
        }
    }
    out
}

fn is_table(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().any(Value::is_object))
}

/// A value for people: lists joined, objects as `name value` pairs, roots inside them shortened.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(inner).collect::<Vec<_>>().join("; ")
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(_) => inner(value),
        number => number.to_string(),
    };
    clean(&text)
}

fn inner(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // Who, before what; what has parts of its own, last.
            fields.sort_by_key(|(name, value)| match name.as_str() {
                "nodes" | "node" => 0,
                _ if !is_table(value) => 1,
                _ => 2,
            });
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), inner(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => {
            let item = |item: &Value| match item {
                Value::Object(_) => format!("({})", inner(item)),
                item => inner(item),
            };
            let mut listed: Vec<_> = items.iter().take(MAX_ITEMS).map(item).collect();
            listed.extend(items.get(MAX_ITEMS).map(|_| "…".to_owned()));
            listed.join(" + ")
        }
        Value::String(text) if text.len() == 66 && text.starts_with("0x") && text.is_ascii() => {
            format!("{}…", &text[..10])
        }
        scalar => plain(scalar),
    }
}

/// What may stand in a mail or a header: one line, no control or direction-changing characters, bounded.
pub fn clean(text: &str) -> String {
    let visible = |c: char| {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hidden { ' ' } else { c }
    };
    let mut out: String = text.chars().take(MAX_TEXT).map(visible).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hostile_text_becomes_one_bounded_line() {
        assert_eq!(clean("a\r\nBcc: x\u{202e}\0"), "a  Bcc: x  ");
        assert_eq!(clean(&"é".repeat(500)).chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn values_are_filled_in_and_not_looked_into() {
        let value = |name: &str| (name == "value").then(|| "{value}".to_owned());
        assert_eq!(fill("{value} of {x} {", value), "{value} of ? ");
        assert_eq!(placeholders("{a.b} and {c").collect::<Vec<_>>(), ["a.b"]);
    }

    #[test]
    fn groups_of_a_split_read_as_sides() {
        let root = format!("0x{}", "ab".repeat(32));
        let groups = json!([
            {"head_slot": 19, "head_root": root, "nodes": ["a", "c"]},
            {"head_slot": 20, "nodes": ["b"], "mix": [{"client": "x", "node_count": 1}]},
        ]);
        let row = |label: &str, text: &str| (label.to_owned(), text.to_owned());
        assert_eq!(
            rows("side", &groups),
            [
                row("side 1", "nodes a + c, head root 0xabababab…, head slot 19"),
                row(
                    "side 2",
                    "nodes b, head slot 20, mix (client x, node count 1)"
                ),
            ]
        );
        let many: Vec<String> = (0..500).map(|nth| format!("n{nth}")).collect();
        let row = &rows("side", &json!([{"node_count": 500, "nodes": many}]))[0].1;
        assert!(row.ends_with("n10 + n11 + …, node count 500"), "{row}");
        assert_eq!(plain(&json!([root])), root);
    }
}
