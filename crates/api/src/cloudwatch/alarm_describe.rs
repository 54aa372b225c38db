//! Which alarms there are, of both kinds.

use super::alarm::{MAX_NAMES, choice, remove};
use super::composite::Composite;
use super::error::{Result, combination, invalid, length};
use super::query::{MetricDataQuery, shape};
use super::{Dimension, dimensions, pairs};
use crate::Ctx;
use crate::ec2::page::Page;
use metrics::composite::Rule;
use model::cloudwatch::{CompositeAlarm, MetricAlarm};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAlarms {
    #[serde(default)]
    alarm_names: Vec<String>,
    alarm_name_prefix: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    children_of_alarm_name: Option<String>,
    parents_of_alarm_name: Option<String>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    max_records: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    composite_alarms: Vec<Composite>,
    metric_alarms: Vec<Alarm>,
    next_token: Option<String>,
}

/// An alarm of either kind.
enum Either {
    Metric(Arc<MetricAlarm>),
    Composite(Arc<CompositeAlarm>),
}

impl Either {
    fn name(&self) -> &str {
        match self {
            Self::Metric(a) => &a.name,
            Self::Composite(a) => &a.name,
        }
    }
    fn state(&self) -> &'static str {
        match self {
            Self::Metric(a) => a.state.name(),
            Self::Composite(a) => a.state.name(),
        }
    }
    fn actions(&self) -> impl Iterator<Item = &String> {
        let (alarm, ok, insufficient) = match self {
            Self::Metric(a) => (
                &a.alarm_actions,
                &a.ok_actions,
                &a.insufficient_data_actions,
            ),
            Self::Composite(a) => (
                &a.alarm_actions,
                &a.ok_actions,
                &a.insufficient_data_actions,
            ),
        };
        alarm.iter().chain(ok).chain(insufficient)
    }
}

pub fn describe(ctx: &mut Ctx, input: DescribeAlarms) -> Result<Described> {
    if !input.alarm_names.is_empty() && input.alarm_name_prefix.is_some() {
        return Err(combination(
            "AlarmNames and AlarmNamePrefix cannot both be given.",
        ));
    }
    if input.alarm_names.len() > MAX_NAMES {
        return Err(invalid(format!(
            "AlarmNames has more than {MAX_NAMES} members."
        )));
    }
    for name in &input.alarm_names {
        length(name, "AlarmNames", 1, 255)?;
    }
    if let Some(prefix) = &input.alarm_name_prefix {
        length(prefix, "AlarmNamePrefix", 1, 255)?;
    }
    choice(
        "StateValue",
        input.state_value.as_deref(),
        &["OK", "ALARM", "INSUFFICIENT_DATA"],
    )?;
    for kind in &input.alarm_types {
        choice("AlarmTypes", Some(kind), &["MetricAlarm", "CompositeAlarm"])?;
    }
    let names = match (&input.children_of_alarm_name, &input.parents_of_alarm_name) {
        (None, None) => input.alarm_names.iter().cloned().collect(),
        (Some(_), Some(_)) => {
            return Err(combination(
                "ChildrenOfAlarmName and ParentsOfAlarmName cannot both be given.",
            ));
        }
        (Some(parent), None) => children(ctx, parent)?,
        (None, Some(child)) => parents(ctx, child),
    };
    let relatives = input.children_of_alarm_name.is_some() || input.parents_of_alarm_name.is_some();
    // Without AlarmTypes, metric alarms only, unless the call asks for relatives.
    let asked = |kind: &str| input.alarm_types.iter().any(|t| t == kind);
    let composite = asked("CompositeAlarm") || (relatives && input.alarm_types.is_empty());
    let metric = input.alarm_types.is_empty() || asked("MetricAlarm");
    let mut all: Vec<Either> = Vec::new();
    if metric {
        let own = ctx.tx.alarms.of(&ctx.scope);
        all.extend(own.cloned().map(Either::Metric));
    }
    if composite {
        let own = ctx.tx.composite_alarms.of(&ctx.scope);
        all.extend(own.cloned().map(Either::Composite));
    }
    all.retain(|a| {
        ((names.is_empty() && !relatives) || names.contains(a.name()))
            && input
                .alarm_name_prefix
                .as_ref()
                .is_none_or(|p| a.name().starts_with(p))
            && input.state_value.as_ref().is_none_or(|s| a.state() == s)
            && input
                .action_prefix
                .as_ref()
                .is_none_or(|p| a.actions().any(|x| x.starts_with(p)))
    });
    all.sort_by(|a, b| a.name().cmp(b.name()));
    // AWS's default is 50.
    let most = input.max_records.or(Some(50));
    let page = Page::within(1, 100, most, input.next_token.as_deref()).map_err(|_| bad_token())?;
    let (alarms, next_token) = page.of(all, |a| a.name().to_owned());
    let mut described = Described {
        composite_alarms: Vec::new(),
        metric_alarms: Vec::new(),
        next_token,
    };
    for alarm in &alarms {
        match alarm {
            Either::Metric(a) => described.metric_alarms.push(Alarm::of(a)),
            Either::Composite(a) => described.composite_alarms.push(Composite::of(a)),
        }
    }
    Ok(described)
}

/// Names in a composite alarm's rule.
fn children(ctx: &Ctx, parent: &str) -> Result<BTreeSet<String>> {
    let Some(alarm) = ctx
        .tx
        .get::<CompositeAlarm>(&ScopedName::new(&ctx.scope, parent))
    else {
        return Err(not_found(parent));
    };
    Ok(named(alarm))
}

/// Composite alarms whose rules name the alarm.
fn parents(ctx: &Ctx, child: &str) -> BTreeSet<String> {
    ctx.tx
        .composite_alarms
        .values()
        .filter(|a| a.scope == ctx.scope && named(a).contains(child))
        .map(|a| a.name.clone())
        .collect()
}

/// The names of an alarm's children, whether the rule has them by name or by ARN.
pub fn named(alarm: &CompositeAlarm) -> BTreeSet<String> {
    let Ok(rule) = Rule::parse(&alarm.rule) else {
        return BTreeSet::new();
    };
    let names = rule
        .children()
        .into_iter()
        .map(model::cloudwatch::alarm_name);
    names.map(str::to_owned).collect()
}

pub fn bad_token() -> ApiError {
    ApiError::client(
        "InvalidNextToken",
        "The token is not valid or MaxRecords is out of range.",
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAlarmsForMetric {
    metric_name: String,
    namespace: String,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<u32>,
    unit: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ForMetric {
    metric_alarms: Vec<Alarm>,
}

pub fn describe_for_metric(ctx: &mut Ctx, input: DescribeAlarmsForMetric) -> Result<ForMetric> {
    let wanted = pairs(&input.dimensions);
    let matching = ctx.tx.alarms.of(&ctx.scope).filter(|a| {
        a.metrics.is_empty()
            && a.metric_name == input.metric_name
            && a.namespace == input.namespace
            && a.dimensions == wanted
            && (input.statistic.is_none() || a.statistic == input.statistic)
            && (input.extended_statistic.is_none()
                || a.extended_statistic == input.extended_statistic)
            && input.period.is_none_or(|p| a.period == p)
            && (input.unit.is_none() || a.unit == input.unit)
    });
    Ok(ForMetric {
        metric_alarms: matching.map(|a| Alarm::of(a)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAlarms {
    alarm_names: Vec<String>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteAlarms) -> Result<()> {
    if input.alarm_names.len() > MAX_NAMES {
        return Err(invalid(format!(
            "AlarmNames has more than {MAX_NAMES} members."
        )));
    }
    let composite = |name: &String| {
        let key = ScopedName::new(&ctx.scope, name);
        ctx.tx.get::<CompositeAlarm>(&key).is_some()
    };
    let composites = input.alarm_names.iter().filter(|n| composite(n)).count();
    if composites > 1 {
        return Err(super::query::validation(
            "A call may delete one composite alarm at most.",
        ));
    }
    for name in &input.alarm_names {
        // AWS's guide: one unknown name fails the whole call.
        if !remove(ctx, name) {
            return Err(not_found(name));
        }
    }
    Ok(())
}

pub fn not_found(name: &str) -> ApiError {
    ApiError::client("ResourceNotFound", format!("Unknown alarm {name}")).with_status(404)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    alarm_name: String,
    alarm_arn: String,
    alarm_description: Option<String>,
    alarm_configuration_updated_timestamp: Timestamp,
    actions_enabled: bool,
    #[serde(rename = "OKActions")]
    ok_actions: Vec<String>,
    alarm_actions: Vec<String>,
    insufficient_data_actions: Vec<String>,
    state_value: &'static str,
    state_reason: String,
    state_reason_data: Option<String>,
    state_updated_timestamp: Timestamp,
    metric_name: Option<String>,
    namespace: Option<String>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    dimensions: Vec<Dimension>,
    period: Option<u32>,
    unit: Option<String>,
    metrics: Vec<MetricDataQuery>,
    evaluation_periods: u32,
    datapoints_to_alarm: Option<u32>,
    threshold: f64,
    comparison_operator: String,
    treat_missing_data: Option<String>,
    evaluate_low_sample_count_percentile: Option<String>,
    state_transitioned_timestamp: Timestamp,
}

impl Alarm {
    fn of(a: &MetricAlarm) -> Self {
        Self {
            alarm_name: a.name.clone(),
            alarm_arn: a.arn.clone(),
            alarm_description: a.description.clone(),
            alarm_configuration_updated_timestamp: a.updated.into(),
            actions_enabled: a.actions_enabled,
            ok_actions: a.ok_actions.clone(),
            alarm_actions: a.alarm_actions.clone(),
            insufficient_data_actions: a.insufficient_data_actions.clone(),
            state_value: a.state.name(),
            state_reason: a.state_reason.clone(),
            state_reason_data: Some(a.state_reason_data.clone()).filter(|d| !d.is_empty()),
            state_updated_timestamp: a.state_updated.into(),
            metric_name: Some(a.metric_name.clone()).filter(|_| a.metrics.is_empty()),
            namespace: Some(a.namespace.clone()).filter(|_| a.metrics.is_empty()),
            statistic: a.statistic.clone(),
            extended_statistic: a.extended_statistic.clone(),
            dimensions: dimensions(&a.dimensions),
            period: Some(a.period).filter(|_| a.metrics.is_empty()),
            metrics: a.metrics.iter().map(shape).collect(),
            unit: a.unit.clone(),
            evaluation_periods: a.evaluation_periods,
            datapoints_to_alarm: a.datapoints_to_alarm,
            threshold: a.threshold,
            comparison_operator: a.comparison_operator.clone(),
            treat_missing_data: a.treat_missing_data.clone(),
            evaluate_low_sample_count_percentile: a.evaluate_low_sample_count_percentile.clone(),
            state_transitioned_timestamp: a.state_transitioned.into(),
        }
    }
}
