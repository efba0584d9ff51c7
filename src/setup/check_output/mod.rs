//! `ethmon check output`: from the name of each host to the templates, step by step, so that the first failing step tells the cause.

mod reach;
mod rights;

use std::io::Write;

use anyhow::Context;

use crate::config;
use crate::elastic::{Client, SendError};

/// What a step found, or why it failed and what to do about it.
type Found = Result<String, Trouble>;

struct Trouble {
    reason: String,
    advice: &'static str,
}

impl Trouble {
    fn new(reason: impl Into<String>, advice: &'static str) -> Self {
        let reason = reason.into();
        Self { reason, advice }
    }
}

impl From<SendError> for Trouble {
    fn from(error: SendError) -> Self {
        let advice = match &error {
            SendError::Unauthorized { status: 401, .. } => {
                "check api_key(_file), or username and password(_file): unknown, expired, revoked, or of another cluster"
            }
            SendError::Unauthorized { .. } => "grant the privilege it names",
            SendError::Unsupported { .. } => "upgrade the server",
            SendError::Unreadable { .. } => {
                "something else answers here: check the address, and any proxy in between"
            }
            SendError::Busy { .. } => {
                "the server is in trouble: see its own log; ethmon would wait and try again"
            }
            SendError::Unreachable { .. } => {
                "see that the server runs and that its log knows of the request"
            }
            SendError::TooLarge { .. } | SendError::Refused { .. } => "check any proxy in between",
        };
        Self::new(error.to_string(), advice)
    }
}

/// Writes one line per step, and what to do below one that failed. Returns whether the output will work; stops after a step
/// on which all others depend.
pub async fn check_output(
    config: &config::Elasticsearch,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let advice =
        "ethmon check config names the line; files must be readable by the user ethmon runs as";
    let broken = |error: anyhow::Error| Trouble::new(format!("{error:#}"), advice);
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            step(out, "configuration", Err(broken(error)))?;
            return Ok(false);
        }
    };
    step(out, "configuration", Ok(client.hosts().join(", ")))?;

    let hosts = config.addresses()?;
    let mut reachable = 0;
    for host in &hosts {
        reachable += usize::from(reach::check(config, host, out).await?);
    }
    if reachable == 0 {
        return Ok(false);
    }
    let mut good = reachable == hosts.len();
    let signed_in = step(out, "sign in", rights::sign_in(&client).await)?;
    if !signed_in {
        return Ok(false);
    }
    let privileges = rights::privileges(&client, &config.namespace).await;
    good &= step(out, "privileges", privileges)?;
    let look_ups = rights::look_ups(&client, &config.namespace).await;
    step(out, "look-ups", look_ups)?;
    good &= step(out, "templates", rights::templates(&client).await)?;
    Ok(good)
}

fn step(out: &mut (dyn Write + Send), name: &str, found: Found) -> anyhow::Result<bool> {
    match &found {
        Ok(found) => writeln!(out, "ok      {name}: {found}"),
        Err(Trouble { reason, advice }) => {
            writeln!(out, "failed  {name}: {reason}\n        {advice}")
        }
    }
    .context("cannot write the report")?;
    Ok(found.is_ok())
}
