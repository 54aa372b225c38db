//! Lifecycle hooks: begun, timed out, completed.
//!
//! Whoever listens on AWS gets a message through EventBridge, a topic or a queue. None of
//! them is here, so the message is an event, with the same content.

use super::Apply;
use super::notify::Told;
use crate::group::plan::Step;
use model::InstanceId;
use model::autoscaling::{
    AutoScalingGroup, LifecycleAction, LifecycleResult, LifecycleState, Transition,
};
use model::event::Severity;
use serde_json::json;

impl Apply<'_> {
    pub(super) fn hook(&mut self, group: &AutoScalingGroup, step: Step) {
        match step {
            Step::AwaitHooks(id, transition) => self.await_hooks(group, &id, transition),
            Step::HookTimedOut { id, token } => self.member(&id, |m| {
                for action in m.actions.iter_mut().filter(|a| a.token == token) {
                    action.result = Some(action.hook.default_result);
                    action.timed_out = true;
                }
            }),
            Step::Proceed(id) => self.proceed(group, &id),
            Step::Abandon(id) => self.abandon(group, &id),
            _ => {}
        }
    }

    fn await_hooks(&mut self, group: &AutoScalingGroup, id: &InstanceId, transition: Transition) {
        let now = self.now;
        let hooks = group.hooks.iter().filter(|h| h.transition == transition);
        let actions: Vec<LifecycleAction> = hooks
            .map(|hook| LifecycleAction {
                hook: hook.clone(),
                token: uuid::Uuid::new_v4().to_string(),
                started: now,
                heartbeat: now,
                result: None,
                timed_out: false,
            })
            .collect();
        let warm = group.warm.iter().any(|m| m.id == *id);
        let member = group.held().find(|m| m.id == *id);
        let place = if warm { "WarmPool" } else { "AutoScalingGroup" };
        let (origin, destination) = match transition {
            // Of what was warmed, the first launch is past.
            Transition::Launching if !warm && member.is_some_and(|m| m.warmed) => {
                ("WarmPool", place)
            }
            Transition::Launching => ("EC2", place),
            Transition::Terminating if member.is_some_and(|m| m.to_pool) => (place, "WarmPool"),
            Transition::Terminating => (place, "EC2"),
        };
        for action in &actions {
            let mut message = json!({
                "LifecycleActionToken": action.token,
                "AutoScalingGroupName": group.name,
                "LifecycleHookName": action.hook.name,
                "EC2InstanceId": id.as_str(),
                "LifecycleTransition": transition.name(),
                "Origin": origin,
                "Destination": destination,
            });
            for (key, value) in [
                ("NotificationMetadata", &action.hook.metadata),
                ("NotificationTargetARN", &action.hook.target),
            ] {
                if let Some(text) = value {
                    message[key] = text.as_str().into();
                }
            }
            let name = self.key.name.clone();
            let text = message.to_string();
            self.tx
                .event(now, Severity::Info, name, "lifecycle-action", text);
        }
        self.member(id, |m| {
            m.actions = actions;
            m.lifecycle = match transition {
                Transition::Launching => LifecycleState::PendingWait,
                Transition::Terminating => LifecycleState::TerminatingWait,
            };
        });
        self.activity_of(group, id, |a| {
            a.status = "MidLifecycleAction".into();
            a.progress = 50;
        });
    }

    fn proceed(&mut self, group: &AutoScalingGroup, id: &InstanceId) {
        let now = self.now;
        let mut completed = Vec::new();
        for member in group.held().filter(|m| m.id == *id) {
            completed.extend(
                member
                    .actions
                    .iter()
                    .filter(|a| a.result.is_some() && !a.timed_out),
            );
        }
        for action in completed {
            let took = now.as_millisecond() - action.started.as_millisecond();
            self.group(|g| {
                for hook in g.hooks.iter_mut().filter(|h| h.name == action.hook.name) {
                    hook.longest_ms = hook.longest_ms.max(Some(took));
                }
            });
        }
        self.member(id, |m| {
            m.actions.clear();
            m.past_hooks = true;
            m.lifecycle = if m.lifecycle.is_pending() {
                LifecycleState::PendingProceed
            } else {
                LifecycleState::TerminatingProceed
            };
        });
        self.activity_of(group, id, |a| a.status = "InProgress".into());
    }

    /// The launch is off: the instance ends, and another takes its place.
    fn abandon(&mut self, group: &AutoScalingGroup, id: &InstanceId) {
        let Some(member) = group.held().find(|m| m.id == *id) else {
            return;
        };
        let mut actions = member.actions.iter();
        let who = actions.find(|a| a.result == Some(LifecycleResult::Abandon));
        let why = who.map(|a| {
            let how = if a.timed_out {
                "Heartbeat Timeout"
            } else {
                "Lifecycle Action Completed with ABANDON Result"
            };
            format!(
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {} was abandoned: {how}",
                a.token
            )
        });
        if let Some(text) = &why {
            self.event(Severity::Warning, format!("{id}: {text}"));
        }
        self.finish(group, id, "Cancelled", why);
        self.notify(
            group,
            Told::LaunchError,
            id.as_str(),
            member.activity.as_ref(),
        );
        self.member(id, |m| {
            m.lifecycle = LifecycleState::Terminating;
            m.actions.clear();
            m.activity = None;
            m.rebalancing = false;
        });
        if member.rebalancing {
            self.put_off_rebalancing();
        } else {
            self.back_off();
        }
    }
}
