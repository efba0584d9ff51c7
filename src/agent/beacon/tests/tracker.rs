//! What the tracker does when, without a node.

use std::time::Duration;

use chrono::DateTime;
use tokio::time::Instant;

use super::node::root;
use crate::agent::beacon::decode::Contents;
use crate::agent::beacon::tracker::{HEAD_WAIT, IMPORT_WAIT, PARENT_WAIT, Parent, Stage, Tracker};

fn block(slot: u64, parent: u8) -> Contents {
    Contents {
        slot,
        parent_root: root(parent),
        ..Contents::default()
    }
}

fn tracker() -> (Tracker, Instant) {
    let mut tracker = Tracker::new(3);
    tracker.remember(root(1), Some(10));
    (tracker, Instant::now())
}

const AT: Option<DateTime<chrono::Utc>> = Some(DateTime::UNIX_EPOCH);

#[tokio::test(start_paused = true)]
async fn a_block_waits_for_its_head_and_no_longer() {
    let (mut tracker, now) = tracker();
    tracker.sighted(root(2), Some(11), Stage::Import, AT, now);
    assert_eq!(tracker.take_to_fetch(now), [root(2)]);
    assert_eq!(tracker.take_to_fetch(now), [], "asked for once");
    assert_eq!(tracker.fetched(root(2), block(11, 1), now), Parent::Known);
    assert!(tracker.take_ready(now).is_empty());
    assert_eq!(tracker.next_wake(), Some(now + HEAD_WAIT));
    tracker.sighted(root(2), Some(11), Stage::Head, AT, now);
    let ready = tracker.take_ready(now);
    assert_eq!((ready.len(), ready[0].parent_slot), (1, Some(10)));
    tracker.sighted(root(2), Some(11), Stage::Head, AT, now);
    assert_eq!(tracker.next_wake(), None, "told once");
}

#[tokio::test(start_paused = true)]
async fn gossip_alone_is_not_asked_for_before_the_import() {
    let (mut tracker, now) = tracker();
    tracker.sighted(root(2), Some(11), Stage::Gossip, AT, now);
    assert!(tracker.take_to_fetch(now).is_empty());
    let later = now + IMPORT_WAIT;
    assert_eq!(tracker.take_to_fetch(later), [root(2)]);
    assert!(tracker.failed(root(2), "not found".into(), later));
    let ready = tracker.take_ready(later);
    assert_eq!(ready[0].failure.as_deref(), Some("not found"));
    assert_eq!((ready[0].slot, &ready[0].contents), (Some(11), &None));
}

#[tokio::test(start_paused = true)]
async fn the_walk_goes_up_to_the_known_or_its_limit() {
    let (mut tracker, now) = tracker();
    tracker.wanted(root(9), 2, now);
    assert_eq!(
        tracker.fetched(root(9), block(19, 8), now),
        Parent::Missing(root(8))
    );
    assert_eq!(
        tracker.fetched(root(8), block(18, 7), now),
        Parent::Missing(root(7))
    );
    assert_eq!(
        tracker.fetched(root(7), block(17, 6), now),
        Parent::Cut(root(6))
    );
    let ready = tracker.take_ready(now + HEAD_WAIT);
    let slots: Vec<_> = ready
        .iter()
        .map(|ready| (ready.parent_slot, ready.arrivals.first()))
        .collect();
    assert_eq!(slots, [(None, None), (Some(17), None), (Some(18), None)]);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_does_not_come_holds_its_child_only_so_long() {
    let (mut tracker, now) = tracker();
    tracker.sighted(root(9), Some(19), Stage::Head, AT, now);
    tracker.fetched(root(9), block(19, 8), now);
    assert!(
        tracker
            .take_ready(now + PARENT_WAIT - Duration::from_millis(1))
            .is_empty()
    );
    assert_eq!(tracker.take_ready(now + PARENT_WAIT)[0].parent_slot, None);
    assert!(
        !tracker.failed(root(8), "gone".into(), now),
        "nobody told of it: given up"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_is_bounded() {
    let (mut tracker, now) = tracker();
    let made_up = |number: u32| {
        let mut root = root(0);
        root.0[..4].copy_from_slice(&number.to_le_bytes());
        root
    };
    let taken = (1..5_000)
        .filter(|number| tracker.sighted(made_up(*number), None, Stage::Gossip, AT, now))
        .count();
    assert_eq!(taken, 1_024);
}
