//! Record sets on the wire, and whether one by itself may be.

use super::{Result, invalid, name, record_value};
use model::route53::{RecordAnswer, RecordSet, Routing};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordSetShape {
    pub name: String,
    pub r#type: String,
    pub set_identifier: Option<String>,
    weight: Option<i64>,
    region: Option<String>,
    #[serde(skip_serializing, default, deserialize_with = "wire::refused")]
    geo_location: Option<Anything>,
    failover: Option<String>,
    multi_value_answer: Option<bool>,
    #[serde(rename = "TTL")]
    ttl: Option<i64>,
    resource_records: Option<Values>,
    alias_target: Option<AliasTarget>,
    pub health_check_id: Option<String>,
    #[serde(skip_serializing, default, deserialize_with = "wire::refused")]
    traffic_policy_instance_id: Option<String>,
    #[serde(skip_serializing, default, deserialize_with = "wire::refused")]
    cidr_routing_config: Option<Anything>,
    #[serde(skip_serializing, default, deserialize_with = "wire::refused")]
    geo_proximity_location: Option<Anything>,
}

/// Only whether it is there counts.
type Anything = serde_json::Value;

#[derive(Deserialize, Serialize)]
#[serde(rename = "$wire::Items/ResourceRecord")]
struct Values(Vec<Value>);

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    value: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AliasTarget {
    hosted_zone_id: String,
    #[serde(rename = "DNSName")]
    dns_name: String,
    evaluate_target_health: bool,
}

pub const TYPES: [&str; 17] = [
    "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "DS",
    "TLSA", "SSHFP", "SVCB", "HTTPS",
];

/// Seconds.
const LONGEST_TTL: i64 = 2_147_483_647;

impl RecordSetShape {
    /// The record in `zone`. What is wrong with the request as a whole is an error, what is wrong
    /// with the record is added to `problems`.
    pub fn record(
        self,
        zone: &str,
        action: &str,
        problems: &mut Vec<String>,
    ) -> Result<Option<RecordSet>> {
        if !TYPES.contains(&&*self.r#type) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{}' at 'changeBatch.changes.resourceRecordSet.type' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
                self.r#type,
                TYPES.join(", ")
            )));
        }
        let about = format!(
            "in Change with [Action={action}, Name={}, Type={}, SetIdentifier={}]",
            self.name,
            self.r#type,
            self.set_identifier.as_deref().unwrap_or("null")
        );
        for (given, what) in [
            (self.geo_location.is_some(), "GeoLocation"),
            (
                self.geo_proximity_location.is_some(),
                "GeoProximityLocation",
            ),
            (self.cidr_routing_config.is_some(), "CidrRoutingConfig"),
            (
                self.traffic_policy_instance_id.is_some(),
                "TrafficPolicyInstanceId",
            ),
        ] {
            if given {
                return Err(invalid(format!(
                    "This cloud does not route by {what}; it has simple, weighted, latency, failover and multivalue answer records. Given {about}"
                )));
            }
        }
        let identifier = self.set_identifier.unwrap_or_default();
        let routing = routing(
            self.weight,
            self.region,
            self.failover.as_deref(),
            self.multi_value_answer,
            &identifier,
            &about,
        )?;
        let answer = answer(
            self.ttl,
            self.resource_records,
            self.alias_target,
            &self.r#type,
            &about,
            problems,
        )?;
        let name = match name::normal(&self.name) {
            Ok(name) => name,
            Err(problem) => {
                problems.push(problem);
                return Ok(None);
            }
        };
        if routing == Routing::Multivalue && matches!(answer, RecordAnswer::Alias { .. }) {
            return Err(invalid(format!(
                "Invalid request: A multivalue answer record cannot be an alias {about}"
            )));
        }
        Ok(Some(RecordSet {
            zone: zone.to_owned(),
            name,
            kind: self.r#type,
            set_identifier: identifier,
            routing,
            answer,
            health_check: self.health_check_id.filter(|id| !id.is_empty()),
        }))
    }
}

fn routing(
    weight: Option<i64>,
    region: Option<String>,
    failover: Option<&str>,
    multivalue: Option<bool>,
    identifier: &str,
    about: &str,
) -> Result<Routing> {
    let mut given = Vec::new();
    if let Some(weight) = weight {
        let fits = u8::try_from(weight).ok();
        given.push(Routing::Weighted(fits.ok_or_else(|| {
            invalid(format!(
                "Invalid request: Weight is 0 to 255, not {weight}, {about}"
            ))
        })?));
    }
    if let Some(region) = region {
        if model::zone::region(&region).is_none() {
            return Err(invalid(format!(
                "Invalid request: The region {region} is not one of this cloud's {about}"
            )));
        }
        given.push(Routing::Latency(region.into()));
    }
    match failover {
        None => {}
        Some(which @ ("PRIMARY" | "SECONDARY")) => given.push(Routing::Failover {
            primary: which == "PRIMARY",
        }),
        Some(other) => {
            return Err(invalid(format!(
                "Invalid request: Failover is PRIMARY or SECONDARY, not {other}, {about}"
            )));
        }
    }
    if multivalue == Some(true) {
        given.push(Routing::Multivalue);
    }
    if identifier.chars().count() > 128 {
        return Err(invalid(format!(
            "Invalid request: A SetIdentifier has at most 128 characters {about}"
        )));
    }
    match (given.len(), identifier.is_empty()) {
        (0, true) => Ok(Routing::Simple),
        (1, false) => Ok(given.remove(0)),
        (0, false) => Err(invalid(format!(
            "Invalid request: Missing field 'Weight', 'Region', 'Failover', 'MultiValueAnswer' or 'GeoLocation' {about}"
        ))),
        (1, true) => Err(invalid(format!(
            "Invalid request: Missing field 'SetIdentifier' {about}"
        ))),
        _ => Err(invalid(format!(
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, or MultiValueAnswer] {about}"
        ))),
    }
}

fn answer(
    ttl: Option<i64>,
    values: Option<Values>,
    alias: Option<AliasTarget>,
    kind: &str,
    about: &str,
    problems: &mut Vec<String>,
) -> Result<RecordAnswer> {
    let values = values.filter(|values| !values.0.is_empty());
    let expected = "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], but found";
    match (ttl, values, alias) {
        (None, None, Some(alias)) => Ok(RecordAnswer::Alias {
            zone: alias.hosted_zone_id,
            name: match name::normal(&alias.dns_name) {
                Ok(name) => name,
                Err(problem) => {
                    problems.push(problem);
                    String::new()
                }
            },
            evaluate_target_health: alias.evaluate_target_health,
        }),
        (Some(ttl), Some(values), None) => {
            if !(0..=LONGEST_TTL).contains(&ttl) {
                return Err(invalid(format!(
                    "Invalid request: TTL is 0 to {LONGEST_TTL}, not {ttl}, {about}"
                )));
            }
            let values: Vec<String> = values.0.into_iter().map(|v| v.value).collect();
            record_value::check(kind, &values, problems);
            Ok(RecordAnswer::Values {
                ttl: u32::try_from(ttl).unwrap_or(u32::MAX),
                values,
            })
        }
        (None, None, None) => Err(invalid(format!("{expected} none {about}"))),
        (Some(_), None, None) => Err(invalid(format!(
            "Invalid request: Missing field 'ResourceRecords' {about}"
        ))),
        (None, Some(_), None) => Err(invalid(format!(
            "Invalid request: Missing field 'TTL' {about}"
        ))),
        (_, _, Some(_)) => Err(invalid(format!("{expected} more than one {about}"))),
    }
}

impl From<&RecordSet> for RecordSetShape {
    fn from(record: &RecordSet) -> Self {
        let (ttl, values, alias) = match &record.answer {
            RecordAnswer::Values { ttl, values } => {
                let values = values.iter().map(|value| Value {
                    value: value.clone(),
                });
                (Some(i64::from(*ttl)), Some(Values(values.collect())), None)
            }
            RecordAnswer::Alias {
                zone,
                name,
                evaluate_target_health,
            } => {
                let alias = AliasTarget {
                    hosted_zone_id: zone.clone(),
                    dns_name: name.clone(),
                    evaluate_target_health: *evaluate_target_health,
                };
                (None, None, Some(alias))
            }
        };
        let mut shape = Self {
            name: record.name.clone(),
            r#type: record.kind.clone(),
            set_identifier: (!record.set_identifier.is_empty())
                .then(|| record.set_identifier.clone()),
            weight: None,
            region: None,
            geo_location: None,
            failover: None,
            multi_value_answer: None,
            ttl,
            resource_records: values,
            alias_target: alias,
            health_check_id: record.health_check.clone(),
            traffic_policy_instance_id: None,
            cidr_routing_config: None,
            geo_proximity_location: None,
        };
        match &record.routing {
            Routing::Simple => {}
            Routing::Weighted(weight) => shape.weight = Some(i64::from(*weight)),
            Routing::Latency(region) => shape.region = Some(region.to_string()),
            Routing::Failover { primary } => {
                let which = if *primary { "PRIMARY" } else { "SECONDARY" };
                shape.failover = Some(which.to_owned());
            }
            Routing::Multivalue => shape.multi_value_answer = Some(true),
        }
        shape
    }
}
