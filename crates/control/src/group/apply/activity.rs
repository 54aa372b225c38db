//! Scaling activities: begun, changed, ended, and forgotten when there are many.

use super::Apply;
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::autoscaling::{Activity, AutoScalingGroup};

/// Activities kept per group; AWS keeps six weeks of them.
const ACTIVITIES: usize = 500;

impl Apply<'_> {
    pub(super) fn activity(
        &mut self,
        group: &AutoScalingGroup,
        description: String,
        cause: String,
        subnet: &str,
        zone: &str,
        status: &str,
    ) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        // They are told by their start, the newest first: a microsecond apart, those of one plan stay
        // in their order.
        let started = self.now + SignedDuration::from_micros(self.begun);
        self.begun += 1;
        self.tx.put(Activity {
            id: id.clone(),
            scope: group.scope.clone(),
            group: group.name.clone(),
            group_arn: group.arn.clone(),
            description,
            cause: cause.chars().take(1023).collect(),
            started,
            ended: None,
            status: status.to_owned(),
            status_message: None,
            progress: if status == "InProgress" { 30 } else { 50 },
            details: format!("{{\"Subnet ID\":\"{subnet}\",\"Availability Zone\":\"{zone}\"}}"),
        });
        id
    }

    /// Once a plan: it looks through all of them.
    pub(super) fn drop_old_activities(&mut self, group: &AutoScalingGroup) {
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

    pub(super) fn activity_of(
        &mut self,
        group: &AutoScalingGroup,
        id: &InstanceId,
        change: impl FnOnce(&mut Activity),
    ) {
        if let Some(activity) = group
            .held()
            .find(|m| m.id == *id)
            .and_then(|m| m.activity.clone())
        {
            self.tx.modify::<Activity>(&activity, change);
        }
    }

    pub(super) fn finish(
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
            a.ended = Some(now.max(a.started));
        });
    }
}
