//! From results of checks to a state of health.

use crate::report::{Health, HealthState};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target answered with a code that does not count.
    Mismatch(u16),
    Timeout,
    /// No connection, or no HTTP; with what the system said.
    Broken(String),
    /// The check itself could not be made.
    Internal(String),
}

impl Failure {
    /// AWS's `Reason` and `Description` (A/target-group-health-checks.html).
    pub fn reason(&self) -> (&'static str, String) {
        match self {
            Failure::Mismatch(status) => (
                "Target.ResponseCodeMismatch",
                format!("Health checks failed with these codes: [{status}]"),
            ),
            Failure::Timeout => ("Target.Timeout", "Request timed out".into()),
            Failure::Broken(_) => ("Target.FailedHealthChecks", "Health checks failed".into()),
            Failure::Internal(_) => (
                "Elb.InternalError",
                "Health checks failed due to an internal error".into(),
            ),
        }
    }

    pub fn detail(&self) -> String {
        match self {
            Failure::Mismatch(status) => format!("answered {status}"),
            Failure::Timeout => "no answer in time".into(),
            Failure::Broken(what) | Failure::Internal(what) => what.clone(),
        }
    }
}

/// A target's health as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub state: HealthState,
    /// Behind an unhealthy state: the latest failure.
    pub failure: Option<Failure>,
    passes: u32,
    failures: u32,
}

impl Default for Track {
    fn default() -> Self {
        Track {
            state: HealthState::Initial,
            failure: None,
            passes: 0,
            failures: 0,
        }
    }
}

impl Track {
    /// As another process knew it.
    pub fn of(health: &Health) -> Track {
        let failure = (health.state == HealthState::Unhealthy).then(|| {
            let detail = health.detail.clone().unwrap_or_default();
            match health.reason.as_deref() {
                Some("Target.Timeout") => Failure::Timeout,
                Some("Elb.InternalError") => Failure::Internal(detail),
                Some("Target.ResponseCodeMismatch") => {
                    let code = detail.strip_prefix("answered ");
                    let code = code.and_then(|code| code.parse().ok());
                    code.map_or(Failure::Broken(detail), Failure::Mismatch)
                }
                _ => Failure::Broken(detail),
            }
        });
        Track {
            state: health.state,
            failure,
            ..Track::default()
        }
    }

    /// Takes in a check's outcome; true if there is something new to tell.
    ///
    /// One pass makes an `initial` target healthy; one that turned unhealthy first needs the whole
    /// threshold, as seen on AWS.
    pub fn observe(
        &mut self,
        outcome: Outcome,
        healthy_threshold: u32,
        unhealthy_threshold: u32,
    ) -> bool {
        let before = (self.state, self.failure.as_ref().map(Failure::reason));
        match outcome {
            Outcome::Pass => {
                self.failures = 0;
                self.passes = self.passes.saturating_add(1);
                if self.state == HealthState::Initial || self.passes >= healthy_threshold {
                    self.state = HealthState::Healthy;
                    self.failure = None;
                }
            }
            Outcome::Fail(failure) => {
                self.passes = 0;
                self.failures = self.failures.saturating_add(1);
                if self.state == HealthState::Unhealthy || self.failures >= unhealthy_threshold {
                    self.state = HealthState::Unhealthy;
                    self.failure = Some(failure);
                }
            }
        }
        before != (self.state, self.failure.as_ref().map(Failure::reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Healthy, Initial, Unhealthy};

    /// `+` passes, `-` answers 500, `t` times out; states after each, thresholds 3 and 2.
    fn check(outcomes: &str, expected: &[HealthState]) {
        let mut track = Track::default();
        let states: Vec<HealthState> = outcomes
            .chars()
            .map(|outcome| {
                let outcome = match outcome {
                    '+' => Outcome::Pass,
                    't' => Outcome::Fail(Failure::Timeout),
                    _ => Outcome::Fail(Failure::Mismatch(500)),
                };
                track.observe(outcome, 3, 2);
                track.state
            })
            .collect();
        assert_eq!(states, expected, "{outcomes}");
    }

    #[test]
    fn states() {
        check("+", &[Healthy]);
        check("-+", &[Initial, Healthy]);
        check(
            "--+++",
            &[Initial, Unhealthy, Unhealthy, Unhealthy, Healthy],
        );
        check("+-+--", &[Healthy, Healthy, Healthy, Healthy, Unhealthy]);
        check(
            "--++-+++",
            &[
                Initial, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy,
            ],
        );
    }

    #[test]
    fn a_new_reason_is_news() {
        let mut track = Track::default();
        let news = |track: &mut Track, outcome| track.observe(outcome, 3, 2);
        assert!(!news(&mut track, Outcome::Fail(Failure::Timeout)));
        assert!(news(&mut track, Outcome::Fail(Failure::Timeout)));
        assert!(!news(&mut track, Outcome::Fail(Failure::Timeout)));
        assert!(news(&mut track, Outcome::Fail(Failure::Mismatch(502))));
        assert_eq!(
            track.failure.as_ref().map(Failure::reason),
            Some((
                "Target.ResponseCodeMismatch",
                "Health checks failed with these codes: [502]".into()
            ))
        );
    }
}
