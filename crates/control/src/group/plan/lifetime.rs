//! `MaxInstanceLifetime`: members that have served for long enough are replaced.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-max-instance-lifetime.html`.
//! AWS spreads replacements over time by rules it does not state; here a member goes when
//! its time has come, as many at a time as the maintenance policy allows, 10 % without one.

use super::roll::limits;
use super::{LaunchWhy, Planner, TerminateWhy};
use model::autoscaling::{GroupInstance, LifecycleState as L};

const WHY: (LaunchWhy, TerminateWhy) = (LaunchWhy::Lifetime, TerminateWhy::Lifetime);

impl<'a> Planner<'a> {
    pub(super) fn lifetime(&mut self) {
        let group = self.group;
        let lifetime = group.max_instance_lifetime.filter(|seconds| 0 < *seconds);
        // A refresh replaces everybody anyway.
        if lifetime.is_none() || self.refresh.is_some() || group.deleting.is_some() {
            return;
        }
        let lifetime = self.speed.wait(lifetime.unwrap_or_default());
        let mut over: Vec<&'a GroupInstance> = Vec::new();
        for member in group
            .instances
            .iter()
            .filter(|m| m.lifecycle == L::InService)
        {
            let Some(since) = member.in_service else {
                continue;
            };
            match since + lifetime {
                at if at <= self.now => over.push(member),
                at => self.look_again(at),
            }
        }
        let warmup = self.replacement_warmup();
        let ids: Vec<_> = over.iter().map(|m| &m.id).collect();
        self.hand_over(warmup, |old| {
            ids.contains(&&old.id).then_some(TerminateWhy::Lifetime)
        });
        let (min, max) = group.maintenance_policy.unwrap_or((90, 100));
        let desired = group.desired_capacity() as usize;
        let limits = limits(desired, min.unsigned_abs(), max.unsigned_abs());
        self.roll(&over, limits, warmup, WHY);
    }

    /// Seconds until a replacement counts, as `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-default-instance-warmup.html` has it.
    pub(super) fn replacement_warmup(&self) -> u32 {
        let group = self.group;
        group
            .default_instance_warmup
            .unwrap_or(group.health_check_grace_period)
    }
}
