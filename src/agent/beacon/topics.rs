//! The topics of the event stream, and finding out which of them a node offers.
//!
//! One topic a client does not know makes some of them refuse the whole subscription, with or without naming it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A topic of `/eth/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    Head,
    HeadV2,
    Block,
    BlockGossip,
    ChainReorg,
    FinalizedCheckpoint,
    VoluntaryExit,
    BlsToExecutionChange,
    ProposerSlashing,
    AttesterSlashing,
    PayloadAttributes,
    Attestation,
    SingleAttestation,
    ContributionAndProof,
    BlobSidecar,
    DataColumnSidecar,
    /// Any other: a client's own, or one of a fork to come. Its payload is kept as it came.
    Other(String),
}

impl Topic {
    const NAMED: [(Self, &'static str); 16] = [
        (Self::Head, "head"),
        (Self::HeadV2, "head_v2"),
        (Self::Block, "block"),
        (Self::BlockGossip, "block_gossip"),
        (Self::ChainReorg, "chain_reorg"),
        (Self::FinalizedCheckpoint, "finalized_checkpoint"),
        (Self::VoluntaryExit, "voluntary_exit"),
        (Self::BlsToExecutionChange, "bls_to_execution_change"),
        (Self::ProposerSlashing, "proposer_slashing"),
        (Self::AttesterSlashing, "attester_slashing"),
        (Self::PayloadAttributes, "payload_attributes"),
        (Self::Attestation, "attestation"),
        (Self::SingleAttestation, "single_attestation"),
        (Self::ContributionAndProof, "contribution_and_proof"),
        (Self::BlobSidecar, "blob_sidecar"),
        (Self::DataColumnSidecar, "data_column_sidecar"),
    ];

    pub fn from_name(name: &str) -> Self {
        let named = Self::NAMED.into_iter().find(|(_, known)| *known == name);
        named.map_or_else(|| Self::Other(name.to_owned()), |(topic, _)| topic)
    }

    pub fn name(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        let named = Self::NAMED.iter().find(|(topic, _)| topic == self);
        named.map_or("", |(_, name)| name)
    }

    /// So many a slot that they are summed up, never stored one by one.
    pub fn is_heavy(&self) -> bool {
        matches!(
            self,
            Self::Attestation
                | Self::SingleAttestation
                | Self::ContributionAndProof
                | Self::BlobSidecar
                | Self::DataColumnSidecar
        )
    }

    /// Its time tells when a block was there.
    pub fn announces_block(&self) -> bool {
        matches!(
            self,
            Self::Head | Self::HeadV2 | Self::Block | Self::BlockGossip
        )
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What every client offers: the least that makes a stream worth reading.
pub fn core() -> Vec<Topic> {
    use Topic::*;
    vec![Head, Block, ChainReorg, FinalizedCheckpoint]
}

/// What is asked for first: what every client offers, then the rest of the standard, then forks to come and the clients'
/// own. The order counts: Lodestar 1.5.1 takes topics up to the first it does not know, and says nothing.
pub fn light(extra: &[String]) -> Vec<Topic> {
    use Topic::*;
    let own = [
        "late_head",
        "sync_state",
        "fast_confirmation",
        "execution_payload",
        "execution_payload_available",
    ];
    let mut topics = core();
    topics.extend([
        VoluntaryExit,
        BlsToExecutionChange,
        BlockGossip,
        PayloadAttributes,
        ProposerSlashing,
        AttesterSlashing,
        HeadV2,
    ]);
    let more = own.into_iter().chain(extra.iter().map(String::as_str));
    for topic in more.map(Topic::from_name) {
        if !topics.contains(&topic) && !topic.is_heavy() {
            topics.push(topic);
        }
    }
    topics
}

/// The topics of the second connection: votes, and what is summed up beside them.
pub fn heavy(attestations: bool, summaries: bool) -> Vec<Topic> {
    use Topic::*;
    // In the order in which clients came to offer them.
    let mut topics = vec![
        Attestation,
        ContributionAndProof,
        SingleAttestation,
        BlobSidecar,
        DataColumnSidecar,
    ];
    topics.retain(|topic| match topic {
        Attestation | SingleAttestation => attestations,
        _ => summaries,
    });
    topics
}

/// Whether it is no use to ask this version (as `/eth/v1/node/version` gives it) for a topic. Old Lodestars neither
/// take nor refuse what they do not know: they log an uncaught exception, and logs are what we watch too.
pub fn is_harmful(topic: &Topic, version: &str) -> bool {
    use Topic::*;
    let minor = version
        .strip_prefix("Lodestar/v1.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse::<u32>().ok());
    let is_offered = matches!(
        topic,
        Head | Block
            | ChainReorg
            | FinalizedCheckpoint
            | VoluntaryExit
            | BlsToExecutionChange
            | Attestation
            | ContributionAndProof
    );
    minor.is_some_and(|minor| minor < LODESTAR_REFUSES_FROM_MINOR) && !is_offered
}

/// ChainSafe/lodestar#5787, in 1.10.0: an unknown topic is answered 400 and named.
const LODESTAR_REFUSES_FROM_MINOR: u32 = 10;

/// `/eth/v1/events` with the parameter repeated: the one form that every client takes.
pub fn path(topics: &[Topic]) -> String {
    let names: Vec<String> = topics
        .iter()
        .map(|topic| {
            let name = url::form_urlencoded::byte_serialize(topic.name().as_bytes());
            format!("topics={}", name.collect::<String>())
        })
        .collect();
    format!("/eth/v1/events?{}", names.join("&"))
}

/// Topics one version of a client refused: asked again when the version changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusals {
    pub version: String,
    pub topics: BTreeSet<String>,
}

/// Finds the largest subscription a node takes: ask, then say whether it was taken.
#[derive(Debug, Clone)]
pub struct Negotiation {
    /// Groups not yet answered for; the first is asked next.
    open: VecDeque<Vec<Topic>>,
    taken: Vec<Topic>,
    refused: BTreeSet<String>,
    wanted: Vec<Topic>,
}

impl Negotiation {
    /// `known` are refusals of the same version of this client.
    pub fn new(wanted: Vec<Topic>, known: &BTreeSet<String>) -> Self {
        let wanted: Vec<Topic> = wanted
            .into_iter()
            .filter(|topic| !known.contains(topic.name()))
            .collect();
        Self {
            open: VecDeque::from([wanted.clone()]),
            wanted,
            taken: Vec::new(),
            refused: known.clone(),
        }
    }

    /// What to ask for now. Empty: the node refuses everything.
    pub fn ask(&self) -> &[Topic] {
        self.open.front().unwrap_or(&self.taken)
    }

    /// Whether what is asked is all that may be had, so that the connection can stay.
    pub fn is_last_question(&self) -> bool {
        self.open.is_empty() || (self.open.len() == 1 && self.taken.is_empty())
    }

    pub fn refused(&self) -> &BTreeSet<String> {
        &self.refused
    }

    /// The node took what was asked.
    pub fn accept(&mut self) {
        if let Some(group) = self.open.pop_front() {
            self.taken.extend(group);
        }
    }

    /// The node refused what was asked; `answer` is what it said. The one asked topic it names is dropped, else the
    /// group is halved.
    pub fn refuse(&mut self, answer: &str) {
        let group = match self.open.pop_front() {
            Some(group) => group,
            // Taken alone and refused together: begin with the halves of what was taken.
            None => std::mem::take(&mut self.taken),
        };
        // An answer that names several lists what the node offers.
        let mut named = self
            .wanted
            .iter()
            .filter(|topic| names(answer, topic.name()));
        let culprit = match (named.next(), named.next()) {
            (Some(topic), None) if group.contains(topic) => Some(topic.clone()),
            _ if group.len() == 1 => group.first().cloned(),
            _ => None,
        };
        if let Some(culprit) = culprit {
            self.refused.insert(culprit.name().to_owned());
            let rest: Vec<Topic> = group
                .into_iter()
                .filter(|topic| *topic != culprit)
                .collect();
            if !rest.is_empty() {
                self.open.push_front(rest);
            }
        } else if !group.is_empty() {
            let (first, second) = group.split_at(group.len() / 2);
            self.open.push_front(second.to_vec());
            self.open.push_front(first.to_vec());
        }
    }

    /// Nothing came although the node moved: some clients are silent where others refuse. Only the core is left.
    pub fn silent(&mut self) {
        self.taken = core();
        self.open.clear();
    }
}

/// Whether `text` has `name` as a whole word.
fn names(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && text.split(|c| !is_word(c)).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A node that offers `offered`; returns the subscription, the refusals and the number of requests.
    fn negotiate(
        offered: &[Topic],
        says: impl Fn(&Topic) -> String,
    ) -> (Vec<Topic>, BTreeSet<String>, usize) {
        let mut negotiation = Negotiation::new(light(&[]), &BTreeSet::new());
        for requests in 1..100 {
            let asked = negotiation.ask().to_vec();
            let last = negotiation.is_last_question();
            match asked.iter().find(|topic| !offered.contains(topic)) {
                Some(unknown) => negotiation.refuse(&says(unknown)),
                None if last => return (asked, negotiation.refused, requests),
                None => negotiation.accept(),
            }
        }
        panic!("no end");
    }

    fn sorted(mut topics: Vec<Topic>) -> Vec<Topic> {
        topics.sort();
        topics
    }

    #[test]
    fn names_survive_the_round_trip() {
        for topic in light(&["own_topic".into()])
            .into_iter()
            .chain(heavy(true, true))
        {
            assert_eq!(Topic::from_name(topic.name()), topic);
        }
        assert_eq!(
            path(&[Topic::Head, Topic::Block]),
            "/eth/v1/events?topics=head&topics=block"
        );
        assert_eq!(
            path(&[Topic::from_name("a&b")]),
            "/eth/v1/events?topics=a%26b"
        );
    }

    #[test]
    fn a_named_topic_costs_one_request_each() {
        // As Prysm answers.
        let mut offered = core();
        offered.push(Topic::BlockGossip);
        let (got, refused, requests) = negotiate(&offered, |unknown| {
            format!(r#"{{"message":"{unknown}: invalid topic name","code":400}}"#)
        });
        assert_eq!(sorted(got), sorted(offered));
        assert_eq!(requests, refused.len() + 1);
    }

    #[test]
    fn an_answer_that_lists_the_offer_is_no_culprit() {
        let (got, ..) = negotiate(&core(), |_| {
            "expected one of: head, block, chain_reorg, finalized_checkpoint".into()
        });
        assert_eq!(sorted(got), sorted(core()));
    }

    #[test]
    fn what_was_refused_before_is_not_asked() {
        let known = BTreeSet::from(["head_v2".to_owned()]);
        let negotiation = Negotiation::new(light(&[]), &known);
        assert!(!negotiation.ask().contains(&Topic::HeadV2));
        assert!(negotiation.ask().contains(&Topic::Head));
    }

    #[test]
    fn old_lodestars_are_asked_for_nothing_they_do_not_know() {
        assert!(is_harmful(&Topic::HeadV2, "Lodestar/v1.5.1/2115aa7"));
        assert!(!is_harmful(&Topic::Head, "Lodestar/v1.5.1/2115aa7"));
        for version in [
            "Lodestar/v1.34.0/x",
            "Lodestar/v2.0.0/x",
            "Prysm/v6.1.4",
            "",
        ] {
            assert!(!is_harmful(&Topic::HeadV2, version), "{version}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert!(names("bad topic 'head'", "head"));
        assert!(!names("head_v2 is unknown, see headers", "head"));
    }

    proptest! {
        #[test]
        fn exactly_what_is_offered_is_found(mask in any::<u16>(), named in any::<bool>()) {
            let wanted = light(&[]);
            let offered: Vec<Topic> = wanted
                .iter()
                .enumerate()
                .filter(|(i, _)| mask >> (i % 16) & 1 == 1)
                .map(|(_, topic)| topic.clone())
                .collect();
            let (got, refused, _) = negotiate(&offered, |unknown| if named { unknown.to_string() } else { "bad".into() });
            prop_assert_eq!(got.len() + refused.len(), wanted.len());
            prop_assert_eq!(sorted(got), sorted(offered));
        }
    }
}
