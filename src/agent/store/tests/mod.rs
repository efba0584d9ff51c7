//! The store as its owner sees it.

mod damage;

use super::*;

fn limits(spool_bytes: u64) -> Limits {
    Limits {
        spool_bytes,
        ..Limits::default()
    }
}

/// A record of exactly 100 bytes.
fn record(dataset: &str, id: u64) -> Record {
    let index = format!("logs-{dataset}-default");
    let id = format!("{id:08}");
    Record::new(id.parse().unwrap(), &index, &id, |out| {
        out.resize(100, b' ');
    })
}

fn append(
    store: &mut Store,
    priority: Priority,
    dataset: &str,
    ids: std::ops::Range<u64>,
) -> Vec<Dropped> {
    let append = ids.map(|id| (priority, record(dataset, id))).collect();
    store
        .commit(&Change {
            append,
            ..Change::default()
        })
        .unwrap()
}

fn ids(taken: &[(SpoolKey, Record)]) -> Vec<u64> {
    taken
        .iter()
        .map(|(_, record)| record.id().parse().unwrap())
        .collect()
}

#[test]
fn records_come_oldest_first_over_all_classes_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), limits(1 << 20)).unwrap();
    append(&mut store, Priority::Chain, "b", 0..2);
    append(&mut store, Priority::Metrics, "m", 2..4);
    append(&mut store, Priority::Client, "c", 4..5);
    append(&mut store, Priority::Chain, "b", 5..6);
    assert_eq!(ids(&store.take(4, usize::MAX).unwrap()), [0, 1, 2, 3]);
    assert_eq!(ids(&store.take(4, usize::MAX).unwrap()), [4, 5]);
    assert!(store.take(4, usize::MAX).unwrap().is_empty());
    append(&mut store, Priority::Metrics, "m", 6..9);
    assert_eq!(
        ids(&store.take(9, 150).unwrap()),
        [6, 7],
        "stops after the bytes asked for"
    );
}

#[test]
fn what_was_not_removed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), limits(1 << 20)).unwrap();
    append(&mut store, Priority::Chain, "b", 0..10);
    let taken = store.take(10, usize::MAX).unwrap();
    let remove = taken[..4].iter().map(|(key, _)| *key).collect();
    store
        .commit(&Change {
            remove,
            ..Change::default()
        })
        .unwrap();
    drop(store);

    let mut store = Store::open(dir.path(), limits(1 << 20)).unwrap();
    assert_eq!(
        store.totals().spool(),
        Count {
            records: 6,
            bytes: 600
        }
    );
    assert_eq!(store.oldest_ms().unwrap(), Some(4));
    append(&mut store, Priority::Metrics, "m", 10..11);
    assert_eq!(
        ids(&store.take(20, usize::MAX).unwrap()),
        [4, 5, 6, 7, 8, 9, 10]
    );
}

#[test]
fn a_full_spool_drops_the_oldest_of_the_least_class() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), limits(1_000)).unwrap();
    append(&mut store, Priority::Metrics, "m", 0..4);
    append(&mut store, Priority::Client, "c", 4..8);
    append(&mut store, Priority::Chain, "b", 8..10);
    let dropped = append(&mut store, Priority::Chain, "b", 10..16);
    let datasets: Vec<_> = dropped
        .iter()
        .map(|dropped| dropped.dataset.as_str())
        .collect();
    assert_eq!(datasets, ["m", "m", "m", "m", "c", "c"]);
    // Nothing below it is left to give way for a metric: it stays out itself.
    let dropped = append(&mut store, Priority::Metrics, "late", 16..17);
    assert_eq!(
        dropped,
        [Dropped {
            reason: "spool_full",
            dataset: "late".into()
        }]
    );
    assert_eq!(
        store.totals().spool(),
        Count {
            records: 10,
            bytes: 1_000
        }
    );
    assert_eq!(
        ids(&store.take(20, usize::MAX).unwrap()),
        [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    );
}

#[test]
fn what_is_on_its_way_is_dropped_last_of_its_class() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), limits(1_000)).unwrap();
    append(&mut store, Priority::Metrics, "m", 0..6);
    append(&mut store, Priority::Chain, "b", 6..10);
    let taken = store.take(5, usize::MAX).unwrap();
    assert_eq!(ids(&taken), [0, 1, 2, 3, 4]);
    append(&mut store, Priority::Chain, "b", 10..12);
    // The untaken metric went first, then the oldest of those on their way, and no event of the chain.
    store.take_from_the_start();
    let left = store.take(20, usize::MAX).unwrap();
    assert_eq!(ids(&left), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_second_owner_is_refused_and_dead_letters_are_readable_beside_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), limits(1 << 20)).unwrap();
    let letter = DeadLetter {
        reason: "no such field".into(),
        ..DeadLetter::of(&record("b", 1), chrono::DateTime::UNIX_EPOCH, "spool")
    };
    store
        .commit(&Change {
            bury: vec![letter.clone(), letter],
            ..Change::default()
        })
        .unwrap();
    let error = Store::open(dir.path(), limits(1 << 20)).err().unwrap();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "cannot use {}: another ethmon agent (or tool) has it open",
            dir.path().display()
        )
    );
    let mut seen = Vec::new();
    let beside = Beside::open(dir.path()).unwrap();
    beside
        .each_dead_letter(|key, letter| {
            let letter = letter.unwrap();
            seen.push((key, letter.id, letter.reason));
            Ok(())
        })
        .unwrap();
    assert_eq!(seen[1], (1, "00000001".into(), "no such field".into()));
    assert_eq!(store.totals().dead_letters().records, 2);
}

#[test]
fn dead_letters_are_bounded_and_the_oldest_give_way() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        dead_letter_bytes: 1_000,
        ..Limits::default()
    };
    let mut store = Store::open(dir.path(), limits).unwrap();
    let letter = |id| DeadLetter::of(&record("b", id), chrono::DateTime::UNIX_EPOCH, "spool");
    let dropped = store
        .commit(&Change {
            bury: (0..20).map(letter).collect(),
            ..Change::default()
        })
        .unwrap();
    assert!(
        !dropped.is_empty()
            && dropped
                .iter()
                .all(|dropped| dropped.reason == "dead_letters_full")
    );
    let kept = store.totals().dead_letters();
    assert!(kept.bytes <= 1_000 && kept.records == 20 - dropped.len() as u64);
}

#[test]
fn registry_and_notes_are_kept_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    let entry = |key: &str, entry: Option<&[u8]>| (key.to_owned(), entry.map(<[u8]>::to_vec));
    let change = Change {
        registry: vec![
            entry("a", Some(b"1")),
            entry("b", Some(b"2")),
            entry("a", None),
        ],
        notes: vec![("agent".into(), b"x".to_vec())],
        ..Change::default()
    };
    store.commit(&change).unwrap();
    drop(store);
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(store.registry().unwrap(), [("b".to_owned(), b"2".to_vec())]);
    assert_eq!(store.note("agent").unwrap(), Some(b"x".to_vec()));
    assert_eq!(store.note("nobody").unwrap(), None);
}

#[test]
fn an_agents_id_outlives_its_store_and_a_torn_file() {
    let dir = tempfile::tempdir().unwrap();
    let id = || {
        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        agent_id(&mut store).unwrap()
    };
    let AgentId { id: first, is_new } = id();
    assert!(is_new);
    let first = AgentId {
        id: first,
        is_new: false,
    };
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    assert_eq!(id(), first, "from the file");
    std::fs::write(dir.path().join("agent.id"), "torn").unwrap();
    assert_eq!(id(), first, "from the store");
    let kept = std::fs::read_to_string(dir.path().join("agent.id")).unwrap();
    assert_eq!(kept.trim(), first.id, "and the file is mended");
}

#[test]
fn a_rebuild_that_was_interrupted_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    append(&mut store, Priority::Chain, "b", 0..3);
    drop(store);
    // The damaged file gave up its name, and the new one did not get it yet.
    std::fs::rename(
        dir.path().join(FILE),
        dir.path().join("agent.redb.rebuilding"),
    )
    .unwrap();
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(ids(&store.take(9, usize::MAX).unwrap()), [0, 1, 2]);
    assert!(!dir.path().join("agent.redb.rebuilding").exists());
}

#[test]
fn damaged_files_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        std::fs::write(dir.path().join(FILE), b"not a database").unwrap();
        drop(Store::open(dir.path(), Limits::default()).unwrap());
    }
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
    let aside = aside.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().contains(".damaged-")
    });
    assert_eq!(aside.count(), 3);
}
