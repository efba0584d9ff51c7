//! Everything but `_bulk` that `ethmon` asks a server without security, and what that answers. Pure.

use serde_json::{Map, Value, json};

use super::Cluster;
use super::error::Error;

/// Status and body.
type Answer = (u16, Value);

/// `path` without its leading slash and without a query.
pub(crate) fn respond(cluster: &mut Cluster, method: &str, path: &str, body: &[u8]) -> Answer {
    let body = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", [""]) => (
            200,
            json!({"name": "chaos", "cluster_name": "ethmon", "version": version(), "tagline": "You Know, for Search"}),
        ),
        ("GET", ["_license"]) => (
            200,
            json!({"license": {"status": "active", "type": "basic", "max_nodes": 1000, "issued_to": "ethmon"}}),
        ),
        ("GET", ["_cluster", "health"]) => (
            200,
            json!({"cluster_name": "ethmon", "status": "green", "timed_out": false, "number_of_nodes": 1}),
        ),
        ("GET", ["_nodes", "http"] | ["_nodes", "_local", "http"]) => (
            200,
            json!({"nodes": {"chaos": {"name": "chaos", "version": version()["number"]}}}),
        ),
        ("GET", ["_component_template", name]) => listed(
            "component_template",
            name,
            cluster.component_templates.get(*name),
        ),
        ("GET", ["_index_template", name]) => {
            listed("index_template", name, cluster.index_templates.get(*name))
        }
        ("PUT", ["_component_template", name]) => {
            cluster.component_templates.insert((*name).into(), body());
            acknowledged()
        }
        ("PUT", ["_index_template", name]) => {
            cluster.index_templates.insert((*name).into(), body());
            acknowledged()
        }
        ("GET", ["_resolve", "index", pattern]) => {
            let names = cluster.matching(pattern);
            let streams: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            (
                200,
                json!({"indices": [], "aliases": [], "data_streams": streams}),
            )
        }
        ("GET", ["_data_stream", pattern, "_lifecycle"]) => {
            let names = cluster.matching(pattern);
            let streams: Vec<Value> = names
                .iter()
                .map(|name| json!({"name": name, "lifecycle": {"enabled": true}}))
                .collect();
            (200, json!({"data_streams": streams}))
        }
        ("GET", ["_ingest", "pipeline"]) => (200, json!({})),
        ("POST", [stream, "_rollover"]) => match cluster.rollover(stream) {
            Some((old, new)) => (
                200,
                json!({
                    "acknowledged": true, "shards_acknowledged": true, "old_index": old, "new_index": new,
                    "rolled_over": true, "dry_run": false, "lazy": false, "conditions": {}
                }),
            ),
            None => {
                let reason = format!("no such index [{stream}]");
                (
                    404,
                    Error::new(404, "resource_not_found_exception", reason).to_body(),
                )
            }
        },
        ("GET", [streams, "_settings", "index.creation_date"]) => cluster.creation_dates(streams),
        ("GET", [name, "_settings"]) if cluster.stream(name).is_none() => no_such_index(name),
        ("GET", [name, "_settings"]) => cluster.creation_dates(name),
        ("POST", [index, "_mget"]) => cluster.look_up(index, &body()),
        (_, [api, ..]) if api.starts_with('_') => (
            400,
            json!({"error": format!("no handler found for uri [/{path}] and method [{method}]")}),
        ),
        ("GET", [index]) => match cluster.indices.get(*index) {
            Some(body) => (200, json!({*index: body})),
            None => no_such_index(index),
        },
        ("PUT", [index]) => {
            cluster.indices.insert((*index).into(), body());
            (
                200,
                json!({"acknowledged": true, "shards_acknowledged": true, "index": index}),
            )
        }
        _ => (
            405,
            json!({"error": format!("Incorrect HTTP method for uri [/{path}] and method [{method}]"), "status": 405}),
        ),
    }
}

impl Cluster {
    fn matching(&self, pattern: &str) -> Vec<&String> {
        let prefix = pattern.trim_end_matches('*');
        let names = self.streams.keys();
        names
            .filter(|name| match prefix.len() == pattern.len() {
                true => *name == prefix,
                false => name.starts_with(prefix),
            })
            .collect()
    }

    /// With `ignore_unavailable`.
    fn creation_dates(&self, streams: &str) -> Answer {
        let streams = streams.split(',').filter_map(|name| self.stream(name));
        let indices: Map<String, Value> = streams
            .flat_map(super::Stream::backing_indices)
            .map(|(name, created_ms)| {
                let date = json!({"creation_date": created_ms.to_string()});
                (name.to_owned(), json!({"settings": {"index": date}}))
            })
            .collect();
        (200, Value::Object(indices))
    }

    /// `_mget` by ids, without sources.
    fn look_up(&mut self, index: &str, body: &Value) -> Answer {
        let ids = body["ids"].as_array().into_iter().flatten();
        let documents: Vec<Value> = ids
            .map(|id| {
                let text = id.as_str().unwrap_or_default();
                let holder = self.streams.values().find_map(|stream| stream.holds(index, text));
                if holder == Some(false) {
                    self.missed.insert(text.to_owned());
                }
                match holder {
                    Some(is_found) => json!({"_index": index, "_id": id, "found": is_found}),
                    None => json!({"_index": index, "_id": id, "error":
                        {"type": "index_not_found_exception", "reason": format!("no such index [{index}]")}}),
                }
            })
            .collect();
        (200, json!({"docs": documents}))
    }
}

fn version() -> Value {
    json!({"number": "9.3.2", "build_flavor": "default", "minimum_wire_compatibility_version": "8.19.0"})
}

fn acknowledged() -> Answer {
    (200, json!({"acknowledged": true}))
}

/// `{"index_templates": [{"name": …, "index_template": …}]}`
fn listed(kind: &str, name: &str, found: Option<&Value>) -> Answer {
    let Some(body) = found else {
        let kind = kind.replace('_', " ");
        let reason = format!("{kind} matching [{name}] not found");
        return (
            404,
            Error::new(404, "resource_not_found_exception", reason).to_body(),
        );
    };
    let entry: Map<String, Value> = [
        ("name".to_owned(), json!(name)),
        (kind.to_owned(), body.clone()),
    ]
    .into_iter()
    .collect();
    (200, json!({format!("{kind}s"): [entry]}))
}

fn no_such_index(name: &str) -> Answer {
    let reason = format!("no such index [{name}]");
    (
        404,
        Error::new(404, "index_not_found_exception", reason).to_body(),
    )
}
