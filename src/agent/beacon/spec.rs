//! What a node says once: which client it is, and the chain's clock and parameters.

use anyhow::Context;
use serde_json::Value;

use super::api::Api;
use crate::agent::outbox::Outbox;
use crate::chain_spec;
use crate::slot::ChainSpec;

/// Genesis and parameters as they hold at `epoch`.
pub(super) async fn read(api: &Api, epoch: u64) -> anyhow::Result<ChainSpec> {
    let genesis = api
        .get("/eth/v1/beacon/genesis")
        .await
        .context("cannot read the genesis")?;
    let spec = api
        .get("/eth/v1/config/spec")
        .await
        .context("cannot read the spec")?;
    chain_spec::from_rest_at_epoch(&genesis, &spec, epoch)
}

/// As [`read`], for the epoch that runs at `now`.
pub(super) async fn read_now(api: &Api) -> anyhow::Result<ChainSpec> {
    let first = read(api, 0).await?;
    let epoch = first
        .slot_at(crate::slot::now())
        .map_or(0, |slot| first.epoch_of(slot));
    if epoch == 0 {
        Ok(first)
    } else {
        read(api, epoch).await
    }
}

/// Asks for the version and tells it to the outbox; `learn` gets it as the node wrote it.
pub(super) async fn read_version(api: &Api, outbox: &Outbox, learn: impl FnOnce(String)) {
    let Ok(answer) = api.get("/eth/v1/node/version").await else {
        return;
    };
    let Some(text) = answer.pointer("/data/version").and_then(Value::as_str) else {
        return;
    };
    let text: String = text.chars().take(256).collect();
    let (client, version) = client_and_version(&text);
    outbox.set_node_client(&client, &version);
    learn(text);
}

/// `Lighthouse/v5.1.0-1f2/x86_64-linux` → `lighthouse`, `v5.1.0-1f2`.
pub(super) fn client_and_version(text: &str) -> (String, String) {
    let mut parts = text.split('/');
    let client = parts.next().unwrap_or_default().trim().to_lowercase();
    let version = parts.next().unwrap_or_default();
    let version = version.split(" (").next().unwrap_or_default().trim();
    (client, version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_clients_write_them() {
        for (text, client, version) in [
            ("Lodestar/v1.5.1/2115aa7", "lodestar", "v1.5.1"),
            ("Prysm/Unknown (linux amd64)", "prysm", "Unknown"),
            ("Prysm/v6.1.4/abc", "prysm", "v6.1.4"),
            (
                "teku/v25.1.0/linux-x86_64/-eclipseadoptium",
                "teku",
                "v25.1.0",
            ),
            ("nimbus", "nimbus", ""),
        ] {
            assert_eq!(client_and_version(text), (client.into(), version.into()));
        }
    }
}
