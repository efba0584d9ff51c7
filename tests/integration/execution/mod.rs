//! The program beside real execution clients, on to an endpoint that keeps what it is given.

mod anvil;
mod geth;

use std::path::Path;
use std::process::{Command, Stdio};

use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{Address, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use chrono::{DateTime, Utc};
use ethmon::event::{DataStream, Document};
use ethmon::setup::template_accepts;
use ethmon::slot;
use serde_json::{Value, json};
use url::Url;

use crate::bulk_server::{Act, BulkServer};
use crate::operation::{Agent, Site, wait_until};
use crate::support;

/// A client out of `deploy/services`, stopped with the test.
struct Client {
    name: &'static str,
    directory: tempfile::TempDir,
    node: RootProvider,
    url: Url,
}

impl Client {
    fn start(name: &'static str, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = service(name, "start", directory.path());
        command.envs(settings.iter().copied());
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "cannot start {name}");
        let url = String::from_utf8(output.stdout).unwrap();
        let url: Url = url.lines().last().unwrap().parse().unwrap();
        Self {
            name,
            directory,
            node: RootProvider::new_http(url.clone()),
            url,
        }
    }

    /// `stop`, `freeze` or `thaw`.
    fn service(&self, action: &str) {
        let mut command = service(self.name, action, self.directory.path());
        let status = command.status().unwrap();
        assert!(status.success(), "cannot {action} {}", self.name);
    }

    async fn ask(&self, method: &'static str, parameters: Value) -> Value {
        let answer = self.node.raw_request(method.into(), parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn head(&self) -> u64 {
        self.node.get_block_number().await.unwrap()
    }

    async fn hash(&self, number: u64) -> String {
        let which = json!([format!("0x{number:x}"), false]);
        let block = self.ask("eth_getBlockByNumber", which).await;
        block["hash"].as_str().unwrap().to_owned()
    }

    /// Signs and sends so many transactions in order, and so many more that wait for one between them. Returns when the
    /// pool counts them all.
    async fn fill_pool(&self, signer: PrivateKeySigner, fee_wei: u128, pending: u64, queued: u64) {
        let sender = signer.address();
        let next = self.node.get_transaction_count(sender).await.unwrap();
        let wallet = EthereumWallet::from(signer);
        let url = self.url.clone();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .wallet(wallet)
            .connect_http(url);
        let chain_id = self.node.get_chain_id().await.unwrap();
        let gap = next + pending;
        for nonce in (next..gap).chain(gap + 1..=gap + queued) {
            let transaction = TransactionRequest::default()
                .with_from(sender)
                .with_to(Address::repeat_byte(7))
                .with_value(U256::from(1))
                .with_nonce(nonce)
                .with_chain_id(chain_id)
                .with_gas_limit(21_000)
                .with_max_fee_per_gas(fee_wei)
                .with_max_priority_fee_per_gas(1);
            let sent = provider.send_transaction(transaction).await;
            sent.map(drop).unwrap();
        }
        let hex = |number: u64| json!(format!("0x{number:x}"));
        let expected = json!({"pending": hex(pending), "queued": hex(queued)});
        support::until("the pool holds what was sent", async || {
            self.ask("txpool_status", json!([])).await == expected
        })
        .await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut command = service(self.name, "stop", self.directory.path());
        command.status().ok();
    }
}

fn service(name: &str, action: &str, directory: &Path) -> Command {
    let mut command = Command::new(support::root().join("deploy/services").join(name));
    command.arg(action).arg(directory);
    command
}

/// An agent that polls a client every second.
struct Watch {
    server: BulkServer,
    agent: Agent,
    _site: Site,
}

impl Watch {
    fn start(client: &Client, more: &str) -> Self {
        let server = BulkServer::start(|_, _| Act::Serve);
        let site = Site::new();
        let section = format!("[execution]\nurl = \"{}\"\nperiod = \"1s\"\n", client.url);
        site.configure(&server.url(), &(section + more));
        Self {
            agent: site.start(),
            server,
            _site: site,
        }
    }

    /// What is stored of a stream, oldest first.
    fn documents(&self, stream: DataStream) -> Vec<Document> {
        let stored = self.server.stored().into_iter();
        let documents = stored.map(|id| match self.server.document(&id) {
            Some(Value::Object(object)) => Document::from(object),
            other => panic!("{other:?}"),
        });
        let is_it =
            |document: &Document| document.get_str("data_stream.dataset") == Some(stream.dataset());
        let mut documents: Vec<_> = documents.filter(is_it).collect();
        for document in &documents {
            assert_eq!(template_accepts(stream, document), Ok(()));
        }
        documents.sort_by_key(Document::timestamp);
        documents
    }

    fn polls(&self) -> Vec<Document> {
        self.documents(DataStream::Execution)
    }

    /// The first poll after `since` of which it is true; waits for it.
    #[track_caller]
    fn poll(
        &self,
        since: DateTime<Utc>,
        what: &str,
        is_it: impl Fn(&Document) -> bool,
    ) -> Document {
        let found = || {
            let polls = self.polls().into_iter();
            let mut after = polls.filter(|poll| poll.timestamp() > Some(since));
            after.find(&is_it)
        };
        wait_until(
            || found().is_some(),
            || format!("no poll {what}:\n{:#?}\n{}", self.polls(), self.agent.log()),
        );
        found().unwrap()
    }

    /// A poll that sees the client's head as it is now.
    async fn sees(&self, client: &Client) {
        let (number, since) = (client.head().await, slot::now());
        self.poll(since, "has this head", |poll| {
            poll.get_u64("ethereum.block.number") >= Some(number)
        });
    }
}

fn field<'a>(poll: &'a Document, name: &str) -> Option<&'a Value> {
    poll.get(&format!("ethereum.execution.{name}"))
}

fn number(poll: &Document, name: &str) -> Option<u64> {
    field(poll, name)?.as_u64()
}

/// The two polls after the pool was filled both tell of it.
#[track_caller]
fn assert_surge(watch: &Watch, since: DateTime<Utc>, pending: u64, queued: u64) {
    let mut last = since;
    for nth in 1..=2 {
        let poll = watch.poll(last, "followed", |_| true);
        let pool = (number(&poll, "pending"), number(&poll, "queued"));
        assert_eq!(pool, (Some(pending), Some(queued)), "poll {nth}: {poll:?}");
        last = poll.timestamp().unwrap();
    }
}
