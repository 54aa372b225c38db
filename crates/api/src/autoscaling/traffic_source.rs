//! Traffic sources: the newer name under which target groups are attached.

use super::error::{Result, unsupported, validation};
use super::page::page;
use super::{Done, group, target_group};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrafficSourceIdentifier {
    identifier: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

impl TrafficSourceIdentifier {
    pub fn of(group: &AutoScalingGroup) -> Vec<Self> {
        let all = group.target_groups.iter();
        all.map(|arn| Self {
            identifier: arn.clone(),
            kind: Some("elbv2".into()),
        })
        .collect()
    }
}

/// The target group that a source names; the type may be left out where the ARN says it.
pub fn target_group(source: TrafficSourceIdentifier) -> Result<String> {
    let kind = match source.kind.as_deref() {
        Some(kind) => kind,
        None if source.identifier.contains(":targetgroup/") => "elbv2",
        None => "elb",
    };
    match kind {
        "elbv2" => Ok(source.identifier),
        "elb" => Err(unsupported(
            "The traffic source type elb (Classic Load Balancers) is",
        )),
        "vpc-lattice" => Err(unsupported("The traffic source type vpc-lattice is")),
        _ => Err(validation(format!("Invalid traffic source type: {kind}"))),
    }
}

fn target_groups(sources: Vec<TrafficSourceIdentifier>) -> Result<Vec<String>> {
    sources.into_iter().map(target_group).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachTrafficSources {
    auto_scaling_group_name: String,
    traffic_sources: Vec<TrafficSourceIdentifier>,
    skip_zonal_shift_validation: Option<bool>,
}

pub fn attach(ctx: &mut Ctx, input: AttachTrafficSources) -> Result<Done> {
    let arns = target_groups(input.traffic_sources)?;
    let skip = input.skip_zonal_shift_validation == Some(true);
    target_group::attach_all(ctx, &input.auto_scaling_group_name, &arns, skip)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DetachTrafficSources {
    auto_scaling_group_name: String,
    traffic_sources: Vec<TrafficSourceIdentifier>,
}

pub fn detach(ctx: &mut Ctx, input: DetachTrafficSources) -> Result<Done> {
    let arns = target_groups(input.traffic_sources)?;
    target_group::detach_all(ctx, &input.auto_scaling_group_name, &arns)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTrafficSources {
    auto_scaling_group_name: String,
    traffic_source_type: Option<String>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrafficSources {
    traffic_sources: Vec<TrafficSourceState>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TrafficSourceState {
    /// The older spelling of the identifier.
    traffic_source: String,
    state: &'static str,
    identifier: String,
    #[serde(rename = "Type")]
    kind: &'static str,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTrafficSources) -> Result<TrafficSources> {
    let group = group::find(ctx, &input.auto_scaling_group_name)?;
    let wanted = match input.traffic_source_type.as_deref() {
        None | Some("elbv2") => group.target_groups.as_slice(),
        Some("elb" | "vpc-lattice") => &[],
        Some(other) => {
            return Err(validation(format!("Invalid traffic source type: {other}")));
        }
    };
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let (arns, next_token) = page.of(wanted, |arn| (*arn).clone());
    let shape = |arn: &String| TrafficSourceState {
        traffic_source: arn.clone(),
        state: target_group::state(ctx, &group, arn),
        identifier: arn.clone(),
        kind: "elbv2",
    };
    Ok(TrafficSources {
        traffic_sources: arns.into_iter().map(shape).collect(),
        next_token,
    })
}
