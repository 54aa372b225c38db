//! Attributes of target groups and which of them exclude each other.

use super::arn::find;
use super::attribute::Effect::Honoured;
use super::attribute::Values::{Bool, Number, OffOr, OneOf, Text, ZeroOr};
use super::attribute::{Attribute, AttributeList, Definition, changed, list, report, value};
use super::error::{Result, invalid_configuration};
use super::load_balancer_attribute::definitions;
use crate::Ctx;
use model::elbv2::{Attributes, TargetGroup};
use serde::Deserialize;

const ALGORITHM: &str = "load_balancing.algorithm.type";
const MITIGATION: &str = "load_balancing.algorithm.anomaly_mitigation";
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
const SLOW_START: &str = "slow_start.duration_seconds";
const STICKINESS: &str = "stickiness.enabled";
const STICKINESS_TYPE: &str = "stickiness.type";
const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
const TERMINATION: &str = "deregistration_delay.connection_termination.enabled";
const UNHEALTHY_TERMINATION: &str = "target_health_state.unhealthy.connection_termination.enabled";
const UNHEALTHY_DRAINING: &str = "target_health_state.unhealthy.draining_interval_seconds";
const APP_COOKIE: &str = "stickiness.app_cookie.cookie_name";
const DNS_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";
const DNS_PERCENTAGE: &str = "target_group_health.dns_failover.minimum_healthy_targets.percentage";
const ROUTING_COUNT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const ROUTING_PERCENTAGE: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";

/// Source: `A/edit-target-group-attributes.html`.
const ATTRIBUTES: &[Definition] = definitions! {
    "deregistration_delay.timeout_seconds", "300", Number(0, 3600), Honoured;
    STICKINESS, "false", Bool, Honoured;
    STICKINESS_TYPE, "lb_cookie", OneOf(&["lb_cookie", "app_cookie"]), Honoured;
    "stickiness.lb_cookie.duration_seconds", "86400", Number(1, 604_800), Honoured;
    APP_COOKIE, "", Text(256), Honoured;
    "stickiness.app_cookie.duration_seconds", "86400", Number(1, 604_800), Honoured;
    SLOW_START, "0", ZeroOr(30, 900), Honoured;
    ALGORITHM, "round_robin", OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]), Honoured;
    MITIGATION, "off", OneOf(&["on", "off"]), Honoured;
    CROSS_ZONE, "use_load_balancer_configuration", OneOf(&["true", "false", "use_load_balancer_configuration"]), Honoured;
    DNS_COUNT, "1", OffOr(1, 1000), Honoured;
    DNS_PERCENTAGE, "off", OffOr(1, 100), Honoured;
    ROUTING_COUNT, "1", Number(1, 1000), Honoured;
    ROUTING_PERCENTAGE, "off", OffOr(1, 100), Honoured;
};

const TABLE: &[&[Definition]] = &[ATTRIBUTES];

/// Of network load balancers' groups. Source: the Network Load Balancer guide,
/// `edit-target-group-attributes.html`. Defaults that hang on the group are in [`table`].
const NETWORK: &[Definition] = definitions! {
    "deregistration_delay.timeout_seconds", "300", Number(0, 3600), Honoured;
    STICKINESS_TYPE, "source_ip", OneOf(&["source_ip"]), Honoured;
    CROSS_ZONE, "use_load_balancer_configuration", OneOf(&["true", "false", "use_load_balancer_configuration"]), Honoured;
    UNHEALTHY_TERMINATION, "true", Bool, Honoured;
    UNHEALTHY_DRAINING, "0", Number(0, 360_000), Honoured;
    DNS_COUNT, "1", OffOr(1, 1000), Honoured;
    DNS_PERCENTAGE, "off", OffOr(1, 100), Honoured;
    ROUTING_COUNT, "1", Number(1, 1000), Honoured;
    ROUTING_PERCENTAGE, "off", OffOr(1, 100), Honoured;
};

/// Flows of TLS have no stickiness, nor have those to application load balancers, which look for none
/// of the headers either; datagrams have no place for one.
const STICKY: &[Definition] = definitions! { STICKINESS, "false", Bool, Honoured; };
const NOT_STICKY: &[Definition] =
    definitions! { STICKINESS, "false", OneOf(&["false"]), Honoured; };
const PROXY_PROTOCOL: &[Definition] =
    definitions! { "proxy_protocol_v2.enabled", "false", Bool, Honoured; };
const NO_PROXY_PROTOCOL: &[Definition] =
    definitions! { "proxy_protocol_v2.enabled", "false", OneOf(&["false"]), Honoured; };

/// TCP: targets that are instances see the client, addresses do not. UDP: both do, always.
const NETWORK_INSTANCE: &[Definition] =
    definitions! { PRESERVE_CLIENT_IP, "true", Bool, Honoured; };
const NETWORK_ADDRESS: &[Definition] =
    definitions! { PRESERVE_CLIENT_IP, "false", Bool, Honoured; };
const NETWORK_UDP: &[Definition] =
    definitions! { PRESERVE_CLIENT_IP, "true", OneOf(&["true"]), Honoured; };
/// Flows of UDP end with the deregistration delay.
const ENDS: &[Definition] = definitions! { TERMINATION, "true", Bool, Honoured; };
const GOES_ON: &[Definition] = definitions! { TERMINATION, "false", Bool, Honoured; };

fn table(group: &TargetGroup) -> &'static [&'static [Definition]] {
    match (group.protocol.as_str(), group.target_type.as_str()) {
        // Targets that see all clients' addresses, as those of UDP do.
        ("TCP", "alb") => &[NETWORK, NOT_STICKY, NO_PROXY_PROTOCOL, NETWORK_UDP, GOES_ON],
        ("TCP", "ip") => &[NETWORK, STICKY, PROXY_PROTOCOL, NETWORK_ADDRESS, GOES_ON],
        ("TCP", _) => &[NETWORK, STICKY, PROXY_PROTOCOL, NETWORK_INSTANCE, GOES_ON],
        ("TLS", "ip") => &[
            NETWORK,
            NOT_STICKY,
            PROXY_PROTOCOL,
            NETWORK_ADDRESS,
            GOES_ON,
        ],
        ("TLS", _) => &[
            NETWORK,
            NOT_STICKY,
            PROXY_PROTOCOL,
            NETWORK_INSTANCE,
            GOES_ON,
        ],
        ("UDP" | "TCP_UDP", _) => &[NETWORK, STICKY, NO_PROXY_PROTOCOL, NETWORK_UDP, ENDS],
        _ => TABLE,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTargetGroupAttributes {
    target_group_arn: String,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTargetGroupAttributes) -> Result<AttributeList> {
    let group = find::<TargetGroup>(ctx, &input.target_group_arn)?;
    Ok(list(&group.attributes, table(&group)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyTargetGroupAttributes {
    target_group_arn: String,
    attributes: Vec<Attribute>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyTargetGroupAttributes) -> Result<AttributeList> {
    let group = find::<TargetGroup>(ctx, &input.target_group_arn)?;
    let table = table(&group);
    let new = changed(&group.attributes, &input.attributes, table, "Target group")?;
    check_together(&new, table)?;
    let answer = list(&new, table);
    report(ctx, &group.name, &input.attributes, table);
    ctx.tx
        .modify::<TargetGroup>(&group.arn, |g| g.attributes = new);
    Ok(answer)
}

/// What the attributes may not be at the same time.
fn check_together(attributes: &Attributes, table: &[&[Definition]]) -> Result<()> {
    let text = |key| value(attributes, table, key);
    let (algorithm, sticky) = (text(ALGORITHM), text(STICKINESS) == "true");
    let cookie = text(APP_COOKIE);
    let reserved = ["AWSALB", "AWSALBAPP", "AWSALBTG"];
    let app_cookie = sticky && text(STICKINESS_TYPE) == "app_cookie";
    let number = |key| text(key).parse::<u32>().ok();
    let below = |dns: Option<u32>, routing: Option<u32>| match (dns, routing) {
        (Some(dns), Some(routing)) => dns < routing,
        _ => false,
    };
    let rules = [
        (
            !matches!(text(SLOW_START), "" | "0") && algorithm != "round_robin",
            "Slow start can only be used with the round_robin algorithm",
        ),
        (
            text(MITIGATION) == "on" && algorithm != "weighted_random",
            "Anomaly mitigation can only be used with the weighted_random algorithm",
        ),
        (
            sticky && algorithm == "weighted_random",
            "Stickiness cannot be used with the weighted_random algorithm",
        ),
        (
            sticky && text(STICKINESS_TYPE) != "source_ip" && text(CROSS_ZONE) == "false",
            "Stickiness cannot be used when cross-zone load balancing is off",
        ),
        (
            app_cookie && cookie.is_empty(),
            "A cookie name must be specified for stickiness of the type app_cookie",
        ),
        (
            reserved.iter().any(|prefix| cookie.starts_with(prefix)),
            "The cookie name cannot start with AWSALB, AWSALBAPP or AWSALBTG",
        ),
        (
            !cookie
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b)),
            "The cookie name contains a character that is not valid",
        ),
        (
            text(UNHEALTHY_TERMINATION) == "true" && !matches!(text(UNHEALTHY_DRAINING), "" | "0"),
            "Connection termination for unhealthy targets must be off where there is an unhealthy draining interval",
        ),
        (
            below(number(DNS_COUNT), number(ROUTING_COUNT))
                || below(number(DNS_PERCENTAGE), number(ROUTING_PERCENTAGE)),
            "The DNS failover threshold must be at least the unhealthy state routing threshold",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, message)) => Err(invalid_configuration(message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_values() {
        let tables: [&[&[Definition]]; 3] = [
            TABLE,
            &[NETWORK, STICKY, PROXY_PROTOCOL, NETWORK_INSTANCE, GOES_ON],
            &[NETWORK, NOT_STICKY, NO_PROXY_PROTOCOL, NETWORK_UDP, ENDS],
        ];
        for table in tables {
            for d in table.iter().copied().flatten() {
                // The name of an application's cookie has no default.
                let change = [Attribute {
                    key: d.key.into(),
                    value: d.default.into(),
                }];
                let new = changed(&Attributes::new(), &change, table, "x");
                let checked = new.and_then(|a| check_together(&a, table));
                assert!(checked.is_ok(), "{}", d.key);
            }
        }
    }

    #[test]
    fn exclusions_hold() {
        let check = |changes: &[(&str, &str)], expected: bool| {
            let changes: Vec<Attribute> = changes
                .iter()
                .map(|(key, value)| Attribute {
                    key: (*key).into(),
                    value: (*value).into(),
                })
                .collect();
            let new = changed(&Attributes::new(), &changes, TABLE, "x");
            let result = new.and_then(|a| check_together(&a, TABLE));
            assert_eq!(result.is_ok(), expected, "{changes:?}");
        };
        check(&[(SLOW_START, "30")], true);
        check(&[(SLOW_START, "30"), (ALGORITHM, "weighted_random")], false);
        check(
            &[
                (SLOW_START, "30"),
                (ALGORITHM, "least_outstanding_requests"),
            ],
            false,
        );
        check(&[(MITIGATION, "on")], false);
        check(&[(MITIGATION, "on"), (ALGORITHM, "weighted_random")], true);
        check(&[(STICKINESS, "true")], true);
        check(
            &[(STICKINESS, "true"), (ALGORITHM, "weighted_random")],
            false,
        );
        check(&[(STICKINESS, "true"), (CROSS_ZONE, "false")], false);
        check(
            &[(STICKINESS, "true"), (STICKINESS_TYPE, "app_cookie")],
            false,
        );
        check(
            &[
                (STICKINESS, "true"),
                (STICKINESS_TYPE, "app_cookie"),
                (APP_COOKIE, "session"),
            ],
            true,
        );
        check(&[(APP_COOKIE, "AWSALBAPP-0")], false);
        check(&[(APP_COOKIE, "a;b")], false);
        check(&[(ROUTING_COUNT, "2")], false);
        check(&[(ROUTING_COUNT, "2"), (DNS_COUNT, "2")], true);
        check(&[(ROUTING_COUNT, "2"), (DNS_COUNT, "off")], true);
        check(&[("moon.phase", "full")], false);
    }
}
