//! Target tracking: a metric to be held at a target by two alarms of the policy's own.
//!
//! The alarms are plain ones with the policy as their action, named and set as
//! AWS names and sets them: three minutes above the target, fifteen below a
//! share of it (`reference/autoscaling.md` §8; AWS does not document the share).

use super::check;
use super::error::{Result, validation};
use super::tracked_math::{self, TargetTrackingMetricDataQuery};
use crate::Ctx;
use crate::cloudwatch;
use model::autoscaling::{PolicyKind, ScalingPolicy, TrackedMetric};
use model::cloudwatch::{MetricAlarm, MetricDataQuery};
use model::elbv2::LoadBalancer;
use serde::{Deserialize, Serialize};

const PREDEFINED: &[&str] = &[
    "ASGAverageCPUUtilization",
    "ASGAverageNetworkIn",
    "ASGAverageNetworkOut",
    "ALBRequestCountPerTarget",
];
const STATISTICS: &[&str] = &["Average", "Minimum", "Maximum", "SampleCount", "Sum"];
const MINUTE: u32 = 60;
/// Periods above the target before scaling out, and below it before scaling in.
const HIGH_PERIODS: u32 = 3;
const LOW_PERIODS: u32 = 15;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetTrackingConfiguration {
    predefined_metric_specification: Option<PredefinedMetricSpecification>,
    customized_metric_specification: Option<CustomizedMetricSpecification>,
    target_value: f64,
    disable_scale_in: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PredefinedMetricSpecification {
    predefined_metric_type: String,
    resource_label: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CustomizedMetricSpecification {
    metric_name: Option<String>,
    namespace: Option<String>,
    dimensions: Option<Vec<MetricDimension>>,
    statistic: Option<String>,
    unit: Option<String>,
    period: Option<u32>,
    /// Metric math in place of the others.
    metrics: Option<Vec<TargetTrackingMetricDataQuery>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDimension {
    name: String,
    value: String,
}

impl TargetTrackingConfiguration {
    pub fn of(target: f64, disable_scale_in: bool, metric: &TrackedMetric) -> Self {
        let (predefined, customized) = match metric {
            TrackedMetric::Predefined { kind, label } => {
                let specification = PredefinedMetricSpecification {
                    predefined_metric_type: kind.clone(),
                    resource_label: label.clone(),
                };
                (Some(specification), None)
            }
            TrackedMetric::Customized {
                namespace,
                name,
                dimensions,
                statistic,
                unit,
                period,
            } => {
                let dimension = |(name, value): &(String, String)| MetricDimension {
                    name: name.clone(),
                    value: value.clone(),
                };
                let specification = CustomizedMetricSpecification {
                    metric_name: Some(name.clone()),
                    namespace: Some(namespace.clone()),
                    dimensions: (!dimensions.is_empty())
                        .then(|| dimensions.iter().map(dimension).collect()),
                    statistic: Some(statistic.clone()),
                    unit: unit.clone(),
                    period: *period,
                    metrics: None,
                };
                (None, Some(specification))
            }
            TrackedMetric::Math { given, .. } => {
                let specification = CustomizedMetricSpecification {
                    metrics: tracked_math::described(given),
                    ..CustomizedMetricSpecification::default()
                };
                (None, Some(specification))
            }
        };
        Self {
            predefined_metric_specification: predefined,
            customized_metric_specification: customized,
            target_value: target,
            disable_scale_in: Some(disable_scale_in),
        }
    }
}

pub fn kind(
    ctx: &Ctx,
    given: TargetTrackingConfiguration,
    warmup: Option<u32>,
) -> Result<PolicyKind> {
    // AWS's least and greatest are the ends of what its numbers can say.
    if !given.target_value.is_finite() || given.target_value <= 0.0 {
        return Err(validation("TargetValue must be a number greater than 0."));
    }
    let specifications = (
        given.predefined_metric_specification,
        given.customized_metric_specification,
    );
    let metric = match specifications {
        (Some(predefined), None) => predefined_metric(ctx, predefined)?,
        (None, Some(customized)) => customized_metric(customized)?,
        _ => {
            return Err(validation(
                "TargetTrackingConfiguration must specify either PredefinedMetricSpecification or CustomizedMetricSpecification, but not both.",
            ));
        }
    };
    Ok(PolicyKind::TargetTracking {
        target: given.target_value,
        disable_scale_in: given.disable_scale_in.unwrap_or(false),
        warmup,
        metric,
    })
}

fn predefined_metric(ctx: &Ctx, given: PredefinedMetricSpecification) -> Result<TrackedMetric> {
    let kind = given.predefined_metric_type;
    check::one_of(&kind, "predefinedMetricType", PREDEFINED)?;
    let label = given.resource_label.filter(|label| !label.is_empty());
    match (&label, kind == "ALBRequestCountPerTarget") {
        (Some(label), true) => check_label(ctx, label)?,
        (None, true) => {
            return Err(validation(
                "ResourceLabel is required for the predefined metric type ALBRequestCountPerTarget.",
            ));
        }
        (Some(_), false) => {
            return Err(validation(format!(
                "ResourceLabel is not supported for the predefined metric type {kind}."
            )));
        }
        (None, false) => {}
    }
    Ok(TrackedMetric::Predefined { kind, label })
}

/// `app/<name>/<id>` and `targetgroup/<name>/<id>`, as the metric's dimensions spell them.
fn split_label(label: &str) -> Option<(&str, &str)> {
    let (balancer, group) = label.split_once("/targetgroup/")?;
    let slashes = |text: &str, n| text.matches('/').count() == n;
    let whole = balancer.starts_with("app/") && slashes(balancer, 2) && slashes(group, 1);
    let start = label.len() - group.len() - "targetgroup/".len();
    whole.then(|| (balancer, label.get(start..).unwrap_or_default()))
}

fn check_label(ctx: &Ctx, label: &str) -> Result<()> {
    let Some((balancer, target_group)) = split_label(label) else {
        return Err(validation(format!(
            "The resource label is not valid: {label}. It must be of the form app/<load-balancer-name>/<load-balancer-id>/targetgroup/<target-group-name>/<target-group-id>."
        )));
    };
    let mine = |b: &LoadBalancer| b.scope == ctx.scope && b.deleted.is_none();
    let mut balancers = ctx.tx.load_balancers.values();
    if !balancers.any(|b| mine(b) && b.dimension() == balancer) {
        return Err(validation(format!(
            "The load balancer of the resource label does not exist: {balancer}"
        )));
    }
    // It need not be attached yet: Terraform attaches it and puts the policy in either order.
    let mut groups = ctx.tx.target_groups.of(&ctx.scope);
    if !groups.any(|g| g.dimension() == target_group) {
        return Err(validation(format!(
            "The target group of the resource label does not exist: {target_group}"
        )));
    }
    Ok(())
}

fn customized_metric(given: CustomizedMetricSpecification) -> Result<TrackedMetric> {
    if let Some(queries) = given.metrics {
        let plain = given.metric_name.is_some()
            || given.namespace.is_some()
            || given.dimensions.is_some()
            || given.statistic.is_some()
            || given.unit.is_some()
            || given.period.is_some();
        if plain {
            return Err(validation(
                "CustomizedMetricSpecification must specify either Metrics or one metric, but not both.",
            ));
        }
        return tracked_math::tracked(queries);
    }
    let need = |value: Option<String>, name: &str| {
        value.ok_or_else(|| {
            validation(format!(
                "CustomizedMetricSpecification must specify {name}."
            ))
        })
    };
    let statistic = need(given.statistic, "Statistic")?;
    check::one_of(&statistic, "statistic", STATISTICS)?;
    tracked_math::check_period(given.period)?;
    let dimensions = given.dimensions.unwrap_or_default().into_iter();
    let mut dimensions: Vec<_> = dimensions.map(|d| (d.name, d.value)).collect();
    dimensions.sort();
    Ok(TrackedMetric::Customized {
        namespace: need(given.namespace, "Namespace")?,
        name: need(given.metric_name, "MetricName")?,
        dimensions,
        statistic,
        unit: given.unit,
        period: given.period,
    })
}

/// What an alarm on the metric watches, and the share of the target that is low.
struct Watched {
    namespace: String,
    name: String,
    dimensions: Vec<(String, String)>,
    statistic: String,
    unit: Option<String>,
    period: u32,
    /// Metric math in place of the one metric.
    metrics: Vec<MetricDataQuery>,
    low_percent: f64,
}

fn watched(group: &str, metric: &TrackedMetric) -> Watched {
    match metric {
        TrackedMetric::Predefined { kind, label } => {
            let of_group = vec![("AutoScalingGroupName".to_owned(), group.to_owned())];
            let ec2 = |name: &str, low_percent| Watched {
                namespace: "AWS/EC2".into(),
                name: name.into(),
                dimensions: of_group.clone(),
                statistic: "Average".into(),
                unit: None,
                period: MINUTE,
                metrics: Vec::new(),
                low_percent,
            };
            match kind.as_str() {
                "ASGAverageNetworkIn" => ec2("NetworkIn", 90.0),
                "ASGAverageNetworkOut" => ec2("NetworkOut", 90.0),
                "ALBRequestCountPerTarget" => {
                    let label = label.as_deref().unwrap_or_default();
                    let (balancer, target_group) = split_label(label).unwrap_or_default();
                    Watched {
                        namespace: "AWS/ApplicationELB".into(),
                        name: "RequestCountPerTarget".into(),
                        dimensions: vec![
                            ("LoadBalancer".into(), balancer.into()),
                            ("TargetGroup".into(), target_group.into()),
                        ],
                        statistic: "Sum".into(),
                        ..ec2("", 90.0)
                    }
                }
                _ => ec2("CPUUtilization", 70.0),
            }
        }
        TrackedMetric::Customized {
            namespace,
            name,
            dimensions,
            statistic,
            unit,
            period,
        } => Watched {
            namespace: namespace.clone(),
            name: name.clone(),
            dimensions: dimensions.clone(),
            statistic: statistic.clone(),
            unit: unit.clone(),
            period: period.unwrap_or(MINUTE),
            metrics: Vec::new(),
            low_percent: 90.0,
        },
        TrackedMetric::Math {
            queries, period, ..
        } => Watched {
            namespace: String::new(),
            name: String::new(),
            dimensions: Vec::new(),
            statistic: String::new(),
            unit: None,
            period: *period,
            metrics: queries.clone(),
            low_percent: 90.0,
        },
    }
}

/// Makes the policy's alarms be what its kind asks for: new, changed or gone.
pub fn set_alarms(ctx: &mut Ctx, policy: &mut ScalingPolicy) {
    let before = std::mem::take(&mut policy.alarms);
    if let PolicyKind::TargetTracking {
        target,
        disable_scale_in,
        metric,
        ..
    } = &policy.kind
    {
        let watched = watched(&policy.group, metric);
        let low = target * watched.low_percent / 100.0;
        let mut sides = vec![("High", "GreaterThanThreshold", *target, HIGH_PERIODS)];
        if !disable_scale_in {
            sides.push(("Low", "LessThanThreshold", low, LOW_PERIODS));
        }
        let mut alarms = Vec::with_capacity(sides.len());
        for (side, operator, threshold, periods) in sides {
            let stem = format!("TargetTracking-{}-Alarm{side}-", policy.group);
            // A changed policy keeps its alarms' names.
            let kept = before.iter().find(|(_, name)| name.starts_with(&stem));
            let name = match kept {
                Some((_, name)) => name.clone(),
                None => format!("{stem}{}", uuid::Uuid::new_v4()),
            };
            let alarm = alarm(ctx, policy, &watched, name, operator, threshold, periods);
            alarms.push((alarm.arn.clone(), alarm.name.clone()));
            cloudwatch::alarm::set(ctx, alarm);
        }
        policy.alarms = alarms;
    }
    for (_, name) in before {
        if !policy.alarms.iter().any(|(_, kept)| *kept == name) {
            cloudwatch::alarm::remove(ctx, &name);
        }
    }
}

fn alarm(
    ctx: &Ctx,
    policy: &ScalingPolicy,
    watched: &Watched,
    name: String,
    operator: &str,
    threshold: f64,
    periods: u32,
) -> MetricAlarm {
    let description = format!(
        "DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {}.",
        policy.arn
    );
    MetricAlarm {
        description: Some(description),
        alarm_actions: vec![policy.arn.clone()],
        namespace: watched.namespace.clone(),
        metric_name: watched.name.clone(),
        dimensions: watched.dimensions.clone(),
        statistic: Some(watched.statistic.clone()).filter(|s| !s.is_empty()),
        metrics: watched.metrics.clone(),
        unit: watched.unit.clone(),
        period: watched.period,
        evaluation_periods: periods,
        threshold,
        comparison_operator: operator.to_owned(),
        ..cloudwatch::alarm::blank(ctx, name)
    }
}

#[cfg(test)]
mod tests {
    use super::split_label;

    #[test]
    fn labels_name_a_balancer_and_a_group() {
        let check = |label: &str, expected: Option<(&str, &str)>| {
            assert_eq!(split_label(label), expected, "{label}");
        };
        let whole = "app/web/0123456789abcdef/targetgroup/blue/fedcba9876543210";
        let balancer = "app/web/0123456789abcdef";
        check(whole, Some((balancer, "targetgroup/blue/fedcba9876543210")));
        check("app/web/targetgroup/blue/1", None);
        check("net/web/1/targetgroup/blue/1", None);
        check("app/web/1/targetgroup/blue", None);
        check("app/web/1", None);
        check("", None);
    }
}
