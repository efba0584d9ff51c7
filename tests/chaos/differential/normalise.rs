//! An answer without what two servers may word or number as they like. Pure.

use serde_json::{Value, json};

pub(super) fn normalise(status: u16, body: &Value) -> Value {
    let error = match &body["error"] {
        Value::Null => Value::Null,
        Value::String(text) => json!(text),
        error => {
            json!({"type": error["type"], "root_cause": error["root_cause"][0]["type"]})
        }
    };
    let items: Vec<Value> = body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|item| item.as_object().into_iter().flatten())
        .map(|(op, outcome)| normalise_item(op, outcome))
        .collect();
    let docs = body["docs"].as_array().into_iter().flatten();
    let docs: Vec<Value> = docs
        .map(|doc| json!([doc["_id"], doc["found"], doc["error"]["type"]]))
        .collect();
    json!({
        "status": status,
        "error": error,
        "errors": body["errors"],
        "has_took": body["took"].is_u64(),
        "items": items,
        // Rollover.
        "rolled_over": body["rolled_over"],
        // Look-up.
        "docs": docs,
    })
}

/// What the one says and the other does not, a line each.
pub(super) fn difference(one: &Value, other: &Value) -> String {
    let mut lines = Vec::new();
    let items = |value: &Value| value["items"].as_array().cloned().unwrap_or_default();
    let (items_of_one, items_of_other) = (items(one), items(other));
    for (number, item) in items_of_one.iter().enumerate() {
        if items_of_other.get(number) != Some(item) {
            lines.push(format!("  item {number}: {item}\n"));
        }
    }
    for (name, value) in one.as_object().into_iter().flatten() {
        if name != "items" && other[name] != *value {
            lines.push(format!("  {name}: {value}\n"));
        }
    }
    lines.concat()
}

fn normalise_item(op: &str, outcome: &Value) -> Value {
    let id = outcome["_id"].as_str();
    // Ids of 20 characters are the server's own, and so are those that begin like ours.
    let id = id.map(|id| match id.len() == 20 || id.starts_with("generated-") {
        true => "GENERATED",
        false => id,
    });
    // The name of a backing index holds a date.
    let index = outcome["_index"].as_str().map(|index| {
        let parts: Vec<&str> = index.split('-').collect();
        match index.strip_prefix(".ds-") {
            Some(_) => [&parts[..parts.len() - 2], &parts[parts.len() - 1..]]
                .concat()
                .join("-"),
            None => index.to_owned(),
        }
    });
    json!({
        "op": op,
        "status": outcome["status"],
        "error": outcome["error"]["type"],
        "result": outcome["result"],
        "version": outcome["_version"],
        "term": outcome["_primary_term"],
        "shards": outcome["_shards"],
        "id": id,
        "index": index,
    })
}
