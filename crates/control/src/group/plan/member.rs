//! Members move on as their instances do.

use super::super::facts::Fact;
use super::{Planner, Step, TerminateWhy};
use model::autoscaling::{GroupInstance, LifecycleState as L, Transition, UnhealthyBecause};
use model::instance::InstanceState;

impl Planner<'_> {
    pub(super) fn members(&mut self) {
        for member in &self.group.instances {
            let Some(fact) = self.facts.get(&member.id) else {
                continue;
            };
            match member.lifecycle {
                state if state.is_pending() => self.coming(member, fact),
                L::InService => self.serving(member, fact),
                state if state.is_terminating() => self.going(member, fact),
                L::EnteringStandby if fact.drained() => {
                    self.steps.push(Step::StandBy(member.id.clone()));
                }
                L::Detaching if fact.drained() => self.steps.push(Step::Detach(member.id.clone())),
                _ => {}
            }
        }
    }

    fn coming(&mut self, member: &GroupInstance, fact: &Fact) {
        let id = member.id.clone();
        match fact.state {
            None | Some(InstanceState::Terminated | InstanceState::ShuttingDown) => {
                self.steps.push(Step::LaunchFailed(id));
            }
            Some(InstanceState::Running) => match member.lifecycle {
                L::PendingWait => self.wait(member),
                L::Pending if self.held_by_hooks(member, Transition::Launching) => {
                    self.steps.push(Step::AwaitHooks(id, Transition::Launching));
                }
                _ => {
                    self.steps.push(Step::EnterService(id));
                    // With it, so that nobody sees a member in service whose target health is unknown:
                    // Terraform's `wait_for_elb_capacity` takes such a one for healthy.
                    // What a suspension left it out of when it was last in service counts no more.
                    self.join(member, fact, &[]);
                }
            },
            // It ended on its way in, while a hook held it perhaps: nobody else would look.
            Some(InstanceState::Stopping | InstanceState::Stopped)
                if !self.suspended("Terminate") =>
            {
                let why = TerminateWhy::Unhealthy(UnhealthyBecause::Ec2State);
                self.steps.push(Step::Terminate { id, why });
            }
            _ => {}
        }
    }

    fn serving(&mut self, member: &GroupInstance, fact: &Fact) {
        if fact.state == Some(InstanceState::Running) {
            self.join(member, fact, &member.left_out);
        }
    }

    /// Registers a member where it is missing, but for the target groups that it is left out of.
    fn join(&mut self, member: &GroupInstance, fact: &Fact, left_out: &[String]) {
        if self.suspended("AddToLoadBalancer") {
            return;
        }
        for target_group in &self.group.target_groups {
            if !left_out.contains(target_group)
                && !fact.registered_in.contains(target_group)
                && !fact.draining_in.contains(target_group)
            {
                self.steps.push(Step::Register {
                    id: member.id.clone(),
                    target_group: target_group.clone(),
                });
            }
        }
    }

    /// Drained first, then the hooks, then the instance ends.
    pub(super) fn going(&mut self, member: &GroupInstance, fact: &Fact) {
        let id = member.id.clone();
        let pool = self.group.warm_pool.as_ref();
        let pool_forced = pool.is_some_and(|p| p.deleting == Some(true));
        let warm = self.group.warm.iter().any(|m| m.id == id);
        let forced = self.group.deleting.is_some() || (warm && pool_forced);
        let drained = fact.drained();
        match (member.lifecycle, fact.state) {
            (_, None) => self.steps.push(Step::Leave(id)),
            (L::TerminatingWait, _) if forced => self.steps.push(Step::Proceed(id)),
            (L::TerminatingWait, _) => self.wait(member),
            // Also of an instance that is gone already: whoever completes the hook saves what is left.
            (L::Terminating, _)
                if drained && !forced && self.held_by_hooks(member, Transition::Terminating) =>
            {
                self.steps
                    .push(Step::AwaitHooks(id, Transition::Terminating));
            }
            (_, Some(InstanceState::Terminated)) => self.steps.push(Step::Leave(id)),
            (_, Some(InstanceState::ShuttingDown)) => {}
            (_, Some(InstanceState::Running)) if drained && member.to_pool && !forced => {
                self.steps.push(Step::ToPool(id));
            }
            (_, Some(_)) if drained => self.steps.push(Step::End(id)),
            _ => {}
        }
    }
}
