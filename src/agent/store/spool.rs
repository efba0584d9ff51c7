//! The spool's table: order, byte limit, and who gives way.

use bytes::Bytes;
use redb::{ReadableTable, Table};

use super::sealed::{self, Table::Spool as SPOOL};
use super::totals::{CLASSES, Totals};
use super::{Dropped, Priority, Record};

/// Where a record lies: its class and its number in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SpoolKey {
    class: u8,
    sequence: u64,
}

/// The dataset of what cannot be read any more.
const UNREADABLE: &str = "unreadable";

/// The numbers that go on: of the next record to come, and per class of the next one to ship.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Next {
    append: u64,
    take: [u64; CLASSES],
}

/// Records to ship, and those that were to be shipped and are damaged.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Vec<(SpoolKey, Record)>,
    pub(super) damaged: Vec<SpoolKey>,
}

/// What a stored value holds.
pub(super) enum Stored {
    Record(Record),
    /// Written by a later version; it stays for that one.
    Later,
    Damaged,
}

type Spool<'txn> = Table<'txn, (u8, u64), &'static [u8]>;

impl Next {
    pub(super) fn continue_after(
        &mut self,
        table: &impl ReadableTable<(u8, u64), &'static [u8]>,
    ) -> anyhow::Result<()> {
        for priority in Priority::ALL {
            if let Some(last) = table.range(class_from(priority as u8, 0))?.next_back() {
                self.append = self.append.max(last?.0.value().1.saturating_add(1));
            }
        }
        Ok(())
    }

    pub(super) fn take_from_the_start(&mut self) {
        self.take = [0; CLASSES];
    }

    /// Oldest first over all classes.
    pub(super) fn take(
        &mut self,
        table: &impl ReadableTable<(u8, u64), &'static [u8]>,
        max_records: usize,
        max_bytes: usize,
    ) -> anyhow::Result<Taken> {
        let mut sources = Vec::with_capacity(CLASSES);
        for (class, from) in self.take.iter().enumerate() {
            let mut range = table.range(class_from(class as u8, *from))?;
            let first = range.next().transpose()?;
            sources.push((first, range));
        }
        let (mut taken, mut bytes) = (Taken::default(), 0);
        while taken.records.len() < max_records && bytes < max_bytes {
            let heads = sources.iter_mut().filter(|(head, _)| head.is_some());
            let oldest = heads.min_by_key(|(head, _)| head.as_ref().map(|(key, _)| key.value().1));
            let Some((head, range)) = oldest else { break };
            let following = range.next().transpose()?;
            let Some((key, value)) = std::mem::replace(head, following) else {
                break;
            };
            let (class, sequence) = key.value();
            let key = SpoolKey { class, sequence };
            self.take[usize::from(class)] = sequence.saturating_add(1);
            match read(key, value.value()) {
                Stored::Record(record) => {
                    bytes += record.len();
                    taken.records.push((key, record));
                }
                Stored::Damaged => taken.damaged.push(key),
                Stored::Later => {}
            }
        }
        Ok(taken)
    }
}

pub(super) fn read(key: SpoolKey, stored: &[u8]) -> Stored {
    let Some(value) = sealed::open(SPOOL, &key.to_bytes(), stored) else {
        return Stored::Damaged;
    };
    match Record::read(Bytes::copy_from_slice(value)) {
        Some(record) => Stored::Record(record),
        None if Record::is_of_later_version(value) => Stored::Later,
        None => Stored::Damaged,
    }
}

impl SpoolKey {
    pub(super) fn of((class, sequence): (u8, u64)) -> Self {
        Self { class, sequence }
    }

    pub(super) fn priority(self) -> Option<Priority> {
        Priority::ALL.get(usize::from(self.class)).copied()
    }

    pub(super) fn to_bytes(self) -> [u8; 9] {
        let mut bytes = [self.class; 9];
        bytes[1..].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }
}

pub(super) fn append(
    table: &mut Spool<'_>,
    records: &[(Priority, Record)],
    limit: u64,
    next: &mut Next,
    totals: &mut Totals,
    drops: &mut Vec<Dropped>,
) -> anyhow::Result<()> {
    let mut sealed = Vec::new();
    for (priority, record) in records {
        let mut fits = true;
        while fits && totals.spool().bytes + record.len() as u64 > limit {
            let dataset = drop_oldest(table, *priority, next, totals)?;
            fits = dataset.is_some();
            let dataset = dataset.unwrap_or_else(|| record.dataset().to_owned());
            drops.push(Dropped {
                reason: "spool_full",
                dataset,
            });
        }
        if fits {
            let key = SpoolKey {
                class: *priority as u8,
                sequence: next.append,
            };
            let value = sealed::seal(SPOOL, &key.to_bytes(), record.as_bytes(), &mut sealed);
            table.insert((key.class, key.sequence), value)?;
            next.append += 1;
            totals.of_mut(*priority).add(record.len());
        }
    }
    Ok(())
}

pub(super) fn remove(
    table: &mut Spool<'_>,
    keys: &[SpoolKey],
    totals: &mut Totals,
) -> anyhow::Result<()> {
    for key in keys {
        remove_one(table, *key, totals)?;
    }
    Ok(())
}

/// Removes what was found damaged.
pub(super) fn drop_damaged(
    table: &mut Spool<'_>,
    keys: &[SpoolKey],
    totals: &mut Totals,
    drops: &mut Vec<Dropped>,
) -> anyhow::Result<()> {
    for key in keys {
        if remove_one(table, *key, totals)? {
            drops.push(Dropped {
                reason: "store_damaged",
                dataset: UNREADABLE.into(),
            });
        }
    }
    Ok(())
}

fn remove_one(table: &mut Spool<'_>, key: SpoolKey, totals: &mut Totals) -> anyhow::Result<bool> {
    let removed = table.remove((key.class, key.sequence))?;
    if let Some(record) = &removed {
        totals
            .class_mut(key.class)
            .subtract(sealed::value_len(record.value()));
    }
    Ok(removed.is_some())
}

/// Removes the oldest record of the least class that is not above `incoming`, and returns its dataset. Within a class
/// those that were taken come last: they may be on their way, and count as dropped though they arrive.
fn drop_oldest(
    table: &mut Spool<'_>,
    incoming: Priority,
    next: &Next,
    totals: &mut Totals,
) -> anyhow::Result<Option<String>> {
    for class in 0..=incoming as u8 {
        let from = next.take[usize::from(class)];
        let mut oldest = table.range(class_from(class, from))?.next().transpose()?;
        if oldest.is_none() {
            oldest = table.range(class_from(class, 0))?.next().transpose()?;
        }
        let Some(key) = oldest.map(|(key, _)| SpoolKey::of(key.value())) else {
            continue;
        };
        let Some(dropped) = table.remove((key.class, key.sequence))? else {
            continue;
        };
        let stored = dropped.value();
        totals.class_mut(class).subtract(sealed::value_len(stored));
        return Ok(Some(match read(key, stored) {
            Stored::Record(record) => record.dataset().to_owned(),
            Stored::Later | Stored::Damaged => UNREADABLE.to_owned(),
        }));
    }
    Ok(None)
}

pub(super) fn oldest_ms(
    table: &impl ReadableTable<(u8, u64), &'static [u8]>,
) -> anyhow::Result<Option<u64>> {
    let mut oldest = None;
    for priority in Priority::ALL {
        let first = table.range(class_from(priority as u8, 0))?.next();
        let Some((key, value)) = first.transpose()? else {
            continue;
        };
        if let Stored::Record(record) = read(SpoolKey::of(key.value()), value.value()) {
            let at = record.taken_at_ms();
            oldest = Some(oldest.map_or(at, |oldest: u64| oldest.min(at)));
        }
    }
    Ok(oldest)
}

pub(super) fn class_from(class: u8, sequence: u64) -> std::ops::RangeInclusive<(u8, u64)> {
    (class, sequence)..=(class, u64::MAX)
}
