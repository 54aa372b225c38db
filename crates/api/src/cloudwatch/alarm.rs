//! Metric alarms: their definition. The controller writes their state.

use super::alarm_definition::{self, Change};
use super::error::{Result, combination, invalid, length, missing};
use super::query::{self, MetricDataQuery, validation};
use super::{Dimension, basic_monitoring, check_dimensions, pairs, tag, unit};
use crate::Ctx;
use model::cloudwatch::{
    self as record, AlarmHistoryItem, AlarmState, CompositeAlarm, MetricAlarm,
};
use serde::Deserialize;
use serde_json::Value;
use store::ScopedName;

/// Names of one call, actions of one state, metrics of one alarm.
pub const MAX_NAMES: usize = 100;
const MAX_ACTIONS: usize = 5;
const MAX_METRICS: usize = 10;
const HOUR: u32 = 3600;
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
    #[serde(default)]
    metrics: Vec<MetricDataQuery>,
    #[serde(default)]
    tags: Vec<tag::Tag>,
    threshold_metric_id: Option<Value>,
    evaluation_criteria: Option<Value>,
    evaluation_interval: Option<Value>,
}

pub fn put(ctx: &mut Ctx, input: PutMetricAlarm) -> Result<()> {
    let unserved = [
        ("ThresholdMetricId", &input.threshold_metric_id),
        ("EvaluationCriteria", &input.evaluation_criteria),
        ("EvaluationInterval", &input.evaluation_interval),
    ];
    if let Some((name, _)) = unserved.iter().find(|(_, value)| value.is_some()) {
        return Err(invalid(format!(
            "{name} is not supported: Nines evaluates alarms on metrics and metric math, without anomaly bands or queries."
        )));
    }
    length(&input.alarm_name, "AlarmName", 1, 255)?;
    if let Some(text) = &input.alarm_description {
        length(text, "AlarmDescription", 0, 1024)?;
    }
    another_kind::<CompositeAlarm>(ctx, &input.alarm_name)?;
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
    let given = [
        ("MetricName", input.metric_name.is_some()),
        ("Namespace", input.namespace.is_some()),
        ("Dimensions", !input.dimensions.is_empty()),
        ("Period", input.period.is_some()),
        ("Unit", input.unit.is_some()),
        ("Statistic", input.statistic.is_some()),
        ("ExtendedStatistic", input.extended_statistic.is_some()),
    ];
    let (queries, metric_name, namespace, period) = if input.metrics.is_empty() {
        let metric_name = input.metric_name.ok_or_else(|| missing("MetricName"))?;
        let namespace = input.namespace.ok_or_else(|| missing("Namespace"))?;
        length(&metric_name, "MetricName", 1, 255)?;
        length(&namespace, "Namespace", 1, 255)?;
        statistic(
            input.statistic.as_deref(),
            input.extended_statistic.as_deref(),
        )?;
        let period = input.period.ok_or_else(|| missing("Period"))?;
        (Vec::new(), metric_name, namespace, period)
    } else {
        if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
            return Err(combination(format!(
                "Metrics and {name} cannot both be given."
            )));
        }
        let queries = query::records(ctx, input.metrics)?;
        let period = expression(&queries)?;
        (queries, String::new(), String::new(), period)
    };
    if !(matches!(period, 10 | 20 | 30) || (period >= 60 && period.is_multiple_of(60))) {
        return Err(invalid("Period must be 10, 20, 30 or a multiple of 60."));
    }
    if evaluation_periods == 0 {
        return Err(invalid("EvaluationPeriods must be greater than 0."));
    }
    check_range(period, evaluation_periods)?;
    match input.datapoints_to_alarm {
        Some(0) => return Err(invalid("DatapointsToAlarm must be greater than 0.")),
        Some(m) if m > evaluation_periods => {
            return Err(validation(
                "DatapointsToAlarm must be less than or equal to EvaluationPeriods",
            ));
        }
        _ => {}
    }
    choice(
        "TreatMissingData",
        input.treat_missing_data.as_deref(),
        &["breaching", "notBreaching", "ignore", "missing"],
    )?;
    choice(
        "EvaluateLowSampleCountPercentile",
        input.evaluate_low_sample_count_percentile.as_deref(),
        &["evaluate", "ignore"],
    )?;
    let all = [
        ("AlarmActions", &input.alarm_actions),
        ("OKActions", &input.ok_actions),
        ("InsufficientDataActions", &input.insufficient_data_actions),
    ];
    actions(all)?;
    let instance = |a: &String| a.contains(":ec2:");
    if !queries.is_empty() && all.iter().any(|(_, actions)| actions.iter().any(instance)) {
        return Err(validation(
            "EC2 actions need an alarm on one metric with the dimension InstanceId.",
        ));
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
        metrics: queries,
        tags,
        ..blank(ctx, input.alarm_name)
    };
    basic_monitoring::warn(ctx, &alarm);
    set(ctx, alarm);
    Ok(())
}

/// A day; for periods of an hour or more, a week (`API_PutMetricAlarm`, Period). The text of the
/// latter is an assumption.
fn check_range(period: u32, evaluation_periods: u32) -> Result<()> {
    let (name, longest) = if period >= HOUR {
        ("a week", 7 * DAY)
    } else {
        ("a day", DAY)
    };
    if u64::from(period) * u64::from(evaluation_periods) > longest {
        return Err(invalid(format!(
            "Metrics cannot be checked across more than {name} (EvaluationPeriods * Period must be <= {longest})."
        )));
    }
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
        state_before: AlarmState::InsufficientData,
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
    let change = match old {
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    if let Some(old) = old {
        alarm.state = old.state;
        alarm.state_reason = old.state_reason;
        alarm.state_reason_data = old.state_reason_data;
        alarm.state_updated = old.state_updated;
        alarm.state_transitioned = old.state_transitioned;
        alarm.state_before = old.state_before;
        alarm.actions_due = old.actions_due;
        alarm.tags = old.tags;
    }
    alarm_definition::metric(ctx, change, &alarm);
    ctx.tx.put(alarm);
}

/// Whether there was such an alarm, of either kind.
pub fn remove(ctx: &mut Ctx, name: &str) -> bool {
    let key = ScopedName::new(&ctx.scope, name);
    let metric = ctx.tx.remove::<MetricAlarm>(&key);
    let composite = ctx.tx.remove::<CompositeAlarm>(&key);
    if let Some(alarm) = &metric {
        alarm_definition::metric(ctx, Change::Deleted, alarm);
    }
    if let Some(alarm) = &composite {
        alarm_definition::composite(ctx, Change::Deleted, alarm);
    }
    metric.is_some() || composite.is_some()
}

/// Metric alarms and composite alarms share their names.
pub fn another_kind<R: store::Record<Key = ScopedName>>(ctx: &Ctx, name: &str) -> Result<()> {
    if ctx
        .tx
        .get::<R>(&ScopedName::new(&ctx.scope, name))
        .is_some()
    {
        return Err(validation(format!(
            "An alarm of another type already has the name {name}."
        )));
    }
    Ok(())
}

/// Actions are ARNs, and few; whether they lead anywhere is not checked.
pub fn actions(all: [(&str, &Vec<String>); 3]) -> Result<()> {
    for (name, actions) in all {
        if actions.len() > MAX_ACTIONS {
            return Err(invalid(format!(
                "{name} has more than {MAX_ACTIONS} members."
            )));
        }
        if let Some(bad) = actions.iter().find(|a| !a.starts_with("arn:")) {
            return Err(invalid(format!("Invalid arn syntax: {bad}")));
        }
    }
    Ok(())
}

/// What an alarm's queries must be beyond what any are: gives their period.
pub fn expression(queries: &[record::MetricDataQuery]) -> Result<u32> {
    let metrics: Vec<&record::MetricStat> =
        queries.iter().filter_map(|q| q.metric.as_ref()).collect();
    if metrics.len() > MAX_METRICS {
        return Err(validation(format!(
            "An alarm has at most {MAX_METRICS} metrics."
        )));
    }
    if queries.iter().filter(|q| q.return_data).count() != 1 {
        return Err(validation(
            "Exactly one element of the metrics list should return data.",
        ));
    }
    let searches =
        |q: &record::MetricDataQuery| q.expression.as_ref().is_some_and(|e| e.contains("SEARCH"));
    if queries.iter().any(searches) {
        return Err(validation("SEARCH is not supported on Metric Alarms."));
    }
    let Some(first) = metrics.first() else {
        return Err(validation(
            "Invalid metrics list: an alarm's expression must include at least one metric.",
        ));
    };
    if metrics.iter().any(|m| m.period != first.period) {
        return Err(validation(
            "Period must be the same for all metrics of an alarm.",
        ));
    }
    Ok(first.period)
}

/// One of the two must be given, and be one that is known.
fn statistic(plain: Option<&str>, extended: Option<&str>) -> Result<()> {
    match (plain, extended) {
        (Some(_), Some(_)) => Err(combination(
            "Statistic and ExtendedStatistic cannot both be given.",
        )),
        (Some(plain), None) => choice("Statistic", Some(plain), &STATISTICS),
        (None, Some(extended)) => match extended.parse() {
            Ok(metrics::Statistic::Trimmed(..) | metrics::Statistic::Percentile(_)) => Ok(()),
            _ => Err(invalid(format!(
                "The value {extended} for parameter ExtendedStatistic is not supported."
            ))),
        },
        (None, None) => Err(missing("Statistic")),
    }
}

pub fn choice(name: &str, value: Option<&str>, allowed: &[&str]) -> Result<()> {
    match value {
        Some(value) if !allowed.contains(&value) => Err(invalid(format!(
            "The value {value} for parameter {name} is not supported: it is one of {}.",
            allowed.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Notes what happened to an alarm; `data` is JSON.
pub fn note(
    ctx: &mut Ctx,
    alarm: &str,
    composite: bool,
    kind: &str,
    summary: String,
    data: String,
) {
    let item = AlarmHistoryItem {
        sequence: 0,
        scope: ctx.scope.clone(),
        alarm: alarm.to_owned(),
        composite,
        time: ctx.now,
        kind: kind.to_owned(),
        summary,
        data,
    };
    ctx.tx.alarm_history(item);
}
