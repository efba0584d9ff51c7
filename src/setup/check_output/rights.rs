//! Who we are to the cluster, what we may do there, and whether it was prepared.

use serde_json::{Value, json};

use super::{Found, Trouble};
use crate::elastic::{Client, Reply, SendError};
use crate::event::DataStream;
use crate::setup::install::is_unknown_api;
use crate::setup::{self, Mode, Options, Part};

pub(super) async fn sign_in(client: &Client) -> Found {
    let reply = ask(client.get("_security/_authenticate", &[]).await)?;
    if is_unknown_api(&reply) {
        return Ok("this server runs without security".into());
    }
    let Some(who) = reply.body["username"].as_str() else {
        return Err(Trouble::new(
            "not the answer of Elasticsearch",
            "check any proxy in between",
        ));
    };
    let key = reply.body.pointer("/api_key/name").and_then(Value::as_str);
    Ok(key.map_or(format!("as {who}"), |key| {
        format!("as {who} by API key {key}")
    }))
}

pub(super) async fn privileges(client: &Client, namespace: &str) -> Found {
    let advice = "without create_doc documents are kept and wait; without auto_configure a stream must exist before";
    let found = has(
        client,
        namespace,
        &["monitor"],
        &["create_doc", "auto_configure"],
        advice,
    );
    found
        .await
        .map(|known| known.unwrap_or("create_doc and auto_configure on every data stream".into()))
}

/// What only the look-up of documents in doubt needs: nothing fails without it.
pub(super) async fn look_ups(client: &Client, namespace: &str) -> Found {
    let found = has(client, namespace, &[], &["read", "view_index_metadata"], "").await;
    Ok(match found {
        Ok(known) => known.unwrap_or("permitted".into()),
        Err(lacking) => format!(
            "not permitted ({}): a document whose answer was lost just before a rollover may be stored twice",
            lacking.reason
        ),
    })
}

/// `None`: all of them. Some text: it does not matter.
async fn has(
    client: &Client,
    namespace: &str,
    cluster: &[&str],
    index: &[&str],
    advice: &'static str,
) -> Result<Option<String>, Trouble> {
    let names: Vec<_> = DataStream::ALL.map(|stream| stream.name(namespace)).into();
    let wanted = json!({
        "cluster": cluster,
        "index": [{"names": names, "privileges": index}]
    });
    let reply = ask(client
        .post("_security/user/_has_privileges", &[], Some(&wanted))
        .await)?;
    if is_unknown_api(&reply) {
        return Ok(Some("this server runs without security".into()));
    }
    if reply.body["has_all_requested"] == true {
        return Ok(None);
    }
    let lacking = lacking(&reply.body).join(", ");
    Err(Trouble::new(format!("lacking: {lacking}"), advice))
}

/// `monitor`, `create_doc on logs-…`: every `false` in the answer.
fn lacking(answer: &Value) -> Vec<String> {
    let refused = |rights: &Value| -> Vec<String> {
        let rights = rights.as_object().into_iter().flatten();
        rights
            .filter(|(_, held)| **held == false)
            .map(|(right, _)| right.clone())
            .collect()
    };
    let mut lacking = refused(&answer["cluster"]);
    for (index, rights) in answer["index"].as_object().into_iter().flatten() {
        lacking.extend(
            refused(rights)
                .into_iter()
                .map(|right| format!("{right} on {index}")),
        );
    }
    lacking
}

pub(super) async fn templates(client: &Client) -> Found {
    let options = Options {
        mode: Mode::Check,
        only: Some(Part::Templates),
    };
    let mut lines = Vec::new();
    let advice =
        "run ethmon setup, with a login that may; ethmon setup --check shows the differences";
    match setup::run(client, &options, &mut lines).await {
        Ok(true) => Ok("as shipped".into()),
        Ok(false) => Err(Trouble::new("missing or different", advice)),
        Err(error) => Err(Trouble::new(format!("{error:#}"), advice)),
    }
}

fn ask(reply: Result<Reply, SendError>) -> Result<Reply, Trouble> {
    match reply? {
        reply if reply.is_success() || is_unknown_api(&reply) => Ok(reply),
        reply => Err(Trouble::new(reply.reason(), "check any proxy in between")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacking_privileges_are_named_with_their_index() {
        let answer = json!({
            "has_all_requested": false,
            "cluster": {"monitor": false},
            "index": {"logs-a-default": {"create_doc": true, "auto_configure": false}}
        });
        assert_eq!(
            lacking(&answer),
            ["monitor", "auto_configure on logs-a-default"]
        );
    }
}
