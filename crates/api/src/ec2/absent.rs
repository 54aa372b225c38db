//! What EC2 on AWS also has and this cloud does not: refused in words.

use super::Done;
use super::error::{Result, unsupported};
use crate::Ctx;
use serde_json::{Map, Value};

/// An input that is refused whatever it holds.
pub type Anything = Map<String, Value>;

/// A price would be invented: nobody bids here, and AWS's prices are not at hand.
pub fn spot_price_history(_: &mut Ctx, _: Anything) -> Result<Done> {
    Err(unsupported(
        "This cloud has no Spot market, so there is no history of Spot prices: every maximum price is met.",
    ))
}
