//! What must change in place: alert states and notices, in plain indices, by compare-and-set.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::alert::{Change, Notice, State};
use crate::elastic::{CasOutcome, Client, SendError, Versioned};
use crate::event::DocumentId;
use crate::slot::ChainSpec;

const STATES: &str = "ethmon-states";
const NOTICES: &str = "ethmon-notices";

/// The document that remembers the chain, beside those of the alerts.
const CHAIN: &str = "chain";

/// States of notices that somebody still has to send.
const OPEN: [&str; 3] = ["queued", "sending", "failed"];

/// Documents per page when the states are loaded.
const PAGE: usize = 1_000;

pub(super) struct StateStore {
    client: Client,
    /// Several fleets may share a cluster: part of every id, and a field of every document.
    namespace: String,
    versions: HashMap<DocumentId, (u64, u64)>,
}

/// A notice with its version in the index.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub notice: Notice,
    pub version: (u64, u64),
}

impl StateStore {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            versions: HashMap::new(),
        }
    }

    /// Every alert that is not inactive, and the chain that was watched.
    pub(super) async fn load(&mut self) -> anyhow::Result<(Vec<State>, Option<ChainSpec>)> {
        let (mut states, mut chain) = (Vec::new(), None);
        for (id, document) in self.all(STATES, json!({"match_all": {}})).await? {
            let source = document.source;
            if let Some(stated) = source.get(CHAIN) {
                chain = serde_json::from_value(stated.clone()).ok();
            } else {
                let state = serde_json::from_value(source)
                    .with_context(|| format!("cannot read the alert state {id}"))?;
                states.push(state);
            }
            let id = DocumentId::existing(id);
            self.versions
                .insert(id, (document.seq_no, document.primary_term));
        }
        Ok((states, chain))
    }

    /// Remembers the chain, so that silence can be judged after a restart before any node has spoken.
    pub(super) async fn save_chain(&mut self, chain: &ChainSpec) -> anyhow::Result<()> {
        self.save(CHAIN, json!({CHAIN: chain})).await
    }

    /// Stores or deletes changed states.
    pub(super) async fn save_states(&mut self, changes: &[Change]) -> anyhow::Result<()> {
        for change in changes {
            match &change.state {
                Some(state) => {
                    self.save(change.id.as_str(), serde_json::to_value(state)?)
                        .await?;
                }
                None => self.remove(change.id.as_str()).await?,
            }
        }
        Ok(())
    }

    /// Stores a new notice. `None`: it is there already, from before a restart or by another aggregator.
    pub(super) async fn create_notice(&self, notice: &Notice) -> Result<Option<Stored>, SendError> {
        self.write_notice(notice, None).await
    }

    /// Writes a notice's new state if nobody else did. `None`: somebody did.
    pub(super) async fn update_notice(
        &self,
        stored_notice: &Stored,
    ) -> Result<Option<Stored>, SendError> {
        self.write_notice(&stored_notice.notice, Some(stored_notice.version))
            .await
    }

    async fn write_notice(
        &self,
        notice: &Notice,
        expected: Option<(u64, u64)>,
    ) -> Result<Option<Stored>, SendError> {
        let mut document = json!(notice);
        document["namespace"] = self.namespace.as_str().into();
        let id = self.id(&notice.id);
        let outcome = self
            .client
            .compare_and_set(NOTICES, id.as_str(), &document, expected)
            .await?;
        Ok(match outcome {
            CasOutcome::Written {
                seq_no,
                primary_term,
            } => Some(Stored {
                notice: notice.clone(),
                version: (seq_no, primary_term),
            }),
            CasOutcome::Conflict => None,
        })
    }

    /// The notices that are not at their end.
    pub(super) async fn open_notices(&self) -> anyhow::Result<Vec<Stored>> {
        let mut notices = Vec::new();
        for (id, document) in self
            .all(NOTICES, json!({"terms": {"delivery.state": OPEN}}))
            .await?
        {
            let notice = serde_json::from_value(document.source)
                .with_context(|| format!("cannot read the notice {id}"))?;
            notices.push(Stored {
                notice,
                version: (document.seq_no, document.primary_term),
            });
        }
        Ok(notices)
    }

    async fn save(&mut self, name: &str, mut document: Value) -> anyhow::Result<()> {
        document["namespace"] = self.namespace.as_str().into();
        let id = self.id(name);
        let expected = self.versions.get(&id).copied();
        let mut outcome = self
            .client
            .compare_and_set(STATES, id.as_str(), &document, expected)
            .await?;
        if outcome == CasOutcome::Conflict {
            // Our own write whose answer was lost, or another aggregator's: what is decided is the same, so the
            // newer decision stands.
            let current = self.client.document(STATES, id.as_str()).await?;
            let expected = current.map(|current| (current.seq_no, current.primary_term));
            outcome = self
                .client
                .compare_and_set(STATES, id.as_str(), &document, expected)
                .await?;
        }
        match outcome {
            CasOutcome::Written {
                seq_no,
                primary_term,
            } => {
                self.versions.insert(id, (seq_no, primary_term));
                Ok(())
            }
            CasOutcome::Conflict => bail!("another aggregator writes the same alert states"),
        }
    }

    async fn remove(&mut self, name: &str) -> anyhow::Result<()> {
        let id = self.id(name);
        let reply = self
            .client
            .delete(&format!("{STATES}/_doc/{id}"), &[])
            .await?;
        if !reply.is_success() && reply.status != 404 {
            bail!("cannot delete an alert state: {}", reply.reason());
        }
        self.versions.remove(&id);
        Ok(())
    }

    fn id(&self, name: &str) -> DocumentId {
        DocumentId::of(&[&self.namespace, name])
    }

    /// Every document of ours in an index that matches, as of now and not as of the last refresh.
    async fn all(&self, index: &str, query: Value) -> anyhow::Result<Vec<(String, Versioned)>> {
        let query = json!({"bool": {"filter": [{"term": {"namespace": self.namespace}}, query]}});
        let refreshed = self
            .client
            .post(&format!("{index}/_refresh"), &[], None)
            .await?;
        if refreshed.status == 404 {
            // Writing would make one without our mapping.
            bail!("the index {index} is missing: run `ethmon setup`");
        }
        let mut documents: Vec<(String, Versioned)> = Vec::new();
        let mut after: Option<Value> = None;
        loop {
            let mut body = json!({
                "size": PAGE, "query": query, "sort": [{"_seq_no": "asc"}],
                "seq_no_primary_term": true, "track_total_hits": false,
            });
            if let Some(after) = &after {
                body["search_after"] = json!([after]);
            }
            let answer = self.client.search(index, &body).await?;
            let hits = answer["hits"]["hits"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            for hit in hits {
                let version = hit["_seq_no"].as_u64().zip(hit["_primary_term"].as_u64());
                let (Some((seq_no, primary_term)), Some(id)) = (version, hit["_id"].as_str())
                else {
                    bail!("a hit of {index} has no version");
                };
                let source = hit["_source"].clone();
                documents.push((
                    id.to_owned(),
                    Versioned {
                        source,
                        seq_no,
                        primary_term,
                    },
                ));
                after = Some(hit["sort"][0].clone());
            }
            if hits.len() < PAGE {
                return Ok(documents);
            }
        }
    }
}
