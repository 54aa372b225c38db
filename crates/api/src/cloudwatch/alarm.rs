//! Metric alarms: definition and description. The controller writes their state.

use super::error::{Result, combination, invalid, length, missing};
use super::{Dimension, check_dimensions, dimensions, pairs, tag, unit};
use crate::Ctx;
use crate::ec2::page::Page;
use model::cloudwatch::{AlarmHistoryItem, AlarmState, MetricAlarm};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::ScopedName;
use wire::{ApiError, Timestamp};

/// Names of one Describe or Delete call, and actions of one state.
const MAX_NAMES: usize = 100;
const MAX_ACTIONS: usize = 5;
const DAY: u64 = 86_400;

const STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutMetricAlarm {
    alarm_name: String,
    alarm_description: Option<String>,
    actions_enabled: Option<bool>,
    #[serde(rename = "OKActions", default)]
    ok_actions: Vec<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default)]
    insufficient_data_actions: Vec<String>,
    metric_name: Option<String>,
    namespace: Option<String>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<u32>,
    unit: Option<String>,
    evaluation_periods: Option<u32>,
    datapoints_to_alarm: Option<u32>,
    threshold: Option<f64>,
    comparison_operator: Option<String>,
    treat_missing_data: Option<String>,
    evaluate_low_sample_count_percentile: Option<String>,
    metrics: Option<Value>,
    #[serde(default)]
    tags: Vec<tag::Tag>,
    threshold_metric_id: Option<Value>,
    evaluation_criteria: Option<Value>,
    evaluation_interval: Option<Value>,
}

pub fn put(ctx: &mut Ctx, input: PutMetricAlarm) -> Result<()> {
    let unserved = [
        ("Metrics", &input.metrics),
        ("ThresholdMetricId", &input.threshold_metric_id),
        ("EvaluationCriteria", &input.evaluation_criteria),
        ("EvaluationInterval", &input.evaluation_interval),
    ];
    if let Some((name, _)) = unserved.iter().find(|(_, value)| value.is_some()) {
        return Err(invalid(format!(
            "{name} is not supported: Nines evaluates alarms on one metric, without metric math, anomaly bands or queries."
        )));
    }
    length(&input.alarm_name, "AlarmName", 1, 255)?;
    let metric_name = input.metric_name.ok_or_else(|| missing("MetricName"))?;
    let namespace = input.namespace.ok_or_else(|| missing("Namespace"))?;
    length(&metric_name, "MetricName", 1, 255)?;
    length(&namespace, "Namespace", 1, 255)?;
    let period = input.period.ok_or_else(|| missing("Period"))?;
    let evaluation_periods = input
        .evaluation_periods
        .ok_or_else(|| missing("EvaluationPeriods"))?;
    let threshold = input.threshold.ok_or_else(|| missing("Threshold"))?;
    let operator = input
        .comparison_operator
        .ok_or_else(|| missing("ComparisonOperator"))?;
    if metrics::alarm::Comparison::of(&operator).is_none() {
        return Err(invalid(format!(
            "The value {operator} for parameter ComparisonOperator is not supported."
        )));
    }
    statistic(
        input.statistic.as_deref(),
        input.extended_statistic.as_deref(),
    )?;
    if !(matches!(period, 10 | 20 | 30) || (period >= 60 && period.is_multiple_of(60))) {
        return Err(invalid("Period must be 10, 20, 30 or a multiple of 60."));
    }
    if evaluation_periods == 0 {
        return Err(invalid("EvaluationPeriods must be greater than 0."));
    }
    // A day; for periods of an hour or more, a week.
    let longest = if period >= 3600 { 7 * DAY } else { DAY };
    if u64::from(period) * u64::from(evaluation_periods) > longest {
        return Err(invalid(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).",
        ));
    }
    if input
        .datapoints_to_alarm
        .is_some_and(|m| m == 0 || m > evaluation_periods)
    {
        return Err(invalid(
            "DatapointsToAlarm must be at least 1 and at most EvaluationPeriods.",
        ));
    }
    choice(
        "TreatMissingData",
        input.treat_missing_data.as_deref(),
        &["breaching", "notBreaching", "ignore", "missing"],
    )?;
    // `ignore` would keep the state while there are few samples, which is not done here.
    choice(
        "EvaluateLowSampleCountPercentile",
        input.evaluate_low_sample_count_percentile.as_deref(),
        &["evaluate"],
    )?;
    for (name, actions) in [
        ("AlarmActions", &input.alarm_actions),
        ("OKActions", &input.ok_actions),
        ("InsufficientDataActions", &input.insufficient_data_actions),
    ] {
        if actions.len() > MAX_ACTIONS {
            return Err(invalid(format!(
                "{name} has more than {MAX_ACTIONS} members."
            )));
        }
        if let Some(bad) = actions.iter().find(|a| !a.starts_with("arn:")) {
            return Err(invalid(format!("Invalid arn syntax: {bad}")));
        }
    }
    check_dimensions(&input.dimensions)?;
    unit::check(input.unit.as_deref())?;
    let tags = tag::of(&input.tags)?;
    let alarm = MetricAlarm {
        description: input.alarm_description,
        actions_enabled: input.actions_enabled.unwrap_or(true),
        ok_actions: input.ok_actions,
        alarm_actions: input.alarm_actions,
        insufficient_data_actions: input.insufficient_data_actions,
        namespace,
        metric_name,
        dimensions: pairs(&input.dimensions),
        statistic: input.statistic,
        extended_statistic: input.extended_statistic,
        unit: input.unit,
        period,
        evaluation_periods,
        datapoints_to_alarm: input.datapoints_to_alarm,
        threshold,
        comparison_operator: operator,
        treat_missing_data: input.treat_missing_data,
        evaluate_low_sample_count_percentile: input.evaluate_low_sample_count_percentile,
        tags,
        ..blank(ctx, input.alarm_name)
    };
    set(ctx, alarm);
    Ok(())
}

/// An alarm of the caller's with AWS's defaults, not yet evaluated.
pub fn blank(ctx: &Ctx, name: String) -> MetricAlarm {
    MetricAlarm {
        arn: ctx.scope.arn("cloudwatch", format_args!("alarm:{name}")),
        scope: ctx.scope.clone(),
        name,
        description: None,
        actions_enabled: true,
        ok_actions: Vec::new(),
        alarm_actions: Vec::new(),
        insufficient_data_actions: Vec::new(),
        namespace: String::new(),
        metric_name: String::new(),
        dimensions: Vec::new(),
        statistic: None,
        extended_statistic: None,
        unit: None,
        period: 60,
        evaluation_periods: 1,
        datapoints_to_alarm: None,
        threshold: 0.0,
        comparison_operator: String::new(),
        treat_missing_data: None,
        evaluate_low_sample_count_percentile: None,
        updated: ctx.now,
        state: AlarmState::InsufficientData,
        state_reason: "Unchecked: Initial alarm creation".to_owned(),
        state_reason_data: String::new(),
        state_updated: ctx.now,
        state_transitioned: ctx.now,
        actions_run: None,
        metrics: Vec::new(),
        actions_due: false,
        tags: model::Tags::new(),
    }
}

/// Puts an alarm in place of one of the same name: the state stays until the next
/// evaluation, and so do the tags.
pub fn set(ctx: &mut Ctx, mut alarm: MetricAlarm) {
    let key = ScopedName::new(&alarm.scope, &alarm.name);
    let old = ctx.tx.get::<MetricAlarm>(&key).cloned();
    let (verb, kind) = if old.is_some() {
        ("updated", "Update")
    } else {
        ("created", "Create")
    };
    if let Some(old) = old {
        alarm.state = old.state;
        alarm.state_reason = old.state_reason;
        alarm.state_reason_data = old.state_reason_data;
        alarm.state_updated = old.state_updated;
        alarm.state_transitioned = old.state_transitioned;
        alarm.tags = old.tags;
    }
    let summary = format!("Alarm \"{}\" {verb}", alarm.name);
    record(
        ctx,
        &alarm,
        "ConfigurationUpdate",
        summary,
        json!({ "version": "1.0", "type": kind }),
    );
    ctx.tx.put(alarm);
}

/// Whether there was such an alarm.
pub fn remove(ctx: &mut Ctx, name: &str) -> bool {
    let Some(alarm) = ctx
        .tx
        .remove::<MetricAlarm>(&ScopedName::new(&ctx.scope, name))
    else {
        return false;
    };
    let summary = format!("Alarm \"{name}\" deleted");
    record(
        ctx,
        &alarm,
        "ConfigurationUpdate",
        summary,
        json!({ "version": "1.0", "type": "Delete" }),
    );
    true
}

/// One of the two must be given, and be one that is known.
fn statistic(plain: Option<&str>, extended: Option<&str>) -> Result<()> {
    match (plain, extended) {
        (Some(_), Some(_)) => Err(combination(
            "Statistic and ExtendedStatistic cannot both be given.",
        )),
        (Some(plain), None) => choice("Statistic", Some(plain), &STATISTICS),
        (None, Some(extended)) => match extended.parse() {
            Ok(metrics::Statistic::Percentile(_)) => Ok(()),
            _ => Err(invalid(format!(
                "The value {extended} for parameter ExtendedStatistic is not supported: Nines knows percentiles (p0 to p100)."
            ))),
        },
        (None, None) => Err(missing("Statistic")),
    }
}

fn choice(name: &str, value: Option<&str>, allowed: &[&str]) -> Result<()> {
    match value {
        Some(value) if !allowed.contains(&value) => Err(invalid(format!(
            "The value {value} for parameter {name} is not supported: it is one of {}.",
            allowed.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Notes a change in the alarm's history.
pub fn record(ctx: &mut Ctx, alarm: &MetricAlarm, kind: &str, summary: String, data: Value) {
    let item = AlarmHistoryItem {
        sequence: 0,
        scope: alarm.scope.clone(),
        alarm: alarm.name.clone(),
        composite: false,
        time: ctx.now,
        kind: kind.to_owned(),
        summary,
        data: data.to_string(),
    };
    ctx.tx.alarm_history(item);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAlarms {
    #[serde(default)]
    alarm_names: Vec<String>,
    alarm_name_prefix: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    children_of_alarm_name: Option<Value>,
    parents_of_alarm_name: Option<Value>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    max_records: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    composite_alarms: Vec<()>,
    metric_alarms: Vec<Alarm>,
    next_token: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeAlarms) -> Result<Described> {
    if input.children_of_alarm_name.is_some() || input.parents_of_alarm_name.is_some() {
        return Err(invalid(
            "ChildrenOfAlarmName and ParentsOfAlarmName are about composite alarms, which Nines does not have.",
        ));
    }
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
    choice(
        "StateValue",
        input.state_value.as_deref(),
        &["OK", "ALARM", "INSUFFICIENT_DATA"],
    )?;
    for kind in &input.alarm_types {
        choice("AlarmTypes", Some(kind), &["MetricAlarm", "CompositeAlarm"])?;
    }
    let metric_alarms =
        input.alarm_types.is_empty() || input.alarm_types.iter().any(|t| t == "MetricAlarm");
    let names: BTreeSet<&str> = input.alarm_names.iter().map(String::as_str).collect();
    let acts = |a: &MetricAlarm, prefix: &str| {
        a.alarm_actions
            .iter()
            .chain(&a.ok_actions)
            .chain(&a.insufficient_data_actions)
            .any(|x| x.starts_with(prefix))
    };
    let matching = ctx.tx.alarms.values().filter(|a| {
        metric_alarms
            && a.scope == ctx.scope
            && (names.is_empty() || names.contains(a.name.as_str()))
            && input
                .alarm_name_prefix
                .as_ref()
                .is_none_or(|p| a.name.starts_with(p))
            && input
                .state_value
                .as_ref()
                .is_none_or(|s| a.state.name() == s)
            && input.action_prefix.as_ref().is_none_or(|p| acts(a, p))
    });
    let page = Page::within(1, 100, input.max_records, input.next_token.as_deref())
        .map_err(|_| bad_token())?;
    let (alarms, next_token) = page.of(matching, |a| a.name.clone());
    Ok(Described {
        composite_alarms: Vec::new(),
        metric_alarms: alarms.into_iter().map(|a| Alarm::of(a)).collect(),
        next_token,
    })
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
    let matching = ctx.tx.alarms.values().filter(|a| {
        a.scope == ctx.scope
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
    metric_name: String,
    namespace: String,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    dimensions: Vec<Dimension>,
    period: u32,
    unit: Option<String>,
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
            metric_name: a.metric_name.clone(),
            namespace: a.namespace.clone(),
            statistic: a.statistic.clone(),
            extended_statistic: a.extended_statistic.clone(),
            dimensions: dimensions(&a.dimensions),
            period: a.period,
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
