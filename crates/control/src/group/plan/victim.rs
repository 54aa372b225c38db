//! Which member goes when there are too many.

use model::autoscaling::GroupInstance;
use model::{InstanceId, LaunchTemplateId};
use std::collections::BTreeMap;

/// Scale-in: the zone with most unprotected instances, then the termination policies in it.
pub fn victim(
    active: &[&GroupInstance],
    policies: &[String],
    current: &(LaunchTemplateId, u64),
) -> Option<InstanceId> {
    // An unhealthy one goes first whatever the policy says.
    if let Some(ill) = active.iter().find(|m| !m.healthy) {
        return Some(ill.id.clone());
    }
    let open: Vec<&&GroupInstance> = active
        .iter()
        .filter(|m| !m.protected_from_scale_in)
        .collect();
    let mut per_zone: BTreeMap<&str, usize> = BTreeMap::new();
    for member in &open {
        *per_zone.entry(&member.zone).or_default() += 1;
    }
    let most = *per_zone.values().max()?;
    let mut chosen: Vec<&&GroupInstance> = open
        .into_iter()
        .filter(|m| per_zone[m.zone.as_str()] == most)
        .collect();
    for policy in policies {
        match policy.as_str() {
            "NewestInstance" => keep(&mut chosen, |m| std::cmp::Reverse(m.in_service)),
            "OldestInstance" => keep(&mut chosen, |m| m.in_service),
            // Another template comes before an old version, and that before the current one.
            "OldestLaunchTemplate" | "Default" => keep(&mut chosen, |m| {
                let (id, _, version) = &m.template;
                // Of launch configurations the oldest is to go, which the oldest instances are of.
                let configured = m.configuration.is_some();
                let since = configured.then_some(m.in_service);
                (
                    !configured,
                    *id == current.0,
                    *version == current.1,
                    *version,
                    since,
                )
            }),
            // On-demand only, and no billing hours: nothing to prefer.
            _ => {}
        }
    }
    // AWS then picks at random; the newest is as good and keeps timelines repeatable
    // (of equals, `max_by_key` takes the last, which joined last).
    chosen
        .iter()
        .max_by_key(|m| m.in_service)
        .map(|m| m.id.clone())
}

/// Keeps those for which `rank` is lowest.
fn keep<K: Ord>(chosen: &mut Vec<&&GroupInstance>, rank: impl Fn(&GroupInstance) -> K) {
    if let Some(best) = chosen.iter().map(|m| rank(m)).min() {
        chosen.retain(|m| rank(m) == best);
    }
}
