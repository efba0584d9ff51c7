//! The chain's clock and limits, read from what a node states about itself. Pure.
//!
//! Clients write integers quoted or bare, leave out what their version does not know yet, and use 2^64−1 for "never".

use anyhow::{Context, bail, ensure};
use chrono::DateTime;
use serde_json::Value;

use crate::slot::{ChainSpec, Root};

/// Intervals per slot before the specification named the attestation deadline: attesters voted after the first of three.
const DEFAULT_INTERVALS_PER_SLOT: u64 = 3;

/// Which of them ends when votes are due, and when their aggregates are.
const ATTESTATION_INTERVAL: u64 = 1;
const AGGREGATE_INTERVAL: u64 = 2;

const BASIS_POINTS: u64 = 10_000;

/// The epoch of a fork that is not scheduled.
const FAR_FUTURE_EPOCH: u64 = u64::MAX;

/// Reads the answers of `/eth/v1/beacon/genesis` and `/eth/v1/config/spec`, with or without their `data` envelope,
/// with the deadlines that hold at genesis.
pub fn from_rest(genesis: &Value, spec: &Value) -> anyhow::Result<ChainSpec> {
    from_rest_at_epoch(genesis, spec, 0)
}

/// As [`from_rest`], with the attestation deadline of the fork active at `epoch`: Gloas moves it.
pub fn from_rest_at_epoch(genesis: &Value, spec: &Value, epoch: u64) -> anyhow::Result<ChainSpec> {
    let genesis = payload(genesis);
    let spec = payload(spec);
    let slot_duration_ms = slot_duration_ms(spec)?;
    let slots_per_epoch = required(spec, "SLOTS_PER_EPOCH")?;
    ensure!(slots_per_epoch > 0, "SLOTS_PER_EPOCH of the node is zero");
    Ok(ChainSpec {
        network: text(spec, "CONFIG_NAME")
            .or_else(|| text(spec, "PRESET_BASE"))
            .unwrap_or("unknown")
            .to_owned(),
        genesis_validators_root: text(genesis, "genesis_validators_root")
            .context("genesis answer has no genesis_validators_root")?
            .parse::<Root>()
            .context("cannot read genesis_validators_root")?,
        genesis_time: i64::try_from(required(genesis, "genesis_time")?)
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .context("genesis_time is outside the calendar")?,
        slot_duration_ms,
        slots_per_epoch,
        attestation_due_ms: due_ms(
            spec,
            "ATTESTATION_DUE_BPS",
            slot_duration_ms,
            epoch,
            ATTESTATION_INTERVAL,
        )?,
        aggregate_due_ms: due_ms(
            spec,
            "AGGREGATE_DUE_BPS",
            slot_duration_ms,
            epoch,
            AGGREGATE_INTERVAL,
        )?,
        sync_committee_size: integer(spec, "SYNC_COMMITTEE_SIZE")?.unwrap_or(512),
        blob_schedule: blob_schedule(spec)?,
    })
}

/// An unsigned integer as the Beacon API writes it (a decimal string) or as some clients do (a bare number).
pub fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn slot_duration_ms(spec: &Value) -> anyhow::Result<u64> {
    let duration = match integer(spec, "SLOT_DURATION_MS")? {
        Some(milliseconds) => milliseconds,
        None => required(spec, "SECONDS_PER_SLOT")?
            .checked_mul(1000)
            .context("SECONDS_PER_SLOT is out of range")?,
    };
    // Everything that multiplies by it fits in i64 milliseconds then.
    ensure!(
        (1..=86_400_000).contains(&duration),
        "a slot of {duration} ms is not plausible"
    );
    Ok(duration)
}

/// A deadline within the slot: `name` in basis points, with `_GLOAS` behind it from that fork on; nodes that don't
/// state it divide the slot into intervals, after `interval` of which it is.
fn due_ms(
    spec: &Value,
    name: &str,
    slot_duration_ms: u64,
    epoch: u64,
    interval: u64,
) -> anyhow::Result<u64> {
    let gloas = integer(spec, "GLOAS_FORK_EPOCH")?.unwrap_or(FAR_FUTURE_EPOCH);
    let basis_points = match integer(spec, &format!("{name}_GLOAS"))? {
        Some(points) if gloas != FAR_FUTURE_EPOCH && epoch >= gloas => Some(points),
        _ => integer(spec, name)?,
    };
    if let Some(points) = basis_points {
        ensure!(
            points <= BASIS_POINTS,
            "{name} of {points} is after the slot"
        );
        return Ok(slot_duration_ms * points / BASIS_POINTS);
    }
    let intervals = integer(spec, "INTERVALS_PER_SLOT")?.unwrap_or(DEFAULT_INTERVALS_PER_SLOT);
    let interval_ms = slot_duration_ms
        .checked_div(intervals)
        .context("INTERVALS_PER_SLOT is zero")?;
    Ok((interval_ms * interval).min(slot_duration_ms))
}

/// Deneb's and Electra's limits from their forks, then `BLOB_SCHEDULE`; the later statement about an epoch wins.
fn blob_schedule(spec: &Value) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut limits = std::collections::BTreeMap::new();
    for (fork, limit) in [
        ("DENEB_FORK_EPOCH", "MAX_BLOBS_PER_BLOCK"),
        ("ELECTRA_FORK_EPOCH", "MAX_BLOBS_PER_BLOCK_ELECTRA"),
    ] {
        if let (Some(epoch), Some(limit)) = (integer(spec, fork)?, integer(spec, limit)?) {
            limits.insert(epoch, limit);
        }
    }
    for entry in spec
        .get("BLOB_SCHEDULE")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        limits.insert(
            required(entry, "EPOCH")?,
            required(entry, "MAX_BLOBS_PER_BLOCK")?,
        );
    }
    limits.remove(&FAR_FUTURE_EPOCH);
    Ok(limits.into_iter().collect())
}

fn payload(answer: &Value) -> &Value {
    answer.get("data").unwrap_or(answer)
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn required(object: &Value, key: &str) -> anyhow::Result<u64> {
    integer(object, key)?.with_context(|| format!("the node's answer has no {key}"))
}

/// `None` where the key is absent; an error where it is there and is no unsigned integer.
fn integer(object: &Value, key: &str) -> anyhow::Result<Option<u64>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match unsigned(value) {
            Some(number) => Ok(Some(number)),
            None => bail!("{key} of the node is not an unsigned integer: {value}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn genesis() -> Value {
        json!({"data": {"genesis_time": "1606824023", "genesis_validators_root": format!("0x{}", "4b".repeat(32))}})
    }

    fn mainnet() -> Value {
        json!({"data": {
            "CONFIG_NAME": "mainnet", "SLOT_DURATION_MS": "12000", "SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": 32,
            "ATTESTATION_DUE_BPS": "3333", "ATTESTATION_DUE_BPS_GLOAS": "2500", "GLOAS_FORK_EPOCH": "18446744073709551615",
            "SYNC_COMMITTEE_SIZE": "512", "DENEB_FORK_EPOCH": "269568", "MAX_BLOBS_PER_BLOCK": "6",
            "ELECTRA_FORK_EPOCH": "364032", "MAX_BLOBS_PER_BLOCK_ELECTRA": "9",
            "BLOB_SCHEDULE": [{"EPOCH": "419072", "MAX_BLOBS_PER_BLOCK": "21"}, {"EPOCH": "412672", "MAX_BLOBS_PER_BLOCK": "15"}],
        }})
    }

    #[test]
    fn mainnet_is_read_with_its_deadline_and_blob_limits() {
        let spec = from_rest(&genesis(), &mainnet()).unwrap();
        assert_eq!(
            (spec.slot_duration_ms, spec.attestation_due_ms),
            (12_000, 3_999)
        );
        assert_eq!(
            spec.blob_schedule,
            [(269_568, 6), (364_032, 9), (412_672, 15), (419_072, 21)]
        );
        assert_eq!(spec.genesis_time.timestamp(), 1_606_824_023);
    }

    #[test]
    fn gloas_moves_the_deadlines_from_its_epoch_on() {
        let mut spec = mainnet();
        spec["data"]["GLOAS_FORK_EPOCH"] = json!("500000");
        spec["data"]["AGGREGATE_DUE_BPS"] = json!("6667");
        spec["data"]["AGGREGATE_DUE_BPS_GLOAS"] = json!(5000);
        let due = |epoch| {
            let read = from_rest_at_epoch(&genesis(), &spec, epoch).unwrap();
            (read.attestation_due_ms, read.aggregate_due_ms)
        };
        assert_eq!(due(499_999), (3_999, 8_000));
        assert_eq!(due(500_000), (3_000, 6_000));
    }

    #[test]
    fn old_nodes_state_seconds_and_perhaps_intervals() {
        let mut spec = json!({"SECONDS_PER_SLOT": "4", "SLOTS_PER_EPOCH": "8", "PRESET_BASE": "minimal", "MAX_BLOBS_PER_BLOCK": "4"});
        let read = from_rest(&genesis(), &spec).unwrap();
        assert_eq!(
            (
                read.slot_duration_ms,
                read.attestation_due_ms,
                read.aggregate_due_ms
            ),
            (4_000, 1_333, 2_666)
        );
        assert_eq!(
            (read.network.as_str(), read.blob_schedule.len()),
            ("minimal", 0)
        );
        spec["INTERVALS_PER_SLOT"] = json!(4);
        assert_eq!(
            from_rest(&genesis(), &spec).unwrap().attestation_due_ms,
            1_000
        );
    }

    #[test]
    fn hostile_answers_are_errors_that_name_the_key() {
        for (key, value) in [
            ("SLOTS_PER_EPOCH", json!("0")),
            ("SLOT_DURATION_MS", json!(0)),
            ("SLOT_DURATION_MS", json!("18446744073709551615")),
            ("SLOT_DURATION_MS", json!(-5)),
            ("ATTESTATION_DUE_BPS", json!("18446744073709551615")),
            ("BLOB_SCHEDULE", json!([{"EPOCH": "x"}])),
        ] {
            let mut spec = mainnet();
            spec["data"][key] = value;
            assert!(from_rest(&genesis(), &spec).is_err(), "{key}");
        }
        let mut spec = mainnet();
        spec["data"]["ATTESTATION_DUE_BPS"] = Value::Null;
        spec["data"]["INTERVALS_PER_SLOT"] = json!("0");
        let error = from_rest(&genesis(), &spec).unwrap_err();
        assert_eq!(error.to_string(), "INTERVALS_PER_SLOT is zero");
        assert!(from_rest(&json!("<html>"), &mainnet()).is_err());
        let far = json!({"genesis_time": u64::MAX, "genesis_validators_root": format!("0x{}", "4b".repeat(32))});
        assert!(from_rest(&far, &mainnet()).is_err());
    }
}
