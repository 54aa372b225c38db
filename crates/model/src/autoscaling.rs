//! Auto Scaling groups, their members, policies and activities.

use crate::mixed_instances::{MixedInstances, weight_of};
use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoScalingGroup {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    pub template: GroupTemplate,
    pub min_size: u32,
    pub max_size: u32,
    /// Private, so that [`Self::set_desired_capacity`] is the only place where it changes.
    desired_capacity: u32,
    /// Seconds.
    pub default_cooldown: u32,
    /// Zones of the subnets, sorted.
    pub zones: Vec<String>,
    pub subnets: Vec<SubnetId>,
    pub target_groups: Vec<String>,
    /// `EC2`, `ELB`… as given.
    pub health_check_types: Vec<String>,
    /// Seconds.
    pub health_check_grace_period: u32,
    /// Seconds.
    pub default_instance_warmup: Option<u32>,
    pub termination_policies: Vec<String>,
    pub new_instances_protected_from_scale_in: bool,
    pub service_linked_role: String,
    pub capacity_rebalance: bool,
    pub max_instance_lifetime: Option<u32>,
    /// `(min, max)` healthy percentage; absent is terminate-then-launch.
    pub maintenance_policy: Option<(i32, i32)>,
    /// `balanced-best-effort` or `balanced-only`.
    pub zone_distribution: String,
    /// It is moved away from a zone when a zonal shift says so.
    #[serde(default)]
    pub zonal_shift: bool,
    /// What becomes of unhealthy members in that zone: `ReplaceUnhealthy` or `IgnoreUnhealthy`.
    #[serde(default)]
    pub impaired_zone_behavior: Option<String>,
    /// The subnets were named; otherwise they are the default ones of the zones.
    pub subnets_named: bool,
    /// `none`, `prevent-force-deletion` or `prevent-all-deletion`.
    pub deletion_protection: String,
    /// Text of the caller's, given back.
    pub context: Option<String>,
    /// What capacities count, where given: `units`, `vcpu` or `memory-mib`.
    pub desired_capacity_type: Option<String>,
    pub suspended_processes: Vec<(String, String)>,
    /// Group metrics that are collected; `1Minute` granularity.
    pub enabled_metrics: Vec<String>,
    pub tags: Vec<GroupTag>,
    pub created: Timestamp,
    /// Deletion was asked for; `Delete in progress` until its instances are gone.
    pub deleting: Option<Timestamp>,
    /// Members, in order of joining. Observed and desired meet here: only the group controller writes it,
    /// besides attach/detach/protection/health actions.
    pub instances: Vec<GroupInstance>,
    /// Why the desired capacity last changed; the next activities quote it as their cause.
    pub last_cause: Option<String>,
    /// Set by the policy that changed capacity last; simple policies wait for it plus the cooldown.
    pub last_scaling: Option<Timestamp>,
    /// Attached target groups in which some target has passed a check once; before that,
    /// ELB health replaces nobody.
    pub target_groups_in_service: Vec<String>,
    /// Measured: the longest an instance took from entering service to its first passing
    /// check, in milliseconds. `--speed` never shrinks this part of a grace period.
    pub measured_boot_ms: Option<i64>,
    /// Template versions it was measured with, the newest last: how long others take to boot
    /// is not known, so their grace period is not shrunk.
    #[serde(default)]
    pub booted_versions: Vec<(LaunchTemplateId, u64)>,
    /// Launch failures in a row, for back-off, and when to try again.
    pub launch_failures: u32,
    pub retry_at: Option<Timestamp>,
    /// The first of them.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// By name.
    pub hooks: Vec<LifecycleHook>,
    /// By topic.
    pub notifications: Vec<GroupNotification>,
    pub warm_pool: Option<WarmPool>,
    /// Instances in the pool: no members yet. Their states read `Warmed:…`.
    pub warm: Vec<GroupInstance>,
}

impl AutoScalingGroup {
    /// Members, and what the warm pool holds.
    pub fn held(&self) -> impl Iterator<Item = &GroupInstance> {
        self.instances.iter().chain(&self.warm)
    }

    pub fn member(&self, id: &InstanceId) -> Option<&GroupInstance> {
        self.instances.iter().find(|m| m.id == *id)
    }

    pub fn held_mut(&mut self) -> impl Iterator<Item = &mut GroupInstance> {
        self.instances.iter_mut().chain(&mut self.warm)
    }
}

/// Instances that have booted once and wait to become members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmPool {
    /// Members and pool together; the group's maximum where absent.
    pub max_prepared: Option<u32>,
    pub min_size: u32,
    /// They run while they wait; otherwise they are stopped.
    pub running: bool,
    /// Members that a scale-in takes out come here.
    pub reuse_on_scale_in: bool,
    /// Asked to go; true is without waiting for hooks.
    pub deleting: Option<bool>,
}

impl WarmPool {
    /// How many it shall hold.
    pub fn size(&self, max_size: u32, desired: u32) -> u32 {
        let prepared = self.max_prepared.unwrap_or(max_size);
        prepared.saturating_sub(desired).max(self.min_size)
    }
}

/// What a topic is told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupNotification {
    pub topic: String,
    /// `autoscaling:EC2_INSTANCE_LAUNCH`…
    pub types: Vec<String>,
}

impl AutoScalingGroup {
    /// A group with AWS's defaults that launches nothing yet.
    pub fn new(
        scope: Scope,
        uuid: &str,
        name: &str,
        template: GroupTemplate,
        created: Timestamp,
    ) -> Self {
        let rest = format_args!("autoScalingGroup:{uuid}:autoScalingGroupName/{name}");
        Self {
            arn: scope.arn("autoscaling", rest),
            name: name.to_owned(),
            template,
            min_size: 0,
            max_size: 0,
            desired_capacity: 0,
            default_cooldown: 300,
            zones: Vec::new(),
            subnets: Vec::new(),
            subnets_named: false,
            target_groups: Vec::new(),
            health_check_types: vec!["EC2".into()],
            health_check_grace_period: 0,
            default_instance_warmup: None,
            termination_policies: vec!["Default".into()],
            new_instances_protected_from_scale_in: false,
            service_linked_role: format!(
                "arn:aws:iam::{}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
                scope.account
            ),
            capacity_rebalance: false,
            max_instance_lifetime: None,
            maintenance_policy: None,
            zone_distribution: "balanced-best-effort".into(),
            zonal_shift: false,
            impaired_zone_behavior: None,
            deletion_protection: "none".into(),
            context: None,
            desired_capacity_type: None,
            suspended_processes: Vec::new(),
            enabled_metrics: Vec::new(),
            tags: Vec::new(),
            created,
            deleting: None,
            instances: Vec::new(),
            last_cause: None,
            last_scaling: None,
            target_groups_in_service: Vec::new(),
            measured_boot_ms: None,
            booted_versions: Vec::new(),
            launch_failures: 0,
            failing_since: None,
            retry_at: None,
            hooks: Vec::new(),
            notifications: Vec::new(),
            warm_pool: None,
            warm: Vec::new(),
            scope,
        }
    }

    /// How long failed health checks of the member do not count. `speed` shrinks it only as far
    /// as it is known how long instances of its template version take to boot.
    pub fn grace_of(&self, member: &GroupInstance, speed: Speed) -> jiff::SignedDuration {
        let (id, _, version) = &member.template;
        let mut known = self.booted_versions.iter();
        let known = known.any(|(t, v)| t == id && v == version);
        let boot = self.measured_boot_ms.filter(|_| known);
        // Twice the longest: a busy machine boots the next one slower.
        let boot = boot.map(|ms| jiff::SignedDuration::from_millis(ms.saturating_mul(2)));
        speed.wait_with_boot(self.health_check_grace_period, boot)
    }

    /// Units that an instance of the type counts, launched from the template.
    pub fn weight_of(&self, template: &GroupTemplate, instance_type: &str) -> u32 {
        let unit = self.desired_capacity_type.as_deref();
        weight_of(template.policy.as_deref(), unit, instance_type)
    }

    /// Instances count other than one.
    pub fn is_weighted(&self) -> bool {
        let unit = self.desired_capacity_type.as_deref();
        unit.is_some_and(|unit| unit != "units")
            || self
                .template
                .policy
                .as_ref()
                .is_some_and(|p| p.is_weighted())
    }

    /// Members weigh what the policy says now.
    pub fn weigh(&mut self) {
        let mut members = std::mem::take(&mut self.instances);
        for member in &mut members {
            member.weight = self.weight_of(&self.template, &member.instance_type);
        }
        self.instances = members;
    }

    pub fn desired_capacity(&self) -> u32 {
        self.desired_capacity
    }

    /// Whoever asks for less has said something about the launches that fail: they may no longer be
    /// wanted, so the day after which Auto Scaling gives them up begins anew.
    pub fn set_desired_capacity(&mut self, desired: u32) {
        if desired < self.desired_capacity {
            self.failing_since = None;
        }
        self.desired_capacity = desired;
    }

    /// Units of the members that count toward the desired capacity.
    pub fn units(&self) -> u32 {
        let counting = self.instances.iter().filter(|m| m.lifecycle.counts());
        counting.map(|m| m.weight).sum()
    }

    /// Nothing is missing, and nobody can go without something missing.
    pub fn has_desired(&self) -> bool {
        let Some(surplus) = self.units().checked_sub(self.desired_capacity) else {
            return false;
        };
        let mut counting = self.instances.iter().filter(|m| m.lifecycle.counts());
        surplus == 0 || counting.all(|m| surplus < m.weight)
    }

    pub fn suspended(&self, process: &str) -> bool {
        self.suspended_processes
            .iter()
            .any(|(name, _)| name == process)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupTemplate {
    pub id: LaunchTemplateId,
    pub name: String,
    /// `$Latest`, `$Default` or a number, as given.
    pub version: String,
    /// The template was given inside a mixed instances policy.
    #[serde(default)]
    pub policy: Option<Box<MixedInstances>>,
    /// Launches from the launch configuration of this name instead; the launch template then
    /// means nothing.
    pub configuration: Option<String>,
}

/// What instances are launched from; it never changes once made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchConfiguration {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// The parameters that a launch template has as well, but no network interfaces.
    pub data: instance::LaunchTemplateData,
    /// For the only interface; the subnet's setting where absent.
    pub associate_public_ip: Option<bool>,
    pub created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupTag {
    pub key: String,
    pub value: String,
    pub propagate_at_launch: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupInstance {
    pub id: InstanceId,
    pub zone: String,
    pub instance_type: String,
    pub lifecycle: LifecycleState,
    /// False is `Unhealthy`: the controller replaces it.
    pub healthy: bool,
    /// What called it unhealthy; chooses the cause sentence.
    pub unhealthy_because: Option<UnhealthyBecause>,
    pub protected_from_scale_in: bool,
    /// Version 0, which no template has: attached by hand and not launched from a template.
    pub template: (LaunchTemplateId, String, u64),
    /// Launched from the launch configuration of this name.
    pub configuration: Option<String>,
    /// Units of the group's capacity that it counts.
    #[serde(default = "one")]
    pub weight: u32,
    /// A Spot Instance; others are on demand.
    #[serde(default)]
    pub spot: bool,
    /// When it entered service; grace and warm-up count from here.
    pub in_service: Option<Timestamp>,
    /// The activity that brings it in or takes it out.
    pub activity: Option<String>,
    /// A target of it has been healthy once in every attached group.
    pub seen_healthy: bool,
    /// Launched above the desired capacity to balance zones; its counterpart goes once it serves.
    pub rebalancing: bool,
    /// Launched ahead of the member whose place it takes: above the desired capacity until that one goes.
    pub replaces: Option<InstanceId>,
    /// What its hooks of the transition that it is in wait for.
    pub actions: Vec<LifecycleAction>,
    /// Has been in the warm pool.
    pub warmed: bool,
    /// Taken out by a scale-in, it goes to the warm pool instead of its end.
    pub to_pool: bool,
    /// No hooks apply on its way: attached, back from standby, or they have been completed.
    pub past_hooks: bool,
    /// The target groups there were when it came into service while `AddToLoadBalancer` was
    /// suspended: whoever wants it in them registers it there.
    #[serde(default)]
    pub left_out: Vec<String>,
}

fn one() -> u32 {
    1
}

/// Holds members on their way in or out until somebody says to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifecycleHook {
    pub name: String,
    pub transition: Transition,
    /// Seconds without a sign of life after which the default result counts.
    pub heartbeat_timeout: u32,
    pub default_result: LifecycleResult,
    /// Text for whoever completes it.
    pub metadata: Option<String>,
    pub target: Option<String>,
    pub role: Option<String>,
    /// Measured: the longest that an action took until it was completed, in milliseconds.
    /// `--speed` never shrinks this part of the timeout.
    pub longest_ms: Option<i64>,
}

impl LifecycleHook {
    /// Seconds; no heartbeat prolongs an action beyond them: 48 hours, or a hundred heartbeats.
    pub fn global_timeout(&self) -> u32 {
        (48 * 3600).min(self.heartbeat_timeout.saturating_mul(100))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    Launching,
    Terminating,
}

impl Transition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleResult {
    Continue,
    Abandon,
}

impl LifecycleResult {
    pub fn name(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// One hook that holds one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifecycleAction {
    /// As it was when the action began: later changes are for later actions.
    pub hook: LifecycleHook,
    /// A UUID.
    pub token: String,
    pub started: Timestamp,
    /// The start, or the last sign of life.
    pub heartbeat: Timestamp,
    pub result: Option<LifecycleResult>,
    /// The result is the default one, because time ran out.
    pub timed_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnhealthyBecause {
    /// Not running.
    Ec2State,
    Ec2StatusCheck,
    LoadBalancer,
    /// `SetInstanceHealth`.
    User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleState {
    Pending,
    PendingWait,
    PendingProceed,
    InService,
    /// Deregistering from its target groups.
    Terminating,
    TerminatingWait,
    TerminatingProceed,
    Detaching,
    EnteringStandby,
    Standby,
    /// In the warm pool only, where the other states are those on the way in and out.
    WarmedStopped,
    WarmedRunning,
}

impl LifecycleState {
    /// On its way in.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Self::Pending | Self::PendingWait | Self::PendingProceed
        )
    }

    /// On its way to its end.
    pub fn is_terminating(self) -> bool {
        matches!(
            self,
            Self::Terminating | Self::TerminatingWait | Self::TerminatingProceed
        )
    }

    /// Counts toward the desired capacity.
    pub fn counts(self) -> bool {
        self.is_pending() || self == Self::InService
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::PendingWait => "Pending:Wait",
            Self::PendingProceed => "Pending:Proceed",
            Self::InService => "InService",
            Self::Terminating => "Terminating",
            Self::TerminatingWait => "Terminating:Wait",
            Self::TerminatingProceed => "Terminating:Proceed",
            Self::Detaching => "Detaching",
            Self::EnteringStandby => "EnteringStandby",
            Self::Standby => "Standby",
            Self::WarmedStopped => "Warmed:Stopped",
            Self::WarmedRunning => "Warmed:Running",
        }
    }

    /// As it reads in the warm pool.
    pub fn warm_name(self) -> &'static str {
        match self {
            Self::Pending => "Warmed:Pending",
            Self::PendingWait => "Warmed:Pending:Wait",
            Self::PendingProceed => "Warmed:Pending:Proceed",
            Self::Terminating => "Warmed:Terminating",
            Self::TerminatingWait => "Warmed:Terminating:Wait",
            Self::TerminatingProceed => "Warmed:Terminating:Proceed",
            other => other.name(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    pub arn: String,
    pub scope: Scope,
    pub group: String,
    pub name: String,
    pub enabled: bool,
    pub kind: PolicyKind,
    /// ARNs and names of the alarms that target tracking made.
    pub alarms: Vec<(String, String)>,
    /// `ExecutePolicy` asked for these; the controller runs them.
    #[serde(default)]
    pub executions: Vec<PolicyExecution>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyExecution {
    /// A metric value and the threshold to compare it with; step policies only.
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub honor_cooldown: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PolicyKind {
    Simple {
        adjustment_type: String,
        adjustment: i32,
        min_magnitude: Option<u32>,
        /// Seconds; the group's default when absent.
        cooldown: Option<u32>,
    },
    Step {
        adjustment_type: String,
        min_magnitude: Option<u32>,
        /// Lower bound, upper bound (relative to the threshold), adjustment.
        steps: Vec<(Option<f64>, Option<f64>, i32)>,
        /// Seconds.
        warmup: Option<u32>,
        aggregation: String,
    },
    TargetTracking {
        target: f64,
        disable_scale_in: bool,
        /// Seconds.
        warmup: Option<u32>,
        metric: TrackedMetric,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TrackedMetric {
    /// `ASGAverageCPUUtilization`…, with the resource label of `ALBRequestCountPerTarget`.
    Predefined { kind: String, label: Option<String> },
    Customized {
        namespace: String,
        name: String,
        dimensions: Vec<(String, String)>,
        statistic: String,
        unit: Option<String>,
        period: Option<u32>,
    },
    Math {
        /// As the call had it, for answers; only `api` reads it.
        given: String,
        queries: Vec<cloudwatch::MetricDataQuery>,
        /// Seconds, of all of its metrics.
        period: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    pub group: String,
    pub group_arn: String,
    pub description: String,
    pub cause: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// `InProgress`, `Successful`, `Failed`, `WaitingForELBConnectionDraining`…
    pub status: String,
    pub status_message: Option<String>,
    /// 0–100.
    pub progress: u8,
    /// JSON text with `Subnet ID` and `Availability Zone`.
    pub details: String,
}

/// Sizes that a group takes on at a time, once or again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledAction {
    pub arn: String,
    pub scope: Scope,
    pub group: String,
    pub name: String,
    /// Cron's five fields; absent is once.
    pub recurrence: Option<String>,
    /// IANA name; UTC where absent.
    pub time_zone: Option<String>,
    pub end: Option<Timestamp>,
    pub min_size: Option<u32>,
    pub max_size: Option<u32>,
    pub desired_capacity: Option<u32>,
    /// When the schedule says to run next, on the calendar.
    pub next: Timestamp,
    /// When it was put. `--speed N` shortens the wait from here to `next`, so that all runs
    /// of a recurrence keep their distances on the calendar.
    pub put: Timestamp,
}

impl ScheduledAction {
    /// The end is past when the next run is due.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end < self.next)
    }
}
