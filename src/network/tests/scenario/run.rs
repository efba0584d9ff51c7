//! A scenario through the core: documents as the aggregator reads them, judged once a second.

use chrono::{DateTime, TimeDelta, Utc};

use super::Scenario;
use crate::aggregator;
use crate::network::{Finding, Network, Settings};

/// A finding, and when it was said.
pub(in crate::network::tests) struct Told {
    pub(in crate::network::tests) at: DateTime<Utc>,
    pub(in crate::network::tests) finding: Finding,
}

/// Documents are late by up to this much where they come out of order.
const DELAY_MS: u64 = 1_500;

/// `disorder` 0 delivers in order and at once; any other number delays each document in a way of its own.
pub(in crate::network::tests) fn run(scenario: &Scenario, disorder: u64) -> Vec<Told> {
    let mut deliveries = scenario.deliveries();
    for (index, delivery) in deliveries.iter_mut().enumerate() {
        let noise = (index as u64 + 1)
            .wrapping_mul(disorder)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        delivery.at += TimeDelta::milliseconds(((noise >> 33) % DELAY_MS) as i64);
    }
    deliveries.sort_by_key(|delivery| delivery.at);
    let mut network = Network::new(scenario.spec.clone(), Settings::default());
    let mut told = Vec::new();
    let Some(first) = deliveries.first().map(|delivery| delivery.at) else {
        return told;
    };
    let mut deliveries = deliveries.iter().peekable();
    let mut now = first;
    while now <= scenario.spec.slot_start(scenario.until + 1) {
        while let Some(delivery) = deliveries.next_if(|delivery| delivery.at <= now) {
            for observation in aggregator::observations(&delivery.read()) {
                network.observe(observation);
            }
        }
        let findings = network.advance(now).into_iter();
        told.extend(findings.map(|finding| Told { at: now, finding }));
        now += TimeDelta::seconds(1);
    }
    assert_eq!(deliveries.count(), 0, "the scenario ends before it is told");
    told
}
