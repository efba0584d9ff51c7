//! Lines of Lodestar in, fields of the document out.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::agent::logs::client::Client;
use crate::agent::logs::record::{Parsed, Reading};
use crate::agent::logs::text::time::Zone;
use crate::event::Document;

fn parse(record: &str) -> Parsed<'_> {
    let at: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
    Client::Lodestar.parse(
        record,
        &Reading {
            at,
            written_at: at,
            zone: Zone::Utc,
        },
    )
}

/// Compares action, level, logger and all typed fields.
#[track_caller]
fn check(record: &str, action: &str, level: &str, logger: &str, fields: Value) {
    let parsed = parse(record);
    assert_eq!(parsed.action.name(), action);
    assert_eq!(parsed.level.map(|level| level.name()), Some(level));
    assert_eq!(parsed.logger, logger);
    let mut expected = Document::default();
    for (field, value) in fields.as_object().unwrap() {
        expected.set(field, value.clone());
    }
    assert_eq!(
        parsed.fields.into_document().into_value(),
        expected.into_value()
    );
}

const ROOT: &str = "0x9f3924c33f7f232be580c5bf0e30ff4b1321eab5e5773355cad2f5374f94d90c";

#[test]
fn status_lines_of_three_versions() {
    check(
        "Nov-21 09:13:25.001[]                 \u{1b}[32minfo\u{1b}[39m: Synced - slot: 13 (skipped 1) - head: 12 0x6f9f…5129 - execution: valid(0x3c05…94da) - finalized: 0x84c8…182b:2 - peers: 1",
        "slot_start",
        "info",
        "",
        json!({
            "ethereum.slot": 13, "ethereum.sync.state": "synced", "ethereum.peers.connected": 1,
            "ethereum.head.slot": 12, "ethereum.head.root_prefix": "6f9f", "ethereum.head.root_suffix": "5129",
            "ethereum.block.hash_prefix": "3c05", "ethereum.block.hash_suffix": "94da",
            "ethereum.finalized.epoch": 2, "ethereum.finalized.root_prefix": "84c8", "ethereum.finalized.root_suffix": "182b",
        }),
    );
    check(
        "Apr-20 15:15:05.000[]                 info: Synced - slot: 6264973 - head: 0x90ea…c655 - exec-block: valid(17088521 0xca9b…) - finalized: 0x6981…682f:195778 - peers: 6",
        "slot_start",
        "info",
        "",
        json!({
            "ethereum.slot": 6_264_973, "ethereum.sync.state": "synced", "ethereum.peers.connected": 6,
            "ethereum.head.slot": 6_264_973, "ethereum.head.root_prefix": "90ea", "ethereum.head.root_suffix": "c655",
            "ethereum.block.number": 17_088_521, "ethereum.block.hash_prefix": "ca9b",
            "ethereum.finalized.epoch": 195_778, "ethereum.finalized.root_prefix": "6981", "ethereum.finalized.root_suffix": "682f",
        }),
    );
    check(
        "Apr-20 15:13:18.271[]                 info: Syncing - 2 minutes 22 seconds left - 4.92 slots/s - slot: 6264971 - head: (slot - 108) 0xd15f…b605 - exec-block: syncing(17088421 0xca9b…) - finalized: 0x6981…682f:195778 - peers: 6",
        "sync_progress",
        "info",
        "",
        json!({
            "ethereum.slot": 6_264_971, "ethereum.sync.state": "syncing", "ethereum.peers.connected": 6,
            "ethereum.sync.eta_s": 142, "ethereum.sync.rate_slots_s": 4.92, "ethereum.sync.distance": 108,
            "ethereum.head.slot": 6_264_863, "ethereum.head.root_prefix": "d15f", "ethereum.head.root_suffix": "b605",
            "ethereum.block.number": 17_088_421, "ethereum.block.hash_prefix": "ca9b",
            "ethereum.finalized.epoch": 195_778, "ethereum.finalized.root_prefix": "6981", "ethereum.finalized.root_suffix": "682f",
        }),
    );
}

#[test]
fn blocks_heads_and_reorgs() {
    let text = format!(
        "Nov-21 09:12:57.113[chain]         verbose: New chain head slot=1, root={ROOT}, delaySec=0.11299991607666016"
    );
    let json = format!(
        r#"{{"context":{{"delaySec":0.11299991607666016,"root":"{ROOT}","slot":1}},"level":"verbose","message":"New chain head","module":"chain","timestamp":"2026-11-21T09:12:57.113Z"}}"#
    );
    for record in [text, json] {
        check(
            &record,
            "head_updated",
            "debug",
            "chain",
            json!({
                "ethereum.slot": 1, "ethereum.delay_ms": 112.999_916, "ethereum.block.root": ROOT,
                "ethereum.block.root_prefix": "9f39", "ethereum.block.root_suffix": "d90c",
            }),
        );
        let time = parse(&record).time.unwrap();
        assert_eq!(
            time.at,
            "2026-11-21T09:12:57.113Z".parse::<DateTime<Utc>>().unwrap()
        );
    }
    check(
        "Nov-21 09:12:57.088[network]       verbose: Received gossip block slot=1, root=0x9f39…d90c, curentSlot=1, peerId=16Uiu2HAk, delaySec=0.087, recvToVal=0.001",
        "block_received",
        "debug",
        "network",
        json!({
            "ethereum.slot": 1, "ethereum.delay_ms": 87.0,
            "ethereum.block.root_prefix": "9f39", "ethereum.block.root_suffix": "d90c",
        }),
    );
    check(
        &format!(
            "Nov-21 09:14:17.680[chain]         verbose: Chain reorg depth=7, epoch=2, slot=19, newHeadBlock={ROOT}, oldHeadBlock=0xe492…8765, executionOptimistic=false"
        ),
        "reorg",
        "debug",
        "chain",
        json!({
            "ethereum.slot": 19, "ethereum.epoch": 2, "ethereum.reorg.new_slot": 19, "ethereum.reorg.reported_depth": 7,
            "ethereum.reorg.new_root": ROOT, "ethereum.reorg.new_root_prefix": "9f39", "ethereum.reorg.new_root_suffix": "d90c",
            "ethereum.reorg.old_root_prefix": "e492", "ethereum.reorg.old_root_suffix": "8765",
        }),
    );
}

#[test]
fn errors_with_stack_traces_keep_the_error_apart() {
    let record = "Nov-21 09:12:12.002[chain]           \u{1b}[31merror\u{1b}[39m: Failed to run prepareForNextSlot nextEpoch=6, prepareSlot=42 Aborted by X\nError: Aborted by X\n    at EventTarget.onAbort (sleep.ts:24:14)";
    check(
        record,
        "generic",
        "error",
        "chain",
        json!({"ethereum.epoch": 6, "ethereum.slot": 42, "error.message": "Aborted by X"}),
    );
    let parsed = parse(record);
    assert!(parsed.others.is_empty(), "{:?}", parsed.others);
    assert_eq!(
        parsed.message,
        "Failed to run prepareForNextSlot nextEpoch=6, prepareSlot=42 Aborted by X"
    );
    assert!(parsed.stack_trace.unwrap().ends_with("(sleep.ts:24:14)"));
    check(
        r#"{"context":{"slot":13},"error":{"code":"EMPTY","stack":"Error: EMPTY\n    at x"},"level":"error","message":"Error proposing block","module":"","timestamp":"2026-11-21T09:09:57Z"}"#,
        "validator_problem",
        "error",
        "",
        json!({"ethereum.slot": 13, "error.message": "EMPTY"}),
    );
}

#[test]
fn duties_that_moved_are_no_reorg_of_the_chain() {
    let record = "Nov-21 09:14:17.680[]                 warn: Proposer duties re-org. This may happen from time to time priorDependentRoot=0x01, dependentRoot=0x02";
    check(record, "generic", "warn", "", json!({}));
}

#[test]
fn small_facts() {
    check(
        "Nov-21 09:12:34.382[]                 warn: Low peer count peers=0",
        "low_peers",
        "warn",
        "",
        json!({"ethereum.peers.connected": 0}),
    );
    check(
        "Nov-21 09:12:33.335[]                 info: Lodestar network=dev, version=v1.5.1/2115aa7, commit=2115",
        "lifecycle",
        "info",
        "",
        json!({"service.version": "v1.5.1/2115aa7"}),
    );
    check(
        "Eph 12/3 1.234[chain]           info: Clock slot slot=99",
        "slot_start",
        "info",
        "chain",
        json!({"ethereum.epoch": 12, "ethereum.slot": 99}),
    );
    assert!(
        parse("Eph 12/3 1.234[chain] info: Clock slot slot=99")
            .time
            .is_none()
    );
    let finalized = format!(
        "Nov-21 09:12:33.335[chain]         verbose: Checkpoint finalized epoch=2, rootHex={ROOT}"
    );
    let fields = json!({
        "ethereum.finalized.epoch": 2, "ethereum.finalized.root": ROOT,
        "ethereum.finalized.root_prefix": "9f39", "ethereum.finalized.root_suffix": "d90c",
    });
    check(&finalized, "finalized", "debug", "chain", fields);
}

#[test]
fn what_is_not_lodestars_is_kept_whole() {
    for record in [
        "bigint: Failed to load bindings",
        "{\"a\":",
        "Nov-21 09:12:33[",
        "Nov-99 99:99:99.999[] info: x",
        "Nov-21 09:12:33.335[] shout: x",
        "é",
        "",
    ] {
        let parsed = parse(record);
        assert_eq!(
            (parsed.action.name(), &*parsed.message),
            ("generic", record)
        );
        assert!(!parsed.is_typed());
    }
}
