//! Auto Scaling groups: carries out what the plan says, and writes the activities.

pub mod plan;

use crate::clock::{Speed, earliest};
use crate::index::Targets;
use crate::{Launcher, World};
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::autoscaling::{
    Activity, AutoScalingGroup, GroupInstance, LifecycleState, ScalingPolicy, UnhealthyBecause,
};
use model::cloudwatch::MetricAlarm;
use model::elbv2::{Target, TargetGroup, TargetHealth, TargetState};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState, LaunchError, TemplateLaunch};
use model::{SubnetId, Tags};
use plan::{Fact, LaunchWhy, Step, TerminateWhy};
use std::collections::BTreeMap;
use store::{ScopedName, State, TargetHealthKey, Tx};

/// Waits between launches that fail, in seconds: doubled each time up to the last (assumption; AWS gives no figures).
const BACK_OFF: [u32; 5] = [10, 20, 40, 80, 160];
/// Activities kept per group; AWS keeps six weeks of them.
const ACTIVITIES: usize = 500;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let targets = Targets::new(&state);
    let mut again = None;
    for group in state.auto_scaling_groups.values() {
        let facts = facts(&state, &targets, group, world.settings.speed, now);
        let version = template_version(&state, group).unwrap_or(0);
        let key = ScopedName::new(&group.scope, &group.name);
        let rebalance_at = world.rebalancing.get(&key).map(|(_, at)| *at);
        let (steps, at) = plan::plan(
            group,
            &facts,
            version,
            rebalance_at,
            world.settings.speed,
            now,
        );
        again = earliest(again, at);
        if !steps.is_empty() {
            let (speed, launcher, rebalancing) = (
                world.settings.speed,
                &world.launcher,
                &mut world.rebalancing,
            );
            world.store.update(|tx| {
                Apply {
                    tx,
                    key,
                    speed,
                    launcher,
                    rebalancing,
                    now,
                }
                .all(steps)
            });
        }
    }
    world
        .rebalancing
        .retain(|key, _| state.auto_scaling_groups.contains_key(key));
    again
}

/// Groups look at the health that load balancers report once in a while, not all the time.
/// The period is an assumption: AWS states none, captures show an instance marked 30 to 45 s
/// after it was terminated.
const HEALTH_PERIOD_SECS: u32 = 30;

/// Whether a periodic look falls between the two moments.
fn looked_between(since: Timestamp, now: Timestamp, speed: Speed) -> bool {
    let period = (speed.wait(HEALTH_PERIOD_SECS).as_millis() as i64).max(1);
    since.as_millisecond().div_euclid(period) < now.as_millisecond().div_euclid(period)
}

fn facts(
    state: &State,
    targets: &Targets<'_>,
    group: &AutoScalingGroup,
    speed: Speed,
    now: Timestamp,
) -> BTreeMap<InstanceId, Fact> {
    let fact = |id: &InstanceId| {
        let mut fact = Fact {
            state: state.instances.get(id).map(|i| i.state),
            running_since: state
                .instances
                .get(id)
                .filter(|i| i.state == InstanceState::Running)
                .map(|i| i.state_since),
            healthy_in: Default::default(),
            unhealthy_in: Default::default(),
            registered_in: Default::default(),
            draining_in: Default::default(),
        };
        for (target_group, target) in targets.of(id.as_str()) {
            let arn = target_group.arn.clone();
            match target.draining {
                Some(_) => fact.draining_in.insert(arn.clone()),
                None => fact.registered_in.insert(arn.clone()),
            };
            let key = TargetHealthKey {
                target_group: arn.clone(),
                target: target.id.clone(),
                port: target.port,
            };
            match state.target_health.get(&key).map(|h| (h.state, h.since)) {
                Some((TargetState::Healthy, _)) => fact.healthy_in.insert(arn),
                Some((TargetState::Unhealthy, since)) if looked_between(since, now, speed) => {
                    fact.unhealthy_in.insert(arn)
                }
                _ => false,
            };
        }
        fact
    };
    group
        .instances
        .iter()
        .map(|m| (m.id.clone(), fact(&m.id)))
        .collect()
}

/// The version that a launch would use now; `$Latest` and `$Default` are resolved at each launch.
pub fn template_version(state: &State, group: &AutoScalingGroup) -> Option<u64> {
    let template = state.launch_templates.get(&group.template.id)?;
    match group.template.version.as_str() {
        "$Latest" => Some(template.latest_version),
        "$Default" | "" => Some(template.default_version),
        number => number.parse().ok(),
    }
}

/// Attempts in a row to balance each group's zones that came to nothing, and when to try again.
pub type Rebalancing = BTreeMap<ScopedName, (usize, Timestamp)>;

struct Apply<'a> {
    tx: &'a mut Tx,
    key: ScopedName,
    speed: Speed,
    launcher: &'a Launcher,
    rebalancing: &'a mut Rebalancing,
    now: Timestamp,
}

impl Apply<'_> {
    fn all(mut self, steps: Vec<Step>) {
        for step in steps {
            // Another step may have removed it.
            let Some(group) = self.tx.get::<AutoScalingGroup>(&self.key).cloned() else {
                return;
            };
            self.one(&group, step);
        }
    }

    fn one(&mut self, group: &AutoScalingGroup, step: Step) {
        let now = self.now;
        match step {
            Step::Launch { zones, why } => self.launch(group, &zones, why),
            Step::EnterService(id) => {
                self.finish(group, &id, "Successful", None);
                self.member(&id, |m| {
                    m.lifecycle = LifecycleState::InService;
                    m.in_service = Some(now);
                    m.activity = None;
                });
                self.group(|g| {
                    g.launch_failures = 0;
                    // A simple policy's cooldown counts from the last launch or termination.
                    g.last_scaling = g.last_scaling.map(|_| now);
                });
                self.event(Severity::Info, format!("{id} is in service"));
            }
            Step::LaunchFailed(id) => {
                let why = self.tx.get::<Instance>(&id).and_then(|i| i.state_reason.clone()).map_or("Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: terminated".to_owned(), |(_, text)| text);
                self.finish(group, &id, "Cancelled", Some(why));
                let rebalancing = group.instances.iter().any(|m| m.id == id && m.rebalancing);
                self.group(|g| g.instances.retain(|m| m.id != id));
                if rebalancing {
                    self.put_off_rebalancing();
                } else {
                    self.back_off();
                }
            }
            Step::Register { id, target_group } => self.register(&id, &target_group),
            Step::SeenHealthy(id) => {
                let served = group
                    .instances
                    .iter()
                    .find(|m| m.id == id)
                    .and_then(|m| m.in_service);
                let took = served.map(|at| now.as_millisecond() - at.as_millisecond());
                self.member(&id, |m| m.seen_healthy = true);
                if !group.target_groups.is_empty() {
                    self.group(|g| g.measured_boot_ms = g.measured_boot_ms.max(took));
                }
            }
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
                self.group(|g| g.instances.retain(|m| m.id != id));
            }
            Step::SettleCause => self.group(|g| g.last_cause = None),
            Step::Vanish => self.vanish(group),
        }
    }

    fn launch(&mut self, group: &AutoScalingGroup, zones: &[String], why: LaunchWhy) {
        let now = self.now;
        // A launch of this same plan failed: the others wait as well.
        if why != LaunchWhy::Rebalance && group.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let capacity = group
            .instances
            .iter()
            .filter(|m| m.lifecycle != LifecycleState::Terminating)
            .count();
        let cause = match why {
            LaunchWhy::Replacement => at(
                now,
                "an instance was launched in response to an unhealthy instance needing to be replaced.",
            ),
            // Wording is an assumption: the captures at hand show none.
            LaunchWhy::Rebalance => at(
                now,
                &format!(
                    "instances were launched to balance instances in zones {} with other zones resulting in more than desired number of instances in the group.",
                    zones.join(" ")
                ),
            ),
            LaunchWhy::Capacity => {
                let follow = at(
                    now,
                    &format!(
                        "an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {capacity} to {}.",
                        capacity + 1
                    ),
                );
                match &group.last_cause {
                    Some(cause) => format!("{cause}  {follow}"),
                    None => follow,
                }
            }
        };
        let mut failed = None;
        for zone in zones {
            let Some(subnet) = group
                .subnets
                .iter()
                .find(|s| self.tx.subnets.get(*s).is_some_and(|s| s.zone == *zone))
                .cloned()
            else {
                continue;
            };
            let request = TemplateLaunch {
                template: group.template.id.clone(),
                version: group.template.version.clone(),
                subnet: subnet.clone(),
                instance_type: None,
                tags: tags(group),
            };
            match (self.launcher)(self.tx, &group.scope, &request, now) {
                Ok((id, version)) => {
                    return self.launched(group, id, zone, &subnet, version, cause, why);
                }
                Err(failure) => {
                    self.launch_failed(group, zone, subnet.as_str(), cause.clone(), &failure);
                    // Best effort: capacity is asked for elsewhere; other failures are the same everywhere.
                    let elsewhere = failure.code == "InsufficientInstanceCapacity"
                        && group.zone_distribution != "balanced-only";
                    failed = Some(failure);
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        match why {
            _ if failed.is_none() => {}
            LaunchWhy::Rebalance => self.put_off_rebalancing(),
            LaunchWhy::Capacity | LaunchWhy::Replacement => self.back_off(),
        }
    }

    /// An attempt to balance the zones came to nothing. It waits on its own, so that capacity
    /// which is missing meanwhile does not.
    fn put_off_rebalancing(&mut self) {
        let (now, speed) = (self.now, self.speed);
        let (failures, until) = self.rebalancing.entry(self.key.clone()).or_insert((0, now));
        *until = now + speed.wait(BACK_OFF[(*failures).min(BACK_OFF.len() - 1)]);
        *failures += 1;
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one launch")]
    fn launched(
        &mut self,
        group: &AutoScalingGroup,
        id: InstanceId,
        zone: &str,
        subnet: &SubnetId,
        version: u64,
        cause: String,
        why: LaunchWhy,
    ) {
        let activity = self.activity(
            group,
            format!("Launching a new EC2 instance: {id}"),
            cause,
            subnet.as_str(),
            zone,
            "InProgress",
        );
        let instance_type = self
            .tx
            .get::<Instance>(&id)
            .map(|i| i.instance_type.clone())
            .unwrap_or_default();
        let member = GroupInstance {
            id,
            zone: zone.to_owned(),
            instance_type,
            lifecycle: LifecycleState::Pending,
            healthy: true,
            unhealthy_because: None,
            protected_from_scale_in: group.new_instances_protected_from_scale_in,
            template: (
                group.template.id.clone(),
                group.template.name.clone(),
                version,
            ),
            in_service: None,
            activity: Some(activity),
            seen_healthy: false,
            rebalancing: why == LaunchWhy::Rebalance,
        };
        self.group(|g| {
            g.instances.push(member);
            settle_cause(g);
        });
    }

    fn launch_failed(
        &mut self,
        group: &AutoScalingGroup,
        zone: &str,
        subnet: &str,
        cause: String,
        failure: &LaunchError,
    ) {
        let message = format!("{} Launching EC2 instance failed.", failure.message);
        let description = format!("Launching a new EC2 instance.  Status Reason: {message}");
        let id = self.activity(group, description, cause, subnet, zone, "Failed");
        let now = self.now;
        self.tx.modify::<Activity>(&id, |a| {
            a.status_message = Some(message.clone());
            a.ended = Some(now);
            a.progress = 100;
        });
        self.event(Severity::Warning, message);
    }

    fn back_off(&mut self) {
        let (now, speed) = (self.now, self.speed);
        self.group(|g| {
            let wait = BACK_OFF[(g.launch_failures as usize).min(BACK_OFF.len() - 1)];
            g.launch_failures += 1;
            g.retry_at = Some(now + speed.wait(wait));
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

    fn terminate(&mut self, group: &AutoScalingGroup, id: &InstanceId, why: TerminateWhy) {
        let now = self.now;
        let capacity = group
            .instances
            .iter()
            .filter(|m| m.lifecycle != LifecycleState::Terminating)
            .count();
        let cause = match why {
            TerminateWhy::Unhealthy(because) => at(
                now,
                &format!(
                    "an instance was taken out of service in response to {}.",
                    because_text(because)
                ),
            ),
            TerminateWhy::Rebalance => at(
                now,
                "an instance was taken out of service in response to a difference between desired and actual capacity, after instances were launched to balance zones.",
            ),
            TerminateWhy::Capacity => {
                let follow = at(
                    now,
                    &format!(
                        "an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {capacity} to {}.",
                        capacity.saturating_sub(1)
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
            .instances
            .iter()
            .find(|m| m.id == *id)
            .map(|m| m.zone.clone())
            .unwrap_or_default();
        let status = if draining {
            "WaitingForELBConnectionDraining"
        } else {
            "InProgress"
        };
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
            TerminateWhy::Unhealthy(_) | TerminateWhy::Capacity => {}
        }
        self.member(id, |m| {
            m.lifecycle = LifecycleState::Terminating;
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
    fn deregister(&mut self, id: &InstanceId, running: bool) -> bool {
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
        self.tx.remove::<AutoScalingGroup>(&self.key);
        self.event(Severity::Info, "is deleted".into());
    }

    fn group(&mut self, change: impl FnOnce(&mut AutoScalingGroup)) {
        self.tx.modify::<AutoScalingGroup>(&self.key, change);
    }

    fn member(&mut self, id: &InstanceId, change: impl FnOnce(&mut GroupInstance)) {
        self.group(|g| {
            if let Some(member) = g.instances.iter_mut().find(|m| m.id == *id) {
                change(member);
            }
        });
    }

    fn activity(
        &mut self,
        group: &AutoScalingGroup,
        description: String,
        cause: String,
        subnet: &str,
        zone: &str,
        status: &str,
    ) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.tx.put(Activity {
            id: id.clone(),
            scope: group.scope.clone(),
            group: group.name.clone(),
            group_arn: group.arn.clone(),
            description,
            cause: cause.chars().take(1023).collect(),
            started: self.now,
            ended: None,
            status: status.to_owned(),
            status_message: None,
            progress: if status == "InProgress" { 30 } else { 50 },
            details: format!("{{\"Subnet ID\":\"{subnet}\",\"Availability Zone\":\"{zone}\"}}"),
        });
        self.drop_old_activities(group);
        id
    }

    fn drop_old_activities(&mut self, group: &AutoScalingGroup) {
        let mut ended: Vec<(Timestamp, String)> = self
            .tx
            .activities
            .values()
            .filter(|a| a.group_arn == group.arn && a.ended.is_some())
            .map(|a| (a.started, a.id.clone()))
            .collect();
        if ended.len() > ACTIVITIES {
            ended.sort();
            let surplus = ended.len() - ACTIVITIES;
            for (_, id) in ended.into_iter().take(surplus) {
                self.tx.remove::<Activity>(&id);
            }
        }
    }

    fn activity_of(
        &mut self,
        group: &AutoScalingGroup,
        id: &InstanceId,
        change: impl FnOnce(&mut Activity),
    ) {
        if let Some(activity) = group
            .instances
            .iter()
            .find(|m| m.id == *id)
            .and_then(|m| m.activity.clone())
        {
            self.tx.modify::<Activity>(&activity, change);
        }
    }

    fn finish(
        &mut self,
        group: &AutoScalingGroup,
        id: &InstanceId,
        status: &str,
        message: Option<String>,
    ) {
        let now = self.now;
        self.activity_of(group, id, |a| {
            a.status = status.to_owned();
            a.status_message = message;
            a.progress = 100;
            a.ended = Some(now);
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

/// What the group puts on its instances; these win over the template's.
fn tags(group: &AutoScalingGroup) -> Tags {
    let mut tags: Tags = group
        .tags
        .iter()
        .filter(|t| t.propagate_at_launch)
        .map(|t| (t.key.clone(), t.value.clone()))
        .collect();
    tags.insert("aws:autoscaling:groupName".into(), group.name.clone());
    tags
}

/// A change of capacity explains the activities that reach it, and no later ones.
fn settle_cause(group: &mut AutoScalingGroup) {
    let active = group
        .instances
        .iter()
        .filter(|m| {
            !matches!(
                m.lifecycle,
                LifecycleState::Terminating | LifecycleState::Detaching | LifecycleState::Standby
            )
        })
        .count();
    if active == group.desired_capacity as usize {
        group.last_cause = None;
    }
}

/// A sentence of a cause, stamped.
pub fn at(now: Timestamp, sentence: &str) -> String {
    format!("At {} {sentence}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
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

/// When a member has passed its warm-up.
pub fn warm_at(
    member: &GroupInstance,
    warmup: u32,
    measured_boot_ms: Option<i64>,
    speed: Speed,
) -> Option<Timestamp> {
    member.in_service.map(|since| {
        since + speed.wait_with_boot(warmup, measured_boot_ms.map(SignedDuration::from_millis))
    })
}
