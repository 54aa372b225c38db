//! The warm pool: instances that boot once, wait, and become members when some are missing.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html`.

use super::super::facts::Fact;
use super::size::by_fewest;
use super::{LaunchWhy, Planner, Step, TerminateWhy};
use model::autoscaling::{GroupInstance, LifecycleState as L, Transition, UnhealthyBecause};
use model::instance::InstanceState;
use model::instance_refresh::RefreshStatus;

impl<'a> Planner<'a> {
    /// Warmed instances that can become members at once.
    pub(super) fn warmed(&self) -> Vec<&'a GroupInstance> {
        let group = self.group;
        let pool = group.warm_pool.as_ref();
        if pool.is_none_or(|p| p.deleting.is_some()) {
            return Vec::new();
        }
        // What a refresh is about to replace joins nobody.
        let old = |m: &GroupInstance| {
            self.refresh.is_some_and(|r| {
                r.status != RefreshStatus::Cancelling && r.replace_warm.contains(&m.id)
            }) || self.terminates(&m.id)
        };
        let warm = group.warm.iter().filter(|m| m.healthy && !old(m));
        warm.filter(|m| {
            let state = self.facts.get(&m.id).and_then(|f| f.state);
            match m.lifecycle {
                L::WarmedStopped => state == Some(InstanceState::Stopped),
                L::WarmedRunning => state == Some(InstanceState::Running),
                _ => false,
            }
        })
        .collect()
    }

    pub(super) fn pool(&mut self) {
        for member in &self.group.warm {
            let Some(fact) = self.facts.get(&member.id) else {
                continue;
            };
            let ill = !member.healthy && !self.suspended("ReplaceUnhealthy");
            match member.lifecycle {
                _ if self.terminates(&member.id) => {}
                state if state.is_terminating() => self.going(member, fact),
                _ if ill => self.steps.push(Step::Terminate {
                    id: member.id.clone(),
                    why: TerminateWhy::Unhealthy(
                        member.unhealthy_because.unwrap_or(UnhealthyBecause::User),
                    ),
                }),
                state if state.is_pending() => self.warming(member, fact),
                L::WarmedRunning if fact.state == Some(InstanceState::Running) => {}
                L::WarmedStopped if !ended(fact) => {}
                _ => self.steps.push(Step::Terminate {
                    id: member.id.clone(),
                    why: TerminateWhy::Unhealthy(UnhealthyBecause::Ec2State),
                }),
            }
        }
        self.pool_size();
    }

    fn warming(&mut self, member: &GroupInstance, fact: &Fact) {
        let running = self.group.warm_pool.as_ref().is_some_and(|p| p.running);
        let id = member.id.clone();
        let step = match (fact.state, member.lifecycle) {
            _ if ended(fact) => Step::LaunchFailed(id),
            (Some(InstanceState::Running), L::PendingWait) => return self.wait(member),
            (Some(InstanceState::Running), L::Pending)
                if self.held_by_hooks(member, Transition::Launching) =>
            {
                Step::AwaitHooks(id, Transition::Launching)
            }
            (Some(InstanceState::Running), _) if running => Step::Warmed(id, L::WarmedRunning),
            (Some(InstanceState::Running), _) => Step::Chill(id),
            (Some(InstanceState::Stopped), _) => Step::Warmed(id, L::WarmedStopped),
            _ => return,
        };
        self.steps.push(step);
    }

    /// Members that a scale-in sends here, by this plan or an earlier one: nothing is launched
    /// in their place while they drain.
    fn incoming(&self) -> usize {
        let pool = self.group.warm_pool.as_ref();
        let reuse = pool.is_some_and(|p| p.reuse_on_scale_in);
        let sent = |m: &&GroupInstance| {
            let by_plan = |s: &Step| matches!(s, Step::Terminate { id, why: TerminateWhy::Capacity } if *id == m.id);
            m.to_pool || reuse && self.steps.iter().any(by_plan)
        };
        self.group.instances.iter().filter(sent).count()
    }

    fn pool_size(&mut self) {
        let group = self.group;
        let leaves = |m: &GroupInstance| {
            let named = |s: &Step| matches!(s, Step::Terminate { id, .. } | Step::LaunchFailed(id) | Step::Abandon(id) | Step::FromPool { id, .. } if *id == m.id);
            m.lifecycle.is_terminating() || self.steps.iter().any(named)
        };
        let staying: Vec<&GroupInstance> = group.warm.iter().filter(|m| !leaves(m)).collect();
        let pool = group.warm_pool.as_ref();
        let going = group.deleting.is_some() || pool.is_none_or(|p| p.deleting.is_some());
        let wanted = match pool {
            Some(pool) if !going => pool.size(group.max_size, group.desired_capacity()) as usize,
            _ => 0,
        };
        if going && pool.is_some() && group.warm.is_empty() {
            return self.steps.push(Step::PoolGone);
        }
        if staying.len() > wanted && (going || !self.suspended("Terminate")) {
            // Those that joined last have warmed least.
            let surplus = staying[wanted..].iter().map(|m| Step::Terminate {
                id: m.id.clone(),
                why: TerminateWhy::Warm,
            });
            return self.steps.extend(surplus);
        }
        let held = staying.len() + self.incoming();
        if held >= wanted || self.turned || self.suspended("Launch") {
            return;
        }
        if let Some(at) = group.retry_at.filter(|at| self.now < *at) {
            return self.look_again(at);
        }
        let failed = |s: &Step| matches!(s, Step::LaunchFailed(_) | Step::Abandon(_));
        if self.steps.iter().any(failed) {
            return;
        }
        let mut per_zone = self.open_zones();
        let members = group.instances.iter().filter(|m| m.lifecycle.counts());
        for member in members.chain(staying.iter().copied()) {
            if let Some(count) = per_zone.get_mut(member.zone.as_str()) {
                *count += 1;
            }
        }
        for _ in held..wanted {
            let zones = by_fewest(&per_zone);
            if let Some(count) = zones.first().and_then(|z| per_zone.get_mut(z.as_str())) {
                *count += 1;
            }
            self.launch(zones, LaunchWhy::Warm, None);
        }
    }
}

/// The instance is gone, or on its way.
fn ended(fact: &Fact) -> bool {
    matches!(
        fact.state,
        None | Some(InstanceState::Terminated | InstanceState::ShuttingDown)
    )
}
