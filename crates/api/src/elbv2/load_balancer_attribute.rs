//! Attributes of load balancers.

use super::arn::find;
use super::attribute::Effect::{Honoured, Reported};
use super::attribute::Values::{Bool, Number, OneOf, Text};
use super::attribute::{Attribute, AttributeList, Definition, changed, list, report, value};
use super::error::{Result, invalid_configuration};
use super::log_bucket;
use crate::Ctx;
use model::elbv2::{Attributes, LoadBalancer};
use serde::Deserialize;

const DELETION_PROTECTION: &str = "deletion_protection.enabled";
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
const IPV6_DENY: &str = "ipv6.deny_all_igw_traffic";

macro_rules! definitions {
    ($($key:expr, $default:expr, $values:expr, $effect:expr;)*) => {
        &[$(Definition { key: $key, default: $default, values: $values, effect: $effect },)*]
    };
}
pub(super) use definitions;

/// Source: `A/application-load-balancers.html#load-balancer-attributes`.
///
/// There is no WAF and no IPv6 that those could apply to which are only reported.
const ATTRIBUTES: &[Definition] = definitions! {
    "access_logs.s3.enabled", "false", Bool, Honoured;
    "access_logs.s3.bucket", "", Text(1024), Honoured;
    "access_logs.s3.prefix", "", Text(1024), Honoured;
    "health_check_logs.s3.enabled", "false", Bool, Honoured;
    "health_check_logs.s3.bucket", "", Text(1024), Honoured;
    "health_check_logs.s3.prefix", "", Text(1024), Honoured;
    "connection_logs.s3.enabled", "false", Bool, Honoured;
    "connection_logs.s3.bucket", "", Text(1024), Honoured;
    "connection_logs.s3.prefix", "", Text(1024), Honoured;
    "idle_timeout.timeout_seconds", "60", Number(1, 4000), Honoured;
    "client_keep_alive.seconds", "3600", Number(60, 604_800), Honoured;
    DELETION_PROTECTION, "false", Bool, Honoured;
    CROSS_ZONE, "true", Bool, Honoured;
    "routing.http2.enabled", "true", Bool, Honoured;
    "routing.http.desync_mitigation_mode", "defensive", OneOf(&["monitor", "defensive", "strictest"]), Honoured;
    "routing.http.drop_invalid_header_fields.enabled", "false", Bool, Honoured;
    "routing.http.preserve_host_header.enabled", "false", Bool, Honoured;
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", Bool, Honoured;
    "routing.http.xff_client_port.enabled", "false", Bool, Honoured;
    "routing.http.xff_header_processing.mode", "append", OneOf(&["append", "preserve", "remove"]), Honoured;
    "waf.fail_open.enabled", "false", Bool, Reported;
    "zonal_shift.config.enabled", "false", Bool, Honoured;
};

/// Source: the Network Load Balancer guide, `edit-load-balancer-attributes.html`.
const NETWORK: &[Definition] = definitions! {
    "access_logs.s3.enabled", "false", Bool, Honoured;
    "access_logs.s3.bucket", "", Text(1024), Honoured;
    "access_logs.s3.prefix", "", Text(1024), Honoured;
    DELETION_PROTECTION, "false", Bool, Honoured;
    CROSS_ZONE, "false", Bool, Honoured;
    "dns_record.client_routing_policy", "any_availability_zone", OneOf(&["any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"]), Reported;
    "secondary_ips.auto_assigned.per_subnet", "0", Number(0, 7), Reported;
    "zonal_shift.config.enabled", "false", Bool, Honoured;
};

const INTERNET_FACING: &[Definition] = definitions! { IPV6_DENY, "false", Bool, Reported; };
const INTERNAL: &[Definition] = definitions! { IPV6_DENY, "true", Bool, Reported; };

fn table(balancer: &LoadBalancer) -> [&'static [Definition]; 2] {
    let of_kind = match balancer.is_network() {
        true => NETWORK,
        false => ATTRIBUTES,
    };
    match balancer.scheme.as_str() {
        "internal" => [of_kind, INTERNAL],
        _ => [of_kind, INTERNET_FACING],
    }
}

pub fn is_protected(balancer: &LoadBalancer) -> bool {
    value(&balancer.attributes, &table(balancer), DELETION_PROTECTION) == "true"
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLoadBalancerAttributes {
    load_balancer_arn: String,
}

pub fn describe(ctx: &mut Ctx, input: DescribeLoadBalancerAttributes) -> Result<AttributeList> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    Ok(list(&balancer.attributes, &table(&balancer)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyLoadBalancerAttributes {
    load_balancer_arn: String,
    attributes: Vec<Attribute>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyLoadBalancerAttributes) -> Result<AttributeList> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    let table = table(&balancer);
    let new = changed(
        &balancer.attributes,
        &input.attributes,
        &table,
        "Load balancer",
    )?;
    if !balancer.is_network() && value(&new, &table, CROSS_ZONE) != "true" {
        return Err(invalid_configuration(
            "Cross-zone load balancing is always on for load balancers of type 'application'; turn it off for a target group",
        ));
    }
    for kind in ["access_logs", "health_check_logs", "connection_logs"] {
        check_log(ctx, &balancer, &new, kind)?;
    }
    let answer = list(&new, &table);
    report(ctx, &balancer.name, &input.attributes, &table);
    ctx.tx
        .modify::<LoadBalancer>(&balancer.arn, |b| b.attributes = new);
    Ok(answer)
}

/// Logs need a bucket that lets them in.
fn check_log(
    ctx: &Ctx,
    balancer: &LoadBalancer,
    attributes: &Attributes,
    kind: &str,
) -> Result<()> {
    let text = |name: &str| {
        let value = attributes.get(&format!("{kind}.s3.{name}"));
        value.map_or("", String::as_str)
    };
    if text("enabled") != "true" {
        return Ok(());
    }
    if text("bucket").is_empty() {
        return Err(invalid_configuration(format!(
            "The value of '{kind}.s3.bucket' cannot be empty when '{kind}.s3.enabled' is true"
        )));
    }
    log_bucket::check(ctx, balancer, text("bucket"), text("prefix"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_values() {
        for table in [ATTRIBUTES, NETWORK, INTERNET_FACING, INTERNAL] {
            for d in table {
                let change = [Attribute {
                    key: d.key.into(),
                    value: d.default.into(),
                }];
                assert!(
                    changed(&Attributes::new(), &change, &[table], "x").is_ok(),
                    "{}",
                    d.key
                );
            }
        }
    }
}
