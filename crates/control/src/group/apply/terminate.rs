//! Terminations: out of the target groups, and once drained the instance ends.

use super::super::at;
use super::super::plan::TerminateWhy;
use super::{Apply, because_text, settle_cause};
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, LifecycleState};
use model::elbv2::{TargetGroup, TargetHealth};
use model::event::Severity;
use model::instance::{Instance, InstanceState};
use std::collections::BTreeSet;
use store::TargetHealthKey;

impl Apply<'_> {
    pub(super) fn terminate(
        &mut self,
        group: &AutoScalingGroup,
        id: &InstanceId,
        why: TerminateWhy,
    ) {
        let now = self.now;
        let cause = match why {
            TerminateWhy::Unhealthy(because) => at(
                now,
                &format!(
                    "an instance was taken out of service in response to {}.",
                    because_text(because)
                ),
            ),
            TerminateWhy::Refresh => {
                let why =
                    "an instance was taken out of service in response to an instance refresh.";
                let selected = format!("instance {id} was selected for termination.");
                format!("{}  {}", at(now, why), at(now, &selected))
            }
            // Wording is an assumption.
            TerminateWhy::Lifetime => at(
                now,
                "an instance was taken out of service in response to its maximum lifetime.",
            ),
            // Wording is an assumption.
            TerminateWhy::Recommendation => at(
                now,
                "an instance was taken out of service in response to an EC2 instance rebalance recommendation.",
            ),
            TerminateWhy::Rebalance => {
                let (from, to) = (self.capacity, group.desired_capacity());
                let newcomers = group.instances.iter().filter(|m| m.rebalancing);
                let zones: BTreeSet<&str> = newcomers.map(|m| m.zone.as_str()).collect();
                let zones = zones.into_iter().collect::<Vec<_>>().join(" ");
                let sentences = [
                    format!(
                        "instances were launched to balance instances in zones {zones} with other zones resulting in more than desired number of instances in the group."
                    ),
                    format!(
                        "an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {from} to {to}."
                    ),
                    format!("instance {id} was selected for termination."),
                ];
                sentences.map(|s| at(now, &s)).join("  ")
            }
            // Wording is an assumption: the captures at hand show none.
            TerminateWhy::Warm => at(
                now,
                "an instance was taken out of the warm pool in response to a difference between desired and actual size of the warm pool.",
            ),
            TerminateWhy::Capacity => {
                let (from, to) = (self.capacity, group.desired_capacity());
                let follow = at(
                    now,
                    &format!(
                        "an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {from} to {to}."
                    ),
                );
                let selected = at(now, &format!("instance {id} was selected for termination."));
                let first = group
                    .last_cause
                    .as_ref()
                    .map(|c| format!("{c}  "))
                    .unwrap_or_default();
                format!("{first}{follow}  {selected}")
            }
        };
        let running = self
            .tx
            .get::<Instance>(id)
            .is_some_and(|i| i.state == InstanceState::Running);
        let draining = self.deregister(id, running);
        let subnet = self
            .tx
            .get::<Instance>(id)
            .map(|i| i.subnet.to_string())
            .unwrap_or_default();
        let zone = group
            .held()
            .find(|m| m.id == *id)
            .map(|m| m.zone.clone())
            .unwrap_or_default();
        let status = if draining {
            "WaitingForELBConnectionDraining"
        } else {
            "InProgress"
        };
        // A launch that is not done yet comes to nothing.
        if group
            .held()
            .any(|m| m.id == *id && m.lifecycle.is_pending())
        {
            self.finish(group, id, "Cancelled", None);
        }
        let pool = group.warm_pool.as_ref().filter(|p| p.deleting.is_none());
        let reuse = why == TerminateWhy::Capacity
            && group.deleting.is_none()
            && pool.is_some_and(|p| p.reuse_on_scale_in);
        let activity = self.activity(
            group,
            format!("Terminating EC2 instance: {id}"),
            cause,
            &subnet,
            &zone,
            status,
        );
        match why {
            TerminateWhy::Rebalance => drop(self.rebalancing.remove(&self.key)),
            TerminateWhy::Unhealthy(_)
                if group.instances.iter().any(|m| m.id == *id && m.rebalancing) =>
            {
                self.put_off_rebalancing()
            }
            _ => {}
        }
        self.member(id, |m| {
            m.lifecycle = LifecycleState::Terminating;
            m.to_pool = reuse;
            m.actions.clear();
            m.past_hooks = false;
            m.activity = Some(activity);
            m.rebalancing = false;
        });
        self.group(|g| {
            settle_cause(g);
            // The pair of a rebalancing is complete.
            if why == TerminateWhy::Rebalance {
                g.instances.iter_mut().for_each(|m| m.rebalancing = false);
            }
        });
        self.event(Severity::Info, format!("terminating {id}"));
    }

    /// Takes an instance out of every target group; true if some target must drain first.
    pub(super) fn deregister(&mut self, id: &InstanceId, running: bool) -> bool {
        let now = self.now;
        let holding: Vec<String> = self
            .tx
            .target_groups
            .values()
            .filter(|g| g.targets.iter().any(|t| t.id == id.as_str()))
            .map(|g| g.arn.clone())
            .collect();
        for arn in &holding {
            let mut gone = Vec::new();
            self.tx.modify::<TargetGroup>(arn, |g| {
                if running {
                    g.targets
                        .iter_mut()
                        .filter(|t| t.id == id.as_str())
                        .for_each(|t| t.draining = t.draining.or(Some(now)));
                } else {
                    // Nothing to drain: the instance is gone.
                    gone = g
                        .targets
                        .iter()
                        .filter(|t| t.id == id.as_str())
                        .map(|t| t.port)
                        .collect();
                    g.targets.retain(|t| t.id != id.as_str());
                }
            });
            for port in gone {
                self.tx.remove::<TargetHealth>(&TargetHealthKey {
                    target_group: arn.clone(),
                    target: id.to_string(),
                    port,
                });
            }
        }
        running && !holding.is_empty()
    }
}
