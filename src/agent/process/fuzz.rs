//! What must hold for any processors and any document. See [`crate::fuzz`].

use std::sync::LazyLock;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::{Chain, Fate, Processor, Step, parse_condition};
use crate::config;
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::setup;

const STREAM: DataStream = DataStream::ClientLog;

/// One of each kind; the last but one removes the word `secret`.
static EVERYTHING: LazyLock<Chain> = LazyLock::new(|| {
    let text = format!("[node]\n{}", include_str!("tests/everything.toml"));
    match config::parse_agent("agent.toml", &text, &|_| None) {
        Ok(config) => config.processors,
        Err(problem) => panic!("{problem}"),
    }
});

/// The first line is a condition, the second a processor as JSON, the rest a document as JSON.
///
/// A condition is printed as what it is read from; the processor works only on what it may change; what a template
/// took it takes afterwards; and what is to be redacted is nowhere left.
pub fn processors(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut parts = text.splitn(3, '\n');
    let condition = parts.next().unwrap_or_default();
    let step = step(condition, parts.next().unwrap_or_default());
    let Some(mut event) = event(parts.next().unwrap_or_default()) else {
        return;
    };
    let was_accepted = is_accepted(&event);
    let mut base = Document::default();
    base.set("host.name", "box");
    base.set("labels", Map::from_iter([("region".into(), "eu".into())]));
    let steps = step.into_iter().collect();
    for chain in [&Chain::new(steps), &*EVERYTHING] {
        let before = event.clone();
        if chain.apply(&mut event, &base, |_| {}) == Fate::Dropped {
            return;
        }
        assert_eq!(
            (event.stream, &event.id, event.document.get("@timestamp")),
            (before.stream, &before.id, before.document.get("@timestamp")),
            "another event"
        );
        assert!(!was_accepted || is_accepted(&event), "{event:?}");
    }
    let left = serde_json::to_string(&event.document).unwrap_or_default();
    assert!(!left.contains("secret"), "{left}");
}

fn step(condition: &str, processor: &str) -> Option<Step> {
    let when = match parse_condition(condition) {
        Ok(parsed) => {
            let printed = parsed.condition.to_string();
            let again = parse_condition(&printed).map(|parsed| parsed.condition.to_string());
            assert_eq!(again.as_deref(), Ok(printed.as_str()), "from {condition:?}");
            let names = parsed.fields.iter();
            assert!(names.map(|(at, _)| *at).all(|at| at < condition.len()));
            Some(parsed.condition)
        }
        Err(error) => {
            assert!(condition.is_char_boundary(error.at), "no place of the text");
            None
        }
    };
    let Ok(Value::Object(mut keys)) = serde_json::from_str(processor) else {
        return None;
    };
    let Some(Value::String(kind)) = keys.remove("type") else {
        return None;
    };
    let processor = Processor::read(&kind, Value::Object(keys))?.ok()?;
    Some(Step { processor, when })
}

/// Of fields that no processor may change there are none: what they hold is not redacted.
fn event(document: &str) -> Option<Event> {
    let Ok(Value::Object(fields)) = serde_json::from_str(document) else {
        return None;
    };
    let is_open = |name: &str| matches!(name, "message" | "labels" | "log" | "ethereum" | "event");
    let is_ours = |part: &str| ["node", "network", "created", "dataset", "module"].contains(&part);
    let names_ours = |value: &Value| names(value).any(|name| name.split('.').any(is_ours));
    let is_free = fields
        .iter()
        .all(|(name, value)| is_open(name) && !names_ours(value));
    is_free.then(|| {
        let mut event = Event::new(STREAM, DocumentId::of(&["x"]), DateTime::UNIX_EPOCH);
        event.document.merge_missing(&Document::from(fields));
        event
    })
}

/// The names in an object, at any depth.
fn names(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::Object(fields) => Box::new(
            fields
                .iter()
                .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(names(value))),
        ),
        Value::Array(items) => Box::new(items.iter().flat_map(names)),
        _ => Box::new(std::iter::empty()),
    }
}

fn is_accepted(event: &Event) -> bool {
    setup::template_accepts(event.stream, &event.document).is_ok()
}
