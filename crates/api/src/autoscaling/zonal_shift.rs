//! Whether zonal shifts move a group away from an impaired zone.

use super::check;
use super::error::{Result, validation};
use super::setting::UpdateAutoScalingGroup;
use model::autoscaling::AutoScalingGroup;
use serde::{Deserialize, Serialize};
use store::State;

const BEHAVIORS: &[&str] = &["ReplaceUnhealthy", "IgnoreUnhealthy"];
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AvailabilityZoneImpairmentPolicy {
    pub zonal_shift_enabled: Option<bool>,
    pub impaired_zone_health_check_behavior: Option<String>,
}

pub fn apply(group: &mut AutoScalingGroup, given: AvailabilityZoneImpairmentPolicy) -> Result<()> {
    if let Some(behavior) = given.impaired_zone_health_check_behavior {
        check::one_of(&behavior, "impairedZoneHealthCheckBehavior", BEHAVIORS)?;
        group.impaired_zone_behavior = Some(behavior);
    }
    group.zonal_shift = given.zonal_shift_enabled.unwrap_or(group.zonal_shift);
    if group.zonal_shift && group.impaired_zone_behavior.is_none() {
        return Err(validation(
            "ImpairedZoneHealthCheckBehavior is required when ZonalShiftEnabled is true.",
        ));
    }
    Ok(())
}

/// The call says how zonal shifts are dealt with, and does not waive the check.
pub fn is_to_be_checked(given: &UpdateAutoScalingGroup) -> bool {
    given.availability_zone_impairment_policy.is_some()
        && given.skip_zonal_shift_validation != Some(true)
}

/// Where a load balancer keeps each zone's requests in the zone, those of a zone that is left find
/// too few instances: AWS wants it said that this is known. What target groups leave to their load
/// balancers is not looked at.
pub fn check_target_groups(state: &State, group: &AutoScalingGroup) -> Result<()> {
    if !group.zonal_shift {
        return Ok(());
    }
    let off = |arn: &String| {
        let found = state.target_groups.get(arn);
        let setting = found.and_then(|g| g.attributes.get(CROSS_ZONE));
        setting.is_some_and(|s| s == "false")
    };
    match group.target_groups.iter().find(|arn| off(arn)) {
        None => Ok(()),
        Some(arn) => Err(validation(format!(
            "The target group {arn} has cross-zone load balancing turned off. To enable zonal shift all the same, set SkipZonalShiftValidation."
        ))),
    }
}
