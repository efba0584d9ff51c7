//! `ethmon check output`: from the name of each host to the templates, step by step, so that the first failing step tells the cause.

use std::io::Write;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::install::is_unknown_api;
use super::{Mode, Options, Part};
use crate::config;
use crate::elastic::{Client, Reply, SendError};
use crate::event::DataStream;

/// The oldest version the queries and mappings are tried with.
const OLDEST: (u64, u64) = (8, 19);

/// Writes one line per step. Returns whether the output will work; stops after a step on which all others depend.
pub async fn check_output(
    config: &config::Elasticsearch,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            step(out, "configuration", Err(format!("{error:#}")))?;
            return Ok(false);
        }
    };
    step(out, "configuration", Ok(client.hosts().join(", ")))?;

    let mut reachable = 0;
    for host in &config.hosts {
        let name = host.origin().ascii_serialization();
        // A proxy resolves and connects for us.
        let connected = match config.proxy {
            Some(_) => Ok("through the proxy".to_owned()),
            None => timeout(config.request_timeout, connect(host))
                .await
                .unwrap_or_else(|_| Err("no connection in time".into())),
        };
        reachable += usize::from(connected.is_ok());
        step(out, &format!("connect to {name}"), connected)?;
    }
    if reachable == 0 {
        return Ok(false);
    }
    let mut good = reachable == config.hosts.len();
    good &= step(out, "sign in", sign_in(&client).await)?;
    if !good && reachable == config.hosts.len() {
        return Ok(false);
    }
    good &= step(out, "version", version(&client).await)?;
    good &= step(
        out,
        "privileges",
        privileges(&client, &config.namespace).await,
    )?;
    good &= step(out, "templates", templates(&client).await)?;
    Ok(good)
}

fn step(
    out: &mut (dyn Write + Send),
    name: &str,
    result: Result<String, String>,
) -> anyhow::Result<bool> {
    match &result {
        Ok(found) => writeln!(out, "ok      {name}: {found}"),
        Err(reason) => writeln!(out, "failed  {name}: {reason}"),
    }
    .context("cannot write the report")?;
    Ok(result.is_ok())
}

async fn connect(host: &Url) -> Result<String, String> {
    let name = host.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = host.port_or_known_default().unwrap_or(9200);
    let addresses: Vec<_> = lookup_host((name, port))
        .await
        .map_err(|error| format!("cannot resolve {name}: {error}"))?
        .collect();
    let mut last = format!("{name} has no address");
    for address in &addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(address.to_string()),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

async fn sign_in(client: &Client) -> Result<String, String> {
    let reply = ask(client.get("_security/_authenticate", &[]).await)?;
    if is_unknown_api(&reply) {
        return Ok("this server runs without security".into());
    }
    let who = reply.body["username"]
        .as_str()
        .ok_or("not the answer of Elasticsearch")?;
    let key = reply.body.pointer("/api_key/name").and_then(Value::as_str);
    Ok(key.map_or(format!("as {who}"), |key| {
        format!("as {who} by API key {key}")
    }))
}

async fn version(client: &Client) -> Result<String, String> {
    let reply = ask(client
        .get("_nodes/http", &[("filter_path", "nodes.*.version")])
        .await)?;
    let nodes = reply.body["nodes"]
        .as_object()
        .ok_or("not the answer of Elasticsearch")?;
    let mut versions: Vec<_> = nodes
        .values()
        .filter_map(|node| node["version"].as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let oldest = versions.iter().filter_map(|version| numbers(version)).min();
    match oldest {
        Some(oldest) if oldest >= OLDEST => Ok(versions.join(", ")),
        _ => Err(format!(
            "{}, needed is {}.{} or newer",
            versions.join(", "),
            OLDEST.0,
            OLDEST.1
        )),
    }
}

fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

async fn privileges(client: &Client, namespace: &str) -> Result<String, String> {
    let names: Vec<_> = DataStream::ALL.map(|stream| stream.name(namespace)).into();
    let wanted = json!({
        "cluster": ["monitor"],
        "index": [{"names": names, "privileges": ["create_doc", "auto_configure"]}]
    });
    let reply = ask(client
        .post("_security/user/_has_privileges", &[], Some(&wanted))
        .await)?;
    if is_unknown_api(&reply) {
        return Ok("this server runs without security".into());
    }
    if reply.body["has_all_requested"] == true {
        return Ok("create_doc and auto_configure on every data stream".into());
    }
    let lacking = lacking(&reply.body);
    Err(format!("lacking: {}", lacking.join(", ")))
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

async fn templates(client: &Client) -> Result<String, String> {
    let options = Options {
        mode: Mode::Check,
        only: Some(Part::Templates),
    };
    let mut lines = Vec::new();
    match super::run(client, &options, &mut lines).await {
        Ok(true) => Ok("as shipped".into()),
        Ok(false) => {
            Err("missing or different: see ethmon setup --check, then run ethmon setup".into())
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

fn ask(reply: Result<Reply, SendError>) -> Result<Reply, String> {
    match reply {
        Ok(reply) if reply.is_success() || is_unknown_api(&reply) => Ok(reply),
        Ok(reply) => Err(reply.reason()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("8.9.0").unwrap() < OLDEST);
        assert!(numbers("8.19.0").unwrap() >= OLDEST);
        assert!(numbers("9.3.2-SNAPSHOT").unwrap() >= OLDEST);
        assert_eq!(numbers("x"), None);
    }

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
