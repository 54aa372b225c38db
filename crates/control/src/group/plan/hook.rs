//! Members wait for their lifecycle hooks, on the way in and on the way out.
//!
//! All hooks of a transition are told at once, and each is waited for until it is completed
//! or its time is up; one ABANDON ends the waiting for the others as well.
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html`.

use super::{Planner, Step};
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{
    GroupInstance, LifecycleAction, LifecycleResult, LifecycleState, Transition,
};

impl Planner<'_> {
    /// Whether the member has hooks before it.
    pub(super) fn held_by_hooks(&self, member: &GroupInstance, transition: Transition) -> bool {
        let hooks = &self.group.hooks;
        !member.past_hooks && hooks.iter().any(|h| h.transition == transition)
    }

    /// A member that waits: has everybody spoken, or is their time up?
    pub(super) fn wait(&mut self, member: &GroupInstance) {
        let result = |action: &LifecycleAction| action.result;
        let abandoned = member
            .actions
            .iter()
            .any(|a| result(a) == Some(LifecycleResult::Abandon));
        if abandoned && member.lifecycle == LifecycleState::PendingWait {
            return self.steps.push(Step::Abandon(member.id.clone()));
        }
        if abandoned || member.actions.iter().all(|a| a.result.is_some()) {
            return self.steps.push(Step::Proceed(member.id.clone()));
        }
        for action in member.actions.iter().filter(|a| a.result.is_none()) {
            let until = self.time_up(action);
            if until <= self.now {
                self.steps.push(Step::HookTimedOut {
                    id: member.id.clone(),
                    token: action.token.clone(),
                });
            } else {
                self.look_again(until);
            }
        }
    }

    /// What is waited for is real work: of a timeout, the longest that it ever took is never
    /// shrunk by `--speed`, and nothing is while that is not known.
    fn time_up(&self, action: &LifecycleAction) -> Timestamp {
        let hooks = &self.group.hooks;
        let now = hooks.iter().find(|h| h.name == action.hook.name);
        let longest = now
            .and_then(|h| h.longest_ms)
            .map(SignedDuration::from_millis);
        let wait = |seconds| self.speed.wait_with_boot(seconds, longest);
        let quiet = action.heartbeat + wait(action.hook.heartbeat_timeout);
        quiet.min(action.started + wait(action.hook.global_timeout()))
    }
}
