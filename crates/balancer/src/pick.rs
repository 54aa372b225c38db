//! Which target gets a request: who may, and who of those does.
//!
//! `eligible` is worked out when the config or a health changes, not per request. Round robin keeps
//! its place per node and worker, as AWS's does per node.

use std::time::Duration;

use crate::config::{Algorithm, MinimumHealthy, TargetState};
use crate::report::HealthState;

/// What matters of a target when it is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub zone: Option<&'a str>,
    pub state: TargetState,
    pub health: HealthState,
}

/// Who may get requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligible {
    /// Places in the list of candidates.
    pub targets: Vec<usize>,
    /// Too few are healthy: all registered targets are tried.
    pub fail_open: bool,
    pub healthy: usize,
    pub unhealthy: usize,
    /// In a zone that traffic is shifted away from.
    pub shifted: usize,
}

/// `serves_zone` says whether a target's zone is enabled (cross-zone on) or this node's own (off).
pub fn eligible<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    minimum: MinimumHealthy,
    serves_zone: impl Fn(Option<&str>) -> bool,
) -> Eligible {
    let mut all = Vec::new();
    let mut healthy = Vec::new();
    let (mut unhealthy, mut shifted, mut shifted_healthy) = (0, 0, 0);
    for (place, candidate) in candidates.enumerate() {
        if !candidate.state.is_registered() || !serves_zone(candidate.zone) {
            continue;
        }
        all.push(place);
        let is_shifted = candidate.state == TargetState::Shifted;
        shifted += usize::from(is_shifted);
        match candidate.health {
            HealthState::Healthy if is_shifted => shifted_healthy += 1,
            HealthState::Healthy => healthy.push(place),
            HealthState::Unhealthy => unhealthy += 1,
            HealthState::Initial => {}
        }
    }
    let percentage = minimum.percentage.unwrap_or(0) as usize;
    // Whoever is shifted away from neither helps nor is missed.
    let counted = all.len() - shifted;
    let is_too_few =
        healthy.len() < minimum.count as usize || healthy.len() * 100 < percentage * counted;
    let count = healthy.len() + shifted_healthy;
    Eligible {
        targets: if is_too_few { all } else { healthy },
        fail_open: is_too_few,
        healthy: count,
        unhealthy,
        shifted,
    }
}

/// The place, within a list of `count` eligible targets, of the one to use. `count` is not zero.
///
/// `random` is uniform; `outstanding` tells the running requests of a place; `share` is below 1 for a
/// target in slow start, which then yields the rest of its turns to those after it.
pub fn choose(
    algorithm: Algorithm,
    cursor: usize,
    count: usize,
    mut random: impl FnMut() -> f64,
    outstanding: impl Fn(usize) -> u32,
    share: impl Fn(usize) -> f64,
) -> usize {
    let start = cursor % count;
    match algorithm {
        Algorithm::RoundRobin => {
            let in_turn = (0..count).map(|step| (start + step) % count);
            let accepted = in_turn.clone().find(|&place| {
                let share = share(place);
                share >= 1.0 || random() < share
            });
            accepted.unwrap_or(start)
        }
        // Ties go round, or an idle group would always use its first target.
        Algorithm::LeastOutstandingRequests => {
            let in_turn = (0..count).map(|step| (start + step) % count);
            in_turn
                .min_by_key(|&place| outstanding(place))
                .unwrap_or(start)
        }
        Algorithm::WeightedRandom => ((random() * count as f64) as usize).min(count - 1),
    }
}

/// The share of a target that became healthy `since` ago: linear from a tenth to the whole.
pub fn ramp(since: Duration, slow_start: Duration) -> f64 {
    if since >= slow_start {
        return 1.0;
    }
    (since.as_secs_f64() / slow_start.as_secs_f64()).max(0.1)
}

/// The place that `random` (0–1) falls on, each as wide as its weight.
pub fn by_weight(weights: impl Iterator<Item = f64> + Clone, random: f64) -> Option<usize> {
    let mut left = random * weights.clone().sum::<f64>();
    let mut last = None;
    for (place, weight) in weights.enumerate() {
        if left < weight {
            return Some(place);
        }
        left -= weight;
        last = Some(place);
    }
    last
}

/// The place of the weight that `random` (0–1) falls on; `None` if all are zero.
pub fn weighted(weights: impl Iterator<Item = u32> + Clone, random: f64) -> Option<usize> {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let mut left = (random * sum as f64) as u64;
    for (place, weight) in weights.enumerate() {
        let weight = u64::from(weight);
        if left < weight {
            return Some(place);
        }
        left -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Healthy, Initial, Unhealthy};

    const ONE: MinimumHealthy = MinimumHealthy {
        count: 1,
        percentage: None,
    };

    #[test]
    fn who_may() {
        fn check(
            targets: &[(Option<&str>, TargetState, HealthState)],
            minimum: MinimumHealthy,
            expected: &[usize],
            fail_open: bool,
        ) {
            let candidates = targets.iter().map(|&(zone, state, health)| Candidate {
                zone,
                state,
                health,
            });
            let got = eligible(candidates, minimum, |zone| {
                zone.is_none_or(|zone| zone == "a")
            });
            assert_eq!(
                (got.targets.as_slice(), got.fail_open),
                (expected, fail_open),
                "{targets:?}"
            );
        }
        let active = TargetState::Active;
        let draining = TargetState::Draining {
            until: jiff::Timestamp::UNIX_EPOCH,
        };
        check(
            &[
                (None, active, Healthy),
                (None, active, Unhealthy),
                (None, active, Initial),
            ],
            ONE,
            &[0],
            false,
        );
        check(
            &[(None, active, Initial), (None, active, Unhealthy)],
            ONE,
            &[0, 1],
            true,
        );
        check(
            &[(None, draining, Healthy), (None, active, Unhealthy)],
            ONE,
            &[1],
            true,
        );
        check(
            &[
                (None, draining, Healthy),
                (None, TargetState::Unused, Healthy),
            ],
            ONE,
            &[],
            true,
        );
        check(
            &[(Some("b"), active, Healthy), (Some("a"), active, Unhealthy)],
            ONE,
            &[1],
            true,
        );
        check(&[], ONE, &[], true);
        let shifted = TargetState::Shifted;
        check(
            &[(None, shifted, Healthy), (None, active, Healthy)],
            ONE,
            &[1],
            false,
        );
        check(
            &[(None, shifted, Healthy), (None, active, Unhealthy)],
            ONE,
            &[0, 1],
            true,
        );
        let two = MinimumHealthy {
            count: 2,
            percentage: None,
        };
        check(
            &[(None, active, Healthy), (None, active, Unhealthy)],
            two,
            &[0, 1],
            true,
        );
        let half = MinimumHealthy {
            count: 1,
            percentage: Some(50),
        };
        check(
            &[(None, active, Healthy), (None, active, Unhealthy)],
            half,
            &[0],
            false,
        );
        check(
            &[
                (None, active, Healthy),
                (None, active, Unhealthy),
                (None, active, Unhealthy),
            ],
            half,
            &[0, 1, 2],
            true,
        );
    }

    #[test]
    fn who_does() {
        let full = |_| 1.0;
        let turns = |algorithm, outstanding: &[u32]| -> Vec<usize> {
            let count = outstanding.len();
            (0..count * 2)
                .map(|cursor| {
                    choose(
                        algorithm,
                        cursor,
                        count,
                        || 0.99,
                        |at| outstanding[at],
                        full,
                    )
                })
                .collect()
        };
        assert_eq!(turns(Algorithm::RoundRobin, &[0, 9, 0]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(
            turns(Algorithm::LeastOutstandingRequests, &[3, 1, 2]),
            [1; 6]
        );
        assert_eq!(
            turns(Algorithm::LeastOutstandingRequests, &[1, 1, 2]),
            [0, 1, 0, 0, 1, 0]
        );
        assert_eq!(turns(Algorithm::WeightedRandom, &[0, 0]), [1; 4]);
        let ramping = |at| if at == 0 { 0.5 } else { 1.0 };
        assert_eq!(
            choose(Algorithm::RoundRobin, 0, 2, || 0.6, |_| 0, ramping),
            1
        );
        assert_eq!(
            choose(Algorithm::RoundRobin, 0, 2, || 0.4, |_| 0, ramping),
            0
        );
        assert_eq!(
            choose(Algorithm::RoundRobin, 0, 1, || 0.9, |_| 0, ramping),
            0
        );
    }

    #[test]
    fn shares() {
        assert_eq!(ramp(Duration::from_secs(15), Duration::from_secs(30)), 0.5);
        assert_eq!(ramp(Duration::from_secs(0), Duration::from_secs(30)), 0.1);
        assert_eq!(ramp(Duration::from_secs(0), Duration::ZERO), 1.0);
        let pick = |random| weighted([1, 0, 3].into_iter(), random);
        assert_eq!(
            [0.0, 0.24, 0.26, 0.999].map(pick),
            [Some(0), Some(0), Some(2), Some(2)]
        );
        assert_eq!(weighted([0, 0].into_iter(), 0.5), None);
    }
}
