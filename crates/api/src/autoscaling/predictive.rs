//! Predictive scaling policies: checked, kept and described.
//!
//! AWS forecasts from a day of a group's metrics on, and scales by the hour. No forecast is made
//! here, which an event says when a policy is put: a group with one is as on AWS's first day.

use super::check;
use super::error::{Result, refuse, validation};
use model::autoscaling::PolicyKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const PAIRS: &[&str] = &[
    "ASGCPUUtilization",
    "ASGNetworkIn",
    "ASGNetworkOut",
    "ALBRequestCount",
];
const SCALING: &[&str] = &[
    "ASGAverageCPUUtilization",
    "ASGAverageNetworkIn",
    "ASGAverageNetworkOut",
    "ALBRequestCountPerTarget",
];
const LOAD: &[&str] = &[
    "ASGTotalCPUUtilization",
    "ASGTotalNetworkIn",
    "ASGTotalNetworkOut",
    "ALBTargetGroupRequestCount",
];
const MODES: &[&str] = &["ForecastAndScale", "ForecastOnly"];
const BREACHES: &[&str] = &["HonorMaxCapacity", "IncreaseMaxCapacity"];
const HOUR: u32 = 3600;

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PredictiveScalingConfiguration {
    metric_specifications: Vec<MetricSpecification>,
    mode: Option<String>,
    scheduling_buffer_time: Option<i64>,
    max_capacity_breach_behavior: Option<String>,
    max_capacity_buffer: Option<i64>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricSpecification {
    target_value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    predefined_metric_pair_specification: Option<Predefined>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predefined_scaling_metric_specification: Option<Predefined>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predefined_load_metric_specification: Option<Predefined>,
    #[serde(
        default,
        deserialize_with = "wire::refused",
        skip_serializing_if = "Option::is_none"
    )]
    customized_scaling_metric_specification: Option<Value>,
    #[serde(
        default,
        deserialize_with = "wire::refused",
        skip_serializing_if = "Option::is_none"
    )]
    customized_load_metric_specification: Option<Value>,
    #[serde(
        default,
        deserialize_with = "wire::refused",
        skip_serializing_if = "Option::is_none"
    )]
    customized_capacity_metric_specification: Option<Value>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Predefined {
    predefined_metric_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_label: Option<String>,
}

impl Predefined {
    fn check(&self, allowed: &[&str]) -> Result<()> {
        check::one_of(
            &self.predefined_metric_type,
            "predefinedMetricType",
            allowed,
        )?;
        let of_balancer = self.predefined_metric_type.starts_with("ALB");
        if of_balancer
            && self
                .resource_label
                .as_deref()
                .unwrap_or_default()
                .is_empty()
        {
            return Err(validation(format!(
                "ResourceLabel is required for the predefined metric type {}.",
                self.predefined_metric_type
            )));
        }
        Ok(())
    }
}

impl MetricSpecification {
    fn check(&self) -> Result<()> {
        refuse(
            &self.customized_scaling_metric_specification,
            "CustomizedScalingMetricSpecification",
        )?;
        refuse(
            &self.customized_load_metric_specification,
            "CustomizedLoadMetricSpecification",
        )?;
        refuse(
            &self.customized_capacity_metric_specification,
            "CustomizedCapacityMetricSpecification",
        )?;
        if !self.target_value.is_finite() || self.target_value <= 0.0 {
            return Err(validation("TargetValue must be a number greater than 0."));
        }
        match (
            &self.predefined_metric_pair_specification,
            &self.predefined_scaling_metric_specification,
            &self.predefined_load_metric_specification,
        ) {
            (Some(pair), None, None) => pair.check(PAIRS),
            (None, Some(scaling), Some(load)) => {
                scaling.check(SCALING)?;
                load.check(LOAD)
            }
            _ => Err(validation(
                "A metric specification must have a metric pair, or both a scaling metric and a load metric.",
            )),
        }
    }
}

/// The policy as it is kept, with what AWS fills in.
pub fn kind(given: Option<PredictiveScalingConfiguration>) -> Result<PolicyKind> {
    let Some(mut given) = given else {
        return Err(validation("PredictiveScalingConfiguration is required."));
    };
    // AWS documents one as the most.
    let [specification] = given.metric_specifications.as_slice() else {
        return Err(validation(
            "Exactly one metric specification must be specified.",
        ));
    };
    specification.check()?;
    let mode = given.mode.get_or_insert_with(|| "ForecastOnly".into());
    check::one_of(mode, "mode", MODES)?;
    let breach = given.max_capacity_breach_behavior.as_deref();
    let breach = breach.unwrap_or("HonorMaxCapacity");
    check::one_of(breach, "maxCapacityBreachBehavior", BREACHES)?;
    match (breach, given.max_capacity_buffer) {
        ("IncreaseMaxCapacity", Some(buffer)) => {
            check::within(buffer, "maxCapacityBuffer", 0, 100)?;
        }
        ("IncreaseMaxCapacity", None) => {
            return Err(validation(
                "MaxCapacityBuffer is required if MaxCapacityBreachBehavior is IncreaseMaxCapacity.",
            ));
        }
        (_, Some(_)) => {
            return Err(validation(
                "MaxCapacityBuffer is only supported if MaxCapacityBreachBehavior is IncreaseMaxCapacity.",
            ));
        }
        (_, None) => {}
    }
    given.max_capacity_breach_behavior = Some(breach.to_owned());
    if let Some(buffer) = given.scheduling_buffer_time {
        check::within(buffer, "schedulingBufferTime", 0, HOUR)?;
    }
    let text = serde_json::to_string(&given);
    let text = text.map_err(|_| wire::ApiError::internal("The policy cannot be kept."))?;
    Ok(PolicyKind::Predictive(text))
}

/// As policies are described.
pub fn described(kept: &str) -> Option<PredictiveScalingConfiguration> {
    serde_json::from_str(kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_policy_must_say() {
        let cpu = json!([{
            "TargetValue": 40.0,
            "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ASGCPUUtilization"},
        }]);
        let check = |given: serde_json::Value, expected: Option<&str>| {
            let parsed: PredictiveScalingConfiguration =
                serde_json::from_value(given.clone()).unwrap();
            match (kind(Some(parsed)), expected) {
                (Ok(PolicyKind::Predictive(kept)), Some(mode)) => {
                    let kept = described(&kept).unwrap();
                    assert_eq!(kept.mode.as_deref(), Some(mode), "{given}");
                }
                (Err(e), None) => assert_eq!(e.code, "ValidationError", "{given}"),
                (other, _) => panic!("{given}: {other:?}"),
            }
        };
        check(json!({"MetricSpecifications": cpu}), Some("ForecastOnly"));
        check(
            json!({
                "Mode": "ForecastAndScale",
                "MaxCapacityBreachBehavior": "IncreaseMaxCapacity",
                "MaxCapacityBuffer": 10,
                "SchedulingBufferTime": 10,
                "MetricSpecifications": [{
                    "TargetValue": 32.0,
                    "PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
                    "PredefinedLoadMetricSpecification": {"PredefinedMetricType": "ASGTotalCPUUtilization"},
                }],
            }),
            Some("ForecastAndScale"),
        );
        check(json!({"MetricSpecifications": []}), None);
        check(json!({"MetricSpecifications": cpu, "Mode": "Guess"}), None);
        check(
            json!({"MetricSpecifications": cpu, "MaxCapacityBuffer": 10}),
            None,
        );
        check(
            json!({"MetricSpecifications": cpu, "SchedulingBufferTime": 3601}),
            None,
        );
        check(
            json!({"MetricSpecifications": [{
                "TargetValue": 1.0,
                "PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            }]}),
            None,
        );
        check(
            json!({"MetricSpecifications": [{
                "TargetValue": 1.0,
                "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ALBRequestCount"},
            }]}),
            None,
        );
    }
}
