//! Load balancers, application and network: asked for here, made active and let go by their controller.

use super::arn::{self, Resource, find, not_found, owned};
use super::check::{self, given, one_of};
use super::error::{Result, error, not_permitted, refuse, unsupported, validation};
use super::load_balancer_network::{self as network, SubnetMapping};
use super::page::page;
use super::tag::{self, Tag};
use super::{Done, load_balancer_attribute};
use crate::Ctx;
use model::elbv2::{Attributes, Listener, LoadBalancer, Rule, TargetGroup};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of one region. Source: `A/load-balancer-limits.html`.
pub const MAX_LOAD_BALANCERS: usize = 50;

/// Of one region and kind. Where Route 53 alias records to ALBs of the region point.
/// Source: `docs.aws.amazon.com/general/latest/gr/elb.html`
const HOSTED_ZONES: &[(&str, &str)] = &[
    ("us-east-1", "Z35SXDOTRQ7X7K"),
    ("us-east-2", "Z3AADJGX6KTTL2"),
    ("us-west-1", "Z368ELLRRE2KJ0"),
    ("us-west-2", "Z1H1FL5HABSF5"),
    ("ca-central-1", "ZQSVJUPU6J1EY"),
    ("eu-west-1", "Z32O12XQLNTSW2"),
    ("eu-west-2", "ZHURV8PSTC4K8"),
    ("eu-west-3", "Z3Q77PNBQS71R4"),
    ("eu-central-1", "Z215JYRZR1TBD5"),
    ("eu-north-1", "Z23TAZ6LKFMNIO"),
    ("ap-south-1", "ZP97RAFLXTNZK"),
    ("ap-southeast-1", "Z1LMS91P8CMLE5"),
    ("ap-southeast-2", "Z1GM3OXH4ZPM65"),
    ("ap-northeast-1", "Z14GRHDCWA56QT"),
    ("sa-east-1", "Z2P70J7HTTTPLU"),
];

/// The same for NLBs.
const NETWORK_HOSTED_ZONES: &[(&str, &str)] = &[
    ("us-east-1", "Z26RNL4JYFTOTI"),
    ("us-east-2", "ZLMOA37VPKANP"),
    ("us-west-1", "Z24FKFUX50B4VW"),
    ("us-west-2", "Z18D5FSROUN65G"),
    ("ca-central-1", "Z2EPGBW3API2WT"),
    ("eu-west-1", "Z2IFOLAFXWLO4F"),
    ("eu-west-2", "ZD4D7Y8KGAS4G"),
    ("eu-west-3", "Z1CMS0P5QUZ6D5"),
    ("eu-central-1", "Z3F0SRJ5LGBH90"),
    ("eu-north-1", "Z1UDT6IFJ4EJM"),
    ("ap-south-1", "ZVDDRBQ08TROA"),
    ("ap-southeast-1", "ZKVM4W9LS7TM"),
    ("ap-southeast-2", "ZCT6FZBF4DROD"),
    ("ap-northeast-1", "Z31USIVHYNEOWT"),
    ("sa-east-1", "ZTK26PT1VY4CU"),
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    load_balancer_arn: String,
    #[serde(rename = "DNSName")]
    dns_name: String,
    canonical_hosted_zone_id: Option<&'static str>,
    created_time: wire::Timestamp,
    load_balancer_name: String,
    scheme: String,
    vpc_id: String,
    state: StateShape,
    r#type: String,
    availability_zones: Vec<network::ZoneShape>,
    security_groups: Vec<String>,
    ip_address_type: String,
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StateShape {
    code: &'static str,
}

/// The Route 53 zone of its name, for aliases.
pub fn hosted_zone(balancer: &LoadBalancer) -> Option<&'static str> {
    let region = &*balancer.scope.region;
    let zones = match balancer.is_network() {
        true => NETWORK_HOSTED_ZONES,
        false => HOSTED_ZONES,
    };
    let zone = zones.iter().find(|(name, _)| *name == region);
    zone.map(|(_, id)| *id)
}

/// Whether names of load balancers lie in the zone.
pub fn is_hosted_zone(id: &str) -> bool {
    let mut zones = HOSTED_ZONES.iter().chain(NETWORK_HOSTED_ZONES);
    zones.any(|(_, zone)| *zone == id)
}

fn shape(balancer: &LoadBalancer) -> Shape {
    Shape {
        load_balancer_arn: balancer.arn.clone(),
        dns_name: balancer.dns_name.clone(),
        canonical_hosted_zone_id: hosted_zone(balancer),
        created_time: balancer.created.into(),
        load_balancer_name: balancer.name.clone(),
        scheme: balancer.scheme.clone(),
        vpc_id: balancer.vpc.to_string(),
        state: StateShape {
            code: if balancer.active {
                "active"
            } else {
                "provisioning"
            },
        },
        r#type: balancer.kind.clone(),
        availability_zones: network::zone_shapes(&balancer.zones),
        security_groups: balancer
            .security_groups
            .iter()
            .map(ToString::to_string)
            .collect(),
        ip_address_type: balancer.ip_address_type.clone(),
        enforce_security_group_inbound_rules_on_private_link_traffic: network::private_link_rules(
            balancer,
        ),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancers {
    load_balancers: Vec<Shape>,
    next_marker: Option<String>,
}

fn one(balancer: &LoadBalancer) -> LoadBalancers {
    LoadBalancers {
        load_balancers: vec![shape(balancer)],
        next_marker: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateLoadBalancer {
    name: String,
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    subnet_mappings: Vec<SubnetMapping>,
    #[serde(default)]
    security_groups: Vec<String>,
    scheme: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    r#type: Option<String>,
    ip_address_type: Option<String>,
    customer_owned_ipv4_pool: Option<String>,
    enable_prefix_for_ipv6_source_nat: Option<String>,
    ipam_pools: Option<IpamPools>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpamPools {
    ipv4_ipam_pool_id: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateLoadBalancer) -> Result<LoadBalancers> {
    let kind = given(&input.r#type).unwrap_or("application");
    one_of(kind, "type", &["application", "network", "gateway"])?;
    if kind == "gateway" {
        return Err(unsupported(format_args!(
            "Load balancers of the type '{kind}' are"
        )));
    }
    refuse(&input.customer_owned_ipv4_pool, "CustomerOwnedIpv4Pool")?;
    refuse(
        &input.ipam_pools.and_then(|p| p.ipv4_ipam_pool_id),
        "IpamPools",
    )?;
    if input.enable_prefix_for_ipv6_source_nat.as_deref() == Some("on") {
        return Err(unsupported("Source NAT for IPv6 is"));
    }
    check_name(&input.name)?;
    let scheme = given(&input.scheme).unwrap_or("internet-facing");
    one_of(scheme, "scheme", &["internet-facing", "internal"])?;
    network::check_ip_address_type(given(&input.ip_address_type))?;
    let tags = tag::of(&input.tags)?;
    let subnets = network::places(ctx, kind, scheme, &input.subnets, &input.subnet_mappings)?;
    let vpc = network::vpc(ctx, &subnets)?;
    // A network load balancer may be without; that cannot be changed later.
    let groups = match kind == "network" && input.security_groups.is_empty() {
        true => Vec::new(),
        false => network::security_groups(ctx, &vpc, &input.security_groups)?,
    };

    let existing = owned::<LoadBalancer>(&ctx.tx, &ctx.scope).find(|b| b.name == input.name);
    if let Some(existing) = existing {
        let mut had: Vec<_> = existing.zones.iter().map(|z| &z.subnet).collect();
        let mut wanted: Vec<_> = subnets.iter().map(|p| &p.subnet.id).collect();
        had.sort();
        wanted.sort();
        let same = existing.kind == kind
            && existing.scheme == scheme
            && had == wanted
            && existing.security_groups == groups
            && existing.tags == tags;
        if same {
            return Ok(one(existing));
        }
        return Err(error(
            "DuplicateLoadBalancerName",
            format!(
                "A load balancer with the same name '{}' exists, but with different settings",
                input.name
            ),
        ));
    }
    if MAX_LOAD_BALANCERS <= owned::<LoadBalancer>(&ctx.tx, &ctx.scope).count() {
        return Err(error(
            "TooManyLoadBalancers",
            "The maximum number of load balancers has been reached",
        ));
    }
    if scheme != "internal" {
        network::check_internet_gateway(ctx, &vpc)?;
    }
    let arn = arn::new_load_balancer(&ctx.scope, kind, &input.name);
    let mut balancer = LoadBalancer {
        dns_name: match kind {
            "network" => network_dns_name(&input.name, &arn, &ctx.scope.region),
            _ => dns_name(&input.name, scheme, &ctx.scope.region),
        },
        arn,
        scope: ctx.scope.clone(),
        name: input.name,
        kind: kind.to_owned(),
        scheme: scheme.to_owned(),
        ip_address_type: "ipv4".into(),
        vpc: vpc.id.clone(),
        security_groups: groups,
        zones: Vec::new(),
        attributes: Attributes::new(),
        created: ctx.now,
        private_link_unchecked: false,
        capacity: None,
        active: false,
        deleted: None,
        tags,
    };
    for place in &subnets {
        let zone = network::new_zone(ctx, &balancer, place)?;
        balancer.zones.push(zone);
    }
    balancer.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
    let answer = one(&balancer);
    ctx.tx.put(balancer);
    Ok(answer)
}

fn check_name(name: &str) -> Result<()> {
    check::name(name, "Load balancer")?;
    if name.starts_with("internal-") {
        return Err(validation(format!(
            "Load balancer name '{name}' cannot begin with 'internal-'"
        )));
    }
    Ok(())
}

/// `web-0123456789abcdef.elb.us-east-1.amazonaws.com`; the id is the load balancer's.
fn network_dns_name(name: &str, arn: &str, region: &str) -> String {
    let id = arn.rsplit('/').next().unwrap_or_default();
    format!("{name}-{id}.elb.{region}.amazonaws.com").to_lowercase()
}

/// `web-1234567890.us-east-1.elb.amazonaws.com`; the digits keep names of different owners apart.
fn dns_name(name: &str, scheme: &str, region: &str) -> String {
    let prefix = if scheme == "internal" {
        "internal-"
    } else {
        ""
    };
    let digits = rand::random_range(1_000_000_000..2_000_000_000u32);
    format!("{prefix}{name}-{digits}.{region}.elb.amazonaws.com").to_lowercase()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLoadBalancers {
    #[serde(default)]
    load_balancer_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeLoadBalancers) -> Result<LoadBalancers> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let (arns, names) = (&input.load_balancer_arns, &input.names);
    if !arns.is_empty() && !names.is_empty() {
        return Err(validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    for arn in arns {
        find::<LoadBalancer>(ctx, arn)?;
    }
    let all: Vec<&Arc<LoadBalancer>> = owned::<LoadBalancer>(&ctx.tx, &ctx.scope).collect();
    let absent = names.iter().find(|n| !all.iter().any(|b| b.name == **n));
    if absent.is_some() {
        return Err(error(
            LoadBalancer::NOT_FOUND,
            format!("Load balancers '[{}]' not found", names.join(", ")),
        ));
    }
    let chosen = all.into_iter().filter(|b| {
        (arns.is_empty() || arns.contains(&b.arn)) && (names.is_empty() || names.contains(&b.name))
    });
    let (chosen, next_marker) = page.of(chosen, |b| b.arn.clone());
    Ok(LoadBalancers {
        load_balancers: chosen.into_iter().map(|b| shape(b)).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteLoadBalancer {
    load_balancer_arn: String,
}

/// Listeners and rules go at once, the interfaces when the data plane has let go of them.
/// One that does not exist is deleted already.
pub fn delete(ctx: &mut Ctx, input: DeleteLoadBalancer) -> Result<Done> {
    let arn = input.load_balancer_arn;
    let balancer = match find::<LoadBalancer>(ctx, &arn) {
        Ok(balancer) => balancer,
        Err(absent) if absent == not_found::<LoadBalancer>(&arn) => return Ok(Done {}),
        Err(other) => return Err(other),
    };
    if load_balancer_attribute::is_protected(&balancer) {
        return Err(not_permitted(format!(
            "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        )));
    }
    let is_target = |group: &TargetGroup| group.targets.iter().any(|t| t.id == arn);
    if owned::<TargetGroup>(&ctx.tx, &ctx.scope).any(|g| is_target(g)) {
        return Err(error(
            "ResourceInUse",
            format!("Load balancer '{arn}' is registered as a target: deregister it first"),
        ));
    }
    let listeners: Vec<String> = owned::<Listener>(&ctx.tx, &ctx.scope)
        .filter(|l| l.load_balancer == arn)
        .map(|l| l.arn.clone())
        .collect();
    for listener in listeners {
        remove_listener(ctx, &listener);
    }
    let now = ctx.now;
    ctx.tx
        .modify::<LoadBalancer>(&arn, |b| b.deleted = Some(now));
    Ok(Done {})
}

/// Removes a listener and its rules.
pub fn remove_listener(ctx: &mut Ctx, arn: &str) {
    let rules: Vec<String> = owned::<Rule>(&ctx.tx, &ctx.scope)
        .filter(|r| r.listener == arn)
        .map(|r| r.arn.clone())
        .collect();
    for rule in rules {
        ctx.tx.remove::<Rule>(&rule);
    }
    ctx.tx.remove::<Listener>(&arn.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_have_the_form_of_aws() {
        let check = |name: &str, scheme: &str, start: &str| {
            let dns = dns_name(name, scheme, "eu-west-1");
            let digits = dns
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(".eu-west-1.elb.amazonaws.com"));
            assert!(
                digits.is_some_and(|d| d.len() == 10 && d.bytes().all(|b| b.is_ascii_digit())),
                "{dns}"
            );
        };
        check("web", "internet-facing", "web-");
        check("Web-HA", "internet-facing", "web-ha-");
        check("api", "internal", "internal-api-");
    }

    #[test]
    fn every_region_has_a_hosted_zone() {
        for region in model::zone::REGIONS {
            assert!(HOSTED_ZONES.iter().any(|(name, _)| *name == region.name));
        }
    }
}
