//! What CloudWatch on AWS also has and this cloud does not: refused in words.

use super::error::{Result, invalid};
use crate::Ctx;
use serde_json::{Map, Value};

/// An input that is refused whatever it holds.
pub type Anything = Map<String, Value>;

pub fn put_composite_alarm(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid("Composite alarms are not supported by this cloud."))
}

pub fn put_anomaly_detector(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid(
        "Anomaly detectors are not supported by this cloud.",
    ))
}

pub fn put_metric_stream(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(invalid("Metric streams are not supported by this cloud."))
}
