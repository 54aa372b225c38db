//! CloudWatch: metrics and metric alarms, over Query, JSON and CBOR.
//!
//! Points live in the `metrics` crate; alarms and their history in the store. The
//! alarm controller evaluates and acts. Metric math, composite alarms, anomaly
//! bands, streams and dashboards are refused or no actions here.

pub mod alarm;
mod alarm_history;
mod alarm_state;
mod error;
mod metric;
mod metric_data;
mod tag;

use crate::Ctx;
use serde::{Deserialize, Serialize};
use wire::{QueryKind, Service, action};

pub fn service() -> Service<Ctx> {
    Service {
        version: "2010-08-01",
        xml_namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        query_kind: Some(QueryKind::Query),
        json_target_prefix: Some("GraniteServiceVersion20100801"),
        cbor_service_name: Some("GraniteServiceVersion20100801"),
        query_compatible_errors: true,
        actions: vec![
            action("PutMetricAlarm", alarm::put),
            action("DescribeAlarms", alarm::describe),
            action("DescribeAlarmsForMetric", alarm::describe_for_metric),
            action("DeleteAlarms", alarm::delete),
            action("SetAlarmState", alarm_state::set),
            action("EnableAlarmActions", alarm_state::enable_actions),
            action("DisableAlarmActions", alarm_state::disable_actions),
            action("DescribeAlarmHistory", alarm_history::describe),
            action("PutMetricData", metric::put),
            action("ListMetrics", metric::list),
            action("GetMetricStatistics", metric_data::statistics),
            action("GetMetricData", metric_data::get),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListTagsForResource", tag::list),
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
