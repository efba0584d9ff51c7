//! Lines of the consensus clients in, typed values out. Lodestar's are in [`super::lodestar`].

use serde_json::json;

use super::golden::{check, parse};
use crate::agent::logs::Client::{Grandine, Lighthouse, Nimbus, Prysm, Teku};

const ROOT: &str = "0x5ab3924c33f7f232be580c5bf0e30ff4b1321eab5e5773355cad2f5374f94d91";

#[test]
fn lighthouse_of_both_generations() {
    let late = json!({
        "slot": 81_700, "proposer_index": 2_137, "block.root_prefix": "77e1", "block.root_suffix": "d150",
        "delay.total_ms": 5_617.722_101, "delay.observed_ms": 5_103.477_108, "delay.imported_ms": 465.096_983,
        "delay.set_as_head_ms": 49.148_01,
    });
    check(
        Lighthouse,
        "Oct 31 08:00:28.617 DEBG Delayed head block                      set_as_head_delay: Some(49.14801ms), imported_delay: Some(465.096983ms), observed_delay: Some(5.103477108s), block_delay: 5.617722101s, slot: 81700, proposer_index: 2137, block_root: 0x77e1…d150, service: beacon",
        ("late_block", "debug", "beacon"),
        "2026-10-31T08:00:28.617Z",
        late,
    );
    let on_time = json!({
        "slot": 991, "proposer_index": 15, "block.root": ROOT, "block.root_prefix": "5ab3", "block.root_suffix": "4d91",
        "delay.total_ms": 2_606.0, "delay.observed_ms": 2_180.0, "delay.consensus_ms": 129.0, "delay.execution_ms": 122.0,
        "delay.available_ms": 2_432.0, "delay.attestable_ms": 2_466.0, "delay.imported_ms": 149.0, "delay.set_as_head_ms": 23.0,
    });
    let text = format!(
        "Nov 20 10:00:00.101 DEBUG On-time head block                            block_root: {ROOT}, proposer_index: 15, slot: 991, total_delay_ms: 2606, observed_delay_ms: \"2180\", blob_delay_ms: \"unknown\", consensus_time_ms: \"129\", execution_time_ms: \"122\", available_delay_ms: \"2432\", attestable_delay_ms: \"2466\", imported_time_ms: \"149\", set_as_head_time_ms: \"23\" "
    );
    let json = format!(
        r#"{{"msg":"On-time head block","level":"DEBUG","ts":"2026-11-20T10:00:00.101000Z","block_root":"{ROOT}","proposer_index":15,"slot":991,"total_delay_ms":2606,"observed_delay_ms":"2180","blob_delay_ms":"unknown","consensus_time_ms":129,"execution_time_ms":"122","available_delay_ms":"2432","attestable_delay_ms":"2466","imported_time_ms":"149","set_as_head_time_ms":"23"}}"#
    );
    for record in [text, json] {
        check(
            Lighthouse,
            &record,
            ("head_updated", "debug", ""),
            "2026-11-20T10:00:00.101Z",
            on_time.clone(),
        );
    }
    check(
        Lighthouse,
        "Nov 20 10:00:05.001 INFO  Synced                                        peers: \"71\", exec_hash: \"0x4846…9f7f (verified)\", finalized_root: 0xb0d8…2d99, finalized_epoch: 29, epoch: 31, block: \"0x4319…e99b\", slot: 992 ",
        ("slot_start", "info", ""),
        "2026-11-20T10:00:05.001Z",
        json!({
            "slot": 992, "epoch": 31, "peers.connected": 71, "finalized.epoch": 29, "sync.state": "synced",
            "finalized.root_prefix": "b0d8", "finalized.root_suffix": "2d99", "head.slot": 992,
            "head.root_prefix": "4319", "head.root_suffix": "e99b", "block.hash_prefix": "4846", "block.hash_suffix": "9f7f",
        }),
    );
}

#[test]
fn lighthouse_with_places_reorgs_and_engines() {
    check(
        Lighthouse,
        "Nov 20 10:00:05.001 WARN beacon_chain::canonical_head::src/canonical_head.rs:77 Beacon chain re-org  reorg_distance: 1, new_slot: 352, previous_slot: 309",
        (
            "reorg",
            "warn",
            "beacon_chain::canonical_head::src/canonical_head.rs:77",
        ),
        "2026-11-20T10:00:05.001Z",
        json!({"slot": 352, "reorg.new_slot": 352, "reorg.old_slot": 309, "reorg.reported_depth": 1}),
    );
    let call = |error: &str| {
        format!(
            "Nov  2 10:00:05.001 WARN Execution engine call failed            error: {error}, service: exec"
        )
    };
    for (error, action) in [
        (
            "ServerMessage { code: -32000, message: \"reorging, at: 3\" }",
            "payload_invalid",
        ),
        (
            "HttpClient(url: http://localhost:8551/, kind: timeout, detail: operation timed out)",
            "engine_offline",
        ),
    ] {
        check(
            Lighthouse,
            &call(error),
            (action, "warn", "exec"),
            "2026-11-02T10:00:05.001Z",
            json!({"error.message": error}),
        );
    }
    check(
        Lighthouse,
        "Nov 20 10:00:05.001 INFO Syncing                                 est_time: 2 hrs 11 mins, speed: 5.33 slots/sec, distance: 42134 slots (5 days 20 hrs), peers: 44, service: slot_notifier",
        ("sync_progress", "info", "slot_notifier"),
        "2026-11-20T10:00:05.001Z",
        json!({"sync.eta_s": 7_860, "sync.rate_slots_s": 5.33, "sync.distance": 42_134, "peers.connected": 44}),
    );
}

#[test]
fn prysm_in_four_forms() {
    let expected = json!({
        "slot": 6_475, "epoch": 202, "block.root_prefix": "f90dc214", "finalized.epoch": 200, "finalized.root_prefix": "bdf20f84",
        "delay.total_ms": 1_500.5,
    });
    for record in [
        r#"time="2026-05-19 23:28:57.12" level=debug msg="Synced new block" block=0xf90dc214... epoch=202 finalizedEpoch=200 finalizedRoot=0xbdf20f84... prefix=blockchain sinceSlotStartTime=1.5005s slot=6475"#,
        r#"[2026-05-19 23:28:57.12] DEBUG blockchain: Synced new block block=0xf90dc214... epoch=202 finalizedEpoch=200 finalizedRoot=0xbdf20f84... sinceSlotStartTime=1.5005s slot=6475"#,
        r#"{"block":"0xf90dc214...","epoch":202,"finalizedEpoch":200,"finalizedRoot":"0xbdf20f84...","level":"debug","msg":"Synced new block","prefix":"blockchain","sinceSlotStartTime":1500500000,"slot":6475,"time":"2026-05-19 23:28:57.12"}"#,
        r#"{"message":"Synced new block","severity":"DEBUG","prefix":"blockchain","block":"0xf90dc214...","epoch":202,"finalizedEpoch":200,"finalizedRoot":"0xbdf20f84...","sinceSlotStartTime":1500500000,"slot":6475,"timestamp":"2026-05-19T23:28:57.12Z"}"#,
    ] {
        check(
            Prysm,
            record,
            ("block_imported", "debug", "blockchain"),
            "2026-05-19T23:28:57.120Z",
            expected.clone(),
        );
    }
}

#[test]
fn prysm_peers_and_errors() {
    check(
        Prysm,
        r#"time="2026-05-19 23:28:57" level=info msg="Connected peers" inboundQUIC=1 inboundTCP=2 outboundQUIC=3 outboundTCP=4 prefix=p2p target=70 total=10"#,
        ("peer_count", "info", "p2p"),
        "2026-05-19T23:28:57Z",
        json!({"peers.connected": 10, "peers.inbound": 3, "peers.outbound": 7, "peers.target": 70}),
    );
    let record = r#"Mar 14 21:41:50 node1 prysm.sh[4711]: time="2026-03-14 21:41:50" level=error msg="Could not connect to execution endpoint" error="Post \"http://x\": refused" prefix=execution"#;
    check(
        Prysm,
        record,
        ("engine_offline", "error", "execution"),
        "2026-03-14T21:41:50Z",
        json!({"error.message": "Post \"http://x\": refused"}),
    );
    let parsed = parse(Prysm, record);
    assert_eq!(
        parsed.message,
        "Could not connect to execution endpoint error=\"Post \\\"http://x\\\": refused\" prefix=execution"
    );
    assert!(parsed.others.contains(&(
        "transport".into(),
        "Mar 14 21:41:50 node1 prysm.sh[4711]".into()
    )));
}

#[test]
fn teku_late_blocks_of_both_generations() {
    let delays = json!({
        "slot": 472, "proposer_index": 35, "block.root_prefix": "9ec8c30f", "delay.observed_ms": 1_379.0,
        "delay.consensus_ms": 191.0, "delay.execution_ms": 3_199.0, "delay.total_ms": 4_769.0,
    });
    for record in [
        "2026-09-18 09:44:03.817 WARN  - Late Block Import *** Block: 9ec8c30f… (472) proposer 35 arrival 1379ms, processed +191ms, execution_payload_result_received +3199ms",
        "2026-09-18 09:44:03.817+00:00 | forkchoice-async-1 | WARN  | teku-event-log | Late Block Import *** Block: 9ec8c30f… (472) Proposer: 35 Result: success Timings: arrival 1379ms, processed +191ms, execution_payload_result_received +3199ms",
    ] {
        let logger = if record.contains('|') {
            "teku-event-log"
        } else {
            ""
        };
        check(
            Teku,
            record,
            ("late_block", "warn", logger),
            "2026-09-18T09:44:03.817Z",
            delays.clone(),
        );
    }
}

#[test]
fn teku_reorgs_misses_and_json() {
    check(
        Teku,
        "11:44:03.817 INFO  - Reorg Event *** New Head: a84b9e..4e76 (865), Previous Head: 7549c6..e281 (867), Common Ancestor: 42603c..7632 (860)",
        ("reorg", "info", ""),
        "2026-11-21T11:44:03.817Z",
        json!({
            "slot": 865, "reorg.new_slot": 865, "reorg.old_slot": 867, "reorg.ancestor_slot": 860,
            "reorg.new_root_prefix": "a84b9e", "reorg.new_root_suffix": "4e76", "reorg.old_root_prefix": "7549c6",
            "reorg.old_root_suffix": "e281", "reorg.ancestor_root_prefix": "42603c", "reorg.ancestor_root_suffix": "7632",
        }),
    );
    check(
        Teku,
        r#"{"@timestamp":"2026-11-20T11:44:03,817","level":"INFO","thread":"t","class":"teku-event-log","message":"Miss slots  *** Current slot: 34, previous slot: 30","throwable":""}"#,
        ("missed_slots", "info", "teku-event-log"),
        "2026-11-20T11:44:03.817Z",
        json!({"slot": 34}),
    );
}

#[test]
fn nimbus_in_text_and_json() {
    let expected = json!({
        "slot": 499, "epoch": 15, "peers.connected": 29, "sync.state": "synced/opt", "delay_ms": 0.467_953,
        "head.root_prefix": "f21d399e", "head.slot": 498, "finalized.epoch": 13, "finalized.root_prefix": "91e2ebaf",
    });
    for record in [
        "INF 2026-10-26 18:57:35.000+02:00 Slot start                                 topics=\"beacnde\" slot=499 epoch=15 sync=synced/opt peers=29 head=f21d399e:498 finalized=13:91e2ebaf delay=467us953ns",
        r#"{"lvl":"INF","ts":"2026-10-26 18:57:35.000+02:00","msg":"Slot start","topics":"beacnde","slot":499,"epoch":15,"sync":"synced/opt","peers":29,"head":"f21d399e:498","finalized":"13:91e2ebaf","delay":"467us953ns"}"#,
    ] {
        check(
            Nimbus,
            record,
            ("slot_start", "info", "beacnde"),
            "2026-10-26T16:57:35Z",
            expected.clone(),
        );
    }
    check(
        Nimbus,
        "WRN 2026-10-26 18:57:35.000+01:00 Peer count low, no new peers discovered    topics=\"networking\" discovered_nodes=1 new_peers=@[] current_peers=6 wanted_peers=160",
        ("low_peers", "warn", "networking"),
        "2026-10-26T17:57:35Z",
        json!({"peers.connected": 6, "peers.target": 160}),
    );
    check(
        Nimbus,
        "NOT 2026-10-26 18:57:35.000+00:00 Updated head block with chain reorg        topics=\"chaindag\" newHead=ddc79d9f:732 lastHead=8cfdc158:733",
        ("reorg", "info", "chaindag"),
        "2026-10-26T18:57:35Z",
        json!({
            "slot": 732, "reorg.new_slot": 732, "reorg.old_slot": 733, "reorg.new_root_prefix": "ddc79d9f",
            "reorg.old_root_prefix": "8cfdc158",
        }),
    );
}

#[test]
fn grandine_with_its_open_parenthesis() {
    check(
        Grandine,
        &format!(
            "[2026-10-18T00:16:34.901Z]  INFO fork_choice_store::store:2450: imported beacon block with 12 blobs (slot: 1983, {ROOT} peers=[99/100]"
        ),
        ("block_imported", "info", "fork_choice_store::store:2450"),
        "2026-10-18T00:16:34.901Z",
        json!({
            "slot": 1_983, "exec.blobs": 12, "peers.connected": 99, "peers.target": 100,
            "block.root": ROOT, "block.root_prefix": "5ab3", "block.root_suffix": "4d91",
        }),
    );
    check(
        Grandine,
        "[2026-10-18T00:16:34.901Z] WARN validator::validator:739: too many empty slots after head: 7199 + 32 < 12216 peers=[193/200]",
        ("validator_problem", "warn", "validator::validator:739"),
        "2026-10-18T00:16:34.901Z",
        json!({"slot": 12_216, "head.slot": 7_199, "peers.connected": 193, "peers.target": 200}),
    );
}
