//! Forms that issue threads of the clients show beside those of the samples, with numbers of our own: old and new
//! versions, other transports, rare sentences. What is named has to be found; more may be.

use serde_json::{Value, json};

use super::golden::parse;
use crate::agent::logs::client::Client::{self, *};

const ROOT: &str = "0x5ab3c1d2e3f405162738495a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d64d91";

#[track_caller]
fn check(client: Client, record: &str, action: &str, level: &str, expected: Value) {
    let record = record.replace("ROOT", ROOT);
    let parsed = parse(client, &record);
    assert!(parsed.is_known, "{record}");
    assert_eq!(parsed.action.name(), action, "{record}");
    assert_eq!(
        parsed.level.map_or("", |level| level.name()),
        level,
        "{record}"
    );
    let document = parsed.fields.into_document();
    for (field, value) in expected.as_object().unwrap() {
        let found = document
            .get(&format!("ethereum.{field}"))
            .or_else(|| document.get(field));
        assert_eq!(found, Some(value), "{field} of {record}");
    }
}

#[test]
fn lighthouse() {
    check(
        Lighthouse,
        "Nov 20 10:00:00.000 DEBG Fork choice updated head                old_head_block_root: Some(0x1111), new_head_block_root: ROOT, new_head_slot: 7342305, service: beacon",
        "head_updated",
        "debug",
        json!({"slot": 7_342_305, "block.root": ROOT}),
    );
    check(
        Lighthouse,
        "Aug 27 07:31:32.148 ERRO Previous epoch attestation missing      validator: 12, epoch: 60481, service: val_mon",
        "validator_problem",
        "error",
        json!({"epoch": 60_481}),
    );
    check(
        Lighthouse,
        "Jul 05 17:47:06.004 INFO  Syncing                                       peers: \"7\", distance: \"25831 slots (3 days 14 hrs)\", est_time: \"--\"",
        "sync_progress",
        "info",
        json!({"peers.connected": 7, "sync.distance": 25_831}),
    );
}

#[test]
fn prysm() {
    check(
        Prysm,
        "nov. 22 12:17:09 node1 prysm.sh[27116]: time=\"2025-11-22 12:17:09\" level=warning msg=\"Range is not processed\" err=\"Range had no valid blocks to process\" prefix=initial-sync",
        "sync_progress",
        "warn",
        json!({"error.message": "Range had no valid blocks to process"}),
    );
    check(
        Prysm,
        "time=\"2024-05-19 23:28:57\" level=info msg=\"Finalized checkpoint\" epoch=208 prefix=blockchain root=0x3b4c5d6e",
        "finalized",
        "info",
        json!({"finalized.epoch": 208, "finalized.root_prefix": "3b4c5d6e"}),
    );
    check(
        Prysm,
        "time=\"2020-07-11 16:23:52\" level=info msg=\"Submitted new attestations\" AttesterIndices=[3733] BeaconBlockRoot=0x871173cd7bbc Slot=197732 prefix=validator",
        "generic",
        "info",
        json!({"slot": 197_732, "block.root_prefix": "871173cd7bbc"}),
    );
}

#[test]
fn teku() {
    check(
        Teku,
        "2024-09-18 09:44:03.817 WARN  - Late Block Import *** Block: ROOT (4722518) Proposer: 12 Result: success Timings: Arrival 1379ms, Processed +191ms, Execution_payload_result_received +3199ms, Completed +19ms",
        "late_block",
        "warn",
        json!({"slot": 4_722_518, "delay.observed_ms": 1_379.0, "delay.execution_ms": 3_199.0, "delay.total_ms": 4_788.0}),
    );
    check(
        Teku,
        "Sep 08 02:55:11 node1 teku[2327]: 02:55:11.488 WARN  - Rejecting invalid block at slot 2020474 with root ROOT because FAILED_STATE_TRANSITION.",
        "payload_invalid",
        "warn",
        json!({"slot": 2_020_474, "block.root": ROOT}),
    );
    check(
        Teku,
        "2024-09-18 09:44:15.002 ERROR - Validator   *** Failed to produce attestation  Slot: 9999991 Validator: 1a2b3c4",
        "validator_problem",
        "error",
        json!({"slot": 9_999_991}),
    );
    check(
        Teku,
        "2024-09-18 09:44:15.002 ERROR - Execution Client is offline",
        "engine_offline",
        "error",
        json!({}),
    );
}

#[test]
fn a_transport_knows_the_date_that_the_client_does_not_print() {
    let line = "Sep 08 02:55:11 node1 teku[2327]: 02:55:11.488 INFO  - Syncing completed";
    let time = parse(Teku, line).time.unwrap().at;
    assert_eq!(time.to_rfc3339(), "2026-09-08T02:55:11.488+00:00");
    let line = "node-1  | 2025-03-03T00:22:46.915326618Z Mar-03 00:22:46.915[chain] info: x";
    let time = parse(Lodestar, line).time.unwrap().at;
    assert_eq!(time.to_rfc3339(), "2025-03-03T00:22:46.915+00:00");
}

#[test]
fn nimbus() {
    check(
        Nimbus,
        "NTC 2023-03-01 10:00:02.500+00:00 Updated head block with chain reorg        topics=\"chaindag\" newHead=2a2b3c4d:5900001 oldHead=3a2b3c4d:5900000",
        "reorg",
        "info",
        json!({"reorg.new_slot": 5_900_001, "reorg.old_slot": 5_900_000, "reorg.old_root_prefix": "3a2b3c4d"}),
    );
    check(
        Nimbus,
        "ERR 2023-03-01 10:00:02.500+00:00 No execution client configured             topics=\"elman\"",
        "engine_offline",
        "error",
        json!({}),
    );
}

#[test]
fn lodestar() {
    check(
        Lodestar,
        "node_1  | Sep-02 12:37:42.001 []                 info: Synced - block: 1173188   … (empty) - head: 1173187 0x9cd8…e232 - finalized: 1173120 0x24ad…eb79 (36660) - peers: 3",
        "slot_start",
        "info",
        json!({"slot": 1_173_188, "head.slot": 1_173_187, "finalized.epoch": 36_660, "finalized.root_prefix": "24ad", "peers.connected": 3}),
    );
    check(
        Lodestar,
        "2021-01-19 04:14:09 [SYNC]             info: Sync progress 10910/10949 - 2.5 minutes left - 8.41 slots/s",
        "sync_progress",
        "info",
        json!({"head.slot": 10_910, "sync.distance": 39, "sync.eta_s": 150, "sync.rate_slots_s": 8.41}),
    );
}

#[test]
fn grandine() {
    check(
        Grandine,
        "[2025-12-18T00:16:35.295Z] ERROR eth1_api::eth1_api:233: all Eth1 RPC endpoints failed peers=[12/100]",
        "engine_offline",
        "error",
        json!({"peers.connected": 12}),
    );
}

#[test]
fn geth() {
    check(
        Geth,
        "ERROR[12-04|22:40:28.798] \n########## BAD BLOCK #########\nBlock: 20123456 (ROOT)\nError: invalid gas used (remote: 1 local: 2)\n##############################",
        "payload_invalid",
        "error",
        json!({"block.number": 20_123_456, "block.hash": ROOT, "error.message": "invalid gas used (remote: 1 local: 2)"}),
    );
}

#[test]
fn nethermind() {
    check(
        Nethermind,
        "14 Mar 21:40:13 | Peers: 50 | node diversity : Geth (60 %), Nethermind (30 %)",
        "peer_count",
        "",
        json!({"peers.connected": 50}),
    );
    check(
        Nethermind,
        "2022-09-15 10:42:25.9763|Sync peers 44(45)/100",
        "peer_count",
        "",
        json!({"peers.connected": 44, "peers.target": 100}),
    );
    check(
        Nethermind,
        "14 Mar 21:40:13 | Rejected invalid block 19450001 (0xd7308d...978f33), reason: InvalidStateRoot",
        "payload_invalid",
        "error",
        json!({"block.number": 19_450_001, "block.hash_prefix": "d7308d"}),
    );
    check(
        Nethermind,
        "2023-06-03 10:42:25.9763|INFO|12|FCU - block 17453905 (0x0a8eba...79f1b3) was processed.",
        "head_updated",
        "info",
        json!({"block.number": 17_453_905, "block.hash_suffix": "79f1b3"}),
    );
}

#[test]
fn besu() {
    check(
        Besu,
        "2022-11-07 17:05:36.277-05:00 | EthScheduler-Services-43 (importBlock) | INFO  | FastImportBlocksStep | Completed importing chain segment 6364401 to 6367600 (3200 blocks in 10187ms), Peers: 21",
        "sync_progress",
        "info",
        json!({"block.number": 6_367_600, "duration_ms": 10_187.0, "peers.connected": 21}),
    );
    check(
        Besu,
        "2023-09-16 10:17:24.623+00:00 | w-0 | INFO  | BackwardSyncContext | Backward sync phase 2 of 2, 12.34% completed, imported 123 blocks of at least 1000 (current head 18148064, target head 18149064). Peers: 25",
        "sync_progress",
        "info",
        json!({"block.number": 18_148_064, "sync.distance": 1_000, "peers.connected": 25}),
    );
}

#[test]
fn erigon() {
    check(
        Erigon,
        r#"{"hash":"ROOT", "lvl":"info", "msg":"head updated", "number":7.7399973E7, "t":"2025-10-08T15:38:10.474118399Z"}"#,
        "head_updated",
        "info",
        json!({"block.number": 77_399_973, "block.hash": ROOT}),
    );
    check(
        Erigon,
        "INFO[02-03|02:08:39.225] Forward Sync                              app=caplin stage=ForwardSync from=9567202 to=9567300",
        "sync_progress",
        "info",
        json!({"head.slot": 9_567_202, "slot": 9_567_300}),
    );
}

#[test]
fn reth() {
    check(
        Reth,
        "2023-06-30T19:39:53.192454Z  INFO make_canonical{block_hash=0xf517}:insert{}: blockchain_tree: Committing new canonical chain: [(17594206, 0x1111), (17594207, ROOT)]",
        "head_updated",
        "info",
        json!({"block.number": 17_594_207, "block.hash": ROOT}),
    );
    check(
        Reth,
        "2025-11-10T09:21:52.039381Z  WARN Invalid block error on new payload invalid_hash=ROOT invalid_number=23764501 validation_err=block gas used mismatch",
        "payload_invalid",
        "warn",
        json!({"block.number": 23_764_501, "block.hash": ROOT, "error.message": "block gas used mismatch"}),
    );
}
