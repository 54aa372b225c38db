//! Targets that fail more often than their peers, and how much less they get for it
//! (`load_balancing.algorithm.anomaly_mitigation`).
//!
//! Every few seconds each target's share of failures, codes 5XX and connections that came to nothing,
//! is set beside that of all others. AWS does not say what it takes to be anomalous. Assumption: half
//! again as many failures as the peers have and a tenth more, of at least five requests. An anomalous
//! target's weight is halved down to a twentieth, which is enough to see it recover; then it doubles.

/// Targets needed to tell who is unlike the others.
const PEERS: usize = 3;
const LEAST_REQUESTS: u64 = 5;
const LEAST_WEIGHT: f64 = 0.05;

/// What a target did since it was last judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub requests: u64,
    pub failures: u64,
}

/// One of whom too little was seen stays what it was.
pub fn judge(seen: &[Seen], before: &[bool]) -> Vec<bool> {
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    let (requests, failures) = (sum(|s| s.requests), sum(|s| s.failures));
    let verdict = |(one, before): (&Seen, &bool)| {
        if seen.len() < PEERS {
            return false;
        }
        if one.requests < LEAST_REQUESTS {
            return *before;
        }
        let others = requests - one.requests;
        let peers = match others {
            0 => 0.0,
            others => (failures - one.failures) as f64 / others as f64,
        };
        one.failures as f64 / one.requests as f64 > peers * 1.5 + 0.1
    };
    seen.iter().zip(before).map(verdict).collect()
}

/// The weight after a verdict; 1 is the whole.
pub fn weight(before: f64, is_anomalous: bool) -> f64 {
    match is_anomalous {
        true => (before / 2.0).max(LEAST_WEIGHT),
        false => (before * 2.0).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        fn check(seen: &[(u64, u64)], expected: &[bool]) {
            let seen: Vec<Seen> = seen
                .iter()
                .map(|&(requests, failures)| Seen { requests, failures })
                .collect();
            assert_eq!(judge(&seen, &vec![false; seen.len()]), expected, "{seen:?}");
        }
        check(&[(100, 0), (100, 0), (100, 50)], &[false, false, true]);
        check(&[(100, 50), (100, 50), (100, 50)], &[false; 3]);
        check(&[(100, 0), (100, 50)], &[false; 2]);
        check(&[(100, 0), (100, 0), (100, 9)], &[false; 3]);
        check(&[(100, 0), (100, 0), (4, 4)], &[false; 3]);
        check(&[(0, 0), (0, 0), (9, 9)], &[false, false, true]);
        let quiet = [Seen::default(); 3];
        assert_eq!(judge(&quiet, &[true, false, false]), [true, false, false]);
    }

    #[test]
    fn weights_fall_and_come_back() {
        let mut at = 1.0;
        for _ in 0..10 {
            at = weight(at, true);
        }
        assert_eq!(at, LEAST_WEIGHT);
        for _ in 0..10 {
            at = weight(at, false);
        }
        assert_eq!(at, 1.0);
    }
}
