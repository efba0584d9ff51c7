//! What is usual: how far each node lies behind the first, what its client does, and how long a block of a size takes to
//! reach all. So that a client that stamps blocks late is not called slow, nor a big block.
//!
//! Usual is the median over the last blocks below the one judged, so that the answer does not depend on what came after it.

use std::collections::BTreeMap;

use super::arrival::NetworkBlock;
use super::nodes::{NodeName, Nodes};
use super::{Contents, Source};
use crate::slot::BlockRef;

/// Blocks of which a node's delta is remembered, and the fewest that make a baseline.
const DELTAS_KEPT: usize = 128;
const DELTAS_LEAST: usize = 16;

/// Blocks that the fit of dispersion on size and blobs rests on.
const POINTS_KEPT: usize = 512;
const POINTS_LEAST: usize = 32;

/// Standard deviations above the fit from which on a block is slow.
const SLOW_SIGMAS: f64 = 2.0;

/// Percentiles (nearest rank) of the nodes' deltas, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispersion {
    pub p50: i64,
    pub p95: i64,
    pub max: i64,
}

/// The nodes of one client, by its name without the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLatency {
    pub client: String,
    /// Nodes that gave a time for this block.
    pub nodes: usize,
    /// Median of their deltas, of what is usual for this client, and of what is beyond each node's own usual.
    pub delta_ms: i64,
    pub baseline_ms: Option<i64>,
    pub excess_ms: Option<i64>,
}

/// Dispersion against what blocks of this size and number of blobs usually have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowness {
    pub expected_ms: i64,
    /// Above the fit; below it where negative.
    pub residual_ms: i64,
    /// Of the fit's residuals.
    pub sigma_ms: i64,
    pub slow: bool,
}

#[derive(Debug, Default)]
pub(super) struct Usual {
    deltas: BTreeMap<NodeName, BTreeMap<u64, i64>>,
    points: BTreeMap<BlockRef, Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    kilobytes: f64,
    blobs: f64,
    dispersion_ms: f64,
}

impl Usual {
    /// Completes a record with what is usual, and remembers it for the blocks above.
    pub(super) fn judge(&mut self, block: &mut NetworkBlock, nodes: &Nodes) {
        let slot = block.block.slot;
        let of_node = self.of_nodes(slot);
        for seen in &mut block.seen {
            seen.baseline_ms = of_node.get(&seen.node).copied();
        }
        let of_client = of_clients(&of_node, nodes);
        for seen in &mut block.seen {
            // A node that is new is compared with others of its client.
            let client = seen.client.as_deref().map(name_of);
            let usual = seen
                .baseline_ms
                .or_else(|| client.and_then(|client| of_client.get(client).copied()));
            seen.excess_ms = seen.delta_ms.zip(usual).map(|(delta, usual)| delta - usual);
        }
        let excesses = block.seen.iter().filter_map(|seen| seen.excess_ms);
        block.excess = Dispersion::of(excesses.collect());
        block.clients = clients(block, &of_client);
        let point = point(block);
        block.slowness = point.and_then(|point| self.slowness(block.block, point));
        self.remember(block, point);
    }

    pub(super) fn retain(&mut self, nodes: &Nodes) {
        self.deltas.retain(|name, _| nodes.contains_key(name));
    }

    /// What is usual at each node of which enough is known.
    fn of_nodes(&self, below: u64) -> BTreeMap<&NodeName, i64> {
        let usual = |(name, deltas)| {
            let deltas: &BTreeMap<u64, i64> = deltas;
            let deltas: Vec<i64> = deltas.range(..below).map(|(_, delta)| *delta).collect();
            let is_enough = deltas.len() >= DELTAS_LEAST;
            Some((name, is_enough.then(|| median(deltas))??))
        };
        self.deltas.iter().filter_map(usual).collect()
    }

    fn slowness(&self, block: BlockRef, point: Point) -> Option<Slowness> {
        let below: Vec<Point> = self
            .points
            .range(..block)
            .map(|(_, point)| *point)
            .collect();
        let fit = (below.len() >= POINTS_LEAST).then(|| Fit::of(&below))?;
        let expected = fit.at(&point);
        let residual = point.dispersion_ms - expected;
        Some(Slowness {
            expected_ms: expected.round() as i64,
            residual_ms: residual.round() as i64,
            sigma_ms: fit.sigma.round() as i64,
            // Where all blocks are alike to the millisecond, a millisecond is no news.
            slow: residual > (SLOW_SIGMAS * fit.sigma).max(1.0),
        })
    }

    fn remember(&mut self, block: &NetworkBlock, point: Option<Point>) {
        for seen in &block.seen {
            let noticed = seen.source.is_some_and(|source| source != Source::Poll);
            if let Some(delta) = seen.delta_ms.filter(|_| noticed) {
                let deltas = self.deltas.entry(seen.node.clone()).or_default();
                deltas.insert(block.block.slot, delta);
                if deltas.len() > DELTAS_KEPT {
                    deltas.pop_first();
                }
            }
        }
        if let Some(point) = point {
            self.points.insert(block.block, point);
            if self.points.len() > POINTS_KEPT {
                self.points.pop_first();
            }
        }
    }
}

impl Dispersion {
    /// `None` of no values.
    pub(super) fn of(mut deltas: Vec<i64>) -> Option<Self> {
        deltas.sort_unstable();
        let rank = |percent: usize| {
            deltas
                .get((deltas.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Some(Self {
            p50: rank(50)?,
            p95: rank(95)?,
            max: rank(100)?,
        })
    }
}

/// The median of what is usual at the nodes of a client.
fn of_clients(usual: &BTreeMap<&NodeName, i64>, nodes: &Nodes) -> BTreeMap<String, i64> {
    let mut baselines: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (name, usual) in usual {
        if let Some(client) = nodes.get(*name).and_then(|node| node.client.as_deref()) {
            baselines.entry(name_of(client)).or_default().push(*usual);
        }
    }
    baselines
        .into_iter()
        .filter_map(|(client, usual)| Some((client.to_owned(), median(usual)?)))
        .collect()
}

fn clients(block: &NetworkBlock, usual: &BTreeMap<String, i64>) -> Vec<ClientLatency> {
    let mut by_client: BTreeMap<&str, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for seen in &block.seen {
        if let (Some(client), Some(delta)) = (&seen.client, seen.delta_ms) {
            let (deltas, excesses) = by_client.entry(name_of(client)).or_default();
            deltas.push(delta);
            excesses.extend(seen.excess_ms);
        }
    }
    let latency = |(client, (deltas, excesses)): (&str, (Vec<i64>, Vec<i64>))| {
        Some(ClientLatency {
            client: client.to_owned(),
            nodes: deltas.len(),
            delta_ms: median(deltas)?,
            baseline_ms: usual.get(client).copied(),
            excess_ms: median(excesses),
        })
    };
    by_client.into_iter().filter_map(latency).collect()
}

/// `None` where the block's contents are not known, or fewer than two nodes gave a time.
fn point(block: &NetworkBlock) -> Option<Point> {
    let Contents {
        size_bytes, blobs, ..
    } = block.contents;
    let timed = block.seen.iter().filter(|seen| seen.delta_ms.is_some());
    let dispersion = block.dispersion.filter(|_| timed.count() > 1)?;
    Some(Point {
        kilobytes: size_bytes? as f64 / 1000.0,
        blobs: blobs.unwrap_or(0) as f64,
        dispersion_ms: dispersion.p95 as f64,
    })
}

/// Least squares of dispersion on size and blobs.
struct Fit {
    means: [f64; 3],
    slopes: [f64; 2],
    sigma: f64,
}

impl Fit {
    fn of(points: &[Point]) -> Self {
        let count = points.len().max(1) as f64;
        let rows = || points.iter().map(Point::row);
        let mean = |column: usize| rows().map(|row| row[column]).sum::<f64>() / count;
        let means = [mean(0), mean(1), mean(2)];
        let moment = |one: usize, other: usize| {
            let product = |row: [f64; 3]| (row[one] - means[one]) * (row[other] - means[other]);
            rows().map(product).sum::<f64>()
        };
        let (size, blobs, both) = (moment(0, 0), moment(1, 1), moment(0, 1));
        let (size_y, blobs_y) = (moment(0, 2), moment(1, 2));
        let determinant = size * blobs - both * both;
        // Where one is constant, or says the same as the other, it explains nothing of its own.
        let slopes = if determinant > 1e-6 * size * blobs {
            [
                (size_y * blobs - blobs_y * both) / determinant,
                (blobs_y * size - size_y * both) / determinant,
            ]
        } else if size > f64::EPSILON {
            [size_y / size, 0.0]
        } else if blobs > f64::EPSILON {
            [0.0, blobs_y / blobs]
        } else {
            [0.0, 0.0]
        };
        let mut fit = Self {
            means,
            slopes,
            sigma: 0.0,
        };
        let squares = points
            .iter()
            .map(|point| (point.dispersion_ms - fit.at(point)).powi(2));
        fit.sigma = (squares.sum::<f64>() / (count - 3.0).max(1.0)).sqrt();
        fit
    }

    fn at(&self, point: &Point) -> f64 {
        let [size, blobs, dispersion] = self.means;
        let row = point.row();
        dispersion + self.slopes[0] * (row[0] - size) + self.slopes[1] * (row[1] - blobs)
    }
}

impl Point {
    fn row(&self) -> [f64; 3] {
        [self.kilobytes, self.blobs, self.dispersion_ms]
    }
}

/// `Prysm` of `Prysm/v6.1.4`: what a client stamps, and when, is a matter of its make.
fn name_of(client: &str) -> &str {
    client.split('/').next().unwrap_or(client)
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let all = Dispersion::of((1..=100).rev().collect()).unwrap();
        assert_eq!((all.p50, all.p95, all.max), (50, 95, 100));
        let two = Dispersion::of(vec![0, 40]).unwrap();
        assert_eq!((two.p50, two.p95, two.max), (0, 40, 40));
        assert_eq!(Dispersion::of(Vec::new()), None);
    }

    #[test]
    fn the_fit_finds_what_the_points_were_made_of() {
        let point = |kilobytes: f64, blobs: f64| Point {
            kilobytes,
            blobs,
            dispersion_ms: 132.0 + 0.93 * kilobytes + 20.0 * blobs,
        };
        let points: Vec<_> = (0..50)
            .map(|nth| point(f64::from(40 + nth * 7 % 90), f64::from(nth % 7)))
            .collect();
        let fit = Fit::of(&points);
        assert!((fit.slopes[0] - 0.93).abs() < 1e-6, "{:?}", fit.slopes);
        assert!((fit.slopes[1] - 20.0).abs() < 1e-6, "{:?}", fit.slopes);
        assert!(fit.sigma < 1e-6);
        let constant: Vec<_> = (0..50).map(|nth| point(f64::from(nth), 3.0)).collect();
        let fit = Fit::of(&constant);
        assert!((fit.slopes[0] - 0.93).abs() < 1e-6 && fit.slopes[1] == 0.0);
    }
}
