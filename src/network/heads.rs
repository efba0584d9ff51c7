//! The heads in force, and how many nodes stand on each: whether a node is the first or the last on one is asked at every
//! change, and a look at all other nodes would make a thousand changes a million looks.

use std::collections::BTreeMap;

use super::nodes::NodeName;
use crate::slot::BlockRef;

#[derive(Debug, Default)]
pub(super) struct Heads {
    of: BTreeMap<NodeName, BlockRef>,
    standing: BTreeMap<BlockRef, usize>,
}

impl Heads {
    pub(super) fn get(&self, node: &NodeName) -> Option<&BlockRef> {
        self.of.get(node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeName, &BlockRef)> {
        self.of.iter()
    }

    /// How many nodes have this head.
    pub(super) fn standing_on(&self, head: BlockRef) -> usize {
        self.standing.get(&head).copied().unwrap_or(0)
    }

    /// Returns the head before.
    pub(super) fn insert(&mut self, node: &NodeName, head: BlockRef) -> Option<BlockRef> {
        let before = self.of.insert(node.clone(), head);
        *self.standing.entry(head).or_default() += 1;
        before.inspect(|before| leave(&mut self.standing, *before))
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&NodeName) -> bool) {
        let standing = &mut self.standing;
        self.of.retain(|node, head| {
            let kept = is_kept(node);
            if !kept {
                leave(standing, *head);
            }
            kept
        });
    }
}

fn leave(standing: &mut BTreeMap<BlockRef, usize>, head: BlockRef) {
    if let Some(count) = standing.get_mut(&head) {
        *count -= 1;
        if *count == 0 {
            standing.remove(&head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Root;
    use std::sync::Arc;

    #[test]
    fn nodes_on_a_head_are_counted_as_they_come_and_go() {
        let head = |slot: u8| BlockRef {
            slot: slot.into(),
            root: Root([slot; 32]),
        };
        let node = |name: &str| -> NodeName { Arc::from(name) };
        let mut heads = Heads::default();
        assert_eq!(heads.insert(&node("a"), head(1)), None);
        heads.insert(&node("b"), head(1));
        assert_eq!(heads.insert(&node("a"), head(2)), Some(head(1)));
        heads.insert(&node("a"), head(2));
        assert_eq!(
            (heads.standing_on(head(1)), heads.standing_on(head(2))),
            (1, 1)
        );
        heads.retain(|name| **name != *"b");
        assert_eq!((heads.standing_on(head(1)), heads.iter().count()), (0, 1));
        assert_eq!(heads.standing.len(), 1);
    }
}
