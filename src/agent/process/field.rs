//! Names of fields: which may be read, which may be changed; and finding them in a document. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of a name; Elasticsearch has no use for longer ones.
const MAX_BYTES: usize = 512;

/// What makes a document ours, and says whose it is: set by the agent alone.
const PROTECTED: [&str; 18] = [
    "@timestamp",
    "agent",
    "data_stream",
    "ecs",
    "ethereum.network",
    "ethereum.node.client",
    "ethereum.node.name",
    "ethereum.node.version",
    "event.created",
    "event.dataset",
    "event.module",
    "host.architecture",
    "host.hostname",
    "host.id",
    "host.ip",
    "host.mac",
    "host.name",
    "host.os",
];

/// The dotted name of a field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Field(String);

impl Field {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match is_name(&name) {
            true => Ok(Self(name)),
            false => Err(format!(
                "expected the name of a field, parts joined by single dots, at most {MAX_BYTES} bytes"
            )),
        }
    }
}

/// The dotted name of a field that a processor may change, make or remove.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Field")]
pub(super) struct Target(Field);

impl Target {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Field> for Target {
    type Error = String;

    fn try_from(field: Field) -> Result<Self, String> {
        match is_protected(field.as_str()) {
            true => Err(format!(
                "the field {} says whose the document is, or holds such a field: no processor may change it",
                field.as_str()
            )),
            false => Ok(Self(field)),
        }
    }
}

/// Nothing empty between dots, and no NUL, which flattened fields keep for themselves.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= MAX_BYTES
        && !name.contains('\0')
        && name.split('.').all(|part| !part.trim().is_empty())
}

/// Whether the name is, holds or lies in what no processor may change.
pub(super) fn is_protected(name: &str) -> bool {
    name.starts_with('_') || PROTECTED.iter().any(|protected| overlap(name, protected))
}

/// Whether the name is, or lies in, what the agent alone sets.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with('_')
        || PROTECTED
            .iter()
            .any(|protected| name.len() >= protected.len() && overlap(name, protected))
}

/// Whether one is the other or an object that holds it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether `test` is true of one of the field's values: through lists of values and of objects, null left out.
pub(super) fn any(
    object: &Map<String, Value>,
    path: &str,
    test: &mut impl FnMut(&Value) -> bool,
) -> bool {
    if let Some(value) = object.get(path)
        && any_of(value, test)
    {
        return true;
    }
    path.match_indices('.').any(|(dot, _)| {
        let (head, tail) = (&path[..dot], &path[dot + 1..]);
        match object.get(head) {
            Some(Value::Object(inner)) => any(inner, tail, test),
            Some(Value::Array(items)) => {
                let mut objects = items.iter().filter_map(Value::as_object);
                objects.any(|inner| any(inner, tail, test))
            }
            _ => false,
        }
    })
}

fn any_of(value: &Value, test: &mut impl FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(|item| any_of(item, test)),
        value => test(value),
    }
}

/// Hands every value of the field to `keep`, a list as a whole, and removes what it returns `false` for, with the
/// objects that become empty.
pub(super) fn edit(
    object: &mut Map<String, Value>,
    path: &str,
    keep: &mut impl FnMut(&mut Value) -> bool,
) {
    if object.get_mut(path).is_some_and(|value| !keep(value)) {
        object.remove(path);
    }
    for (dot, _) in path.match_indices('.') {
        let (head, tail) = (&path[..dot], &path[dot + 1..]);
        match object.get_mut(head) {
            Some(Value::Object(inner)) => {
                edit(inner, tail, keep);
                if inner.is_empty() {
                    object.remove(head);
                }
            }
            Some(Value::Array(items)) => {
                for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                    edit(inner, tail, keep);
                }
            }
            _ => {}
        }
    }
}

/// Whether a scalar lies where an object would have to be for a field of this name.
pub(super) fn is_blocked(object: &Map<String, Value>, path: &str) -> bool {
    let Some((head, tail)) = path.split_once('.') else {
        return false;
    };
    match object.get(head) {
        None => false,
        Some(Value::Object(inner)) => is_blocked(inner, tail),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn what_makes_a_document_ours_is_protected() {
        for name in [
            "@timestamp",
            "_id",
            "_index",
            "data_stream.dataset",
            "agent.id",
            "ecs.version",
            "event",
            "event.created",
            "ethereum",
            "ethereum.node",
            "host",
            "host.os.name",
        ] {
            assert!(is_protected(name), "{name}");
            let error = serde_json::from_value::<Target>(json!(name)).unwrap_err();
            assert!(error.to_string().contains("no processor may change"));
        }
        for name in [
            "message",
            "labels",
            "agents",
            "event.action",
            "ethereum.node.peers",
            "host.cpu.usage",
        ] {
            assert!(!is_protected(name), "{name}");
        }
        for name in ["", ".", "a..b", "a.", ".a", "a\0", "a. .b"] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn fields_are_found_through_dots_objects_and_lists() {
        let document = map(json!({"a": {"b.c": [1, null, [2]]}, "l": [{"x": 1}, {"x": 2}, 3]}));
        let mut seen = Vec::new();
        any(&document, "a.b.c", &mut |value| {
            seen.push(value.clone());
            false
        });
        assert_eq!(seen, [json!(1), json!(2)]);
        assert!(any(&document, "l.x", &mut |value| *value == json!(2)));
        assert!(!any(&document, "a.b", &mut |_| true));
    }

    #[test]
    fn what_is_removed_leaves_no_empty_object() {
        let mut document =
            map(json!({"a": {"b": {"c": 1}}, "a.b.c": 2, "l": [{"x": 1, "y": 2}], "m": 1}));
        for path in ["a.b.c", "l.x", "nothing.here"] {
            edit(&mut document, path, &mut |_| false);
        }
        assert_eq!(Value::Object(document), json!({"l": [{"y": 2}], "m": 1}));
    }
}
