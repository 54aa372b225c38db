//! Alarms and their history. Metric points live in the `metrics` crate, not in the store.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricAlarm {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    pub description: Option<String>,
    pub actions_enabled: bool,
    pub ok_actions: Vec<String>,
    pub alarm_actions: Vec<String>,
    pub insufficient_data_actions: Vec<String>,
    pub namespace: String,
    pub metric_name: String,
    /// Sorted by name.
    pub dimensions: Vec<(String, String)>,
    /// `Average`, `Sum`…; else `extended_statistic` such as `p99`.
    pub statistic: Option<String>,
    pub extended_statistic: Option<String>,
    pub unit: Option<String>,
    /// Seconds.
    pub period: u32,
    pub evaluation_periods: u32,
    pub datapoints_to_alarm: Option<u32>,
    pub threshold: f64,
    pub comparison_operator: String,
    /// `missing`, `ignore`, `breaching`, `notBreaching`.
    pub treat_missing_data: Option<String>,
    pub evaluate_low_sample_count_percentile: Option<String>,
    pub updated: Timestamp,
    pub state: AlarmState,
    pub state_reason: String,
    pub state_reason_data: String,
    pub state_updated: Timestamp,
    pub state_transitioned: Timestamp,
    /// The one that it came from: what is told of a change names both.
    #[serde(default)]
    pub state_before: AlarmState,
    /// Metrics and expressions in place of one metric; exactly one returns data.
    #[serde(default)]
    pub metrics: Vec<MetricDataQuery>,
    /// `SetAlarmState` changed the state: the controller is to run its actions.
    #[serde(default)]
    pub actions_due: bool,
    pub tags: Tags,
}

/// A metric to be read, or an expression over others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDataQuery {
    pub id: String,
    /// `None` for an expression.
    pub metric: Option<MetricStat>,
    pub expression: Option<String>,
    pub label: Option<String>,
    pub return_data: bool,
    /// Seconds; of expressions that look for metrics themselves.
    pub period: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricStat {
    pub namespace: String,
    pub name: String,
    /// Sorted by name.
    pub dimensions: Vec<(String, String)>,
    /// Seconds.
    pub period: u32,
    pub stat: String,
    pub unit: Option<String>,
}

/// An alarm over the states of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompositeAlarm {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    pub description: Option<String>,
    /// As given; it parses.
    pub rule: String,
    pub actions_enabled: bool,
    pub ok_actions: Vec<String>,
    pub alarm_actions: Vec<String>,
    pub insufficient_data_actions: Vec<String>,
    pub suppressor: Option<Suppressor>,
    /// What holds the actions back now, and why.
    pub suppressed: Option<Suppressed>,
    pub updated: Timestamp,
    pub state: AlarmState,
    pub state_reason: String,
    pub state_reason_data: String,
    pub state_updated: Timestamp,
    pub state_transitioned: Timestamp,
    /// The one that it came from: what is told of a change names both.
    #[serde(default)]
    pub state_before: AlarmState,
    /// The state changed, and its actions are still to run: when nothing suppresses them.
    pub actions_due: bool,
    pub tags: Tags,
}

/// An alarm that holds a composite alarm's actions back while it is in `ALARM`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suppressor {
    /// Name or ARN, as given.
    pub alarm: String,
    /// Seconds that the composite alarm waits for it to go into `ALARM`.
    pub wait_period: u32,
    /// Seconds that it holds on after it has left `ALARM`.
    pub extension_period: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suppressed {
    /// `WaitPeriod`, `ExtensionPeriod` or `Alarm`.
    pub by: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmState {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "ALARM")]
    Alarm,
    #[default]
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl AlarmState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmHistoryItem {
    /// Orders items of one store.
    pub sequence: u64,
    pub scope: Scope,
    pub alarm: String,
    /// Of a composite alarm.
    #[serde(default)]
    pub composite: bool,
    pub time: Timestamp,
    /// `ConfigurationUpdate`, `StateUpdate`, `Action`.
    pub kind: String,
    pub summary: String,
    /// JSON text.
    pub data: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    pub arn: String,
    /// The account; a dashboard is in no region.
    pub scope: Scope,
    pub name: String,
    /// JSON text, as given.
    pub body: String,
    pub modified: Timestamp,
}

/// The name in a rule's or suppressor's reference, which may be an alarm's ARN.
pub fn alarm_name(reference: &str) -> &str {
    let tail = reference
        .starts_with("arn:")
        .then(|| reference.split_once(":alarm:"));
    tail.flatten().map_or(reference, |(_, name)| name)
}
