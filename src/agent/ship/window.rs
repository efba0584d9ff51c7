//! How much may be held in memory at once, apart for the spool and for files, so that neither starves the other. Pure.

use super::queue::Origin;

/// What may be under way or wait for another attempt, of each, per request that may be under way. Reached, nothing new is
/// taken: it is safe where it is.
const EVENTS: usize = 2_000;
const BYTES: usize = 3 << 19;
/// As if for so many requests at least: what waits for another attempt needs its place beside the request under way.
const FEWEST: usize = 4;
/// Spooled records that wait for a person (a template, a right) and are kept in memory to find out when it was done. The
/// others go back to the spool, or one stream without a template would fill the window and stop all others.
const PROBES: usize = 1_000;

#[derive(Debug)]
pub(super) struct Window {
    most: Held,
    spool: Held,
    files: Held,
    probes: usize,
    /// There are records in the spool that were taken from it and given back.
    given_back: bool,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Held {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Held {
    fn has_room(self, most: Self) -> bool {
        self.events < most.events && self.bytes < most.bytes
    }
}

impl Window {
    /// For so many requests at once.
    pub(super) fn new(concurrency: usize) -> Self {
        let concurrency = concurrency.max(FEWEST);
        Self {
            most: Held {
                events: concurrency * EVENTS,
                bytes: concurrency * BYTES,
            },
            spool: Held::default(),
            files: Held::default(),
            probes: 0,
            given_back: false,
        }
    }

    /// Events from files that may be under way.
    pub(super) fn most_events(&self) -> usize {
        self.most.events
    }

    pub(super) fn add(&mut self, origin: Origin, bytes: usize) {
        let held = self.of(origin);
        held.events += 1;
        held.bytes += bytes;
    }

    pub(super) fn remove(&mut self, origin: Origin, bytes: usize) {
        let held = self.of(origin);
        held.events -= 1;
        held.bytes -= bytes;
    }

    pub(super) fn has_room_for_spool(&self) -> bool {
        self.spool.has_room(self.most)
    }

    pub(super) fn has_room_for_files(&self) -> bool {
        self.files.has_room(self.most)
    }

    pub(super) fn total(&self) -> Held {
        Held {
            events: self.spool.events + self.files.events,
            bytes: self.spool.bytes + self.files.bytes,
        }
    }

    /// The item waits for a person. `false`: there are enough of its kind, and it is to be given back.
    pub(super) fn keep_as_probe(&mut self, origin: Origin) -> bool {
        // A file cannot take lines back: it waits.
        if matches!(origin, Origin::File(_)) {
            return true;
        }
        let kept = self.probes < PROBES;
        self.probes += usize::from(kept);
        self.given_back |= !kept;
        kept
    }

    /// The item was a probe, and now it has an answer.
    pub(super) fn probe_answered(&mut self, origin: Origin) {
        self.probes -= usize::from(matches!(origin, Origin::Spool(_)));
    }

    /// Somebody has acted: whether there is something to be taken again.
    pub(super) fn take_given_back(&mut self) -> bool {
        std::mem::take(&mut self.given_back)
    }

    fn of(&mut self, origin: Origin) -> &mut Held {
        match origin {
            Origin::Spool(_) => &mut self.spool,
            Origin::File(_) => &mut self.files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::SpoolKey;

    #[test]
    fn it_is_full_by_events_or_bytes_and_empties_again() {
        let spool = Origin::Spool(SpoolKey::default());
        let mut window = Window::new(1);
        let Held { events, bytes } = window.most;
        window.add(spool, bytes);
        assert!(!window.has_room_for_spool() && window.has_room_for_files());
        window.remove(spool, bytes);
        (0..events).for_each(|_| window.add(spool, 1));
        assert!(!window.has_room_for_spool());
        assert_eq!(
            (window.total().events, window.total().bytes),
            (events, events)
        );
    }

    #[test]
    fn probes_are_bounded_and_the_rest_is_taken_again_once() {
        let spool = Origin::Spool(SpoolKey::default());
        let mut window = Window::new(1);
        assert!((0..PROBES).all(|_| window.keep_as_probe(spool)));
        assert!(!window.take_given_back(), "nothing was given back");
        assert!(!window.keep_as_probe(spool));
        window.probe_answered(spool);
        assert!(window.keep_as_probe(spool), "a place became free");
        assert!(window.take_given_back() && !window.take_given_back());
    }
}
