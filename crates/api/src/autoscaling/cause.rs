//! Why a capacity changed, in the sentences that activities quote as their cause.

use model::Timestamp;
use model::autoscaling::AutoScalingGroup;

/// A sentence, stamped.
pub fn at(now: Timestamp, sentence: impl std::fmt::Display) -> String {
    format!("At {} {sentence}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// Sets the desired capacity; the controller's next activities say it was for `why`.
pub fn change_desired(group: &mut AutoScalingGroup, desired: u32, why: &str, now: Timestamp) {
    let before = group.desired_capacity();
    if before == desired {
        return;
    }
    group.set_desired_capacity(desired);
    group.last_cause = Some(at(
        now,
        format_args!("{why} changing the desired capacity from {before} to {desired}."),
    ));
}
