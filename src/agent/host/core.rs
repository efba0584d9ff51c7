//! `system.core`: what `system.cpu` says of the machine, for each of its cores, and what kind of core it is by
//! `/proc/cpuinfo`.

use std::collections::HashMap;

use super::cpu::{STATES, Ticks, busy, spent, sum};
use crate::agent::host::share;
use crate::event::Event;

/// What `/proc/cpuinfo` says of a core. Few architectures say all of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Model {
    model_name: Option<String>,
    model_number: Option<String>,
    mhz: Option<f64>,
    core_id: Option<String>,
    physical_id: Option<String>,
}

/// By the core's number.
pub(super) fn parse(cpuinfo: &str) -> HashMap<u64, Model> {
    let mut cores = HashMap::new();
    let mut core = None;
    for line in cpuinfo.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim_end(), value.trim());
        if name == "processor" {
            core = value.parse().ok();
        }
        let Some(core) = core else { continue };
        let model: &mut Model = cores.entry(core).or_default();
        let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
        match name {
            "model name" => model.model_name = text(),
            "model" => model.model_number = text(),
            "cpu MHz" => model.mhz = value.parse().ok().filter(|mhz: &f64| mhz.is_finite()),
            "core id" => model.core_id = text(),
            "physical id" => model.physical_id = text(),
            _ => {}
        }
    }
    cores
}

pub(super) fn document(
    event: Event,
    core: u64,
    now: &Ticks,
    before: Option<&Ticks>,
    model: Option<&Model>,
) -> Event {
    let mut event = event.with("system.core.id", core);
    for (state, ticks) in STATES.iter().zip(now) {
        event
            .document
            .set(format!("system.core.{state}.ticks"), *ticks);
    }
    if let Some(before) = before {
        let spent = spent(now, before);
        let all = sum(&spent);
        for (state, ticks) in STATES.iter().zip(spent) {
            let pct = share(ticks as f64, all);
            event
                .document
                .set_some(format!("system.core.{state}.pct"), pct);
        }
        let total = share(busy(&spent) as f64, all);
        event.document.set_some("system.core.total.pct", total);
    }
    let Some(model) = model else { return event };
    event
        .with_some("system.core.model_name", model.model_name.as_deref())
        .with_some("system.core.model_number", model.model_number.as_deref())
        .with_some("system.core.mhz", model.mhz)
        .with_some("system.core.core_id", model.core_id.as_deref())
        .with_some("system.core.physical_id", model.physical_id.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::cpu;
    use crate::agent::host::tests::blank;

    const CPUINFO: &str = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2596.120\nphysical id\t: 0\ncore id\t\t: 0\nbogus\n\nprocessor\t: 3\nmodel name\t:\ncpu MHz\t\t: nan\n";

    #[test]
    fn each_core_has_its_own_shares_and_model() {
        let before =
            cpu::parse("cpu  0 0 0 0 0 0 0 0\ncpu0 10 0 0 90 0 0 0 0\ncpu3 1 1 1 1 1 1 1 1\n");
        let now =
            cpu::parse("cpu  0 0 0 0 0 0 0 0\ncpu0 35 0 0 165 0 0 0 0\ncpu3 1 1 1 1 1 1 1 1\n");
        let (before, now) = (before.unwrap(), now.unwrap());
        let models = parse(CPUINFO);
        let core = |number: u64, before: Option<&cpu::Sample>| {
            let before = before.map(|before| &before.by_core()[&number]);
            let ticks = &now.by_core()[&number];
            document(blank(), number, ticks, before, models.get(&number)).document
        };
        let first = core(0, Some(&before));
        assert_eq!(first.get_f64("system.core.user.pct"), Some(0.25));
        assert_eq!(first.get_f64("system.core.total.pct"), Some(0.25));
        assert_eq!(first.get_u64("system.core.idle.ticks"), Some(165));
        assert_eq!(first.get_str("system.core.model_name"), Some("AMD EPYC"));
        assert_eq!(first.get_str("system.core.model_number"), Some("2"));
        assert_eq!(first.get_f64("system.core.mhz"), Some(2596.12));
        assert_eq!(core(0, None).get("system.core.user.pct"), None);

        let other = core(3, Some(&before));
        assert_eq!(other.get_u64("system.core.id"), Some(3));
        assert_eq!(other.get("system.core.user.pct"), None, "no time went by");
        assert_eq!(other.get("system.core.mhz"), None);
        assert_eq!(other.get("system.core.model_name"), None);
    }
}
