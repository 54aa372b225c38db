//! Zonal shifts: a resource is moved away from a zone for a while.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZonalShift {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    /// ARN of what is shifted.
    pub resource: String,
    /// The zone's id, such as `use1-az1`.
    pub away_from: String,
    pub comment: String,
    pub started: Timestamp,
    pub expires: Timestamp,
    pub canceled: bool,
    /// Its time is over, and what it moved has been moved back.
    #[serde(default)]
    pub ended: bool,
}

impl ZonalShift {
    /// Load balancers follow it. It may be over, but nobody has seen to that yet.
    pub fn in_force(&self) -> bool {
        !self.canceled && !self.ended
    }
    pub fn active(&self, now: Timestamp) -> bool {
        !self.canceled && now < self.expires
    }
    /// What is shifted, as its ARN has it: the last part that is a name.
    pub fn resource_name(&self) -> &str {
        let tail = match self.resource.split_once(":loadbalancer/") {
            // `app/<name>/<id>`
            Some((_, tail)) => tail.split('/').nth(1),
            None => self.resource.rsplit('/').next(),
        };
        tail.unwrap_or(&self.resource)
    }
    pub fn status(&self, now: Timestamp) -> &'static str {
        match (self.canceled, now < self.expires) {
            (true, _) => "CANCELED",
            (false, true) => "ACTIVE",
            (false, false) => "EXPIRED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_resources() {
        let check = |resource: &str, expected: &str| {
            let shift = ZonalShift {
                id: "s".into(),
                scope: Scope::new("000000000000", "us-east-1"),
                resource: resource.into(),
                away_from: "use1-az1".into(),
                comment: String::new(),
                started: Timestamp::UNIX_EPOCH,
                expires: Timestamp::UNIX_EPOCH,
                canceled: false,
                ended: false,
            };
            assert_eq!(shift.resource_name(), expected);
        };
        let of = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer";
        check(&format!("{of}/app/web/50dc6c495c0c9188"), "web");
        check(
            "arn:aws:autoscaling:us-east-1:0:autoScalingGroup:u:autoScalingGroupName/a",
            "a",
        );
    }
}
