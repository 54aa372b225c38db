//! What CloudWatch on AWS also has and this cloud does not: refused in words.

use super::error::{Result, invalid};
use crate::Ctx;
use serde_json::{Map, Value};

/// An input that is refused whatever it holds.
pub type Anything = Map<String, Value>;

pub fn put_anomaly_detector(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid(
        "Anomaly detectors are not supported by this cloud.",
    ))
}

pub fn put_metric_stream(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid("Metric streams are not supported by this cloud."))
}

pub fn put_insight_rule(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid(
        "Contributor Insights rules are not supported by this cloud.",
    ))
}

pub fn contributors(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid(
        "Alarm contributors are not supported by this cloud: they are of alarms on queries.",
    ))
}
