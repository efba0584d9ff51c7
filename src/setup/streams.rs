//! Data streams that exist already. A template reaches only the next backing index, so new fields are added to the present ones.

use serde_json::{Map, Value, json};

use super::compare::{Difference, differences};
use super::install::{Outcome, forgiving, is_unknown_api};
use super::mapping::{self, Fields};
use super::{Mode, retention};
use crate::elastic::{Client, SendError};
use crate::event::DataStream;

/// Brings every data stream of a kind up to date, one per namespace in use. Their names, each with its outcome.
pub(super) async fn update_all(
    client: &Client,
    stream: DataStream,
    mode: Mode,
) -> anyhow::Result<Vec<(String, Outcome)>> {
    let wanted = mapping::fields(stream)?;
    let pattern = format!("{}-*", stream.prefix());
    let names = match existing(client, &pattern).await {
        // Who may only write may not look either, and has nothing to do here.
        Err(SendError::Unauthorized { status: 403, .. }) => {
            let reason = "this login may not see data streams".to_owned();
            return Ok(vec![("*".into(), Outcome::LeftOut(reason))]);
        }
        names => names?,
    };
    let mut outcomes = Vec::new();
    for name in names {
        let outcome = forgiving(update(client, stream, &wanted, &name, mode).await)?;
        outcomes.push((name, outcome));
    }
    Ok(outcomes)
}

async fn existing(client: &Client, pattern: &str) -> Result<Vec<String>, SendError> {
    let reply = client
        .get(&format!("_resolve/index/{pattern}"), &[])
        .await?;
    let Some(streams) = reply.body["data_streams"].as_array() else {
        return Err(SendError::Unreadable {
            host: client.hosts().join(", "),
            reason: format!("no list of data streams: {}", reply.reason()),
        });
    };
    let names = streams
        .iter()
        .filter_map(|stream| Some(stream["name"].as_str()?.to_owned()));
    Ok(names.collect())
}

/// Compares the mapping of the backing index that is written to with the template's, and adds what can be added. Older backing
/// indices get no documents any more.
async fn update(
    client: &Client,
    stream: DataStream,
    wanted: &Fields,
    name: &str,
    mode: Mode,
) -> Result<Outcome, SendError> {
    let path = format!("{name}/_mapping");
    let reply = client.get(&path, &[]).await?;
    // Names end in date and generation, so the last one is written to.
    let newest = reply
        .body
        .as_object()
        .and_then(|indices| indices.values().next_back());
    let Some(newest) = newest.filter(|_| reply.is_success()) else {
        return Ok(Outcome::Failed(reply.reason()));
    };
    let (added, mut changed) = to_change(wanted, newest);
    if ["system", "network_traffic"].contains(&stream.module()) {
        // Elastic Agent may have made this stream, with types of its own that take our values as well.
        changed.clear();
    }
    let told: Vec<_> = added.iter().chain(&changed).cloned().collect();
    if told.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    if mode == Mode::Check {
        return Ok(Outcome::Differs(told));
    }
    // What is new always fits. What changed may be refused, and must not take the new with it.
    for part in [added, changed].iter().filter(|part| !part.is_empty()) {
        let properties: Map<_, _> = part
            .iter()
            .map(|difference| {
                (
                    difference.path.clone(),
                    difference.ours.clone().unwrap_or_default(),
                )
            })
            .collect();
        let body = json!({"properties": properties});
        let reply = client
            .put(&path, &[("write_index_only", "true")], Some(&body))
            .await?;
        if !reply.is_success() {
            let reason = reply.reason();
            return Ok(Outcome::Failed(format!(
                "{reason}; POST {name}/_rollover begins an index that fits"
            )));
        }
    }
    Ok(Outcome::Updated(told))
}

/// Whether the server deletes what is older than the templates say.
pub(super) async fn lifecycle(client: &Client) -> anyhow::Result<Outcome> {
    let mut foreign = Vec::new();
    for stream in DataStream::ALL {
        let wanted = retention(stream)?;
        let path = format!("_data_stream/{}-*/_lifecycle", stream.prefix());
        let reply = client.get(&path, &[]).await?;
        if is_unknown_api(&reply) {
            return Ok(Outcome::LeftOut(
                "this server has no data stream lifecycle: the retention stands in the templates, and nothing is deleted".into(),
            ));
        }
        if !reply.is_success() {
            return Ok(Outcome::Failed(reply.reason()));
        }
        for stream in reply.body["data_streams"].as_array().into_iter().flatten() {
            let name = stream["name"].as_str().unwrap_or_default();
            let theirs = stream.pointer("/lifecycle/data_retention").cloned();
            if theirs != wanted {
                foreign.push(Difference {
                    path: format!("{name}: data_retention"),
                    ours: wanted.clone(),
                    theirs,
                });
            }
        }
    }
    // A retention that an operator has set on a stream is theirs to change: it is told, and left.
    if foreign.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    let told: Vec<_> = foreign.iter().map(ToString::to_string).collect();
    Ok(Outcome::LeftOut(format!(
        "set by somebody else: {}",
        told.join("; ")
    )))
}

/// The fields an index lacks, and those it has with another definition.
fn to_change(wanted: &Fields, index: &Value) -> (Vec<Difference>, Vec<Difference>) {
    let mut present = Fields::new();
    mapping::collect(&mut present, "", &index["mappings"]);
    let differing = wanted.iter().filter_map(|(path, ours)| {
        let theirs = present.get(path);
        let same = theirs.is_some_and(|theirs| differences(ours, theirs).is_empty());
        (!same).then(|| Difference {
            path: path.clone(),
            ours: Some(ours.clone()),
            theirs: theirs.cloned(),
        })
    });
    differing.partition(|difference| difference.theirs.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_fields_and_changed_ones_are_told_apart() {
        let wanted: Fields = [
            ("a.b".to_owned(), json!({"type": "long"})),
            (
                "a.c".to_owned(),
                json!({"type": "keyword", "ignore_above": 256}),
            ),
            ("d".to_owned(), json!({"type": "date"})),
        ]
        .into();
        let index = json!({"mappings": {"properties": {"a": {"properties": {"b": {"type": "long"}, "c": {"type": "text"}}}}}});
        let (added, changed) = to_change(&wanted, &index);
        let paths =
            |found: &[Difference]| -> Vec<_> { found.iter().map(|one| one.path.clone()).collect() };
        assert_eq!(
            (paths(&added), paths(&changed)),
            (vec!["d".to_owned()], vec!["a.c".to_owned()])
        );
    }
}
