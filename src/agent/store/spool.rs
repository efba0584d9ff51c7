//! The spool's table: order, byte limit, and who gives way.

use bytes::Bytes;
use redb::{ReadableTable, Table};

use super::{Dropped, Priority, Record};

/// Where a record lies: its class and its number in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SpoolKey {
    class: u8,
    sequence: u64,
}

/// Under which the totals of the dead letters are kept, beside those of the priorities.
pub(super) const DEAD: u8 = Priority::ALL.len() as u8;
const CLASSES: usize = Priority::ALL.len();

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    pub records: u64,
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }

    pub(super) fn subtract(&mut self, bytes: usize) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

/// What lies in the store, kept durably with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals([Count; CLASSES + 1]);

impl Totals {
    pub fn spool(&self) -> Count {
        self.0[..CLASSES]
            .iter()
            .fold(Count::default(), |sum, count| Count {
                records: sum.records + count.records,
                bytes: sum.bytes + count.bytes,
            })
    }

    pub fn dead_letters(&self) -> Count {
        self.0[usize::from(DEAD)]
    }

    pub(super) fn dead_letters_mut(&mut self) -> &mut Count {
        &mut self.0[usize::from(DEAD)]
    }

    pub(super) fn read(table: &impl ReadableTable<u8, (u64, u64)>) -> anyhow::Result<Self> {
        let mut totals = Self::default();
        for (class, count) in totals.0.iter_mut().enumerate() {
            if let Some(stored) = table.get(class as u8)? {
                let (records, bytes) = stored.value();
                *count = Count { records, bytes };
            }
        }
        Ok(totals)
    }

    pub(super) fn changed_since(self, before: &Self) -> impl Iterator<Item = (u8, Count)> {
        let before = before.0;
        let differs = move |(class, count): &(usize, Count)| *count != before[*class];
        let all = self.0.into_iter().enumerate().filter(differs);
        all.map(|(class, count)| (class as u8, count))
    }
}

/// The numbers that go on: of the next record to come, and per class of the next one to ship.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Next {
    append: u64,
    take: [u64; CLASSES],
}

type Spool<'txn> = Table<'txn, (u8, u64), &'static [u8]>;

impl Next {
    pub(super) fn continue_after(
        &mut self,
        table: &impl ReadableTable<(u8, u64), &'static [u8]>,
    ) -> anyhow::Result<()> {
        for priority in Priority::ALL {
            if let Some(last) = table.range(class_from(priority as u8, 0))?.next_back() {
                self.append = self.append.max(last?.0.value().1 + 1);
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
    ) -> anyhow::Result<Vec<(SpoolKey, Record)>> {
        let mut sources = Vec::with_capacity(CLASSES);
        for (class, from) in self.take.iter().enumerate() {
            let mut range = table.range(class_from(class as u8, *from))?;
            let first = range.next().transpose()?;
            sources.push((first, range));
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < max_records && bytes < max_bytes {
            let heads = sources.iter_mut().filter(|(head, _)| head.is_some());
            let oldest = heads.min_by_key(|(head, _)| head.as_ref().map(|(key, _)| key.value().1));
            let Some((head, range)) = oldest else { break };
            let following = range.next().transpose()?;
            let Some((key, value)) = std::mem::replace(head, following) else {
                break;
            };
            let (class, sequence) = key.value();
            self.take[usize::from(class)] = sequence + 1;
            // What cannot be read was written by a later version; it stays for that one.
            if let Some(record) = Record::read(Bytes::copy_from_slice(value.value())) {
                bytes += record.len();
                taken.push((SpoolKey { class, sequence }, record));
            }
        }
        Ok(taken)
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
            let class = *priority as u8;
            table.insert((class, next.append), record.as_bytes())?;
            next.append += 1;
            totals.0[usize::from(class)].add(record.len());
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
        if let Some(record) = table.remove((key.class, key.sequence))? {
            totals.0[usize::from(key.class)].subtract(record.value().len());
        }
    }
    Ok(())
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
        let Some(sequence) = oldest.map(|(key, _)| key.value().1) else {
            continue;
        };
        let Some(dropped) = table.remove((class, sequence))? else {
            continue;
        };
        totals.0[usize::from(class)].subtract(dropped.value().len());
        let record = Record::read(Bytes::copy_from_slice(dropped.value()));
        return Ok(Some(record.map_or_else(
            || "unreadable".into(),
            |record| record.dataset().into(),
        )));
    }
    Ok(None)
}

pub(super) fn oldest_ms(
    table: &impl ReadableTable<(u8, u64), &'static [u8]>,
) -> anyhow::Result<Option<u64>> {
    let mut oldest = None;
    for priority in Priority::ALL {
        let Some(first) = table
            .range(class_from(priority as u8, 0))?
            .next()
            .transpose()?
        else {
            continue;
        };
        if let Some(record) = Record::read(Bytes::copy_from_slice(first.1.value())) {
            let at = record.taken_at_ms();
            oldest = Some(oldest.map_or(at, |oldest: u64| oldest.min(at)));
        }
    }
    Ok(oldest)
}

fn class_from(class: u8, sequence: u64) -> std::ops::RangeInclusive<(u8, u64)> {
    (class, sequence)..=(class, u64::MAX)
}
