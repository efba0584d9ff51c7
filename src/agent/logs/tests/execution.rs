//! Lines of the execution clients in, typed values out.

use serde_json::json;

use super::golden::{check, parse};
use crate::agent::logs::Client::{Besu, Erigon, Geth, Nethermind, Reth};

const HASH: &str = "0x5ab3924c33f7f232be580c5bf0e30ff4b1321eab5e5773355cad2f5374f94d91";

#[test]
fn geth_in_three_forms() {
    check(
        Geth,
        "INFO [11-04|22:40:27.798] Imported new chain segment               blocks=1 txs=179 mgas=18.535 elapsed=210.286ms mgasps=88.142 number=13,742,440 hash=b598e5..cf1ee0 dirty=2.48GiB",
        ("block_imported", "info", ""),
        "2026-11-04T22:40:27.798Z",
        json!({
            "block.number": 13_742_440, "block.hash_prefix": "b598e5", "block.hash_suffix": "cf1ee0", "exec.tx_count": 179,
            "exec.gas_used": 18_535_000, "exec.mgas_per_s": 88.142, "duration_ms": 210.286,
        }),
    );
    let reorg = json!({
        "block.number": 20, "reorg.dropped": 13, "reorg.added": 6, "reorg.ancestor_hash": HASH,
        "reorg.ancestor_hash_prefix": "5ab3", "reorg.ancestor_hash_suffix": "4d91",
        "reorg.old_hash_prefix": "f59e", "reorg.old_hash_suffix": "f418",
    });
    for record in [
        format!(
            "t=2026-11-04T22:40:27+0000 lvl=info msg=\"Chain reorg detected\" number=20 hash={HASH} drop=13 dropfrom=0xf59e…f418 add=6"
        ),
        format!(
            r#"{{"t":"2026-11-04T22:40:27Z","lvl":"info","msg":"Chain reorg detected","number":"20","hash":"{HASH}","drop":13,"dropfrom":"0xf59e…f418","add":6}}"#
        ),
    ] {
        check(
            Geth,
            &record,
            ("reorg", "info", ""),
            "2026-11-04T22:40:27Z",
            reorg.clone(),
        );
    }
}

#[test]
fn geth_refusals_and_slow_blocks() {
    check(
        Geth,
        "ERROR[06-03|15:23:18.105] Failed ForkchoiceUpdated                 head=662e90..bb0e2b error=\"beacon syncer reorging\"",
        ("payload_invalid", "error", ""),
        "2026-06-03T15:23:18.105Z",
        json!({"block.hash_prefix": "662e90", "block.hash_suffix": "bb0e2b", "error.message": "beacon syncer reorging"}),
    );
    check(
        Geth,
        &format!(
            r#"{{"t":"2026-11-04T22:40:27Z","lvl":"warn","msg":"Slow block","block":{{"number":7,"hash":"{HASH}","gas_used":21000,"tx_count":1}},"timing":{{"execution_ms":900,"total_ms":1200.5}},"throughput":{{"mgas_per_sec":17.5}}}}"#
        ),
        ("performance", "warn", ""),
        "2026-11-04T22:40:27Z",
        json!({
            "block.number": 7, "block.hash": HASH, "block.hash_prefix": "5ab3", "block.hash_suffix": "4d91",
            "exec.gas_used": 21_000, "exec.tx_count": 1, "duration_ms": 1_200.5, "exec.mgas_per_s": 17.5,
        }),
    );
}

#[test]
fn nethermind_one_record_or_three() {
    let block = "2026-06-03 15:23:18.1055|INFO|Consensus.Processing|12|Processed    17408980           |    201.49 ms  | slot  12,106 ms     | recv        0 | proc        0\n- Block            15.14 MGas   |    130    txs | calls  1,013 ( 17)\n- Throughput       75.12 MGas/s |    645.18 t/s |            4.96 b/s\n- Ave Throughput   71.93 MGas/s |    683.41 t/s";
    check(
        Nethermind,
        block,
        ("block_imported", "info", "Consensus.Processing"),
        "2026-06-03T15:23:18.105500Z",
        json!({
            "block.number": 17_408_980, "duration_ms": 201.49, "exec.gas_used": 15_140_000, "exec.tx_count": 130,
            "exec.mgas_per_s": 75.12,
        }),
    );
    assert_eq!(parse(Nethermind, block).thread, "12");
    check(
        Nethermind,
        "2026-06-03 15:23:18.1055|INFO|12| Block    mev    0.0312ETH    28.34 MGas    |      67   txs | calls      1,339 (130)",
        ("performance", "info", ""),
        "2026-06-03T15:23:18.105500Z",
        json!({"exec.gas_used": 28_340_000, "exec.tx_count": 67}),
    );
    check(
        Nethermind,
        "2026-06-03 15:23:18.1055|WARN|12|Received Invalid ForkChoice: 0x11e58f...e1c454, Safe: 0x1",
        ("payload_invalid", "warn", ""),
        "2026-06-03T15:23:18.105500Z",
        json!({
            "block.hash_prefix": "11e58f", "block.hash_suffix": "e1c454",
            "error.message": "Received Invalid ForkChoice: 0x11e58f...e1c454, Safe: 0x1",
        }),
    );
}

#[test]
fn besu_of_both_generations() {
    check(
        Besu,
        "2026-09-16 10:17:24.623+00:00 | vert.x-worker-thread-0 | INFO  | AbstractEngineNewPayload | Imported #18,148,064 / 94 tx / 16 ws / 2 blobs / base fee 8.55 gwei / 8,959,450 (29.9%) gas / (0x6dc7…8003) in 0.558s. Peers: 25",
        ("block_imported", "info", "AbstractEngineNewPayload"),
        "2026-09-16T10:17:24.623Z",
        json!({
            "block.number": 18_148_064, "block.hash_prefix": "6dc7", "block.hash_suffix": "8003", "exec.tx_count": 94,
            "exec.withdrawals": 16, "exec.blobs": 2, "exec.base_fee_wei": 8_550_000_000_u64, "exec.gas_used": 8_959_450,
            "exec.gas_ratio": 0.299, "duration_ms": 558.0, "peers.connected": 25,
        }),
    );
    let newer = json!({
        "block.number": 23_115, "block.hash_prefix": "7fb0b", "block.hash_suffix": "80ce5", "exec.tx_count": 564,
        "exec.withdrawals": 16, "exec.blobs": 0, "exec.base_fee_wei": 7, "exec.gas_used": 51_897_982, "exec.gas_ratio": 0.013,
        "duration_ms": 293.0, "exec.mgas_per_s": 177.13, "peers.connected": 7,
    });
    let message = "Imported #23,115  (7fb0b.....80ce5)|  564 tx| 16 ws| 0 blobs| base fee      7 wei| gas used  51,897,982 (  1.3%)| exec time 0.293s| mgas/s 177.13| peers:  7";
    for record in [
        format!("2026-04-28 14:37:30.943 | w | INFO  | AbstractEngineNewPayload | {message}"),
        format!(
            r#"{{"@timestamp":"2026-04-28T14:37:30,943","level":"INFO","thread":"w","class":"AbstractEngineNewPayload","message":"{message}","throwable":""}}"#
        ),
    ] {
        check(
            Besu,
            &record,
            ("block_imported", "info", "AbstractEngineNewPayload"),
            "2026-04-28T14:37:30.943Z",
            newer.clone(),
        );
        assert_eq!(parse(Besu, &record).thread, "w");
    }
}

#[test]
fn besu_reorg_over_four_lines() {
    let lines = format!(
        "Chain Reorganization +192 new / -1 old\n       Old - hash: {HASH}, height: 3368145\n       New - hash: 0xd1fb…ac79, height: 3368337\n  Ancestor - hash: 0xbca2…eb63, height: 3368144"
    );
    let expected = json!({
        "block.number": 3_368_337, "reorg.added": 192, "reorg.dropped": 1, "reorg.old_hash": HASH,
        "reorg.old_hash_prefix": "5ab3", "reorg.old_hash_suffix": "4d91", "reorg.new_hash_prefix": "d1fb",
        "reorg.new_hash_suffix": "ac79", "reorg.ancestor_hash_prefix": "bca2", "reorg.ancestor_hash_suffix": "eb63",
    });
    for record in [
        format!("2026-04-28 14:37:30.943+0000 | w | WARN  | DefaultBlockchain | {lines}"),
        format!(
            r#"{{"@timestamp":"2026-04-28T14:37:30,943","level":"WARN","thread":"w","class":"DefaultBlockchain","message":{},"throwable":""}}"#,
            json!(lines)
        ),
    ] {
        check(
            Besu,
            &record,
            ("reorg", "warn", "DefaultBlockchain"),
            "2026-04-28T14:37:30.943Z",
            expected.clone(),
        );
    }
}

#[test]
fn erigon_stages_and_caplin() {
    for prefix in ["INFO[10-03|02:08:33.749]", "[INFO] [10-03|02:08:33.749]"] {
        check(
            Erigon,
            &format!(
                "{prefix} [4/6 Execution] Unwind Execution                from=21763743 to=21763742"
            ),
            ("unwind", "info", "4/6 Execution"),
            "2026-10-03T02:08:33.749Z",
            json!({"block.number": 21_763_742}),
        );
        check(
            Erigon,
            &format!(
                "{prefix} [2/15 Headers] Fork choice: re-org       goal=26781502 from=26781501 unwind to=26781500"
            ),
            ("reorg", "info", "2/15 Headers"),
            "2026-10-03T02:08:33.749Z",
            json!({"block.number": 26_781_502, "reorg.dropped": 1}),
        );
    }
    let record =
        "INFO[10-03|02:08:33.749] P2P                                      app=caplin peers=15";
    check(
        Erigon,
        record,
        ("peer_count", "info", ""),
        "2026-10-03T02:08:33.749Z",
        json!({"peers.connected": 15}),
    );
    assert_eq!(parse(Erigon, record).layer, Some("consensus"));
    check(
        Erigon,
        r#"{"lvl":"warn","msg":"[bor] Rewinding chain due to milestone","number":66049661,"t":"2026-10-29T04:11:10.705579412Z"}"#,
        ("unwind", "warn", "bor"),
        "2026-10-29T04:11:10.705579412Z",
        json!({"block.number": 66_049_661}),
    );
}

#[test]
fn reth_in_three_forms() {
    let expected = json!({
        "block.number": 2_097, "block.hash": HASH, "block.hash_prefix": "5ab3", "block.hash_suffix": "4d91",
        "peers.connected": 45, "exec.tx_count": 96, "exec.gas_used": 18_230_000, "exec.mgas_per_s": 113.79,
        "exec.gas_ratio": 0.117, "exec.base_fee_wei": 1_250_000_000, "exec.blobs": 0, "duration_ms": 160.199_203,
    });
    let pairs = |gas: &str, rate: &str| {
        format!(
            "number=2097 hash={HASH} peers=45 txs=96 {gas} gas_throughput={rate} full=11.7% base_fee=1.25Gwei blobs=0 excess_blobs=0 elapsed=160.199203ms"
        )
    };
    let old = pairs("gas=18.23 Mgas", "113.79 Mgas/second");
    let new = pairs("gas_used=18.23Mgas", "113.79Mgas/second");
    for record in [
        format!(
            "2026-10-12T11:54:53.867657Z  INFO reth_node_events::node: Block added to canonical chain {old}"
        ),
        format!(
            "2026-10-12T11:54:53.867657Z  INFO reth_node_events::node: Block added to canonical chain {new}"
        ),
        format!(
            "ts=2026-10-12T11:54:53.867657Z level=info target=reth_node_events::node message=\"Block added to canonical chain\" {new}"
        ),
        format!(
            r#"{{"timestamp":"2026-10-12T11:54:53.867657Z","level":"INFO","fields":{{"message":"Block added to canonical chain","number":2097,"hash":"{HASH}","peers":45,"txs":96,"gas_used":"18.23Mgas","gas_throughput":"113.79Mgas/second","full":"11.7%","base_fee":"1.25Gwei","blobs":0,"elapsed":"160.199203ms"}},"target":"reth_node_events::node"}}"#
        ),
    ] {
        check(
            Reth,
            &record,
            ("block_imported", "info", "reth_node_events::node"),
            "2026-10-12T11:54:53.867657Z",
            expected.clone(),
        );
    }
}

#[test]
fn deaths_have_neither_time_nor_form() {
    for (client, record) in [
        (
            Reth,
            "thread 'tokio-runtime-worker' panicked at crates/a.rs:1:2:\nassertion failed\nstack backtrace:\n   0: begin",
        ),
        (
            Geth,
            "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()",
        ),
        (
            Besu,
            "Exception in thread \"main\" java.lang.OutOfMemoryError\n\tat x.Y",
        ),
    ] {
        assert!(client.begins_record(record.lines().next().unwrap()));
        assert!(!client.begins_record(record.lines().last().unwrap()));
        let parsed = parse(client, record);
        assert!(parsed.is_known && parsed.time.is_none());
        assert!(parsed.level.unwrap().name() != "info");
        assert_eq!(parsed.message, record.lines().next().unwrap());
        assert!(record.ends_with(&*parsed.stack_trace.unwrap()));
    }
}
