//! Instance refreshes: a group's members replaced a few at a time, and what has been done of it.

use crate::autoscaling::{AutoScalingGroup, GroupInstance, GroupTemplate};
use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceRefresh {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    pub group: String,
    pub group_arn: String,
    pub preferences: RefreshPreferences,
    /// What is launched meanwhile, and the group's own once all has gone well; the group's
    /// own from the start where absent.
    pub desired: Option<GroupTemplate>,
    /// The group's own when the refresh was asked for: what a rollback goes back to.
    pub before: GroupTemplate,
    pub status: RefreshStatus,
    pub reason: Option<String>,
    pub requested: Timestamp,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// Members that are to be replaced; who is no longer a member has been.
    pub replace: Vec<InstanceId>,
    /// Members when it started, and what the warm pool held. Who is not among them was
    /// launched by it.
    pub present: Vec<InstanceId>,
    /// Of the warm pool, those that are to be replaced; who is no longer in it has been.
    #[serde(default)]
    pub replace_warm: Vec<InstanceId>,
    /// How many of them are left.
    #[serde(default)]
    pub warm_left: u32,
    /// 0–100.
    pub percent: u8,
    pub to_update: u32,
    /// When something last got done; nothing for too long is a failure.
    pub progressed: Timestamp,
    /// Checkpoints that were reached, and until when the last one holds it up.
    pub checkpoints: usize,
    pub paused_until: Option<Timestamp>,
    pub bakes_until: Option<Timestamp>,
    /// Cancelled once nothing is on its way in or out any more.
    pub waits_for_transitions: bool,
    pub rollback: Option<Rollback>,
}

/// With AWS's defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefreshPreferences {
    /// Percent of the desired capacity, 0–100.
    pub min_healthy: u32,
    /// Percent of the desired capacity, 100–200.
    pub max_healthy: u32,
    /// Seconds; the group's default warm-up, or else its grace period, when absent.
    pub warmup: Option<u32>,
    /// Percentages, ascending; the last is where the refresh ends.
    pub checkpoints: Vec<u32>,
    /// Seconds.
    pub checkpoint_delay: Option<u32>,
    pub skip_matching: bool,
    pub auto_rollback: bool,
    pub protected: HeldBack,
    pub standby: HeldBack,
    /// Names of alarms that fail the refresh.
    pub alarms: Vec<String>,
    /// Seconds.
    pub bake_time: Option<u32>,
}

/// What to do about members that are protected from scale-in, or in standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldBack {
    /// Replaced like the others: `Refresh` or `Terminate`.
    Replace,
    Ignore,
    /// For an hour, then the refresh fails.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefreshStatus {
    Pending,
    InProgress,
    Baking,
    Successful,
    Failed,
    Cancelling,
    Cancelled,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RefreshStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Baking => "Baking",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::RollbackInProgress => "RollbackInProgress",
            Self::RollbackSuccessful => "RollbackSuccessful",
            Self::RollbackFailed => "RollbackFailed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    pub reason: String,
    pub started: Timestamp,
    /// Of the refresh when it turned back.
    pub percent: u8,
    pub to_update: u32,
}

impl InstanceRefresh {
    /// It has not come to its end; a group has one such at most.
    pub fn active(&self) -> bool {
        matches!(
            self.status,
            RefreshStatus::Pending
                | RefreshStatus::InProgress
                | RefreshStatus::Baking
                | RefreshStatus::Cancelling
                | RefreshStatus::RollbackInProgress
        )
    }

    /// What the group launches from while this is under way; `None` is its own.
    pub fn template(&self) -> Option<&GroupTemplate> {
        match self.status {
            RefreshStatus::Pending | RefreshStatus::InProgress | RefreshStatus::Baking => {
                self.desired.as_ref()
            }
            RefreshStatus::RollbackInProgress => Some(&self.before),
            _ => None,
        }
    }

    /// A rollback needs something definite on both sides.
    pub fn reversible(&self) -> bool {
        self.desired.is_some() && self.before.version.parse::<u64>().is_ok()
    }

    /// Turns back: what it has launched is replaced by what was before.
    pub fn roll_back(&mut self, group: &AutoScalingGroup, reason: String, now: Timestamp) {
        let launched = |members: &[GroupInstance]| {
            let new = members
                .iter()
                .filter(|m| !m.lifecycle.is_terminating() && !self.present.contains(&m.id));
            new.map(|m| m.id.clone()).collect()
        };
        let replace = launched(&group.instances);
        self.replace_warm = launched(&group.warm);
        self.rollback = Some(Rollback {
            reason,
            started: now,
            percent: self.percent,
            to_update: self.to_update,
        });
        self.replace = replace;
        self.status = RefreshStatus::RollbackInProgress;
        self.reason = None;
        self.progressed = now;
        (self.paused_until, self.bakes_until) = (None, None);
    }

    /// The group's refresh that is under way.
    pub fn is_of(&self, group: &AutoScalingGroup) -> bool {
        self.active() && self.group_arn == group.arn
    }
}
