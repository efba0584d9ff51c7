//! Questions that wait for their answer: bounded in number and in time.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// By what question and answer have in common.
pub struct Pending<K, V> {
    waiting: HashMap<K, (u64, V)>,
    /// In the order in which they came; entries whose number is not in `waiting` any more are passed over.
    order: VecDeque<(i64, u64, K)>,
    asked: u64,
    most: usize,
}

impl<K: Hash + Eq + Clone, V> Pending<K, V> {
    pub fn new(most: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            order: VecDeque::new(),
            asked: 0,
            most,
        }
    }

    /// Returns what has to go for it: the same question asked before, or the oldest where there are too many.
    pub fn ask(&mut self, at: i64, key: K, question: V) -> Option<(K, V)> {
        self.asked += 1;
        self.order.push_back((at, self.asked, key.clone()));
        let before = self.waiting.insert(key.clone(), (self.asked, question));
        if let Some((_, question)) = before {
            return Some((key, question));
        }
        if self.waiting.len() > self.most {
            return self.oldest(i64::MAX);
        }
        // Answered ones stay in the order until their turn; they must not pile up.
        if self.order.len() > 4 * self.most {
            let waiting = &self.waiting;
            self.order.retain(
                |(_, number, key)| matches!(waiting.get(key), Some((own, _)) if own == number),
            );
        }
        None
    }

    pub fn answer(&mut self, key: &K) -> Option<V> {
        self.waiting.remove(key).map(|(_, question)| question)
    }

    /// The oldest question that was asked before the time given.
    pub fn oldest(&mut self, before: i64) -> Option<(K, V)> {
        while let Some((at, number, _)) = self.order.front() {
            if *at >= before {
                return None;
            }
            let number = *number;
            let (_, _, key) = self.order.pop_front()?;
            if matches!(self.waiting.get(&key), Some((own, _)) if *own == number) {
                let (_, question) = self.waiting.remove(&key)?;
                return Some((key, question));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_end_answered_repeated_old_or_crowded_out() {
        let mut pending = Pending::new(3);
        assert_eq!(pending.ask(1, "a", 1), None);
        assert_eq!(pending.ask(2, "b", 2), None);
        assert_eq!(pending.ask(3, "a", 3), Some(("a", 1)));
        assert_eq!(pending.oldest(2), None, "the first a was repeated");
        assert_eq!(pending.answer(&"b"), Some(2));
        assert_eq!(pending.answer(&"b"), None);
        assert_eq!(pending.oldest(4), Some(("a", 3)));
        for (at, key) in [(5, "c"), (6, "d"), (7, "e")] {
            assert_eq!(pending.ask(at, key, 0), None);
        }
        assert_eq!(pending.ask(8, "f", 0), Some(("c", 0)));
        assert_eq!(pending.waiting.len(), 3);
    }

    #[test]
    fn answered_questions_do_not_pile_up() {
        let mut pending = Pending::new(2);
        for at in 0..1_000 {
            pending.ask(at, at, ());
            pending.answer(&at);
        }
        assert!(pending.order.len() <= 9, "{}", pending.order.len());
    }
}
