//! A real Prysm and what it says of itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ethmon::slot;
use serde_json::Value;

use super::SLOTS_PER_EPOCH;
use crate::support;

/// The first checkpoint is final at the start of the epoch before this one.
const FINAL_BY_EPOCH: u64 = 5;

/// A Prysm with all validators of its network, on a Geth of its own; stopped with the test.
pub(super) struct Prysm {
    directory: tempfile::TempDir,
    url: String,
    execution: String,
    /// Unix seconds.
    pub(super) genesis: i64,
    slot_seconds: u64,
}

impl Prysm {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = service("start", directory.path());
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "cannot start Prysm");
        let told = std::fs::read_to_string(directory.path().join("prysm.env")).unwrap();
        let value = |name: &str| {
            let mut pairs = told.lines().filter_map(|line| line.split_once('='));
            pairs.find(|pair| pair.0 == name).unwrap().1.to_owned()
        };
        Self {
            url: value("PRYSM_URL"),
            execution: value("PRYSM_EXECUTION_URL"),
            genesis: value("GENESIS_TIME").parse().unwrap(),
            slot_seconds: value("SLOT_SECONDS").parse().unwrap(),
            directory,
        }
    }

    pub(super) fn sections(&self, namespace: &str) -> String {
        let path = |name: &str| self.directory.path().join(name);
        format!(
            "namespace = {namespace:?}\n[beacon]\nurl = {:?}\n[execution]\nurl = {:?}\nperiod = \"4s\"\n\
             [[logs]]\npaths = [{:?}, {:?}]\nclient = \"prysm\"\n[[logs]]\npaths = [{:?}]\nclient = \"geth\"\n",
            self.url,
            self.execution,
            path("beacon.log"),
            path("validator.log"),
            path("geth/geth.log"),
        )
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Until the node itself calls an epoch final.
    pub(super) async fn wait_for_finality(&self) {
        let limit = self.genesis + (FINAL_BY_EPOCH * SLOTS_PER_EPOCH * self.slot_seconds) as i64;
        loop {
            let answer = self
                .get("/eth/v1/beacon/states/head/finality_checkpoints")
                .await;
            if answer["data"]["finalized"]["epoch"] != "0" {
                return;
            }
            assert!(slot::now().timestamp() < limit, "nothing is final");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Slot and fork of each block from the head down to the first after genesis, by root.
    pub(super) async fn chain(&self) -> BTreeMap<String, (u64, String)> {
        let mut chain = BTreeMap::new();
        let mut id = "head".to_owned();
        loop {
            let header = self.get(&format!("/eth/v1/beacon/headers/{id}")).await;
            let root = header["data"]["root"].as_str().unwrap().to_owned();
            let message = &header["data"]["header"]["message"];
            let slot: u64 = message["slot"].as_str().unwrap().parse().unwrap();
            if slot == 0 {
                return chain;
            }
            id = message["parent_root"].as_str().unwrap().to_owned();
            let block = self.get(&format!("/eth/v2/beacon/blocks/{root}")).await;
            let fork = block["version"].as_str().unwrap().to_owned();
            chain.insert(root, (slot, fork));
        }
    }
}

impl Drop for Prysm {
    fn drop(&mut self) {
        service("stop", self.directory.path()).status().ok();
    }
}

fn service(action: &str, directory: &Path) -> Command {
    let mut command = Command::new(support::root().join("deploy/services/prysm"));
    command.arg(action).arg(directory);
    command
}
