//! `filter_path`: the answer cut down to what was asked for. Pure.

use serde_json::{Map, Value};

/// Keeps what one of the comma-separated paths names; `*` stands for any one name. Lists are looked through.
pub(crate) fn filter(value: Value, paths: &str) -> Value {
    let paths: Vec<Vec<&str>> = paths
        .split(',')
        .map(|path| path.split('.').collect())
        .collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    keep(value, &paths).unwrap_or_else(|| Value::Object(Map::new()))
}

fn keep(value: Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    match value {
        Value::Object(object) => {
            let kept: Map<String, Value> = object
                .into_iter()
                .filter_map(|(name, value)| {
                    let inside: Vec<&[&str]> = paths
                        .iter()
                        .filter(|path| path[0] == "*" || path[0] == name)
                        .map(|path| &path[1..])
                        .collect();
                    let value = keep(value, &inside)?;
                    Some((name, value))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items
                .into_iter()
                .filter_map(|item| keep(item, paths))
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_agent_asks_for_is_what_remains() {
        let answer = json!({"took": 1, "errors": true, "ingest_took": 0, "items": [
            {"create": {"_id": "a", "status": 201}},
            {"create": {"_id": "b", "status": 409, "error": {"type": "t", "reason": "r"}}}
        ]});
        assert_eq!(
            filter(answer, "errors,took,items.*.status,items.*.error"),
            json!({"took": 1, "errors": true, "items": [
                {"create": {"status": 201}},
                {"create": {"status": 409, "error": {"type": "t", "reason": "r"}}}
            ]})
        );
        assert_eq!(filter(json!({"a": 1}), "b"), json!({}));
    }
}
