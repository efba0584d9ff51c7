//! A store whose file was turned or cut at any place opens, or is set aside; what it gives back is what was put in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::agent::store::*;

const RECORDS: u64 = 200;
const AGENT_ID: &str = "6f0e0c1e-7a52-4a0c-9d3c-0e6d8a3b5c11\n";

const PAGE: usize = 4096;

/// What the store holds, by id.
type Contents = BTreeMap<String, Vec<u8>>;

/// A store's file.
struct Whole {
    bytes: Vec<u8>,
    /// As it was before the last commit.
    before: Vec<u8>,
    contents: Contents,
}

fn record(id: u64) -> Record {
    Record::new(id, "logs-a.b-default", &format!("{id:06}"), |out| {
        out.extend(format!("{{\"n\":{id},\"filler\":\"{}\"}}", "x".repeat(id as usize)).bytes());
    })
}

/// The bytes of a store as it is on disk after it was closed, or while it is in use.
fn store_bytes(is_closed: bool) -> Whole {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    let mut contents = Contents::new();
    let mut before = Vec::new();
    for chunk in 0..10 {
        before = fs::read(dir.path().join(FILE)).unwrap();
        let ids = chunk * RECORDS / 10..(chunk + 1) * RECORDS / 10;
        let append = ids.map(|id| {
            contents.insert(format!("{id:06}"), record(id).document().to_vec());
            (Priority::ALL[id as usize % 3], record(id))
        });
        let file = format!("file/{chunk}");
        store
            .commit(&Change {
                append: append.collect(),
                bury: vec![DeadLetter::of(
                    &record(chunk),
                    chrono::DateTime::UNIX_EPOCH,
                    "spool",
                )],
                registry: vec![(file.clone(), Some(file.into_bytes()))],
                notes: vec![("cursor".into(), chunk.to_string().into_bytes())],
                ..Change::default()
            })
            .unwrap();
    }
    if is_closed {
        drop(store);
    }
    Whole {
        bytes: fs::read(dir.path().join(FILE)).unwrap(),
        before,
        contents,
    }
}

/// Opens it, takes all it gives, and uses it.
fn check(bytes: &[u8], contents: &Contents, dir: &Path) -> Result<bool, TestCaseError> {
    fs::write(dir.join(FILE), bytes).unwrap();
    fs::write(dir.join("agent.id"), AGENT_ID).unwrap();
    let mut store = Store::open(dir, Limits::default()).unwrap();
    let mut found = 0;
    loop {
        let taken = store.take(64, usize::MAX);
        // The next use sets aside what this one stumbled over.
        let Ok(taken) = taken else { continue };
        if taken.is_empty() {
            break;
        }
        for (_, record) in taken {
            let known = contents.get(record.id());
            prop_assert_eq!(known.map(Vec::as_slice), Some(record.document()));
            found += 1;
        }
    }
    for (key, value) in store.registry().unwrap() {
        prop_assert_eq!(key.as_bytes(), &value);
    }
    let note = store.note("cursor").unwrap();
    prop_assert!(note.is_none_or(|note| note.len() == 1 && note[0].is_ascii_digit()));
    for (_, letter) in store.dead_letters(100).unwrap() {
        let id: u64 = letter.id.parse().unwrap();
        let original = record(id);
        prop_assert_eq!(letter.document.get().as_bytes(), original.document());
    }
    let drops = store
        .commit(&Change {
            append: vec![(Priority::Chain, record(999))],
            ..Change::default()
        })
        .unwrap();
    let rebuilt = store.take_rebuilt();
    // What is not there any more was counted, unless nobody knows what was there.
    let lost: u64 = rebuilt.iter().map(Rebuilt::lost_events).sum();
    let is_known = rebuilt.iter().all(|rebuilt| rebuilt.before.is_some());
    if is_known {
        // Without its last commit, where that never reached the disk.
        let told = found + lost + drops.len() as u64;
        prop_assert!(
            [RECORDS, RECORDS - RECORDS / 10].contains(&told),
            "{}",
            told
        );
    }
    let taken = store.take(1, usize::MAX).unwrap();
    prop_assert_eq!(taken[0].1.id(), "000999");
    drop(store);
    prop_assert_eq!(
        Store::open(dir, Limits::default()).unwrap().take_rebuilt(),
        []
    );
    Ok(!rebuilt.is_empty())
}

/// Damages the bytes, opens them, and says whether they were set aside.
fn check_damaged(whole: &Whole, damage: impl Fn(&mut Vec<u8>)) -> Result<bool, TestCaseError> {
    let dir = tempfile::tempdir_in(memory()).unwrap();
    let mut bytes = whole.bytes.clone();
    damage(&mut bytes);
    check(&bytes, &whole.contents, dir.path())
}

/// Flushing to a disk would take most of the time.
fn memory() -> std::path::PathBuf {
    let shared = Path::new("/dev/shm");
    match shared.is_dir() {
        true => shared.to_owned(),
        false => std::env::temp_dir(),
    }
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The bytes that the last commit changed, by page.
fn last_written(whole: &Whole) -> Vec<usize> {
    let pages = 0..whole.bytes.len() / PAGE;
    let is_changed = |page: &usize| {
        let range = page * PAGE..(page + 1) * PAGE;
        whole.before.get(range.clone()) != Some(&whole.bytes[range])
    };
    let changed: Vec<usize> = pages.filter(is_changed).collect();
    assert!(changed.len() > 3, "{changed:?}");
    changed
        .iter()
        .flat_map(|page| page * PAGE..(page + 1) * PAGE)
        .collect()
}

/// How many of the files that were damaged at one of these bytes were set aside.
fn turn_bits(is_turned: impl Fn(usize) -> bool) -> usize {
    let mut set_aside = 0;
    for is_closed in [true, false] {
        let whole = store_bytes(is_closed);
        let bytes = last_written(&whole).into_iter();
        for at in bytes.filter(|at| is_turned(*at)) {
            let outcome = check_damaged(&whole, |bytes| bytes[at] ^= 1 << (at % 8));
            set_aside += usize::from(outcome.unwrap_or_else(|error| panic!("byte {at}: {error}")));
        }
    }
    set_aside
}

#[test]
fn a_turned_bit_in_what_was_written_last_is_noticed() {
    assert!(turn_bits(|at| at % 397 == 0) > 20);
}

/// There a page says where its keys and values end.
#[test]
fn a_turned_bit_where_a_page_begins_is_noticed() {
    assert!(turn_bits(|at| at % PAGE < 48 && at % 3 == 0) > 20);
}

#[test]
#[ignore = "minutes: every byte; tests/run soak"]
fn every_turned_byte_in_what_was_written_last_is_noticed() {
    turn_bits(|_| true);
}

#[test]
fn a_file_cut_at_any_place_opens_or_is_set_aside() {
    let whole = store_bytes(false);
    let len = whole.bytes.len();
    for at in (0..len)
        .step_by(PAGE * 11 + 13)
        .chain([1, 8, 63, 320, len - 1])
    {
        let set_aside = check_damaged(&whole, |bytes| bytes.truncate(at)).unwrap();
        assert!(set_aside, "cut at {at}");
    }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn any_damage_opens_or_is_set_aside(
        is_closed: bool,
        damages in prop::collection::vec((any::<prop::sample::Index>(), 1..6_000_usize, any::<u8>()), 1..4),
    ) {
        let whole = store_bytes(is_closed);
        check_damaged(&whole, |bytes| {
            for (at, length, with) in &damages {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                bytes[at..end].fill(*with);
            }
        })?;
    }

    /// A disk that lied about its flush: some pages of the last commit are as they were before.
    #[test]
    fn pages_that_were_not_written_open_or_are_set_aside(stale: u64) {
        let whole = store_bytes(false);
        let pages: BTreeSet<usize> = last_written(&whole).iter().map(|at| at / PAGE).collect();
        check_damaged(&whole, |bytes| {
            for (number, page) in pages.iter().enumerate() {
                let range = page * PAGE..(page + 1) * PAGE;
                if stale >> (number % 64) & 1 == 1 && range.end <= whole.before.len() {
                    bytes[range.clone()].copy_from_slice(&whole.before[range]);
                }
            }
        })?;
    }
}

#[test]
fn what_a_damaged_store_held_is_kept_or_counted() {
    let whole = store_bytes(true);
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = whole.bytes.clone();
    // One record's text, somewhere in a leaf.
    let needle = b"{\"n\":123,";
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle);
    bytes[at.unwrap()] ^= 1;
    assert!(check(&bytes, &whole.contents, dir.path()).unwrap());
    let aside: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("agent.redb.damaged-2"))
        .collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(
        fs::read(dir.path().join(&aside[0])).unwrap(),
        bytes,
        "as it was found"
    );
}

#[test]
fn a_store_damaged_while_in_use_is_set_aside_and_goes_on() {
    let whole = store_bytes(true);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), &whole.bytes).unwrap();
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    let first = store.take(10, usize::MAX).unwrap();
    // All but the header.
    let zeros = vec![0; whole.bytes.len() - PAGE];
    let file = fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join(FILE))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &zeros, PAGE as u64).unwrap();
    store.close();
    let mut tries = 0;
    let change = Change {
        append: vec![(Priority::Chain, record(999))],
        remove: first.iter().map(|(key, _)| *key).collect(),
        ..Change::default()
    };
    while store.commit(&change).is_err() {
        tries += 1;
        assert!(tries < 3);
    }
    let rebuilt = store.take_rebuilt();
    assert_eq!(
        rebuilt[0].lost_events(),
        RECORDS,
        "the totals were in memory"
    );
    let taken = store.take(10, usize::MAX).unwrap();
    assert_eq!((taken.len(), taken[0].1.id()), (1, "000999"));
}
