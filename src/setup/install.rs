//! Installs or compares one object.

use serde_json::{Value, json};

use super::compare::{Difference, differences};
use super::{Kind, Mode, Object};
use crate::elastic::{Client, Reply, SendError};

/// What became of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Created,
    Updated(Vec<Difference>),
    Unchanged,
    /// Only compared: it is not there.
    Missing,
    /// Only compared.
    Differs(Vec<Difference>),
    Failed(String),
    /// The server has no such feature.
    LeftOut(String),
}

impl Outcome {
    /// Whether the server is now as it should be, as far as it can be.
    pub fn is_good(&self) -> bool {
        !matches!(self, Self::Missing | Self::Differs(_) | Self::Failed(_))
    }
}

/// `Err` where there is no point in trying another object.
pub(super) async fn install(
    client: &Client,
    object: &Object,
    mode: Mode,
) -> Result<Outcome, SendError> {
    forgiving(try_install(client, object, mode).await)
}

/// Makes an outcome of failures that need not befall the next request.
pub(super) fn forgiving(result: Result<Outcome, SendError>) -> Result<Outcome, SendError> {
    match result {
        Err(SendError::Refused { reason, .. } | SendError::Busy { reason, .. }) => {
            Ok(Outcome::Failed(reason))
        }
        // Without privileges for one kind of object, the others may still do.
        Err(SendError::Unauthorized {
            status: 403,
            reason,
            ..
        }) => Ok(Outcome::Failed(reason)),
        outcome => outcome,
    }
}

async fn try_install(client: &Client, object: &Object, mode: Mode) -> Result<Outcome, SendError> {
    let path = path(object);
    let found = client.get(&path, &[]).await?;
    if is_unknown_api(&found) {
        return Ok(Outcome::LeftOut("this server runs without security".into()));
    }
    let Some(theirs) = installed(object, &found) else {
        return match found.status {
            404 if mode == Mode::Check => Ok(Outcome::Missing),
            404 => Ok(written(
                client.put(&path, &[], Some(&object.body)).await?,
                Outcome::Created,
            )),
            _ => Ok(Outcome::Failed(found.reason())),
        };
    };
    let differences = match object.kind {
        Kind::Index => index_differences(&object.body, theirs),
        _ => differences(&object.body, theirs),
    };
    if differences.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    if mode == Mode::Check {
        return Ok(Outcome::Differs(differences));
    }
    let reply = match object.kind {
        Kind::Index => {
            client
                .put(
                    &format!("{path}/_mapping"),
                    &[],
                    Some(&object.body["mappings"]),
                )
                .await?
        }
        _ => client.put(&path, &[], Some(&object.body)).await?,
    };
    Ok(written(reply, Outcome::Updated(differences)))
}

fn written(reply: Reply, outcome: Outcome) -> Outcome {
    if reply.is_success() {
        outcome
    } else {
        Outcome::Failed(reply.reason())
    }
}

/// How a server says that a feature is not part of it: an API it does not know is no handler, or looks like an index's name.
pub(super) fn is_unknown_api(reply: &Reply) -> bool {
    let text = reply
        .body
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    matches!(reply.status, 400 | 405)
        && (text.starts_with("no handler found") || text.starts_with("Incorrect HTTP method"))
}

pub(super) fn path(object: &Object) -> String {
    let name = &object.name;
    match object.kind {
        Kind::ComponentTemplate => format!("_component_template/{name}"),
        Kind::IndexTemplate => format!("_index_template/{name}"),
        Kind::Role => format!("_security/role/{name}"),
        Kind::Index => name.clone(),
    }
}

/// The object inside the answer that lists it.
fn installed<'a>(object: &Object, reply: &'a Reply) -> Option<&'a Value> {
    if !reply.is_success() {
        return None;
    }
    match object.kind {
        Kind::ComponentTemplate => reply
            .body
            .pointer("/component_templates/0/component_template"),
        Kind::IndexTemplate => reply.body.pointer("/index_templates/0/index_template"),
        Kind::Role | Kind::Index => reply.body.get(&object.name),
    }
}

/// Only the mapping, as the settings of an index are its operator's; and only what ours has, as a field can't be taken away.
fn index_differences(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mapping = |side: &Value| json!({"mappings": side["mappings"]});
    let mut found = differences(&mapping(ours), &mapping(theirs));
    found.retain(|difference| difference.ours.is_some());
    found
}
