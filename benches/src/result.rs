//! What was measured.

use std::collections::BTreeMap;

use crate::latency::Latency;
use crate::miss::Miss;
use crate::peer::Peer;

/// One round of one work on one server.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// CPU time of the server, microseconds a request.
    pub cpu_micros: f64,
    /// Requests a second, as the load generator saw them.
    pub rate: f64,
}

/// All rounds of one work.
#[derive(Debug)]
pub struct Measured {
    /// The work's name.
    pub work: &'static str,
    /// Goals over it: see [`Work`](crate::work::Work).
    pub goals: &'static [(Peer, f64)],
    /// See [`Work`](crate::work::Work).
    pub goal_over_hit: Option<f64>,
    /// Rounds of each server.
    pub samples: BTreeMap<Peer, Vec<Sample>>,
    /// Rounds of our plain hit between these, where there is a goal over it.
    pub hits: Vec<Sample>,
}

impl Measured {
    /// The medians of a server's rounds.
    #[must_use]
    pub fn median(&self, peer: Peer) -> Option<Sample> {
        let samples = self.samples.get(&peer)?;
        Some(Sample {
            cpu_micros: median(samples.iter().map(|sample| sample.cpu_micros))?,
            rate: median(samples.iter().map(|sample| sample.rate))?,
        })
    }

    /// Our CPU time over this server's: the median of the rounds' ratios, for what disturbs a round disturbs both.
    #[must_use]
    pub fn ratio(&self, peer: Peer) -> Option<f64> {
        self.over(self.samples.get(&peer)?)
    }

    /// The same over our own plain hit.
    #[must_use]
    pub fn ratio_to_hit(&self) -> Option<f64> {
        self.over(&self.hits)
    }

    fn over(&self, others: &[Sample]) -> Option<f64> {
        let rounds = self.samples.get(&Peer::Forebay)?.iter().zip(others);
        median(rounds.map(|(ours, other)| ours.cpu_micros / other.cpu_micros))
    }

    /// Each goal that could be judged: against whom, at most what, and what it is.
    pub fn judged(&self) -> impl Iterator<Item = (Peer, f64, f64)> + '_ {
        self.goals.iter().filter_map(|(peer, goal)| Some((*peer, *goal, self.ratio(*peer)?)))
    }
}

/// Everything a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// By work, in the order measured.
    pub measured: Vec<Measured>,
    /// Resident KiB of an idle connection.
    pub idle: BTreeMap<Peer, f64>,
    /// The same with TLS.
    pub idle_tls: BTreeMap<Peer, f64>,
    /// Rounds at a share of the peak.
    pub latencies: BTreeMap<Peer, Vec<Latency>>,
    /// What a miss costs while siblings are asked.
    pub misses: Vec<Miss>,
}

impl Report {
    /// Microseconds all but one in a hundred hits take at most, at a share of the peak: the median of the rounds.
    #[must_use]
    pub fn p99(&self, peer: Peer) -> Option<f64> {
        median(self.latencies.get(&peer)?.iter().map(|round| round.p99))
    }

    /// The least of the peers'. The floor is none.
    #[must_use]
    pub fn best_p99(&self) -> Option<f64> {
        let peers = self.latencies.keys().filter(|peer| !matches!(peer, Peer::Forebay | Peer::Floor));
        peers.filter_map(|peer| self.p99(*peer)).min_by(f64::total_cmp)
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_no_mean() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn goals_are_judged_by_the_median_of_the_rounds_ratios() {
        let sample = |cpu_micros| Sample { cpu_micros, rate: 1.0 };
        let measured = Measured {
            work: "w",
            goals: &[(Peer::Nginx, 0.6), (Peer::Varnish, 0.5)],
            goal_over_hit: None,
            hits: Vec::new(),
            samples: BTreeMap::from([
                (Peer::Forebay, vec![sample(6.0), sample(60.0), sample(6.0)]),
                (Peer::Nginx, vec![sample(12.0), sample(120.0), sample(1.0)]),
            ]),
        };
        assert_eq!(measured.judged().collect::<Vec<_>>(), [(Peer::Nginx, 0.6, 0.5)], "no Varnish, no verdict");
    }
}
