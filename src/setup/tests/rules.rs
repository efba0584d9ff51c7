//! A shipped rule that asks for a field nobody writes would be silent for ever.

use std::path::Path;

use toml::Value;

use super::*;

/// Keys of a rule file that name fields, alone or in a list.
const NAMING: [&str; 6] = ["field", "key", "slot", "nodes", "clients", "distinct"];

#[test]
fn shipped_rules_name_fields_of_their_stream() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".toml") || name.ends_with(".scenario.toml") {
            continue;
        }
        let rule: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let stream = rule["query"]["stream"].as_str().unwrap();
        let stream = DataStream::from_prefix(stream).unwrap_or_else(|| panic!("{name}: {stream}"));
        let mut named = placeholders(rule["fact"].as_str().unwrap());
        collect(&Value::Table(rule), &mut named);
        let known = fields(stream).unwrap();
        for field in &named {
            assert!(
                is_known(&known, field),
                "{name}: {stream:?} has no field {field}"
            );
        }
        checked += named.len();
    }
    assert!(checked > 50, "{checked} fields were checked");
}

/// A field of its own, or inside a nested or flattened one.
fn is_known(known: &Fields, field: &str) -> bool {
    let inside = |(parent, definition): (&String, &serde_json::Value)| {
        let Some(rest) = field
            .strip_prefix(parent.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            return false;
        };
        definition["type"] == "flattened" || definition["properties"].get(rest).is_some()
    };
    known.contains_key(field) || known.iter().any(inside)
}

/// `{field.path}` in a text; names without a dot are the rule's own values.
fn placeholders(text: &str) -> Vec<String> {
    let inner = text
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    inner
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.contains('.'))
        .collect()
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let names = value
                    .as_array()
                    .map_or(std::slice::from_ref(value), Vec::as_slice);
                if NAMING.contains(&key.as_str()) {
                    into.extend(
                        names
                            .iter()
                            .filter_map(|name| Some(name.as_str()?.to_owned())),
                    );
                }
                collect(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}
