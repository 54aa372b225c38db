//! Processes of a group that are suspended; the controller asks before each step.

use super::error::{Result, validation};
use super::group::find_alive;
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use serde::{Deserialize, Serialize};

pub const PROCESSES: [&str; 9] = [
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SuspendedProcess {
    process_name: String,
    suspension_reason: String,
}

impl SuspendedProcess {
    pub fn of(group: &AutoScalingGroup) -> Vec<Self> {
        let all = group.suspended_processes.iter();
        all.map(|(name, reason)| Self {
            process_name: name.clone(),
            suspension_reason: reason.clone(),
        })
        .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingProcesses {
    auto_scaling_group_name: String,
    #[serde(default)]
    scaling_processes: Vec<String>,
}

/// The named processes, or all of them where none is named.
fn chosen(named: &[String]) -> Result<Vec<&str>> {
    if named.is_empty() {
        return Ok(PROCESSES.to_vec());
    }
    for name in named {
        if !PROCESSES.contains(&name.as_str()) {
            return Err(validation(format!(
                "Scaling process type not found: {name}"
            )));
        }
    }
    Ok(named.iter().map(String::as_str).collect())
}

pub fn suspend(ctx: &mut Ctx, input: ScalingProcesses) -> Result<()> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let reason = format!(
        "User suspended at {}",
        ctx.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    );
    for name in chosen(&input.scaling_processes)? {
        if !group.suspended_processes.iter().any(|(n, _)| n == name) {
            group
                .suspended_processes
                .push((name.to_owned(), reason.clone()));
        }
    }
    group.suspended_processes.sort();
    ctx.tx.put(group);
    Ok(())
}

pub fn resume(ctx: &mut Ctx, input: ScalingProcesses) -> Result<()> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let resumed = chosen(&input.scaling_processes)?;
    let suspended = &mut group.suspended_processes;
    suspended.retain(|(name, _)| !resumed.contains(&name.as_str()));
    if resumed.contains(&"Launch") {
        group.failing_since = None;
    }
    ctx.tx.put(group);
    Ok(())
}
