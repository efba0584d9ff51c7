//! A fleet of nodes and what each of them sees of one chain: late, missed, orphaned blocks, a reorg of all, a split of a
//! fifth of the nodes. The same in every run.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use ethmon::slot::{BlockRef, ChainSpec, Root};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Everything that is drawn is drawn from this.
const SEED: u64 = 6;
/// Slots that the story of a chain that goes wrong takes.
pub(crate) const STORY: u64 = 14;
/// Canonical blocks remembered, for checkpoints.
const KEPT: usize = 256;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) tells_gossip: bool,
    pub(crate) tells_head_v2: bool,
    /// Between gossip and import, at least.
    pub(crate) import_ms: i64,
}

const CLIENTS: [Client; 5] = [
    client("Lighthouse", "v8.0.0", true, false, 90),
    client("Prysm", "v7.0.0", true, true, 120),
    client("teku", "v25.11.0", true, false, 160),
    client("Nimbus", "v25.11.0", true, false, 110),
    client("Lodestar", "v1.36.0", false, false, 220),
];

/// The client whose nodes leave the chain for a while.
const MINORITY: &str = "Nimbus";

const fn client(
    name: &'static str,
    version: &'static str,
    tells_gossip: bool,
    tells_head_v2: bool,
    import_ms: i64,
) -> Client {
    Client {
        name,
        version,
        tells_gossip,
        tells_head_v2,
        import_ms,
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: Client,
    /// How much later than the first node it hears of a block, usually.
    distance_ms: i64,
}

/// How the chain goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) slot_ms: u64,
    pub(crate) slots_per_epoch: u64,
    /// The story begins again after so many slots; what it does not fill is quiet.
    pub(crate) story_every: u64,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Usual,
    Late,
    Missed,
    /// Its block is left behind by the next one.
    Orphaned,
    /// Its block has the orphan's parent: all nodes change over.
    Join,
    /// The minority does not take the block.
    Majority,
    /// Only the minority follows the block.
    Minority,
    /// The minority comes back.
    Heal,
}

impl Kind {
    fn of(index: u64, story_every: u64) -> Self {
        match index % story_every.max(STORY) {
            2 => Self::Late,
            3 => Self::Missed,
            5 => Self::Orphaned,
            6 => Self::Join,
            7 | 9 | 10 => Self::Majority,
            8 => Self::Minority,
            11 => Self::Heal,
            _ => Self::Usual,
        }
    }

    /// Every node takes the slot's block, so that its record need not wait for those that never will.
    pub(crate) fn is_taken_by_all(self) -> bool {
        !matches!(self, Self::Missed | Self::Majority | Self::Minority)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) block: BlockRef,
    pub(crate) parent: BlockRef,
    pub(crate) proposer: u64,
    /// When the first node hears of it.
    at_ms: i64,
}

/// A block at a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) block: Block,
    /// `None` where the client does not tell, or asked for the block itself.
    pub(crate) gossip: Option<DateTime<Utc>>,
    pub(crate) import: DateTime<Utc>,
    pub(crate) head: Option<DateTime<Utc>>,
    /// The head that is left for it, where it is no child of that.
    pub(crate) reorg_from: Option<BlockRef>,
}

pub(crate) struct Chain {
    pub(crate) spec: ChainSpec,
    pub(crate) nodes: Vec<Node>,
    pub(crate) first: u64,
    story_every: u64,
    random: StdRng,
    /// Of the majority and of the minority.
    pub(crate) heads: [BlockRef; 2],
    /// Blocks that the minority did not take.
    refused: Vec<Block>,
    orphans_parent: BlockRef,
    canonical: VecDeque<BlockRef>,
}

/// What happens in a slot.
pub(crate) struct Slot {
    pub(crate) slot: u64,
    pub(crate) kind: Kind,
    /// By node.
    pub(crate) sightings: Vec<Vec<Sighting>>,
    /// The head of each node at two thirds of the slot.
    pub(crate) heads: Vec<BlockRef>,
    pub(crate) finalized: Option<(u64, Root)>,
    pub(crate) justified: Option<(u64, Root)>,
}

impl Chain {
    /// Its first slot begins at `starts`.
    pub(crate) fn new(nodes: usize, course: Course, starts: DateTime<Utc>) -> Self {
        let slot_ms = course.slot_ms;
        let mut random = StdRng::seed_from_u64(SEED);
        let first = 12_000_000;
        let since_genesis = TimeDelta::milliseconds((first * slot_ms) as i64);
        let spec = ChainSpec {
            network: format!("scale-{nodes}"),
            genesis_time: starts - since_genesis,
            slot_duration_ms: slot_ms,
            attestation_due_ms: slot_ms * 3_333 / 10_000,
            slots_per_epoch: course.slots_per_epoch,
            ..ChainSpec::example()
        };
        let node = |number| Node {
            name: format!("beacon-{number:04}"),
            client: CLIENTS[number % CLIENTS.len()],
            distance_ms: random.random_range(0..600),
        };
        let before = BlockRef {
            slot: first - 1,
            root: root(first - 1),
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            spec,
            first,
            story_every: course.story_every,
            random,
            heads: [before; 2],
            refused: Vec::new(),
            orphans_parent: before,
            canonical: VecDeque::from([before]),
        }
    }

    /// The slots in their order.
    pub(crate) fn next(&mut self, slot: u64) -> Slot {
        let kind = Kind::of(slot - self.first, self.story_every);
        let [majority, minority] = self.heads;
        let parent = match kind {
            Kind::Join => self.orphans_parent,
            Kind::Minority => minority,
            _ => majority,
        };
        // Late is a third of the slot, whatever its length.
        let share = self.spec.slot_duration_ms as f64 / 12_000.0;
        let at_ms = match kind {
            Kind::Late => 4_600,
            Kind::Orphaned => 3_700,
            _ => self.random.random_range(1_100..2_600),
        };
        let block = Block {
            block: BlockRef {
                slot,
                root: root(slot),
            },
            parent,
            proposer: self.random.random_range(0..1_000_000),
            at_ms: (at_ms as f64 * share) as i64,
        };
        let missed = match kind {
            Kind::Heal => std::mem::take(&mut self.refused),
            _ => Vec::new(),
        };
        let mut sightings = vec![Vec::new(); self.nodes.len()];
        for (index, sightings) in sightings.iter_mut().enumerate() {
            let side = usize::from(self.nodes[index].client.name == MINORITY);
            if kind == Kind::Missed || kind == Kind::Majority && side == 1 {
                continue;
            }
            let seen = self.see(index, block, share);
            if side == 1 {
                sightings.extend(missed.iter().map(|block| Sighting {
                    block: *block,
                    gossip: None,
                    head: None,
                    reorg_from: None,
                    ..seen
                }));
            }
            let follows = kind != Kind::Minority || side == 1;
            let before = self.heads[side];
            let leaves = before != parent;
            sightings.push(Sighting {
                head: seen.head.filter(|_| follows),
                reorg_from: (follows && leaves).then_some(before),
                ..seen
            });
        }
        self.go_on(kind, block);
        Slot {
            slot,
            kind,
            sightings,
            heads: self
                .nodes
                .iter()
                .map(|node| self.heads[usize::from(node.client.name == MINORITY)])
                .collect(),
            finalized: self.checkpoint(slot, 2),
            justified: self.checkpoint(slot, 1),
        }
    }

    fn see(&mut self, node: usize, block: Block, share: f64) -> Sighting {
        let Node {
            client,
            distance_ms,
            ..
        } = self.nodes[node];
        let after = |ms: i64| TimeDelta::milliseconds((ms as f64 * share) as i64);
        let heard = self.spec.slot_start(block.block.slot)
            + TimeDelta::milliseconds(block.at_ms)
            + after(distance_ms + self.random.random_range(0..200));
        let import = heard + after(client.import_ms + self.random.random_range(0..150));
        Sighting {
            block,
            gossip: client.tells_gossip.then_some(heard),
            import,
            head: Some(import + after(self.random.random_range(5..60))),
            reorg_from: None,
        }
    }

    fn go_on(&mut self, kind: Kind, block: Block) {
        let both = match kind {
            Kind::Missed => return,
            Kind::Majority => {
                self.refused.push(block);
                [true, false]
            }
            Kind::Minority => [false, true],
            _ => [true, true],
        };
        self.orphans_parent = block.parent;
        for (head, follows) in self.heads.iter_mut().zip(both) {
            if follows {
                *head = block.block;
            }
        }
        if kind == Kind::Join {
            self.canonical.pop_back();
        }
        if kind != Kind::Minority {
            self.canonical.push_back(block.block);
        }
        if self.canonical.len() > KEPT {
            self.canonical.pop_front();
        }
    }

    /// Epoch and root of the checkpoint so many epochs ago; none from before the first slot.
    fn checkpoint(&self, slot: u64, epochs: u64) -> Option<(u64, Root)> {
        let slots_per_epoch = self.spec.slots_per_epoch;
        let epoch = (slot / slots_per_epoch).saturating_sub(epochs);
        let boundary = epoch * slots_per_epoch;
        let mut older = self.canonical.iter().rev();
        let block = older.find(|block| block.slot <= boundary && block.slot >= self.first)?;
        Some((epoch, block.root))
    }
}

fn root(slot: u64) -> Root {
    let mut random = StdRng::seed_from_u64(SEED ^ slot);
    Root(random.random())
}
