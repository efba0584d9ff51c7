//! Whose turn it is: files with something to read take turns, the others are looked at ever more rarely. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// A followed file, for as long as it is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u64);

#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// By the tickets that were drawn.
    ready: BTreeMap<Ticket, Id>,
    /// Ready, and waiting until another file is closed.
    waiting: BTreeMap<Ticket, Id>,
    next_ticket: Ticket,
    looks: BTreeSet<(Instant, Id)>,
    states: BTreeMap<Id, State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready(Ticket),
    Waiting(Ticket),
    LookAt(Instant),
}

/// Who has the lower one came first.
type Ticket = u64;

impl Schedule {
    /// It has something to read: its turn comes after those that have so already.
    pub(super) fn ready(&mut self, id: Id) {
        if self.is_in_line(id) {
            return;
        }
        self.remove(id);
        let ticket = self.draw();
        self.ready.insert(ticket, id);
        self.states.insert(id, State::Ready(ticket));
    }

    /// It was opened, though it may have been waiting for its place.
    pub(super) fn opened(&mut self, id: Id) {
        if matches!(self.states.get(&id), Some(State::Waiting(_))) {
            self.remove(id);
        }
        self.ready(id);
    }

    /// It can't be opened until another is closed.
    pub(super) fn wait(&mut self, id: Id) {
        self.remove(id);
        let ticket = self.draw();
        self.waiting.insert(ticket, id);
        self.states.insert(id, State::Waiting(ticket));
    }

    /// It is looked at then, unless it is ready before.
    pub(super) fn look_at(&mut self, id: Id, at: Instant) {
        self.remove(id);
        self.looks.insert((at, id));
        self.states.insert(id, State::LookAt(at));
    }

    pub(super) fn remove(&mut self, id: Id) {
        match self.states.remove(&id) {
            Some(State::Ready(ticket)) => drop(self.ready.remove(&ticket)),
            Some(State::Waiting(ticket)) => drop(self.waiting.remove(&ticket)),
            Some(State::LookAt(at)) => drop(self.looks.remove(&(at, id))),
            None => {}
        }
    }

    /// The next turn.
    pub(super) fn next(&mut self) -> Option<Id> {
        let (_, id) = self.ready.pop_first()?;
        self.states.remove(&id);
        Some(id)
    }

    /// The first of those that wait for a place and may have one is ready.
    pub(super) fn admit(&mut self, may_open: impl Fn(Id) -> bool) {
        let first = self.waiting.values().copied().find(|id| may_open(*id));
        if let Some(id) = first {
            self.remove(id);
            self.ready(id);
        }
    }

    fn draw(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Neither read nor to be read.
    pub(super) fn is_at_rest(&self, id: Id) -> bool {
        matches!(self.states.get(&id), Some(State::LookAt(_)))
    }

    /// It has something to read, and its turn comes.
    pub(super) fn is_in_line(&self, id: Id) -> bool {
        matches!(
            self.states.get(&id),
            Some(State::Ready(_) | State::Waiting(_))
        )
    }

    pub(super) fn is_unknown(&self, id: Id) -> bool {
        !self.states.contains_key(&id)
    }

    pub(super) fn turns(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next whose time to be looked at has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Id> {
        let (at, id) = self.looks.first().copied()?;
        (at <= now).then(|| {
            self.remove(id);
            id
        })
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.looks.first().map(|(at, _)| *at)
    }
}

/// How long until a file that has been quiet for so long is looked at again: an eighth of that, within bounds.
pub(super) fn rest(quiet: Duration, least: Duration) -> Duration {
    const MOST: u32 = 10;
    (quiet / 8).clamp(least, least * MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_go_round_and_a_file_is_in_one_place() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        let [a, b, c] = [Id(1), Id(2), Id(3)];
        schedule.ready(a);
        schedule.look_at(b, now + Duration::from_secs(1));
        schedule.ready(b);
        schedule.ready(a);
        assert_eq!(schedule.due(now + Duration::from_secs(2)), None);
        assert_eq!((schedule.next(), schedule.turns()), (Some(a), 1));
        schedule.ready(a);
        assert_eq!(
            [schedule.next(), schedule.next(), schedule.next()],
            [Some(b), Some(a), None]
        );

        schedule.wait(a);
        schedule.wait(c);
        schedule.ready(a);
        assert_eq!(schedule.next(), None, "it still waits");
        schedule.admit(|_| true);
        assert_eq!(schedule.next(), Some(a));
        assert!(schedule.has_waiting());

        schedule.opened(c);
        assert!(
            !schedule.has_waiting(),
            "who has a place does not wait for one"
        );
        assert_eq!(schedule.next(), Some(c));

        schedule.look_at(a, now + Duration::from_secs(2));
        schedule.look_at(b, now + Duration::from_secs(1));
        assert_eq!(schedule.due(now), None);
        assert_eq!(schedule.next_look(), Some(now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(2);
        assert_eq!(
            [schedule.due(later), schedule.due(later)],
            [Some(b), Some(a)]
        );
    }

    #[test]
    fn a_quiet_file_is_looked_at_ever_more_rarely() {
        let second = Duration::from_secs(1);
        assert_eq!(rest(Duration::ZERO, second), second);
        assert_eq!(rest(40 * second, second), 5 * second);
        assert_eq!(rest(4_000 * second, second), 10 * second);
    }
}
