//! Arrivals on documents: early and late, by gossip and by import, near the deadline, of either fork, and unknown.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::node::root;
use crate::agent::beacon::clock::Clock;
use crate::agent::beacon::decode::Contents;
use crate::agent::beacon::document::{self, Setting};
use crate::agent::beacon::event;
use crate::agent::beacon::sse::Frame;
use crate::agent::beacon::tracker::{Arrivals, Ready};
use crate::chain_spec;
use crate::event::Document;
use crate::setup::assert_accepted;
use crate::slot::ChainSpec;

const SLOT: u64 = 320;

fn at(spec: &ChainSpec, ms: i64) -> Option<DateTime<Utc>> {
    Some(spec.slot_start(SLOT) + TimeDelta::milliseconds(ms))
}

/// The document of a block that came at these milliseconds into its slot.
fn block(spec: &ChainSpec, arrivals: Arrivals) -> Document {
    let contents = Contents {
        slot: SLOT,
        ..Contents::default()
    };
    let ready = Ready {
        root: root(1),
        slot: Some(SLOT),
        arrivals,
        contents: Some(contents),
        failure: None,
        parent_slot: None,
    };
    let setting = Setting {
        agent_id: "a",
        spec,
        clock: &Clock::default(),
        syncing: None,
    };
    let event = document::block(&setting, &ready, spec.slot_start(SLOT + 1));
    assert_accepted([&event]);
    event.document
}

fn flags(document: &Document) -> [Option<bool>; 3] {
    ["late", "import_late", "borderline"]
        .map(|name| document.get_bool(&format!("ethereum.arrival.{name}")))
}

#[test]
fn arriving_late_and_being_imported_late_are_two_facts() {
    let spec = ChainSpec::example();
    let slow_node = block(
        &spec,
        Arrivals {
            gossip: at(&spec, 1_200),
            import: at(&spec, 4_700),
            ..Arrivals::default()
        },
    );
    assert_eq!(flags(&slow_node), [Some(false), Some(true), Some(false)]);
    assert_eq!(
        slow_node.get_str("ethereum.arrival.source"),
        Some("block_gossip")
    );
    let only_head = block(
        &spec,
        Arrivals {
            head: at(&spec, 4_700),
            ..Arrivals::default()
        },
    );
    assert_eq!(flags(&only_head), [Some(true), Some(true), Some(false)]);
    assert_eq!(only_head.get_str("ethereum.arrival.source"), Some("head"));
}

#[test]
fn the_band_about_the_deadline_is_fifty_milliseconds_wide_on_either_side() {
    let spec = ChainSpec::example();
    for (ms, late, borderline) in [
        (3_948, false, false),
        (3_949, false, true),
        (3_998, false, true),
        (3_999, true, true),
        (4_049, true, true),
        (4_050, true, false),
        (-200, false, false),
    ] {
        let arrivals = Arrivals {
            gossip: at(&spec, ms),
            ..Arrivals::default()
        };
        let document = block(&spec, arrivals);
        assert_eq!(
            flags(&document),
            [Some(late), None, Some(borderline)],
            "{ms}"
        );
        let told = document.get("ethereum.arrival_ms");
        assert_eq!(told, Some(&json!(ms)), "signed");
    }
}

#[test]
fn gloas_is_late_sooner() {
    let genesis =
        json!({"data": {"genesis_time": "1606824023", "genesis_validators_root": root(9)}});
    let stated = json!({"data": {"SLOT_DURATION_MS": "12000", "SLOTS_PER_EPOCH": "32", "ATTESTATION_DUE_BPS": "3333",
        "ATTESTATION_DUE_BPS_GLOAS": "2500", "GLOAS_FORK_EPOCH": "10"}});
    for (epoch, due_ms, late) in [(9, 3_999, false), (10, 3_000, true)] {
        let spec = chain_spec::from_rest_at_epoch(&genesis, &stated, epoch).unwrap();
        let arrivals = Arrivals {
            gossip: at(&spec, 3_500),
            ..Arrivals::default()
        };
        let document = block(&spec, arrivals);
        assert_eq!(document.get_u64("ethereum.arrival.due_ms"), Some(due_ms));
        assert_eq!(flags(&document)[0], Some(late));
    }
}

#[test]
fn what_came_while_we_stood_still_has_no_arrival() {
    let spec = ChainSpec::example();
    let known_before = block(
        &spec,
        Arrivals {
            gossip: at(&spec, 1_200),
            is_unknown: true,
            ..Arrivals::default()
        },
    );
    assert_eq!(known_before.get_u64("ethereum.arrival_ms"), Some(1_200));
    let unknown = block(
        &spec,
        Arrivals {
            is_unknown: true,
            ..Arrivals::default()
        },
    );
    assert_eq!(flags(&unknown), [None; 3]);
    assert_eq!(unknown.get_str("ethereum.arrival.unknown"), Some("paused"));
    assert_eq!(unknown.get_bool("ethereum.backfilled"), Some(false));
    assert_eq!(unknown.get_str("event.action"), Some("observed"));

    let mut head = event::read(Frame {
        event: "head".into(),
        data: format!(r#"{{"slot":"{SLOT}","block":"{}"}}"#, root(1)),
        received_at: spec.slot_start(SLOT + 2),
        oversized: None,
    });
    head.is_doubtful = true;
    let setting = Setting {
        agent_id: "a",
        spec: &spec,
        clock: &Clock::default(),
        syncing: None,
    };
    let told = document::event(&setting, head, 1);
    assert_accepted([&told]);
    let told = told.document;
    assert_eq!(told.get_str("ethereum.arrival.unknown"), Some("paused"));
    assert_eq!(told.get("ethereum.arrival_ms"), None);
    assert_eq!(told.get("ethereum.late"), None);
}
