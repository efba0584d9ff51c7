//! How much lies in the store, kept durably with it: a start counts nothing.

use redb::ReadableTable;

use super::Priority;
use super::sealed::{self, Table::Totals as TOTALS};

pub(super) const CLASSES: usize = Priority::ALL.len();
/// Under which the totals of the dead letters are kept, beside those of the priorities.
pub(super) const DEAD: u8 = CLASSES as u8;

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

    fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.records) << 64 | u128::from(self.bytes)).to_le_bytes()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let both = u128::from_le_bytes(bytes.try_into().ok()?);
        Some(Self {
            records: (both >> 64) as u64,
            bytes: both as u64,
        })
    }
}

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

    pub fn of(&self, priority: Priority) -> Count {
        self.0[priority as usize]
    }

    pub fn dead_letters(&self) -> Count {
        self.0[usize::from(DEAD)]
    }

    pub(super) fn of_mut(&mut self, priority: Priority) -> &mut Count {
        &mut self.0[priority as usize]
    }

    /// A class as it stands in a key.
    pub(super) fn class_mut(&mut self, class: u8) -> &mut Count {
        &mut self.0[usize::from(class.min(DEAD))]
    }

    pub(super) fn dead_letters_mut(&mut self) -> &mut Count {
        &mut self.0[usize::from(DEAD)]
    }

    /// `None` where they are damaged: then the tables have to be counted.
    pub(super) fn read(
        table: &impl ReadableTable<u8, &'static [u8]>,
    ) -> anyhow::Result<Option<Self>> {
        let mut totals = Self::default();
        for (class, count) in totals.0.iter_mut().enumerate() {
            let class = class as u8;
            if let Some(stored) = table.get(class)? {
                let value = sealed::open(TOTALS, &[class], stored.value());
                let Some(known) = value.and_then(Count::read) else {
                    return Ok(None);
                };
                *count = known;
            }
        }
        Ok(Some(totals))
    }

    pub(super) fn count(
        spool: &impl ReadableTable<(u8, u64), &'static [u8]>,
        dead_letters: &impl ReadableTable<u64, &'static [u8]>,
    ) -> anyhow::Result<Self> {
        let mut totals = Self::default();
        for entry in spool.iter()? {
            let (key, value) = entry?;
            totals
                .class_mut(key.value().0)
                .add(sealed::value_len(value.value()));
        }
        for entry in dead_letters.iter()? {
            totals
                .dead_letters_mut()
                .add(sealed::value_len(entry?.1.value()));
        }
        Ok(totals)
    }

    pub(super) fn write(
        &self,
        before: &Self,
        table: &mut redb::Table<'_, u8, &'static [u8]>,
    ) -> anyhow::Result<()> {
        let mut sealed = Vec::new();
        for (class, (count, before)) in self.0.iter().zip(before.0).enumerate() {
            if *count != before {
                let class = class as u8;
                let value = sealed::seal(TOTALS, &[class], &count.to_bytes(), &mut sealed);
                table.insert(class, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_the_round_trip() {
        let count = Count {
            records: u64::MAX - 1,
            bytes: 7,
        };
        assert_eq!(Count::read(&count.to_bytes()), Some(count));
        assert_eq!(Count::read(&[0; 15]), None);
    }
}
