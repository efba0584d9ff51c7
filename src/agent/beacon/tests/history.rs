//! Whole runs in which votes are heard and slots are judged.

use serde_json::json;

use super::node::{Act, Node, Run, Script, root, told};
use super::script;
use crate::event::DataStream;

fn vote(slot: u64, fields: &str) -> Act {
    let root = root(1);
    Act::Send(format!(
        "event: single_attestation\ndata: {{{fields},\"data\":{{\"slot\":\"{slot}\",\"index\":\"0\",\"beacon_block_root\":\"{root}\",\"source\":{{\"epoch\":\"2\",\"root\":\"{root}\"}},\"target\":{{\"epoch\":\"3\",\"root\":\"{root}\"}}}},\"signature\":\"0x\"}}\n\n"
    ))
}

#[tokio::test]
async fn votes_come_on_a_connection_of_their_own_and_become_one_document() {
    let mut script = script([told("head", 101, 1)]);
    script.heavy = vec![
        Act::Head,
        vote(101, r#""committee_index":"0","attester_index":"7""#),
        vote(101, r#""committee_index":"0","attester_index":8"#),
        vote(101, r#""committee_index":"0","aggregation_bits":"0x07""#),
        Act::Send("event: single_attestation\ndata: <html>\n\n".into()),
    ];
    let count = |run: &Run| -> u64 {
        let counted = run.of(DataStream::Attestation);
        let counts =
            counted.filter_map(|event| event.document.get_u64("ethereum.attestation.count"));
        counts.sum()
    };
    let change = |config: &mut crate::config::Beacon| config.attestations = true;
    let (node, run) =
        Run::until(script, async |_: &Node| {}, change, |_, run| count(run) > 0).await;
    assert_eq!(count(&run), 2, "both forms, once");
    let heavy = "topics=attestation&topics=single_attestation";
    assert!(node.subscriptions().contains(&heavy.to_owned()));
    let stored = run.of(DataStream::BeaconEvent).count();
    assert_eq!(stored, 1, "the head alone is stored as an event");
    assert_eq!(run.outbox.counted("beacon_event_unreadable"), 1);
}

#[tokio::test]
async fn a_missed_slot_names_who_was_to_propose_and_two_blocks_are_evidence() {
    let mut script: Script = script([
        told("head", 101, 2),
        told("block", 103, 4),
        told("head", 103, 3),
    ]);
    let duties = json!({"data": [{"pubkey": "0x", "validator_index": "55", "slot": "102"}]});
    let path = "/eth/v1/validator/duties/proposer/3".to_owned();
    script.raw.insert(path, duties.to_string());
    let prepare = async |node: &Node| {
        node.block(103, 4, 2);
        node.block(101, 2, 1);
        node.block(100, 1, 0);
        node.block(103, 3, 2);
    };
    let change = |config: &mut crate::config::Beacon| config.participation = true;
    let missed = |run: &Run| {
        let slots = run.of(DataStream::Slot);
        let mut missed =
            slots.filter(|event| event.document.get_str("ethereum.slot_status") == Some("missed"));
        missed.next().cloned()
    };
    let (node, run) = Run::until(script, prepare, change, |_, run| missed(run).is_some()).await;
    let missed = missed(&run).unwrap().document;
    assert_eq!(missed.get_u64("ethereum.slot"), Some(102));
    assert_eq!(missed.get_str("ethereum.finality"), Some("provisional"));
    let duty = missed.get_u64("ethereum.proposal.proposer_index");
    assert_eq!(duty, Some(55));
    assert_eq!(node.asked("/duties/proposer/"), 1);
    let actions: Vec<_> = run
        .of(DataStream::Slot)
        .filter_map(|event| event.document.get_str("event.action"))
        .collect();
    let evidence = actions.iter().filter(|action| **action == "equivocation");
    assert_eq!(evidence.count(), 1, "{actions:?}");
}
