//! The chain's clock: as its nodes state it, else as its configuration or the recorder does, else as its blocks show. Pure.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::chain_spec::{from_rest_at_epoch, unsigned};
use crate::slot::{ChainSpec, Root};

/// What a person says of the chain, above anything that is recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Unix seconds.
    pub genesis: Option<u64>,
    pub seconds_per_slot: Option<u64>,
    pub slots_per_epoch: Option<u64>,
}

/// Everything that a recording says of it.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub(super) genesis: Vec<Value>,
    pub(super) specs: Vec<Value>,
    pub(super) configs: Vec<Value>,
    pub(super) run: Value,
    /// Slots and when they begin, in Unix seconds, as blocks and announced payloads have them.
    pub(super) starts: BTreeSet<(u64, u64)>,
    /// Slots and their epochs, as votes have them.
    pub(super) epochs: BTreeSet<(u64, u64)>,
    pub(super) began: Option<DateTime<Utc>>,
}

/// Slots of an epoch in the presets there are; the first that fits is taken.
const PRESETS: [(&str, u64); 3] = [("mainnet", 32), ("minimal", 8), ("gnosis", 16)];
const MINIMAL_SYNC_COMMITTEE: u64 = 32;

/// `KEY: value` of a chain's configuration; lists are left out.
pub(super) fn config(text: &str) -> Value {
    let scalars = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let value = value.split(" #").next().unwrap_or_default();
        let value = value.trim().trim_matches(['"', '\'']);
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let is_scalar = !value.is_empty() && !value.starts_with(['[', '{', '#']);
        (is_key && is_scalar).then(|| (key.to_owned(), Value::from(value)))
    });
    Value::Object(scalars.collect())
}

impl Stated {
    /// Whether the streams have to be asked too.
    pub(super) fn is_enough(&self, options: &Options) -> bool {
        self.chain_spec(options).is_ok()
    }

    /// From the first node that states it; what is missing there is made up for by the others.
    pub(super) fn chain_spec(&self, options: &Options) -> anyhow::Result<ChainSpec> {
        let recorder = json!({
            "CONFIG_NAME": self.run["config"]["CONFIG_NAME"],
            "SECONDS_PER_SLOT": self.run["seconds_per_slot"],
            "SLOTS_PER_EPOCH": self.run["slots_per_epoch"],
        });
        let mut failure = None;
        for spec in self.specs.iter().chain(&self.configs).chain([&recorder]) {
            match self.with_parameters(spec, options) {
                Ok(spec) => return Ok(spec),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let failure = failure.context("no answer with the chain's parameters");
        Err(failure?.context("cannot tell the chain's clock"))
    }

    fn with_parameters(&self, stated: &Value, options: &Options) -> anyhow::Result<ChainSpec> {
        let stated = stated.get("data").unwrap_or(stated);
        let mut spec: Map<_, _> = stated.as_object().cloned().unwrap_or_default();
        spec.retain(|_, value| !value.is_null());
        if let Some(seconds) = options.seconds_per_slot {
            spec.remove("SLOT_DURATION_MS");
            spec.insert("SECONDS_PER_SLOT".into(), seconds.into());
        }
        if let Some(slots) = options.slots_per_epoch {
            spec.insert("SLOTS_PER_EPOCH".into(), slots.into());
        }
        if !spec.contains_key("SLOT_DURATION_MS") && !spec.contains_key("SECONDS_PER_SLOT") {
            let seconds = self.seconds_per_slot().context(
                "no answer of /eth/v1/config/spec, no configuration, no two blocks with their times, and no --seconds-per-slot",
            )?;
            spec.insert("SECONDS_PER_SLOT".into(), seconds.into());
        }
        if !spec.contains_key("SLOTS_PER_EPOCH") {
            let preset = spec.get("PRESET_BASE").and_then(Value::as_str);
            let slots = PRESETS.iter().find(|(name, _)| Some(*name) == preset);
            let slots = slots.map_or_else(|| self.slots_per_epoch(), |(_, slots)| *slots);
            if preset == Some("minimal") {
                spec.entry("SYNC_COMMITTEE_SIZE")
                    .or_insert(MINIMAL_SYNC_COMMITTEE.into());
            }
            spec.insert("SLOTS_PER_EPOCH".into(), slots.into());
        }
        let spec = Value::Object(spec);
        let genesis = self.genesis(&spec, options)?;
        // With the deadlines of the fork that was active when the recording began.
        let at_genesis = from_rest_at_epoch(&genesis, &spec, 0)?;
        let slot = self
            .began
            .and_then(|at| at_genesis.slot_at(at))
            .unwrap_or(0);
        from_rest_at_epoch(&genesis, &spec, at_genesis.epoch_of(slot))
    }

    fn genesis(&self, spec: &Value, options: &Options) -> anyhow::Result<Value> {
        let stated = self
            .genesis
            .first()
            .map(|genesis| genesis.get("data").unwrap_or(genesis));
        let root = stated.map_or(json!(Root::ZERO), |genesis| {
            genesis["genesis_validators_root"].clone()
        });
        let time = match (options.genesis, stated, &self.run["genesis_time"]) {
            (Some(seconds), _, _) => seconds.into(),
            (None, Some(genesis), _) => genesis["genesis_time"].clone(),
            (None, None, Value::Null) => self.genesis_time(spec)?.into(),
            (None, None, time) => time.clone(),
        };
        Ok(json!({"genesis_time": time, "genesis_validators_root": root}))
    }

    /// Slot 0, counted back from every start that is known: they have to agree.
    fn genesis_time(&self, spec: &Value) -> anyhow::Result<u64> {
        let ms = spec.get("SLOT_DURATION_MS").and_then(unsigned);
        let seconds = spec.get("SECONDS_PER_SLOT").and_then(unsigned);
        let seconds = ms.map(|ms| ms / 1_000).or(seconds).unwrap_or(0);
        let times = self
            .starts
            .iter()
            .map(|(slot, start)| start.checked_sub(slot.checked_mul(seconds)?));
        let times: BTreeSet<_> = times.collect();
        ensure!(
            times.len() < 2,
            "blocks contradict each other about when slot 0 was"
        );
        times.into_iter().next().flatten().context(
            "no answer of /eth/v1/beacon/genesis, no genesis_time in run.json, no block with its time, and no --genesis",
        )
    }

    fn seconds_per_slot(&self) -> Option<u64> {
        let (first, last) = (self.starts.first()?, self.starts.last()?);
        let (slots, seconds) = (last.0.checked_sub(first.0)?, last.1.checked_sub(first.1)?);
        (slots > 0 && seconds % slots == 0).then(|| seconds / slots)
    }

    fn slots_per_epoch(&self) -> u64 {
        let fits = |slots: u64| {
            self.epochs
                .iter()
                .all(|(slot, epoch)| slot / slots == *epoch)
        };
        let preset = PRESETS.iter().find(|(_, slots)| fits(*slots));
        preset.map_or(PRESETS[0].1, |(_, slots)| *slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(stated: &Stated, options: &Options) -> Result<(i64, u64, u64), String> {
        let spec = stated
            .chain_spec(options)
            .map_err(|error| format!("{error:#}"))?;
        Ok((
            spec.genesis_time.timestamp(),
            spec.slot_duration_ms,
            spec.slots_per_epoch,
        ))
    }

    #[test]
    fn blocks_show_what_nobody_states() {
        let stated = Stated {
            starts: BTreeSet::from([
                (39, 1_795_254_396),
                (41, 1_795_254_404),
                (64, 1_795_254_496),
            ]),
            epochs: BTreeSet::from([(39, 4), (41, 5)]),
            ..Stated::default()
        };
        assert_eq!(
            clock(&stated, &Options::default()),
            Ok((1_795_254_240, 4_000, 8))
        );
        let options = Options {
            genesis: Some(1_000),
            seconds_per_slot: Some(5),
            slots_per_epoch: Some(32),
        };
        assert_eq!(clock(&stated, &options), Ok((1_000, 5_000, 32)));
    }

    #[test]
    fn a_configuration_has_all_but_genesis() {
        let text = "PRESET_BASE: 'minimal'\nSECONDS_PER_SLOT: 6 # half\nBLOB_SCHEDULE: []\n  - EPOCH: 5\nGENESIS_DELAY: 15\n";
        let stated = Stated {
            configs: vec![config(text)],
            starts: BTreeSet::from([(10, 1_060)]),
            ..Stated::default()
        };
        assert_eq!(clock(&stated, &Options::default()), Ok((1_000, 6_000, 8)));
        let spec = stated.chain_spec(&Options::default()).unwrap();
        assert_eq!(spec.sync_committee_size, 32);
    }

    #[test]
    fn what_is_missing_is_said() {
        let lacking = clock(&Stated::default(), &Options::default()).unwrap_err();
        assert!(lacking.contains("--seconds-per-slot"), "{lacking}");
        let options = Options {
            seconds_per_slot: Some(12),
            ..Options::default()
        };
        let lacking = clock(&Stated::default(), &options).unwrap_err();
        assert!(lacking.contains("--genesis"), "{lacking}");
        let odd = Stated {
            starts: BTreeSet::from([(1, 100), (2, 104), (3, 109)]),
            ..Stated::default()
        };
        let options = Options {
            seconds_per_slot: Some(4),
            ..Options::default()
        };
        let error = clock(&odd, &options).unwrap_err();
        assert!(error.contains("contradict"), "{error}");
    }
}
