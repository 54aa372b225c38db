//! Carries out the steps of a plan, one after another, in one transaction.

mod activity;
mod hook;
mod launch;
mod notify;
mod refresh;
mod terminate;
mod warm;

use super::Rebalancing;
use super::plan::Step;
use crate::clock::Speed;
use crate::{Launcher, Starter};
use jiff::Timestamp;
use model::InstanceId;
use model::autoscaling::{
    AutoScalingGroup, GroupInstance, GroupTemplate, LifecycleState, ScalingPolicy, ScheduledAction,
    UnhealthyBecause,
};
use model::cloudwatch::MetricAlarm;
use model::elbv2::{Target, TargetGroup};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState};
use model::instance_refresh::InstanceRefresh;
use model::zonal_shift::ZonalShift;
use notify::Told;
use store::{ScopedName, Tx};

/// Template versions that a group remembers to have booted.
const BOOTED_VERSIONS: usize = 10;

pub struct Apply<'a> {
    pub tx: &'a mut Tx,
    pub key: ScopedName,
    /// What is launched from: the group's own, or an instance refresh's.
    pub template: GroupTemplate,
    pub speed: Speed,
    pub launcher: &'a Launcher,
    pub starter: &'a Starter,
    pub rebalancing: &'a mut Rebalancing,
    /// Units that stay in the group, as the plan found it: all its activities count from there.
    pub capacity: u32,
    /// Activities that this plan has begun.
    pub begun: i64,
    pub now: Timestamp,
}

impl Apply<'_> {
    pub fn all(mut self, steps: Vec<Step>) {
        let adds = |s: &Step| matches!(s, Step::Launch { .. } | Step::Terminate { .. });
        let adds = steps.iter().any(adds);
        for step in steps {
            // Another step may have removed it.
            let Some(group) = self.tx.get::<AutoScalingGroup>(&self.key).cloned() else {
                return;
            };
            self.one(&group, step);
        }
        if adds && let Some(group) = self.tx.get::<AutoScalingGroup>(&self.key).cloned() {
            self.drop_old_activities(&group);
        }
    }

    fn one(&mut self, group: &AutoScalingGroup, step: Step) {
        let now = self.now;
        match step {
            Step::Launch {
                zones,
                why,
                replaces,
            } => self.launch(group, &zones, why, replaces),
            Step::EnterService(id) => {
                self.finish(group, &id, "Successful", None);
                let left_out = match group.suspended("AddToLoadBalancer") {
                    true => group.target_groups.clone(),
                    false => Vec::new(),
                };
                let activity = Self::activity_id(group, &id);
                self.notify(group, Told::Launch, id.as_str(), activity.as_ref());
                self.member(&id, |m| {
                    m.lifecycle = LifecycleState::InService;
                    m.in_service = Some(now);
                    m.activity = None;
                    m.past_hooks = false;
                    m.left_out = left_out;
                });
                self.group(|g| {
                    (g.launch_failures, g.failing_since) = (0, None);
                    // A simple policy's cooldown counts from the last launch or termination.
                    g.last_scaling = g.last_scaling.map(|_| now);
                });
                self.event(Severity::Info, format!("{id} is in service"));
            }
            Step::LaunchFailed(id) => {
                let why = self.tx.get::<Instance>(&id).and_then(|i| i.state_reason.clone()).map_or("Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: terminated".to_owned(), |(_, text)| text);
                self.finish(group, &id, "Cancelled", Some(why));
                let activity = Self::activity_id(group, &id);
                self.notify(group, Told::LaunchError, id.as_str(), activity.as_ref());
                let rebalancing = group.instances.iter().any(|m| m.id == id && m.rebalancing);
                self.forget(&id);
                if rebalancing {
                    self.put_off_rebalancing();
                } else {
                    self.back_off();
                }
            }
            Step::AwaitHooks(..)
            | Step::HookTimedOut { .. }
            | Step::Proceed(_)
            | Step::Abandon(_) => self.hook(group, step),
            Step::Register { id, target_group } => self.register(&id, &target_group),
            Step::SeenHealthy(id) => self.seen_healthy(group, &id),
            Step::TargetGroupInService(arn) => self.group(|g| g.target_groups_in_service.push(arn)),
            Step::MarkUnhealthy(id, because) => {
                self.member(&id, |m| {
                    m.healthy = false;
                    m.unhealthy_because = Some(because);
                });
                self.event(
                    Severity::Warning,
                    format!("{id} is unhealthy: {}", because_text(because)),
                );
            }
            Step::Terminate { id, why } => self.terminate(group, &id, why),
            Step::End(id) => {
                self.activity_of(group, &id, |a| {
                    a.status = "InProgress".into();
                    a.progress = 60;
                });
                self.member(&id, |m| m.past_hooks = true);
                self.tx.modify::<Instance>(&id, |i| {
                    i.desired = DesiredInstance::Terminated;
                    if !matches!(
                        i.state,
                        InstanceState::Terminated | InstanceState::ShuttingDown
                    ) {
                        i.state = InstanceState::ShuttingDown;
                        i.state_since = now;
                        i.state_reason = Some((
                            "Client.UserInitiatedShutdown".into(),
                            "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                        ));
                        i.state_transition_reason =
                            format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT"));
                    }
                });
            }
            Step::Leave(id) => {
                self.finish(group, &id, "Successful", None);
                let activity = Self::activity_id(group, &id);
                self.notify(group, Told::Terminate, id.as_str(), activity.as_ref());
                self.forget(&id);
            }
            Step::FromPool { .. }
            | Step::ToPool(_)
            | Step::Chill(_)
            | Step::Warmed(..)
            | Step::PoolGone => self.pool(group, step),
            Step::StandBy(id) => {
                self.finish(group, &id, "Successful", None);
                self.member(&id, |m| {
                    m.lifecycle = LifecycleState::Standby;
                    m.activity = None;
                });
            }
            Step::Detach(id) => {
                self.finish(group, &id, "Successful", None);
                self.group(|g| g.instances.retain(|m| m.id != id));
                self.tx.modify::<Instance>(&id, |i| {
                    i.tags.remove("aws:autoscaling:groupName");
                });
                self.event(Severity::Info, format!("{id} is detached"));
            }
            Step::SettleCause => self.group(|g| g.last_cause = None),
            Step::Refresh(change) => self.refresh(group, *change),
            Step::Vanish => self.vanish(group),
        }
    }

    fn seen_healthy(&mut self, group: &AutoScalingGroup, id: &InstanceId) {
        let now = self.now;
        self.member(id, |m| m.seen_healthy = true);
        let member = group.instances.iter().find(|m| m.id == *id);
        let Some(member) = member.filter(|_| !group.target_groups.is_empty()) else {
            return;
        };
        let since = member.in_service;
        let took = since.map(|at| now.as_millisecond() - at.as_millisecond());
        let version = (member.template.0.clone(), member.template.2);
        self.group(|g| {
            g.measured_boot_ms = g.measured_boot_ms.max(took);
            if !g.booted_versions.contains(&version) {
                g.booted_versions.push(version);
                let old = g.booted_versions.len().saturating_sub(BOOTED_VERSIONS);
                g.booted_versions.drain(..old);
            }
        });
    }

    fn register(&mut self, id: &InstanceId, arn: &str) {
        let now = self.now;
        self.tx.modify::<TargetGroup>(&arn.to_owned(), |g| {
            g.targets.push(Target {
                id: id.to_string(),
                port: g.port,
                zone: None,
                registered: now,
                draining: None,
            });
        });
    }

    fn vanish(&mut self, group: &AutoScalingGroup) {
        let policies: Vec<ScalingPolicy> = self
            .tx
            .scaling_policies
            .values()
            .filter(|p| p.scope == group.scope && p.group == group.name)
            .map(|p| (**p).clone())
            .collect();
        for policy in policies {
            for (_, alarm) in &policy.alarms {
                self.tx
                    .remove::<MetricAlarm>(&ScopedName::new(&group.scope, alarm));
            }
            self.tx.remove::<ScalingPolicy>(&policy.arn);
        }
        let refreshes = self.tx.instance_refreshes.values();
        let refreshes: Vec<String> = refreshes
            .filter(|r| r.group_arn == group.arn)
            .map(|r| r.id.clone())
            .collect();
        for id in refreshes {
            self.tx.remove::<InstanceRefresh>(&id);
        }
        let shifts: Vec<String> = self
            .tx
            .zonal_shifts
            .of(group.arn.as_str())
            .map(|s| s.id.clone())
            .collect();
        for id in shifts {
            self.tx.remove::<ZonalShift>(&id);
        }
        let actions = self.tx.scheduled_actions.keys();
        let actions: Vec<_> = actions.filter(|(g, _)| *g == self.key).cloned().collect();
        for action in actions {
            self.tx.remove::<ScheduledAction>(&action);
        }
        self.tx.remove::<AutoScalingGroup>(&self.key);
        self.event(Severity::Info, "is deleted".into());
    }

    fn group(&mut self, change: impl FnOnce(&mut AutoScalingGroup)) {
        self.tx.modify::<AutoScalingGroup>(&self.key, change);
    }

    fn member(&mut self, id: &InstanceId, change: impl FnOnce(&mut GroupInstance)) {
        self.group(|g| {
            if let Some(member) = g.held_mut().find(|m| m.id == *id) {
                change(member);
            }
        });
    }

    /// It is gone: no member, and not in the pool.
    fn forget(&mut self, id: &InstanceId) {
        self.group(|g| {
            g.instances.retain(|m| m.id != *id);
            g.warm.retain(|m| m.id != *id);
        });
    }

    fn event(&mut self, severity: Severity, message: String) {
        self.tx.event(
            self.now,
            severity,
            self.key.name.clone(),
            "auto-scaling-group",
            message,
        );
    }
}

/// Units that are not on their way out.
pub fn capacity(group: &AutoScalingGroup) -> u32 {
    let staying = group.instances.iter();
    let staying = staying.filter(|m| !m.lifecycle.is_terminating());
    staying.map(|m| m.weight).sum()
}

/// A change of capacity explains the activities that reach it, and no later ones.
fn settle_cause(group: &mut AutoScalingGroup) {
    if group.has_desired() {
        group.last_cause = None;
    }
}

fn because_text(because: UnhealthyBecause) -> &'static str {
    match because {
        UnhealthyBecause::Ec2State => {
            "an EC2 health check indicating it has been terminated or stopped"
        }
        UnhealthyBecause::Ec2StatusCheck => "an EC2 instance status check failure",
        UnhealthyBecause::LoadBalancer => "an ELB system health check failure",
        UnhealthyBecause::User => "a user health-check",
    }
}
