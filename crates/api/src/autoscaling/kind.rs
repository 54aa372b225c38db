//! What kinds of things there are: adjustments, policies, processes, and the account's limits.

use super::error::Result;
use super::setting::TERMINATION_POLICIES;
use super::suspended_process::PROCESSES;
use super::{group, launch_configuration};
use crate::Ctx;
use serde::{Deserialize, Serialize};

pub const ADJUSTMENT_TYPES: [&str; 3] = [
    "ChangeInCapacity",
    "ExactCapacity",
    "PercentChangeInCapacity",
];

/// The input of calls that take none.
#[derive(Deserialize)]
pub struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountLimits {
    max_number_of_auto_scaling_groups: usize,
    max_number_of_launch_configurations: usize,
    number_of_auto_scaling_groups: usize,
    number_of_launch_configurations: usize,
}

pub fn account_limits(ctx: &mut Ctx, _: Nothing) -> Result<AccountLimits> {
    Ok(AccountLimits {
        max_number_of_auto_scaling_groups: group::MAX_GROUPS,
        max_number_of_launch_configurations: launch_configuration::MAX_CONFIGURATIONS,
        number_of_auto_scaling_groups: group::owned(ctx).count(),
        number_of_launch_configurations: launch_configuration::count(ctx),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdjustmentTypes {
    adjustment_types: Vec<AdjustmentType>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AdjustmentType {
    adjustment_type: &'static str,
}

pub fn adjustment_types(_: &mut Ctx, _: Nothing) -> Result<AdjustmentTypes> {
    let all = ADJUSTMENT_TYPES.iter();
    Ok(AdjustmentTypes {
        adjustment_types: all
            .map(|adjustment_type| AdjustmentType { adjustment_type })
            .collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminationPolicyTypes {
    termination_policy_types: &'static [&'static str],
}

pub fn termination_policy_types(_: &mut Ctx, _: Nothing) -> Result<TerminationPolicyTypes> {
    Ok(TerminationPolicyTypes {
        termination_policy_types: TERMINATION_POLICIES,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Processes {
    processes: Vec<Process>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    process_name: &'static str,
}

pub fn scaling_process_types(_: &mut Ctx, _: Nothing) -> Result<Processes> {
    let all = PROCESSES.iter();
    Ok(Processes {
        processes: all.map(|process_name| Process { process_name }).collect(),
    })
}
