//! Writes down how far an instance refresh is, and what its end means for the group.

use super::Apply;
use model::autoscaling::AutoScalingGroup;
use model::event::Severity;
use model::instance_refresh::{InstanceRefresh, RefreshStatus};

impl Apply<'_> {
    pub(super) fn refresh(
        &mut self,
        group: &AutoScalingGroup,
        (before, after): (InstanceRefresh, InstanceRefresh),
    ) {
        // A call changed it since it was looked at: the next pass plans anew.
        if self.tx.get::<InstanceRefresh>(&before.id) != Some(&before) {
            return;
        }
        if after.status != before.status {
            self.new_status(group, &after);
        }
        let paused = after.paused_until.is_some() && before.paused_until.is_none();
        if let Some(reason) = after.reason.as_ref().filter(|_| paused) {
            let message = format!("instance refresh reached a checkpoint: {reason}");
            self.event(Severity::Info, message);
        }
        self.tx.put(after);
    }

    fn new_status(&mut self, group: &AutoScalingGroup, refresh: &InstanceRefresh) {
        let (status, group) = (refresh.status, group.name.clone());
        let reason = match &refresh.rollback {
            Some(rollback) if status == RefreshStatus::RollbackInProgress => Some(&rollback.reason),
            _ => refresh.reason.as_ref(),
        };
        let because = reason.map(|r| format!(": {r}")).unwrap_or_default();
        let severity = match status {
            RefreshStatus::Failed
            | RefreshStatus::RollbackInProgress
            | RefreshStatus::RollbackFailed => Severity::Warning,
            _ => Severity::Info,
        };
        let message = format!("instance refresh of {group} is {}{because}", status.name());
        self.event(severity, message);
        if refresh.active() {
            return;
        }
        let desired = refresh
            .desired
            .clone()
            .filter(|_| status == RefreshStatus::Successful);
        self.group(|g| {
            if let Some(desired) = desired {
                g.template = desired;
                g.weigh();
            }
            // Nobody waits for them any more: they count like the others.
            g.instances.iter_mut().for_each(|m| m.replaces = None);
        });
    }
}
