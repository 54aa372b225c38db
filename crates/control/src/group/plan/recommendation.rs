//! Capacity rebalancing: a Spot Instance that EC2 recommends to replace gets a successor before it
//! is taken back, and goes once that one has passed its first health check.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html`.
//! No room is made by terminating first: if the notice comes to its end before the successor is
//! there, the EC2 health check replaces the instance, and the successor already counts.

use super::{LaunchWhy, Planner, TerminateWhy};
use model::autoscaling::{GroupInstance, LifecycleState as L};

impl<'a> Planner<'a> {
    pub(super) fn recommendations(&mut self) {
        let group = self.group;
        if group.deleting.is_some() {
            return;
        }
        let facts = self.facts;
        let at_risk = |m: &GroupInstance| facts.get(&m.id).is_some_and(|f| f.at_risk);
        // AWS asks for the health check alone, not for a warm-up.
        self.hand_over(0, |old| {
            at_risk(old).then_some(TerminateWhy::Recommendation)
        });
        if !group.capacity_rebalance || self.turned {
            return;
        }
        let desired = group.desired_capacity() as usize;
        let most = desired + (desired / 10).max(1);
        for member in &group.instances {
            if member.lifecycle == L::InService
                && member.healthy
                && at_risk(member)
                && !self.terminates(&member.id)
            {
                self.launch_ahead(member, most, LaunchWhy::Recommendation);
            }
        }
    }
}
