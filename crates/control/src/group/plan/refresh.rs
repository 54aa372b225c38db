//! An instance refresh: what it replaces next, how far it is, and when it ends.
//!
//! Source: `reference/autoscaling.md` §10
//! (`https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-instance-refresh.html`).
//! Where the texts of a status are AWS's, captures show them; the others are ours.

use super::roll::limits;
use super::{LaunchWhy, Planner, Step, TerminateWhy, units};
use jiff::Timestamp;
use model::InstanceId;
use model::autoscaling::{GroupInstance, LifecycleState as L};
use model::instance_refresh::{HeldBack, InstanceRefresh, RefreshStatus as S};

/// Nothing got done, or somebody is protected, for that many seconds: it fails.
const STUCK_SECS: u32 = 3600;
/// AWS's default for refreshes with checkpoints.
const CHECKPOINT_DELAY_SECS: u32 = 3600;
const WHY: (LaunchWhy, TerminateWhy) = (LaunchWhy::Refresh, TerminateWhy::Refresh);

impl<'a> Planner<'a> {
    pub(super) fn refresh(&mut self) {
        let Some(before) = self.refresh else { return };
        let mut refresh = before.clone();
        if self.group.deleting.is_some() {
            let why = "The Auto Scaling group is deleted.".to_owned();
            end(&mut refresh, S::Cancelled, Some(why), self.now);
        } else {
            if refresh.status == S::Pending {
                self.start(&mut refresh);
            }
            match refresh.status {
                S::InProgress | S::RollbackInProgress => self.replace_some(&mut refresh),
                S::Baking => self.bake(&mut refresh),
                S::Cancelling => self.cancel(&mut refresh),
                _ => {}
            }
        }
        self.turned = refresh.template() != before.template();
        if refresh != *before {
            let step = Step::Refresh(Box::new((before.clone(), refresh)));
            self.steps.push(step);
        }
    }

    /// Seconds that a new member warms up.
    fn warmup(&self, refresh: &InstanceRefresh) -> u32 {
        refresh
            .preferences
            .warmup
            .or(self.group.default_instance_warmup)
            .unwrap_or(self.group.health_check_grace_period)
    }

    fn start(&mut self, refresh: &mut InstanceRefresh) {
        let staying = |m: &&GroupInstance| !m.lifecycle.is_terminating();
        let ids = |members: &[GroupInstance]| -> Vec<InstanceId> {
            let staying = members.iter().filter(staying);
            staying.map(|m| m.id.clone()).collect()
        };
        refresh.replace = ids(&self.group.instances);
        refresh.replace_warm = ids(&self.group.warm);
        refresh.present = [&refresh.replace[..], &refresh.replace_warm].concat();
        refresh.to_update = refresh.replace.len() as u32;
        (refresh.status, refresh.started) = (S::InProgress, Some(self.now));
        refresh.progressed = self.now;
    }

    /// Members that are still to go, and those that are held back.
    fn remaining(&self, refresh: &InstanceRefresh) -> Remaining<'a> {
        let rolls_back = refresh.status == S::RollbackInProgress;
        let preferences = &refresh.preferences;
        let group = self.group;
        let mut remaining = Remaining::default();
        let listed = group
            .instances
            .iter()
            .filter(|m| refresh.replace.contains(&m.id));
        for member in listed {
            let in_standby = member.lifecycle == L::Standby && !self.terminates(&member.id);
            if self.leaving(member) && !in_standby {
                continue;
            }
            if preferences.skip_matching && !rolls_back && self.matches(member) {
                continue;
            }
            let way = match (in_standby, member.protected_from_scale_in) {
                // What a refresh has launched is always taken back.
                _ if rolls_back => HeldBack::Replace,
                (true, _) => preferences.standby,
                (_, true) => preferences.protected,
                _ => HeldBack::Replace,
            };
            match way {
                HeldBack::Replace => remaining.open.push(member),
                HeldBack::Wait => remaining.waiting.push(member),
                HeldBack::Ignore => remaining.ignored.push(member),
            }
        }
        remaining
    }

    fn matches(&self, member: &GroupInstance) -> bool {
        let (id, _, version) = &member.template;
        let (now, newest) = self.current.of(&member.instance_type);
        let policy = self.template.policy.as_ref();
        member.configuration == self.template.configuration
            && (id, version) == (now, newest)
            // Of no type that is launched any more, it is replaced as well.
            && policy.is_none_or(|p| {
                p.overrides.is_empty() || p.override_of(&member.instance_type).is_some()
            })
    }

    fn replace_some(&mut self, refresh: &mut InstanceRefresh) {
        let rolls_back = refresh.status == S::RollbackInProgress;
        if let Some(why) = self.alarmed().filter(|_| !rolls_back) {
            return self.fail(refresh, why);
        }
        let warmup = self.warmup(refresh);
        if rolls_back {
            self.take_back_surplus(refresh);
        }
        self.hand_over(warmup, |old| {
            let ours = refresh.replace.contains(&old.id);
            ours.then_some(TerminateWhy::Refresh)
        });
        let remaining = self.remaining(refresh);
        let left = self.progress(refresh, &remaining, warmup);
        let warm_left = self.replace_warm(refresh);
        if left == 0 && warm_left == 0 {
            return self.complete(refresh);
        }
        if self.at_checkpoint(refresh) {
            return;
        }
        let stuck_at = refresh.progressed
            + self.speed.wait(STUCK_SECS)
            + self.speed.wait_with_boot(warmup, self.boot());
        if stuck_at <= self.now {
            let why = match remaining.waiting.first() {
                Some(m) => format!(
                    "Instances stayed protected from scale in or in Standby for one hour. For example: {}.",
                    m.id
                ),
                None => "No instance could be replaced for one hour: new instances cannot be launched or do not become healthy.".to_owned(),
            };
            return self.fail(refresh, why);
        }
        self.look_again(stuck_at);
        if let Some(process) = self.held_up() {
            refresh.reason = Some(format!("The {process} process is suspended."));
            return;
        }
        let preferences = &refresh.preferences;
        let desired = self.group.desired_capacity() as usize;
        let mut limits = limits(desired, preferences.min_healthy, preferences.max_healthy);
        // Nothing holds up the way back.
        let checkpoint = preferences.checkpoints.get(refresh.checkpoints);
        if let Some(percent) = checkpoint.filter(|_| !rolls_back) {
            limits.quota = self.quota(*percent, &remaining);
        }
        self.roll(&remaining.open, limits, warmup, WHY);
    }

    /// The process without which it replaces nobody, where one is suspended.
    fn held_up(&self) -> Option<&'static str> {
        let mut processes = ["InstanceRefresh", "Launch", "Terminate"].into_iter();
        processes.find(|p| self.suspended(p))
    }

    /// Those of the warm pool serve nobody, so they go all at once, and the pool fills up from
    /// what is launched now; gives how many are left.
    fn replace_warm(&mut self, refresh: &mut InstanceRefresh) -> usize {
        let group = self.group;
        let rolls_back = refresh.status == S::RollbackInProgress;
        let skips = refresh.preferences.skip_matching && !rolls_back;
        let left: Vec<&GroupInstance> = group
            .warm
            .iter()
            .filter(|m| refresh.replace_warm.contains(&m.id))
            .filter(|m| !(skips && self.matches(m)))
            .collect();
        if left.len() as u32 != refresh.warm_left {
            refresh.warm_left = left.len() as u32;
            refresh.progressed = self.now;
        }
        let held_up = self.held_up().is_some();
        for member in left.iter().filter(|m| !m.lifecycle.is_terminating()) {
            // Who is on the way from the pool is a member by the next plan.
            if !held_up {
                self.steps.push(Step::Terminate {
                    id: member.id.clone(),
                    why: TerminateWhy::Refresh,
                });
            }
        }
        left.len()
    }

    fn alarmed(&self) -> Option<String> {
        let alarm = self.refresh_alarms.first()?;
        Some(format!("CloudWatch alarm {alarm} is in ALARM state."))
    }

    /// What was launched ahead of a member that now stays is not needed any more.
    fn take_back_surplus(&mut self, refresh: &InstanceRefresh) {
        if self.suspended("Terminate") {
            return;
        }
        for member in self.remaining(refresh).open {
            if self.is_ahead(member) {
                self.steps.push(Step::Terminate {
                    id: member.id.clone(),
                    why: TerminateWhy::Refresh,
                });
            }
        }
    }

    /// Notes how far it is; replacements that are outstanding.
    fn progress(
        &mut self,
        refresh: &mut InstanceRefresh,
        remaining: &Remaining<'a>,
        warmup: u32,
    ) -> usize {
        let mut ready = 0;
        let mut late = Vec::new();
        for member in self.active() {
            if remaining.has(member) {
                continue;
            }
            match self.ready(member, warmup) {
                true => ready += member.weight as usize,
                false => late.push(member),
            }
        }
        let base = self.base(remaining);
        let left = units(remaining.open.iter().chain(&remaining.waiting).copied());
        let outstanding = left.max(base.saturating_sub(ready));
        let members = remaining.open.len() + remaining.waiting.len();
        let (percent, to_update) = match &refresh.rollback {
            Some(rollback) => {
                let all = refresh.replace.len();
                let percent = usize::from(rollback.percent) * members / all.max(1);
                // What had begun when it turned was still to be updated, and may be taken back since.
                let to_update = rollback.to_update as usize + all - members.min(all);
                (percent, to_update.min(base))
            }
            None => {
                let done = base - outstanding.min(base);
                let percent = (100 * done).checked_div(base).unwrap_or(100);
                // Percentages are of units, but it is instances that are counted.
                let left = if self.group.is_weighted() {
                    members + late.len()
                } else {
                    outstanding
                };
                (percent, left)
            }
        };
        if (percent as u8, to_update as u32) != (refresh.percent, refresh.to_update) {
            (refresh.percent, refresh.to_update) = (percent as u8, to_update as u32);
            refresh.progressed = self.now;
        }
        refresh.reason = match (late.first(), remaining.waiting.first()) {
            (Some(m), _) if m.lifecycle == L::InService => Some(format!(
                "Waiting for instances to warm up before continuing. For example: {} is warming up.",
                m.id
            )),
            (Some(m), _) => Some(format!(
                "Waiting for instances to enter service before continuing. For example: {} is {}.",
                m.id,
                m.lifecycle.name()
            )),
            (None, Some(m)) => Some(format!(
                "Waiting for instances that are protected from scale in or in Standby. For example: {}.",
                m.id
            )),
            (None, None) => None,
        };
        outstanding
    }

    /// Members that shall be as the refresh wants them in the end.
    fn base(&self, remaining: &Remaining<'a>) -> usize {
        let ignored = remaining.ignored.iter().filter(|m| !self.leaving(m));
        let ignored = units(ignored.copied());
        (self.group.desired_capacity() as usize).saturating_sub(ignored)
    }

    /// Replacements that may begin before the checkpoint.
    fn quota(&self, percent: u32, remaining: &Remaining<'a>) -> usize {
        let base = self.base(remaining);
        let paired = self.paired();
        let open = remaining.open.iter().filter(|m| !paired.contains(&m.id));
        let untouched = units(open.chain(&remaining.waiting).copied());
        let allowed = (base * percent as usize).div_ceil(100);
        allowed.saturating_sub(base.saturating_sub(untouched))
    }

    /// Whether a checkpoint holds it up; the last one ends it.
    fn at_checkpoint(&mut self, refresh: &mut InstanceRefresh) -> bool {
        if refresh.status != S::InProgress {
            return false;
        }
        let preferences = refresh.preferences.clone();
        if let Some(until) = refresh.paused_until {
            if self.now < until {
                refresh.reason = Some(checkpoint_text(
                    &preferences.checkpoints,
                    refresh.checkpoints,
                ));
                refresh.progressed = self.now.max(refresh.progressed);
                self.look_again(until);
                return true;
            }
            refresh.checkpoints += 1;
            (refresh.paused_until, refresh.progressed) = (None, self.now);
        }
        let Some(percent) = preferences.checkpoints.get(refresh.checkpoints) else {
            return false;
        };
        if u32::from(refresh.percent) < *percent {
            return false;
        }
        if refresh.checkpoints + 1 == preferences.checkpoints.len() {
            self.complete(refresh);
        } else {
            let delay = preferences
                .checkpoint_delay
                .unwrap_or(CHECKPOINT_DELAY_SECS);
            let until = self.now + self.speed.wait(delay);
            refresh.paused_until = Some(until);
            refresh.reason = Some(checkpoint_text(
                &preferences.checkpoints,
                refresh.checkpoints,
            ));
            self.look_again(until);
        }
        true
    }

    fn complete(&mut self, refresh: &mut InstanceRefresh) {
        match (refresh.status, refresh.preferences.bake_time) {
            (S::RollbackInProgress, _) => end(refresh, S::RollbackSuccessful, None, self.now),
            (S::InProgress, Some(seconds)) if 0 < seconds => {
                let until = self.now + self.speed.wait(seconds);
                (refresh.status, refresh.bakes_until) = (S::Baking, Some(until));
                refresh.reason = Some(format!("Waiting for the bake time of {seconds} seconds."));
                self.look_again(until);
            }
            _ => end(refresh, S::Successful, None, self.now),
        }
    }

    fn bake(&mut self, refresh: &mut InstanceRefresh) {
        if let Some(why) = self.alarmed() {
            return self.fail(refresh, why);
        }
        match refresh.bakes_until {
            Some(until) if self.now < until => self.look_again(until),
            _ => end(refresh, S::Successful, None, self.now),
        }
    }

    /// Replacements that have begun are seen through, where that was asked for.
    fn cancel(&mut self, refresh: &mut InstanceRefresh) {
        let warmup = self.warmup(refresh);
        if refresh.waits_for_transitions {
            self.hand_over(warmup, |old| {
                let ours = refresh.replace.contains(&old.id);
                ours.then_some(TerminateWhy::Refresh)
            });
        }
        let remaining = self.remaining(refresh);
        self.progress(refresh, &remaining, warmup);
        let in_transition = |m: &GroupInstance| {
            m.lifecycle.is_pending()
                || m.lifecycle.is_terminating()
                || self.terminates(&m.id)
                || self.is_ahead(m)
        };
        let waits = refresh.waits_for_transitions && self.group.instances.iter().any(in_transition);
        if !waits {
            let why = "Cancelled due to user request.".to_owned();
            end(refresh, S::Cancelled, Some(why), self.now);
        }
    }

    fn fail(&mut self, refresh: &mut InstanceRefresh, why: String) {
        let rolls_back = refresh.status == S::RollbackInProgress;
        if rolls_back {
            end(refresh, S::RollbackFailed, Some(why), self.now);
        } else if refresh.preferences.auto_rollback && refresh.reversible() {
            let why = format!("Automatic rollback: {why}");
            refresh.roll_back(self.group, why, self.now);
        } else {
            end(refresh, S::Failed, Some(why), self.now);
        }
    }
}

fn end(refresh: &mut InstanceRefresh, status: S, reason: Option<String>, now: Timestamp) {
    refresh.status = status;
    refresh.reason = reason;
    refresh.ended = Some(now);
    (refresh.paused_until, refresh.bakes_until) = (None, None);
}

fn checkpoint_text(percentages: &[u32], passed: usize) -> String {
    let percent = percentages.get(passed).copied().unwrap_or(100);
    format!("Waiting at the checkpoint of {percent} percent before continuing.")
}

#[derive(Default)]
struct Remaining<'a> {
    open: Vec<&'a GroupInstance>,
    /// For somebody to end their protection or standby.
    waiting: Vec<&'a GroupInstance>,
    ignored: Vec<&'a GroupInstance>,
}

impl Remaining<'_> {
    fn has(&self, member: &GroupInstance) -> bool {
        let mut all = self.open.iter().chain(&self.waiting).chain(&self.ignored);
        all.any(|m| m.id == member.id)
    }
}
