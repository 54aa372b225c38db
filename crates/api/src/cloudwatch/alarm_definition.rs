//! An alarm's definition in its history: what was created, what it became, what was deleted.
//!
//! Names and their order are those of a history of AWS's (2022): `okactions` is spelt so. Where members stand that
//! it had none of, and those of composite alarms, are assumptions.

use super::alarm::note;
use super::query::{MetricDataQuery, shape};
use crate::Ctx;
use model::Timestamp;
use model::cloudwatch::{CompositeAlarm, MetricAlarm};
use serde::Serialize;

/// What became of the alarm.
#[derive(Clone, Copy)]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

#[derive(Serialize)]
struct Data<'a, D> {
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "createdAlarm", skip_serializing_if = "Option::is_none")]
    created: Option<&'a D>,
    #[serde(rename = "updatedAlarm", skip_serializing_if = "Option::is_none")]
    updated: Option<&'a D>,
    #[serde(rename = "deletedAlarm", skip_serializing_if = "Option::is_none")]
    deleted: Option<&'a D>,
}

#[derive(Serialize)]
struct Dimension<'a> {
    value: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric<'a> {
    alarm_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm_description: Option<&'a str>,
    alarm_arn: &'a str,
    alarm_configuration_updated_timestamp: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    metric_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_statistic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u32>,
    dimensions: Vec<Dimension<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricDataQuery>,
    threshold: f64,
    comparison_operator: &'a str,
    evaluation_periods: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    datapoints_to_alarm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    treat_missing_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluate_low_sample_count_percentile: Option<&'a str>,
    state_value: &'static str,
    state_updated_timestamp: String,
    actions_enabled: bool,
    alarm_actions: &'a [String],
    insufficient_data_actions: &'a [String],
    #[serde(rename = "okactions")]
    ok_actions: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Composite<'a> {
    alarm_name: &'a str,
    alarm_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm_description: Option<&'a str>,
    alarm_rule: &'a str,
    actions_enabled: bool,
    #[serde(rename = "okactions")]
    ok_actions: &'a [String],
    alarm_actions: &'a [String],
    insufficient_data_actions: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    actions_suppressor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions_suppressor_wait_period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions_suppressor_extension_period: Option<u32>,
    state_value: &'static str,
    alarm_configuration_updated_timestamp: String,
    state_updated_timestamp: String,
}

pub fn metric(ctx: &mut Ctx, change: Change, a: &MetricAlarm) {
    let definition = Metric {
        alarm_name: &a.name,
        alarm_arn: &a.arn,
        alarm_description: a.description.as_deref(),
        actions_enabled: a.actions_enabled,
        ok_actions: &a.ok_actions,
        alarm_actions: &a.alarm_actions,
        insufficient_data_actions: &a.insufficient_data_actions,
        namespace: &a.namespace,
        metric_name: &a.metric_name,
        dimensions: a
            .dimensions
            .iter()
            .map(|(name, value)| Dimension { name, value })
            .collect(),
        metrics: a.metrics.iter().map(shape).collect(),
        statistic: a.statistic.as_deref(),
        extended_statistic: a.extended_statistic.as_deref(),
        unit: a.unit.as_deref(),
        period: Some(a.period).filter(|_| a.metrics.is_empty()),
        evaluation_periods: a.evaluation_periods,
        datapoints_to_alarm: a.datapoints_to_alarm,
        threshold: a.threshold,
        comparison_operator: &a.comparison_operator,
        treat_missing_data: a.treat_missing_data.as_deref(),
        evaluate_low_sample_count_percentile: a.evaluate_low_sample_count_percentile.as_deref(),
        state_value: a.state.name(),
        alarm_configuration_updated_timestamp: stamp(a.updated),
        state_updated_timestamp: stamp(a.state_updated),
    };
    write(ctx, change, &a.name, false, &definition);
}

pub fn composite(ctx: &mut Ctx, change: Change, a: &CompositeAlarm) {
    let definition = Composite {
        alarm_name: &a.name,
        alarm_arn: &a.arn,
        alarm_description: a.description.as_deref(),
        alarm_rule: &a.rule,
        actions_enabled: a.actions_enabled,
        ok_actions: &a.ok_actions,
        alarm_actions: &a.alarm_actions,
        insufficient_data_actions: &a.insufficient_data_actions,
        actions_suppressor: a.suppressor.as_ref().map(|s| s.alarm.as_str()),
        actions_suppressor_wait_period: a.suppressor.as_ref().map(|s| s.wait_period),
        actions_suppressor_extension_period: a.suppressor.as_ref().map(|s| s.extension_period),
        state_value: a.state.name(),
        alarm_configuration_updated_timestamp: stamp(a.updated),
        state_updated_timestamp: stamp(a.state_updated),
    };
    write(ctx, change, &a.name, true, &definition);
}

fn write<D: Serialize>(ctx: &mut Ctx, change: Change, name: &str, composite: bool, definition: &D) {
    let mut data = Data {
        version: "1.0",
        kind: "Create",
        created: None,
        updated: None,
        deleted: None,
    };
    let verb = match change {
        Change::Created => {
            data.created = Some(definition);
            "created"
        }
        Change::Updated => {
            (data.kind, data.updated) = ("Update", Some(definition));
            "updated"
        }
        Change::Deleted => {
            (data.kind, data.deleted) = ("Delete", Some(definition));
            "deleted"
        }
    };
    let summary = format!("Alarm \"{name}\" {verb}");
    // Of texts and numbers; a threshold that JSON has no number for is written as null.
    let data = serde_json::to_string(&data).unwrap_or_default();
    note(ctx, name, composite, "ConfigurationUpdate", summary, data);
}

/// As in the rest of an alarm's history.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
