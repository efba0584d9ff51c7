//! Blocks of a recording as the agent reads them, those without their root too. Pure.

use serde_json::Value;

use crate::agent::beacon::decode;
use crate::network::{Contents, Fact};
use crate::slot::{BlockRef, Root};

/// A block without its root: the answer's path does not say it, and to compute it takes the whole of SSZ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unnamed {
    pub(super) slot: u64,
    pub(super) parent_root: Root,
    pub(super) proposer_index: Option<u64>,
    pub(super) contents: Contents,
    /// Its slot and when that begins, in Unix seconds: blocks hold it since the merge.
    pub(super) clock: Option<(u64, u64)>,
}

/// The answer of `/eth/v2/beacon/blocks/{id}`.
pub(super) fn read(answer: &Value) -> Option<Unnamed> {
    let block = decode::block(answer).ok()?;
    let message = answer.pointer("/data/message")?;
    let timestamp = message.pointer("/body/execution_payload/timestamp");
    let timestamp = timestamp.and_then(crate::chain_spec::unsigned);
    Some(Unnamed {
        slot: block.slot,
        parent_root: block.parent_root,
        proposer_index: block.proposer_index,
        contents: Contents {
            size_bytes: is_whole(&answer["data"]).then_some(block.size_bytes),
            blobs: block.blobs,
            sync_participants: block.sync_participants,
            sync_size: block.sync_bits,
        },
        clock: timestamp.map(|timestamp| (block.slot, timestamp)),
    })
}

/// A line of a block's own fields, with the path that was asked for; parts of it may have been left out.
pub(super) fn read_line(line: &[u8]) -> Option<(Root, Unnamed)> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let root = message.get("request")?.as_str()?.rsplit('/').next()?;
    let root = root.parse().ok()?;
    read(&serde_json::json!({"data": {"message": message}})).map(|block| (root, block))
}

/// A signed block in SSZ: where it stands in the chain, and how long it is.
pub(super) fn read_ssz(bytes: &[u8]) -> Option<Unnamed> {
    /// Behind the place of the message and its signature.
    const MESSAGE: usize = 4 + 96;
    let place = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let number = |at| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let parent_root = Root(bytes.get(MESSAGE + 16..MESSAGE + 48)?.try_into().ok()?);
    (place as usize == MESSAGE).then_some(Unnamed {
        slot: number(MESSAGE)?,
        parent_root,
        proposer_index: number(MESSAGE + 8),
        contents: Contents {
            size_bytes: Some(bytes.len() as u64),
            ..Contents::default()
        },
        clock: None,
    })
}

/// Whether an answer has all that counts for its size: recorders leave out what is large.
fn is_whole(signed: &Value) -> bool {
    let body = signed.pointer("/message/body").and_then(Value::as_object);
    body.is_some_and(|body| {
        let payload = body.get("execution_payload");
        signed.get("signature").is_some()
            && body.get("attestations").is_some_and(Value::is_array)
            && payload.is_none_or(|payload| payload["transactions"].is_array())
            && !body.contains_key("execution_payload_header")
    })
}

impl Unnamed {
    /// What is known of it once its root is.
    pub(super) fn named(&self, root: Root) -> [Fact; 2] {
        let block = BlockRef {
            slot: self.slot,
            root,
        };
        let link = Fact::Block {
            block,
            parent_root: self.parent_root,
            proposer_index: self.proposer_index,
        };
        let contents = self.contents;
        [link, Fact::Contents { block, contents }]
    }

    /// Whether a block with this link is this one. Of one proposer's two blocks for a slot nobody can say.
    pub(super) fn is(&self, block: BlockRef, parent_root: Root, proposer: Option<u64>) -> bool {
        (self.slot, self.parent_root) == (block.slot, parent_root)
            && (proposer.is_none() || self.proposer_index == proposer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Value {
        json!({"version": "deneb", "data": {"signature": format!("0x{}", "00".repeat(96)), "message": {
            "slot": "9", "proposer_index": "3", "parent_root": Root([2; 32]), "state_root": Root([3; 32]),
            "body": {"sync_aggregate": {"sync_committee_bits": "0xff0f"}, "blob_kzg_commitments": ["0x", "0x"], "attestations": [],
                "execution_payload": {"timestamp": "1606824131", "transactions": []}}}}})
    }

    #[test]
    fn a_block_has_contents_and_tells_the_clock() {
        let block = read(&answer()).unwrap();
        let whole = block.contents.size_bytes.unwrap();
        let contents = Contents {
            size_bytes: Some(whole),
            blobs: Some(2),
            sync_participants: Some(12),
            sync_size: Some(16),
        };
        assert_eq!(
            (block.contents, block.clock),
            (contents, Some((9, 1_606_824_131)))
        );
        assert_eq!(
            block.contents.size_bytes,
            Some(decode::block(&answer()).unwrap().size_bytes)
        );
    }

    #[test]
    fn what_was_cut_short_has_no_size() {
        for (pointer, left_out) in [
            ("/data", "signature"),
            ("/data/message/body", "attestations"),
            ("/data/message/body/execution_payload", "transactions"),
        ] {
            let mut answer = answer();
            let object = answer
                .pointer_mut(pointer)
                .unwrap()
                .as_object_mut()
                .unwrap();
            object.remove(left_out);
            assert_eq!(
                read(&answer).unwrap().contents.size_bytes,
                None,
                "{left_out}"
            );
        }
    }

    #[test]
    fn ssz_tells_its_place_and_length() {
        let mut bytes = [&100_u32.to_le_bytes()[..], &[0; 96]].concat();
        bytes.extend([&9_u64.to_le_bytes()[..], &3_u64.to_le_bytes(), &[2; 32]].concat());
        let block = read_ssz(&bytes).unwrap();
        assert!(block.is(
            BlockRef {
                slot: 9,
                root: Root([1; 32])
            },
            Root([2; 32]),
            Some(3)
        ));
        assert_eq!(block.contents.size_bytes, Some(148));
        assert_eq!(read_ssz(&bytes[..147]), None);
        bytes[0] = 99;
        assert_eq!(read_ssz(&bytes), None);
    }
}
