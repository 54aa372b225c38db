//! CloudWatch: metrics and metric alarms, over Query, JSON and CBOR.
//!
//! Points and metric math live in the `metrics` crate; alarms and their history in the
//! store. The alarm controller evaluates and acts. Anomaly bands, insight rules and
//! streams are refused or no actions here.

mod absent;
pub mod alarm;
mod alarm_definition;
mod alarm_describe;
mod alarm_history;
mod alarm_state;
mod basic_monitoring;
mod composite;
mod dashboard;
mod dashboard_body;
mod error;
mod metric;
mod metric_data;
pub mod query;
mod statistics;
mod tag;
mod unit;

use crate::Ctx;
use error::{Result, invalid};
use serde::{Deserialize, Serialize};
use wire::{QueryKind, Service, action};

pub fn service() -> Service<Ctx> {
    Service {
        version: "2010-08-01",
        xml_namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        query_kind: Some(QueryKind::Query),
        json_target_prefix: Some("GraniteServiceVersion20100801"),
        cbor_service_name: Some("GraniteServiceVersion20100801"),
        query_errors: Some(&[
            ("InternalServiceError", "InternalServiceFault"),
            ("InvalidFormat", "InvalidFormatFault"),
            (
                "InvalidParameterCombination",
                "InvalidParameterCombinationException",
            ),
            ("InvalidParameterInput", "DashboardInvalidInputError"),
            ("InvalidParameterValue", "InvalidParameterValueException"),
            ("LimitExceeded", "LimitExceededFault"),
            ("MissingParameter", "MissingRequiredParameterException"),
        ]),
        actions: vec![
            action("PutMetricAlarm", alarm::put),
            action("DescribeAlarms", alarm_describe::describe),
            action(
                "DescribeAlarmsForMetric",
                alarm_describe::describe_for_metric,
            ),
            action("DeleteAlarms", alarm_describe::delete),
            action("SetAlarmState", alarm_state::set),
            action("EnableAlarmActions", alarm_state::enable_actions),
            action("DisableAlarmActions", alarm_state::disable_actions),
            action("DescribeAlarmHistory", alarm_history::describe),
            action("PutMetricData", metric::put),
            action("ListMetrics", metric::list),
            action("GetMetricStatistics", statistics::statistics),
            action("GetMetricData", metric_data::get),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListTagsForResource", tag::list),
            action("PutDashboard", dashboard::put),
            action("GetDashboard", dashboard::get),
            action("ListDashboards", dashboard::list),
            action("DeleteDashboards", dashboard::delete),
            action("PutCompositeAlarm", composite::put),
            action("PutAnomalyDetector", absent::put_anomaly_detector),
            action("PutMetricStream", absent::put_metric_stream),
            action("PutInsightRule", absent::put_insight_rule),
            action("DescribeAlarmContributors", absent::contributors),
        ],
        ..Service::new("monitoring")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    pub name: String,
    pub value: String,
}

/// AWS's limit on the dimensions of a metric.
const MAX_DIMENSIONS: usize = 30;

/// Refuses names and values that no metric can have.
fn check_dimensions(dimensions: &[Dimension]) -> Result<()> {
    if MAX_DIMENSIONS < dimensions.len() {
        return Err(invalid(format!(
            "A metric has at most {MAX_DIMENSIONS} dimensions."
        )));
    }
    for (at, Dimension { name, value }) in dimensions.iter().enumerate() {
        let fits = |text: &str, most| !text.trim().is_empty() && text.chars().count() <= most;
        if !fits(name, 255) || name.starts_with(':') || !fits(value, 1024) {
            return Err(invalid(format!(
                "The dimension '{name}' with the value '{value}' is invalid."
            )));
        }
        if dimensions[..at].iter().any(|d| d.name == *name) {
            return Err(invalid(format!(
                "The dimension '{name}' is given more than once."
            )));
        }
    }
    Ok(())
}

/// Sorted by name, as series are identified.
fn pairs(dimensions: &[Dimension]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = dimensions
        .iter()
        .map(|d| (d.name.clone(), d.value.clone()))
        .collect();
    pairs.sort();
    pairs
}

fn dimensions(pairs: &[(String, String)]) -> Vec<Dimension> {
    pairs
        .iter()
        .map(|(name, value)| Dimension {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
}
