//! In and out of the warm pool.

use super::super::at;
use super::Apply;
use crate::group::plan::{LaunchWhy, Step};
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance, LifecycleState};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState};

impl Apply<'_> {
    pub(super) fn pool(&mut self, group: &AutoScalingGroup, step: Step) {
        match step {
            Step::FromPool { id, why } => self.take_from_pool(group, &id, why),
            Step::ToPool(id) => self.return_to_pool(group, &id),
            Step::Chill(id) => self.chill(&id),
            Step::Warmed(id, state) => {
                self.finish(group, &id, "Successful", None);
                self.member(&id, |m| {
                    m.lifecycle = state;
                    m.warmed = true;
                    m.activity = None;
                    m.past_hooks = false;
                });
                self.group(|g| g.failing_since = None);
                self.event(Severity::Info, format!("{id} is warmed"));
            }
            Step::PoolGone => {
                self.group(|g| g.warm_pool = None);
                self.event(Severity::Info, "the warm pool is deleted".into());
            }
            _ => {}
        }
    }

    fn take_from_pool(&mut self, group: &AutoScalingGroup, id: &InstanceId, why: LaunchWhy) {
        let now = self.now;
        let Some(member) = group.warm.iter().find(|m| m.id == *id).cloned() else {
            return;
        };
        let Some(instance) = self.tx.get::<Instance>(id).cloned() else {
            return;
        };
        let cause = self.launch_cause(group, why);
        if instance.state == InstanceState::Stopped
            && let Err(failure) = (self.starter)(self.tx, id, now)
        {
            let subnet = instance.subnet.as_str();
            self.launch_failed(group, &member.zone, subnet, cause, &failure);
            return self.back_off();
        }
        let activity = self.activity(
            group,
            format!("Launching a new EC2 instance from warm pool: {id}"),
            cause,
            instance.subnet.as_str(),
            &member.zone,
            "InProgress",
        );
        self.group(|g| {
            g.warm.retain(|m| m.id != *id);
            g.instances.push(GroupInstance {
                lifecycle: LifecycleState::Pending,
                activity: Some(activity),
                protected_from_scale_in: g.new_instances_protected_from_scale_in,
                ..member
            });
            super::settle_cause(g);
        });
    }

    fn return_to_pool(&mut self, group: &AutoScalingGroup, id: &InstanceId) {
        self.finish(group, id, "Successful", None);
        let subnet = self.tx.get::<Instance>(id).map(|i| i.subnet.to_string());
        let found = group.instances.iter().find(|m| m.id == *id).cloned();
        let (Some(member), Some(subnet)) = (found, subnet) else {
            return;
        };
        // Wording is an assumption: the captures at hand show none.
        let activity = self.activity(
            group,
            format!("Moving EC2 instance to warm pool: {id}"),
            at(
                self.now,
                "an instance was moved to the warm pool in response to its reuse policy.",
            ),
            &subnet,
            &member.zone,
            "InProgress",
        );
        self.group(|g| {
            g.instances.retain(|m| m.id != *id);
            g.warm.push(GroupInstance {
                lifecycle: LifecycleState::Pending,
                activity: Some(activity),
                in_service: None,
                seen_healthy: false,
                to_pool: false,
                past_hooks: false,
                ..member
            });
        });
    }

    fn chill(&mut self, id: &InstanceId) {
        let now = self.now;
        // Its hooks have been heard, whatever becomes of the stop.
        self.member(id, |m| m.past_hooks = true);
        self.tx.modify::<Instance>(id, |i| {
            i.desired = DesiredInstance::Stopped { force: false };
            i.state = InstanceState::Stopping;
            i.state_since = now;
            i.state_transition_reason =
                format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT"));
        });
    }
}
