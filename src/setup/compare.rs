//! Ours against theirs: what an object is and what it should be, without what the server merely writes differently. Pure.

use serde_json::{Map, Value};

/// A place where the installed object is not ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// As in `template.mappings.properties.labels.type`.
    pub path: String,
    /// `None`: ours does not have it.
    pub ours: Option<Value>,
    pub theirs: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |side: &Option<Value>| side.as_ref().map_or("nothing".into(), Value::to_string);
        write!(
            f,
            "{}: ours {}, theirs {}",
            self.path,
            show(&self.ours),
            show(&self.theirs)
        )
    }
}

/// What differs, by path, once both are normalised. Empty: the same.
pub(super) fn differences(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&normalise("", ours), &normalise("", theirs), "", &mut found);
    found
}

fn compare(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<Difference>) {
    let (Value::Object(our_fields), Value::Object(their_fields)) = (ours, theirs) else {
        if ours != theirs {
            found.push(Difference {
                path: path.to_owned(),
                ours: Some(ours.clone()),
                theirs: Some(theirs.clone()),
            });
        }
        return;
    };
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    for (key, ours) in our_fields {
        match their_fields.get(key) {
            Some(theirs) => compare(ours, theirs, &below(key), found),
            None => found.push(Difference {
                path: below(key),
                ours: Some(ours.clone()),
                theirs: None,
            }),
        }
    }
    for (key, theirs) in their_fields {
        if !our_fields.contains_key(key) {
            found.push(Difference {
                path: below(key),
                ours: None,
                theirs: Some(theirs.clone()),
            });
        }
    }
}

/// What the server adds to an object of its own accord.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "created_date_millis" | "modified_date_millis" | "created_date" | "modified_date" => true,
        "hidden" | "allow_custom_routing" | "allow_restricted_indices" => value == false,
        "aliases" => value.as_object().is_some_and(Map::is_empty),
        "applications" | "run_as" => value.as_array().is_some_and(Vec::is_empty),
        "transient_metadata" => true,
        _ => false,
    }
}

/// Numbers and booleans as text, settings and fields by dotted names, defaults gone.
fn normalise(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(_) if key == "settings" => {
            let mut settings = Map::new();
            flatten(&mut settings, "", value);
            let prefixed = settings.into_iter().map(|(name, value)| {
                let name = if name.starts_with("index.") {
                    name
                } else {
                    format!("index.{name}")
                };
                (name, normalise("", &value))
            });
            Value::Object(prefixed.collect())
        }
        Value::Object(_) if key == "properties" => {
            let mut fields = super::mapping::Fields::new();
            super::mapping::collect(&mut fields, "", &serde_json::json!({"properties": value}));
            let fields = fields
                .into_iter()
                .map(|(path, field)| (path, normalise("", &field)));
            Value::Object(fields.collect())
        }
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, value)| !is_default(key, value));
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), normalise(key, value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| normalise("", item)).collect()),
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(flag) => Value::from(flag.to_string()),
        other => other.clone(),
    }
}

fn flatten(into: &mut Map<String, Value>, prefix: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(into, &path, value);
            }
        }
        leaf => {
            into.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ours() -> Value {
        json!({
            "_meta": {"version": 1},
            "data_stream": {},
            "template": {
                "settings": {"index": {"number_of_shards": 1, "mapping": {"total_fields": {"limit": 400}}}},
                "mappings": {"dynamic": false, "properties": {"a.b": {"type": "keyword", "index": false}}}
            }
        })
    }

    #[test]
    fn what_the_server_writes_differently_is_no_difference() {
        // Shapes as Elasticsearch 9.3.2 answered, and nested fields as `_mapping` does.
        let theirs = json!({
            "_meta": {"version": 1},
            "created_date_millis": 1795261506275_u64,
            "data_stream": {"hidden": false, "allow_custom_routing": false},
            "template": {
                "aliases": {},
                "settings": {"index.number_of_shards": "1", "index": {"mapping": {"total_fields": {"limit": "400"}}}},
                "mappings": {"dynamic": "false", "properties": {"a": {"properties": {"b": {"type": "keyword", "index": "false"}}}}}
            }
        });
        assert_eq!(differences(&ours(), &theirs), []);
    }

    #[test]
    fn every_real_difference_is_named() {
        let mut theirs = ours();
        theirs["template"]["mappings"]["properties"]["a.b"]["type"] = "text".into();
        theirs["template"]["mappings"]["properties"]["c"] = json!({"type": "long"});
        theirs["template"]["settings"]["index"]
            .as_object_mut()
            .unwrap()
            .remove("mapping");
        theirs["data_stream"]["hidden"] = true.into();
        let told: Vec<_> = differences(&ours(), &theirs)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "data_stream.hidden: ours nothing, theirs \"true\"",
                "template.mappings.properties.a.b.type: ours \"keyword\", theirs \"text\"",
                "template.mappings.properties.c: ours nothing, theirs {\"type\":\"long\"}",
                "template.settings.index.mapping.total_fields.limit: ours \"400\", theirs nothing",
            ]
        );
    }
}
