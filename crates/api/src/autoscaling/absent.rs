//! What groups on AWS can also do and groups here cannot, refused in words.

use super::Done;
use super::error::{Result, unsupported};
use crate::Ctx;
use serde_json::{Map, Value};

/// An input that is refused whatever it holds.
pub type Anything = Map<String, Value>;

pub fn get_predictive_scaling_forecast(_: &mut Ctx, _: Anything) -> Result<Done> {
    Err(unsupported("Predictive scaling is"))
}
