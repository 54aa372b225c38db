//! Launches, where they go when a zone has no room, and how long to wait after failures.

use super::super::at;
use super::super::fleet::{self, Choice, Fleet};
use super::super::plan::LaunchWhy;
use super::notify::Told;
use super::{Apply, settle_cause};
use model::autoscaling::{Activity, AutoScalingGroup, GroupInstance, LifecycleState};
use model::event::Severity;
use model::instance::{Instance, LaunchError, TemplateLaunch};
use model::{InstanceId, LaunchTemplateId, SubnetId, Tags};

/// Waits between launches that fail, in seconds: doubled each time up to the last (assumption; AWS gives no figures).
const BACK_OFF: [u32; 5] = [10, 20, 40, 80, 160];
/// For so long launches fail before they are given up.
const FAILING_SECS: u32 = 24 * 3600;

/// The facts of one launch.
struct Launched<'a> {
    id: InstanceId,
    zone: &'a str,
    subnet: &'a SubnetId,
    /// With the version that was used.
    template: (LaunchTemplateId, String, u64),
    why: LaunchWhy,
    replaces: Option<InstanceId>,
}

impl Apply<'_> {
    pub(super) fn launch(
        &mut self,
        group: &AutoScalingGroup,
        zones: &[String],
        why: LaunchWhy,
        replaces: Option<InstanceId>,
    ) {
        let now = self.now;
        // A launch of this same plan failed: the others wait as well.
        if why != LaunchWhy::Rebalance && group.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let template = self.template.clone();
        let policy = template.policy.as_deref();
        let max_price = policy.and_then(|p| p.spot_max_price.clone());
        let mut fleet = Fleet::new(group, &template, fleet::staying(group));
        let replaced = replaces.as_ref().and_then(|id| group.member(id));
        replaced.into_iter().for_each(|m| fleet.lose(m));
        let mut failed = false;
        for zone in zones {
            let Some(subnet) = group
                .subnets
                .iter()
                .find(|s| self.tx.subnets.get(*s).is_some_and(|s| s.zone == *zone))
                .cloned()
            else {
                continue;
            };
            let mut failures = Vec::new();
            let choices = fleet.choices(zone);
            for choice in choices {
                let from = self.source(&choice);
                let request = TemplateLaunch {
                    template: from.0.clone(),
                    version: from.2.clone(),
                    configuration: self.template.configuration.clone(),
                    subnet: subnet.clone(),
                    instance_type: choice.instance_type.map(str::to_owned),
                    image: choice.by.and_then(|o| o.image.clone()),
                    spot: choice.spot,
                    spot_max_price: max_price.clone(),
                    tags: tags(group),
                };
                match (self.launcher)(self.tx, &group.scope, &request, now) {
                    Ok((id, version)) => {
                        let launched = Launched {
                            id,
                            zone,
                            subnet: &subnet,
                            template: (from.0, from.1, version),
                            why,
                            replaces,
                        };
                        return self.launched(group, launched);
                    }
                    Err(failure) => failures.push((choice.spot, failure)),
                }
            }
            let elsewhere = failures.iter().any(|(_, f)| of_zone(f));
            if let Some((spot, failure)) = failures.into_iter().next() {
                let failure = self.said(spot, failure);
                let cause = self.launch_cause(group, why);
                self.launch_failed(group, zone, subnet.as_str(), cause, &failure);
                failed = true;
            }
            // Best effort: capacity is asked for elsewhere; other failures are the same everywhere.
            if !elsewhere || group.zone_distribution == "balanced-only" {
                break;
            }
        }
        match why {
            _ if !failed => {}
            LaunchWhy::Rebalance => self.put_off_rebalancing(),
            _ => self.back_off(),
        }
    }

    /// The template that the choice launches from: id, name and version as given.
    fn source(&self, choice: &Choice<'_>) -> (LaunchTemplateId, String, String) {
        let group = &self.template;
        let own = || (group.id.clone(), group.name.clone(), group.version.clone());
        choice
            .by
            .and_then(|o| o.template.clone())
            .unwrap_or_else(own)
    }

    /// Mixed groups tell a failure in a form of their own.
    fn said(&self, spot: bool, failure: LaunchError) -> LaunchError {
        if self.template.policy.is_none() {
            return failure;
        }
        let market = if spot { "Spot" } else { "On-Demand" };
        let LaunchError { code, message } = failure;
        LaunchError {
            message: format!("Could not launch {market} Instances. {code} - {message}"),
            code,
        }
    }

    /// Why an instance is launched, or taken from the warm pool.
    pub(super) fn launch_cause(&self, group: &AutoScalingGroup, why: LaunchWhy) -> String {
        let now = self.now;
        match why {
            LaunchWhy::Replacement => at(
                now,
                "an instance was launched in response to an unhealthy instance needing to be replaced.",
            ),
            LaunchWhy::Refresh => at(
                now,
                "an instance was launched in response to an instance refresh.",
            ),
            // Wordings are assumptions: the captures at hand show none.
            LaunchWhy::Lifetime => at(
                now,
                "an instance was launched in response to an instance that reached its maximum lifetime.",
            ),
            LaunchWhy::Recommendation => at(
                now,
                "an instance was launched in response to an EC2 instance rebalance recommendation.",
            ),
            LaunchWhy::Rebalance => {
                let zones = self.zones(group);
                let count = |zone: &String| {
                    let there = |m: &&GroupInstance| {
                        m.zone == *zone && m.lifecycle.counts() && !m.rebalancing
                    };
                    group.instances.iter().filter(there).count().to_string()
                };
                let counts: Vec<String> = zones.iter().map(count).collect();
                at(
                    now,
                    &format!(
                        "availability zones {} had {} instances respectively. An instance was launched to aid in balancing the group's zones.",
                        zones.join(" "),
                        counts.join(" ")
                    ),
                )
            }
            // Wording is an assumption as well.
            LaunchWhy::Warm => at(
                now,
                "an instance was launched in response to a difference between desired and actual size of the warm pool.",
            ),
            LaunchWhy::Capacity => {
                let (from, to) = (self.capacity, group.desired_capacity());
                let follow = at(
                    now,
                    &format!(
                        "an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {from} to {to}."
                    ),
                );
                match &group.last_cause {
                    Some(cause) => format!("{cause}  {follow}"),
                    None => follow,
                }
            }
        }
    }

    /// Where the group launches, in order of their names.
    fn zones(&self, group: &AutoScalingGroup) -> Vec<String> {
        let subnets = group.subnets.iter();
        let zones = subnets.filter_map(|s| Some(self.tx.subnets.get(s)?.zone.clone()));
        let zones: std::collections::BTreeSet<String> = zones.collect();
        zones.into_iter().collect()
    }

    /// An attempt to balance the zones came to nothing. It waits on its own, so that capacity
    /// which is missing meanwhile does not.
    pub(super) fn put_off_rebalancing(&mut self) {
        let (now, speed) = (self.now, self.speed);
        let (failures, until) = self.rebalancing.entry(self.key.clone()).or_insert((0, now));
        *until = now + speed.wait(BACK_OFF[(*failures).min(BACK_OFF.len() - 1)]);
        *failures += 1;
    }

    fn launched(&mut self, group: &AutoScalingGroup, launched: Launched<'_>) {
        let Launched {
            id,
            zone,
            subnet,
            template,
            why,
            replaces,
        } = launched;
        let instance = self.tx.get::<Instance>(&id);
        let (instance_type, spot) = instance
            .map(|i| (i.instance_type.clone(), i.spot.is_some()))
            .unwrap_or_default();
        let weight = group.weight_of(&self.template, &instance_type);
        let cause = self.launch_cause(group, why);
        let activity = self.activity(
            group,
            match why {
                LaunchWhy::Warm => format!("Launching a new EC2 instance into warm pool: {id}"),
                _ => format!("Launching a new EC2 instance: {id}"),
            },
            cause,
            subnet.as_str(),
            zone,
            "InProgress",
        );
        let member = GroupInstance {
            id,
            zone: zone.to_owned(),
            instance_type,
            lifecycle: LifecycleState::Pending,
            healthy: true,
            unhealthy_because: None,
            protected_from_scale_in: group.new_instances_protected_from_scale_in,
            template,
            configuration: self.template.configuration.clone(),
            weight,
            spot,
            in_service: None,
            activity: Some(activity),
            seen_healthy: false,
            rebalancing: why == LaunchWhy::Rebalance,
            replaces,
            actions: Vec::new(),
            to_pool: false,
            warmed: false,
            past_hooks: false,
            left_out: Vec::new(),
        };
        self.group(|g| {
            if why == LaunchWhy::Warm {
                g.warm.push(member);
            } else {
                g.instances.push(member);
                settle_cause(g);
            }
        });
    }

    pub(super) fn launch_failed(
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
            a.ended = Some(now.max(a.started));
            a.progress = 100;
        });
        self.notify(group, Told::LaunchError, "", Some(&id));
        self.event(Severity::Warning, message);
    }

    pub(super) fn back_off(&mut self) {
        let (now, speed) = (self.now, self.speed);
        self.group(|g| {
            let wait = BACK_OFF[(g.launch_failures as usize).min(BACK_OFF.len() - 1)];
            g.launch_failures += 1;
            g.retry_at = Some(now + speed.wait(wait));
            g.failing_since.get_or_insert(now);
            // The attempt that failed has told why it was made.
            g.last_cause = None;
        });
        self.give_up();
    }

    /// As AWS does with groups whose launches have failed for a day: an administrative suspension,
    /// which whoever has mended the cause ends by `ResumeProcesses`. Its wording is an assumption.
    fn give_up(&mut self) {
        let Some(group) = self.tx.get::<AutoScalingGroup>(&self.key) else {
            return;
        };
        let (now, day) = (self.now, self.speed.wait(FAILING_SECS));
        if group.suspended("Launch") || group.failing_since.is_none_or(|since| now < since + day) {
            return;
        }
        let at = now.strftime("%Y-%m-%dT%H:%M:%SZ");
        let reason = format!(
            "Administratively suspended at {at}: no launch has succeeded for more than 24 hours"
        );
        let message = format!("Launch: {reason}");
        self.group(|g| g.suspended_processes.push(("Launch".into(), reason)));
        self.event(Severity::Warning, message);
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

/// The zone has no room, or none for instances of this type: another may.
fn of_zone(failure: &LaunchError) -> bool {
    match failure.code.as_str() {
        "InsufficientInstanceCapacity" => true,
        "Unsupported" => failure.message.contains("Availability Zone"),
        _ => false,
    }
}
