//! Parent links in the clients' own logs, where no answer has them. Logs abbreviate roots, so each is completed by what
//! else is known of its slot, or not at all. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::Value;

use super::links::Link;
use crate::agent::logs::{self, Client};
use crate::event::Document;
use crate::slot::{BlockRef, Root};

/// A shorter beginning of a root could be anybody's.
const MIN_DIGITS: usize = 8;
const ROOT_DIGITS: usize = 64;

/// What log lines say of blocks, by slot and the first digits of a root: the first digits of its parent's.
#[derive(Debug, Default)]
pub(super) struct Lines {
    parents: BTreeMap<(u64, String), String>,
    /// Whole roots that stand anywhere in the logs.
    roots: BTreeSet<Root>,
}

impl Lines {
    /// Takes a log in, of whichever client. What is said of slots after all of `known` is left out.
    pub(super) fn read(&mut self, text: &str, known: &BTreeSet<BlockRef>) {
        let last = known.last().map_or(0, |block| block.slot);
        let mut wanted = false;
        logs::each(Client::Auto, text, DateTime::UNIX_EPOCH, |event| {
            let document = &event.document;
            let slot = document
                .get_u64("ethereum.slot")
                .filter(|slot| *slot <= last);
            if let (Some(slot), Some(root), Some(parent)) = (slot, root(document), parent(document))
            {
                self.parents.insert((slot, root), parent);
                wanted = true;
            }
        });
        if wanted {
            self.roots.extend(whole_roots(text));
        }
    }

    /// Links of the blocks in `known`, and of those they lead back to.
    pub(super) fn links(&self, known: &BTreeSet<BlockRef>) -> Vec<Link> {
        let mut roots: BTreeMap<&str, BTreeSet<Root>> = BTreeMap::new();
        let texts: Vec<_> = known
            .iter()
            .map(|block| block.root)
            .chain(self.roots.iter().copied())
            .map(|root| (hex::encode(root.0), root))
            .collect();
        for (text, root) in &texts {
            roots.entry(&text[..MIN_DIGITS]).or_default().insert(*root);
        }
        // Of two roots that begin alike nobody can say which is meant.
        let complete = |digits: &str| {
            let alike = roots.get(&digits[..MIN_DIGITS])?;
            let mut fitting = alike
                .iter()
                .filter(|root| hex::encode(root.0).starts_with(digits));
            let root = fitting.next()?;
            fitting.next().is_none().then_some(*root)
        };
        let links = self.parents.iter().filter_map(|((slot, root), parent)| {
            let block = BlockRef {
                slot: *slot,
                root: complete(root)?,
            };
            Some((block, complete(parent).unwrap_or(Root::ZERO), None))
        });
        links.collect()
    }
}

fn root(document: &Document) -> Option<String> {
    let names = ["ethereum.block.root", "ethereum.block.root_prefix"];
    names
        .iter()
        .find_map(|name| digits(document.get_str(name)?))
}

fn parent(document: &Document) -> Option<String> {
    let named = document.get_str("ethereum.block.parent_root");
    let fields = document.get("ethereum.log.fields");
    let field = |name| {
        fields
            .and_then(|fields| fields.get(name))
            .and_then(Value::as_str)
    };
    let names = ["parentRoot", "parent_root"].into_iter();
    digits(named.or_else(|| names.into_iter().find_map(field))?)
}

/// `0x7dfbf507…` or `7dfbf507` in lower case, without what stands for the rest.
fn digits(text: &str) -> Option<String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let text = text.trim_end_matches(['.', '…']).to_ascii_lowercase();
    let is_root = (MIN_DIGITS..=ROOT_DIGITS).contains(&text.len());
    (is_root && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}

fn whole_roots(text: &str) -> impl Iterator<Item = Root> {
    text.split("0x")
        .skip(1)
        .filter_map(|after| after.get(..ROOT_DIGITS)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviated_roots_are_completed_by_what_is_known() {
        let root = |digits: &str| -> Root { format!("{digits:0<64}").parse().unwrap() };
        let known =
            BTreeSet::from(
                [("7dfbf507", 21), ("434bd3db", 22)].map(|(digits, slot)| BlockRef {
                    slot,
                    root: root(digits),
                }),
            );
        let line = |slot: u64, block: &str, parent: &str| {
            format!(
                r#"time="2026-11-21 09:44:04.30" level=debug msg="Synced new block" block=0x{block}... parentRoot=0x{parent}... prefix=blockchain slot={slot}"#
            )
        };
        let whole = format!(
            r#"time="2026-11-21 09:46:55.40" level=info msg="Chain reorg occurred" commonAncestorRoot={} prefix=blockchain"#,
            root("54109632")
        );
        let text = [
            line(20, "54109632", "00112233"),
            line(21, "7dfbf507", "54109632"),
            line(22, "434bd3db", "7dfbf507"),
            line(23, "99999999", "434bd3db"),
            whole,
        ];
        let mut lines = Lines::default();
        lines.read(&text.join("\n"), &known);
        let links = lines.links(&known);
        let expected = [
            (20, "54109632", "0"),
            (21, "7dfbf507", "54109632"),
            (22, "434bd3db", "7dfbf507"),
        ];
        let expected = expected.map(|(slot, block, parent)| {
            let block = BlockRef {
                slot,
                root: root(block),
            };
            (block, root(parent), None)
        });
        assert_eq!(links, expected);
        let twins = BTreeSet::from([1, 2].map(|last| {
            let mut twin = root("7dfbf507");
            twin.0[31] = last;
            BlockRef {
                slot: 21,
                root: twin,
            }
        }));
        assert!(
            lines
                .links(&twins)
                .iter()
                .all(|(block, ..)| block.slot != 21)
        );
    }

    #[test]
    fn digits_are_roots_or_nothing() {
        assert_eq!(digits("0x7DFBF507..."), Some("7dfbf507".into()));
        for wrong in ["", "0x", "7dfbf50", "7dfbf50g", "0x7dfbf507...x"] {
            assert_eq!(digits(wrong), None, "{wrong}");
        }
    }
}
