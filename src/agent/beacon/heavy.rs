//! A frame of a heavy topic → the little that is counted of it. Thirty thousand votes come in a slot of mainnet, so
//! nothing of the text is kept, and what is not counted is passed over.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::event::Fault;
use super::sse::Frame;
use super::topics::Topic;
use crate::slot::Root;

/// The specification's MAX_COMMITTEES_PER_SLOT.
pub const MAX_COMMITTEES: u64 = 64;
/// Bits of the largest aggregate there can be: MAX_COMMITTEES_PER_SLOT committees of MAX_VALIDATORS_PER_COMMITTEE.
const MAX_BITS_BYTES: usize = 64 * 2_048 / 8 + 1;

/// What a heavy topic told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heavy {
    Vote(Vote),
    /// A contribution or a sidecar.
    Other {
        topic: Topic,
        slot: u64,
        block: Option<Root>,
    },
    /// Of a topic that nobody asked for on this connection.
    Foreign,
    Odd(Fault),
}

/// A vote of one validator, or the aggregate of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub slot: u64,
    pub root: Root,
    pub target_epoch: u64,
    pub target_root: Root,
    pub by: Voters,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voters {
    One {
        validator: u64,
        committee: u64,
    },
    /// One bit a member of these committees (bit 0 is committee 0), in their order.
    Many {
        committees: u64,
        bits: Vec<u8>,
    },
}

/// Reads a frame. A client may send single votes as `attestation` (erigon#18142): what it is, its fields say.
pub fn read(frame: &Frame) -> Heavy {
    let topic = Topic::from_name(&frame.event);
    if !topic.is_heavy() {
        return Heavy::Foreign;
    }
    if frame.oversized.is_some() {
        return Heavy::Odd(Fault::Oversized);
    }
    let told = match topic {
        Topic::Attestation | Topic::SingleAttestation => {
            serde_json::from_str(&frame.data).map(vote)
        }
        Topic::ContributionAndProof => {
            serde_json::from_str(&frame.data).map(|proof: ContributionAndProof| {
                let contribution = proof.message.contribution;
                Some(Heavy::Other {
                    topic,
                    slot: contribution.slot.0,
                    block: Some(contribution.beacon_block_root),
                })
            })
        }
        _ => serde_json::from_str(&frame.data).map(|sidecar: Sidecar| {
            Some(Heavy::Other {
                topic,
                slot: sidecar.slot.0,
                block: sidecar.block_root,
            })
        }),
    };
    match told {
        Ok(Some(heavy)) => heavy,
        Ok(None) => Heavy::Odd(Fault::OddField),
        Err(error) if error.is_data() => Heavy::Odd(Fault::OddField),
        Err(_) => Heavy::Odd(Fault::Unreadable),
    }
}

fn vote(attestation: Attestation<'_>) -> Option<Heavy> {
    let by = match (attestation.attester_index, attestation.aggregation_bits) {
        (Some(validator), _) => Voters::One {
            validator: validator.0,
            committee: attestation.committee_index.unwrap_or_default().0,
        },
        (None, Some(bits)) => Voters::Many {
            committees: committees(attestation.committee_bits, attestation.data.index)?,
            bits: bit_list(bits)?.0,
        },
        (None, None) => return None,
    };
    let data = attestation.data;
    Some(Heavy::Vote(Vote {
        slot: data.slot.0,
        root: data.beacon_block_root,
        target_epoch: data.target.epoch.0,
        target_root: data.target.root,
        by,
    }))
}

/// Which committees an aggregate is of: its bits since Electra, before that the index in its data.
pub(super) fn committees(bits: Option<&str>, index: Option<Number>) -> Option<u64> {
    let Some(bits) = bits else {
        let index = index.unwrap_or_default().0;
        return (index < MAX_COMMITTEES).then(|| 1 << index);
    };
    let mut mask = [0; 8];
    let digits = bits.strip_prefix("0x")?;
    let mask_bytes = mask.get_mut(..digits.len() / 2)?;
    hex::decode_to_slice(digits, mask_bytes).ok()?;
    Some(u64::from_le_bytes(mask))
}

/// The bits of a list without the one that marks its end, and how many they are.
pub(super) fn bit_list(text: &str) -> Option<(Vec<u8>, usize)> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() > MAX_BITS_BYTES * 2 {
        return None;
    }
    let mut bits = hex::decode(digits).ok()?;
    let last = bits.last_mut().filter(|last| **last != 0)?;
    let end = 7 - last.leading_zeros() as usize;
    *last &= !(1 << end);
    let length = (bits.len() - 1) * 8 + end;
    if end == 0 {
        bits.pop();
    }
    Some((bits, length))
}

#[derive(Deserialize)]
struct Attestation<'a> {
    #[serde(default, borrow)]
    aggregation_bits: Option<&'a str>,
    #[serde(default, borrow)]
    committee_bits: Option<&'a str>,
    #[serde(default)]
    committee_index: Option<Number>,
    #[serde(default)]
    attester_index: Option<Number>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    slot: Number,
    #[serde(default)]
    index: Option<Number>,
    beacon_block_root: Root,
    target: Checkpoint,
}

#[derive(Deserialize)]
struct Checkpoint {
    epoch: Number,
    root: Root,
}

#[derive(Deserialize)]
struct ContributionAndProof {
    message: ContributionMessage,
}

#[derive(Deserialize)]
struct ContributionMessage {
    contribution: Contribution,
}

#[derive(Deserialize)]
struct Contribution {
    slot: Number,
    beacon_block_root: Root,
}

#[derive(Deserialize)]
struct Sidecar {
    slot: Number,
    #[serde(default)]
    block_root: Option<Root>,
}

/// An unsigned integer, quoted or bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberText)
    }
}

struct NumberText;

impl de::Visitor<'_> for NumberText {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unsigned number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map(Number).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn told(topic: &str, data: &str) -> Heavy {
        read(&Frame {
            event: topic.into(),
            data: data.into(),
            received_at: DateTime::UNIX_EPOCH,
            oversized: None,
        })
    }

    fn data(slot: &str) -> String {
        let root = Root([7; 32]);
        format!(
            r#""data":{{"slot":{slot},"index":"2","beacon_block_root":"{root}","source":{{"epoch":"0","root":"{root}"}},"target":{{"epoch":"1","root":"{root}"}}}},"signature":"0x""#
        )
    }

    fn voters(topic: &str, fields: &str) -> Voters {
        match told(topic, &format!("{{{fields},{}}}", data("\"40\""))) {
            Heavy::Vote(vote) => {
                assert_eq!((vote.slot, vote.target_epoch), (40, 1));
                vote.by
            }
            other => panic!("{fields}: {other:?}"),
        }
    }

    #[test]
    fn each_form_is_known_by_its_fields() {
        let single = r#""committee_index":"5","attester_index":47"#;
        let one = Voters::One {
            validator: 47,
            committee: 5,
        };
        assert_eq!(voters("single_attestation", single), one);
        assert_eq!(voters("attestation", single), one, "as Erigon sends it");
        let many = |committees, bits: &[u8]| Voters::Many {
            committees,
            bits: bits.into(),
        };
        let old = r#""aggregation_bits":"0x07""#;
        assert_eq!(voters("attestation", old), many(1 << 2, &[3]));
        let new = r#""aggregation_bits":"0xff01","committee_bits":"0x0900000000000000""#;
        assert_eq!(voters("attestation", new), many(0b1001, &[0xff]));
    }

    #[test]
    fn the_last_bit_marks_the_end() {
        assert_eq!(bit_list("0x01"), Some((vec![], 0)));
        assert_eq!(bit_list("0xff01"), Some((vec![0xff], 8)));
        assert_eq!(bit_list("0x85"), Some((vec![0x05], 7)));
        for none in ["", "0x", "0x00", "0xff00", "0xf", "85"] {
            assert_eq!(bit_list(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_odd_is_named() {
        let odd = |topic, data: &str| match told(topic, data) {
            Heavy::Odd(fault) => fault,
            other => panic!("{data}: {other:?}"),
        };
        assert_eq!(odd("attestation", "<html>"), Fault::Unreadable);
        assert_eq!(odd("attestation", "{}"), Fault::OddField);
        let without_voters = format!("{{{}}}", data("\"4\""));
        assert_eq!(odd("attestation", &without_voters), Fault::OddField);
        for slot in ["-1", "\"18446744073709551616\"", "null"] {
            let text = format!(r#"{{"attester_index":"1",{}}}"#, data(slot));
            assert_eq!(odd("single_attestation", &text), Fault::OddField, "{slot}");
        }
        let wide = format!(
            r#"{{"aggregation_bits":"0x03","committee_bits":"0x{}",{}}}"#,
            "00".repeat(9),
            data("1")
        );
        assert_eq!(odd("attestation", &wide), Fault::OddField);
        assert_eq!(told("head", "{}"), Heavy::Foreign);
    }

    #[test]
    fn contributions_and_sidecars_have_a_slot_and_a_root() {
        let root = Root([7; 32]);
        let proof = format!(
            r#"{{"message":{{"contribution":{{"slot":"8","beacon_block_root":"{root}"}}}}}}"#
        );
        let sidecar = format!(r#"{{"block_root":"{root}","index":"3","slot":"8"}}"#);
        for (topic, data) in [
            (Topic::ContributionAndProof, proof),
            (Topic::DataColumnSidecar, sidecar),
        ] {
            let other = Heavy::Other {
                topic: topic.clone(),
                slot: 8,
                block: Some(root),
            };
            assert_eq!(told(topic.name(), &data), other);
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(topic in "attestation|single_attestation|blob_sidecar|contribution_and_proof", data in ".{0,200}", bits in "(0x)?[0-9a-f]{0,20}") {
            told(&topic, &data);
            told(&topic, &format!(r#"{{"aggregation_bits":"{bits}","committee_bits":"{bits}",{}}}"#, self::data("3")));
        }
    }
}
