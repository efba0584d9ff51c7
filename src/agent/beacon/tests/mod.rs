//! Whole runs of the collector against a scripted node on a real socket, and recordings of real nodes.

mod history;
mod latency;
mod node;
mod recordings;
mod tracker;
mod votes;

use std::collections::HashMap;

use self::node::{Act, Node, Run, Script, root, told};
use crate::event::DataStream;

async fn nothing(_: &Node) {}

fn script(acts: impl IntoIterator<Item = Act>) -> Script {
    Script {
        acts: std::iter::once(Act::Head).chain(acts).collect(),
        ..Script::default()
    }
}

#[tokio::test]
async fn blocks_are_told_once_with_their_arrivals_and_parents() {
    let acts = [
        Act::Wait(300),
        told("block_gossip", 101, 2),
        told("block", 101, 2),
        told("head", 101, 2),
        Act::Wait(200),
        told("block", 103, 3),
    ];
    let prepare = async |node: &Node| {
        node.block(103, 3, 2);
        node.block(101, 2, 1);
        node.block(100, 1, 0);
    };
    let (_, run) = Run::until(
        script(acts),
        prepare,
        |_| {},
        |_, run| run.blocks().len() == 3,
    )
    .await;
    let first = &run.block(1).document;
    assert_eq!(first.get_bool("ethereum.backfilled"), Some(true));
    assert_eq!(first.get("ethereum.arrival_ms"), None, "none is invented");
    let second = &run.block(2).document;
    assert_eq!(second.get_bool("ethereum.backfilled"), Some(false));
    assert_eq!(
        second.get_str("ethereum.arrival.source"),
        Some("block_gossip")
    );
    assert_eq!(second.get_u64("ethereum.block.parent_distance"), Some(1));
    for stage in ["gossip_ms", "import_ms", "head_ms"] {
        assert!(
            second.get(&format!("ethereum.arrival.{stage}")).is_some(),
            "{stage}"
        );
    }
    let third = &run.block(3).document;
    assert_eq!(third.get_str("ethereum.arrival.source"), Some("block"));
    assert_eq!(third.get_u64("ethereum.block.parent_slot"), Some(101));
    assert_eq!(third.get("ethereum.arrival.head_ms"), None);
    assert_eq!(run.of(DataStream::BeaconEvent).count(), 4);
}

#[tokio::test]
async fn one_refused_topic_does_not_cost_the_others() {
    let mut script = script([told("head", 101, 1)]);
    script.refuses = vec!["head_v2", "late_head", "block_gossip"];
    script.refusal = r#"{"message":"{}: invalid topic name","code":400}"#;
    let (node, run) = Run::until(
        script,
        nothing,
        |_| {},
        |_, run| run.of(DataStream::BeaconEvent).count() == 1,
    )
    .await;
    let asked = node.subscriptions();
    assert_eq!(asked.len(), 4);
    assert!(
        asked[3].contains("topics=head&topics=block&topics=chain_reorg"),
        "{}",
        asked[3]
    );
    assert_eq!(run.outbox.counted("beacon_topic_refused"), 3);
    let note = run.outbox.recall("beacon.refused_topics").await.unwrap();
    assert!(String::from_utf8(note).unwrap().contains("Scripted/v1/x"));
}

#[tokio::test]
async fn a_head_of_answer_that_comes_with_the_first_event_is_waited_for() {
    let mut script = script([told("head", 101, 1)]);
    script.acts.insert(0, Act::Wait(5_000));
    let (node, _) = Run::until(
        script,
        nothing,
        |_| {},
        |_, run| run.of(DataStream::BeaconEvent).count() == 1,
    )
    .await;
    assert_eq!(node.subscriptions().len(), 1);
}

#[tokio::test]
async fn a_stream_cut_in_an_event_comes_back_and_the_gap_is_filled() {
    let acts = [
        told("head", 101, 1),
        Act::Wait(700),
        Act::Send("event: head\ndata: {\"slot\":\"1".into()),
        Act::Close,
        Act::Head,
        told("head", 104, 4),
    ];
    let prepare = async |node: &Node| {
        node.block(104, 4, 3);
        node.block(103, 3, 2);
        node.block(102, 2, 1);
        node.block(101, 1, 0);
    };
    let (_, run) = Run::until(
        script(acts),
        prepare,
        |_| {},
        |_, run| run.blocks().len() == 4,
    )
    .await;
    assert_eq!(run.outbox.counted("beacon_event_cut"), 1);
    let filled: Vec<_> = [1, 2, 3, 4]
        .map(|number| {
            run.block(number)
                .document
                .get_bool("ethereum.backfilled")
                .unwrap()
        })
        .into();
    assert_eq!(filled, [false, true, true, false]);
    assert_eq!(
        run.block(4).document.get_u64("ethereum.block.parent_slot"),
        Some(103)
    );
}

#[tokio::test]
async fn odd_events_are_kept_or_counted_and_the_stream_goes_on() {
    let big = format!(
        "event: attester_slashing\ndata: {{\"x\":\"{}\"}}\n\n",
        "y".repeat(5 << 20)
    );
    let oversized = format!(
        "event of {} bytes is over the limit",
        big.len() - "\n\n\n".len()
    );
    let acts = [
        Act::Send("event: head\ndata: <html>502</html>\n\n".into()),
        Act::Send("event: head\ndata: {\"slot\":\"101\",\"bl\n\n".into()),
        Act::Send(big),
        Act::Send("event: block_v9\ndata: {\"slot\":\"101\",\"new\":[1,2]}\n\n".into()),
        Act::Send(format!(
            "event: block\ndata: {{\"slot\":-5,\"block\":\"{}\"}}\n\n",
            root(9)
        )),
        Act::Send(
            "event: chain_reorg\ndata: {\"slot\":\"101\",\"depth\":\"18446744073709551614\"}\n\n"
                .into(),
        ),
        Act::Send(format!(
            "event: head\ndata: {{\"slot\":\"9223372036854775807\",\"block\":\"{}\"}}\n\n",
            root(8)
        )),
        told("head", 101, 1),
    ];
    let (_, run) = Run::until(
        script(acts),
        nothing,
        |_| {},
        |_, run| run.of(DataStream::BeaconEvent).count() == 8,
    )
    .await;
    let told: Vec<_> = run
        .of(DataStream::BeaconEvent)
        .map(|event| {
            (
                event.document.get_str("event.action").unwrap(),
                event.document.get_str("ethereum.parse_error"),
            )
        })
        .collect();
    assert_eq!(
        told[0],
        (
            "unreadable",
            Some("not JSON: expected value at line 1 column 1")
        )
    );
    assert_eq!(told[1].0, "unreadable");
    assert_eq!(told[2], ("oversized", Some(oversized.as_str())));
    assert_eq!(told[3], ("received", None));
    assert_eq!(
        told[4],
        ("received", Some("slot is no unsigned number: -5"))
    );
    assert_eq!(
        told[5],
        (
            "received",
            Some("depth 18446744073709551614 is over 2^63-1")
        )
    );
    assert_eq!(
        told[6],
        (
            "received",
            Some("slot 9223372036854775807 is in the future")
        )
    );
    assert_eq!(told[7], ("received", None));
    let counted = [
        "beacon_event_unreadable",
        "beacon_event_oversized",
        "beacon_event_odd_field",
    ]
    .map(|reason| run.outbox.counted(reason));
    assert_eq!(counted, [2, 1, 2]);
    let kept = run.of(DataStream::BeaconEvent).nth(2).unwrap();
    assert!(kept.document.get_str("event.original").unwrap().len() <= 8 << 10);
}

#[tokio::test]
async fn a_silent_stream_is_left_when_the_node_moves_and_its_blocks_are_fetched() {
    let acts = [told("head", 101, 1), Act::Wait(600_000)];
    let says_stale = |run: &Run| {
        let mut states = run
            .of(DataStream::Node)
            .map(|event| event.document.get_bool("ethereum.stream.stale"));
        states.any(|stale| stale == Some(true))
    };
    let mut moved = false;
    let mut script = script(acts);
    script.acts.extend([Act::Head]);
    let prepare = async |node: &Node| node.block(101, 1, 0);
    let enough = |node: &Node, run: &Run| {
        if !moved && run.blocks().len() == 1 {
            node.block(102, 2, 1);
            node.block(103, 3, 2);
            moved = true;
        }
        run.blocks().len() == 3 && node.subscriptions().len() == 2 && says_stale(run)
    };
    let (_, run) = Run::until(script, prepare, |_| {}, enough).await;
    assert_eq!(run.outbox.counted("beacon_stream_stale"), 1);
    assert_eq!(
        run.block(3).document.get_bool("ethereum.backfilled"),
        Some(true)
    );
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_told_without_contents() {
    let mut script = script([told("block", 101, 1), told("block", 102, 2)]);
    let path = |number| format!("/eth/v2/beacon/blocks/{}", root(number));
    script.raw = HashMap::from([
        (path(1), "<html>login</html>".into()),
        (path(2), "{\"data\":{\"mess".into()),
    ]);
    let (_, run) = Run::until(
        script,
        nothing,
        |_| {},
        |_, run| run.of(DataStream::Block).count() == 2,
    )
    .await;
    for number in [1, 2] {
        let document = &run.block(number).document;
        assert_eq!(document.get_str("event.action"), Some("unavailable"));
        assert!(
            document
                .get_str("error.message")
                .unwrap()
                .starts_with("unreadable answer")
        );
        assert!(document.get("ethereum.arrival.import_ms").is_some());
    }
    assert_eq!(run.outbox.counted("beacon_block_unavailable"), 2);
}

#[tokio::test]
async fn a_node_that_is_down_at_the_start_is_waited_for() {
    let script = Script {
        is_down: true,
        ..script([told("head", 101, 1)])
    };
    let prepare = async |node: &Node| node.block(101, 1, 0);
    let enough = |node: &Node, run: &Run| {
        if run.of(DataStream::Node).count() > 0 {
            node.is_down(false);
        }
        run.blocks().len() == 1
    };
    let (_, run) = Run::until(script, prepare, |_| {}, enough).await;
    let first = run.of(DataStream::Node).next().unwrap();
    assert_eq!(first.document.get_bool("ethereum.reachable"), Some(false));
    assert!(
        first
            .document
            .get_str("error.message")
            .unwrap()
            .starts_with("cannot read the genesis")
    );
    assert_eq!(
        run.outbox.node_client(),
        Some(("scripted".into(), "v1".into()))
    );
}

#[tokio::test]
async fn a_status_with_missing_endpoints_costs_their_fields_only() {
    let prepare = async |node: &Node| node.block(node.slot() - 3, 1, 0);
    let (_, run) = Run::until(
        script([]),
        prepare,
        |_| {},
        |_, run| run.of(DataStream::Node).count() == 1,
    )
    .await;
    let status = &run.of(DataStream::Node).next().unwrap().document;
    assert_eq!(status.get_bool("ethereum.reachable"), Some(true));
    assert!((3..=4).contains(&status.get_u64("ethereum.sync.distance").unwrap()));
    assert_eq!(status.get("ethereum.peers.connected"), None);
    assert_eq!(status.get_str("error.message"), Some("not found"));
}

#[tokio::test]
async fn the_walk_is_bounded_and_says_when_it_is_cut() {
    let acts = [told("head", 101, 1), Act::Wait(800), told("head", 120, 20)];
    let prepare = async |node: &Node| {
        for number in 2..=20 {
            node.block(100 + u64::from(number), number, number - 1);
        }
        node.block(101, 1, 0);
    };
    let change = |config: &mut crate::config::Beacon| config.backfill_blocks = 5;
    let (node, run) = Run::until(script(acts), prepare, change, |_, run| {
        run.blocks().len() == 7
    })
    .await;
    assert_eq!(run.outbox.counted("beacon_backfill_cut"), 1);
    assert_eq!(node.asked("/eth/v2/beacon/blocks/"), 7);
    assert_eq!(node.asked("/eth/v1/beacon/headers/1"), 0, "never by slot");
}
