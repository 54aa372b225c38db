//! VPC endpoints: of the gateway kind as routes to a prefix list, of the interface kind as
//! a network interface in each subnet.
//!
//! What answers behind them: nothing yet. AWS's services have no addresses in this cloud, so
//! a gateway endpoint has no packets to carry, and an interface endpoint's addresses are
//! reserved and silent. An event says so when one is made.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, missing, refuse,
};
use super::filter::{Field, Filter, one};
use super::network_interface_shape::{GroupIdentifier, groups};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::vpc_endpoint_service::{self as service, Kind};
use super::{network_interface, quota};
use crate::Ctx;
use model::event::Severity;
use model::vpc::{NetworkInterface, Requester, RouteTable, Subnet, Vpc};
use model::vpc_endpoint::{VpcEndpoint, VpcEndpointKind, VpcEndpointState};
use model::{NetworkInterfaceId, RouteTableId, SecurityGroupId, SubnetId, VpcEndpointId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::State;

/// What an endpoint allows where its policy was not given: everything.
pub(super) const OPEN_POLICY: &str = r#"{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}],"Version":"2008-10-17"}"#;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    vpc_endpoint_id: String,
    vpc_endpoint_type: &'static str,
    vpc_id: String,
    service_name: String,
    service_region: Option<String>,
    state: VpcEndpointState,
    policy_document: String,
    route_table_id_set: Vec<String>,
    subnet_id_set: Vec<String>,
    group_set: Vec<GroupIdentifier>,
    ip_address_type: String,
    dns_options: DnsOptionsShape,
    private_dns_enabled: bool,
    requester_managed: bool,
    network_interface_id_set: Vec<String>,
    dns_entry_set: Vec<DnsEntry>,
    creation_timestamp: wire::Timestamp,
    owner_id: String,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DnsOptionsShape {
    dns_record_ip_type: String,
    private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DnsEntry {
    dns_name: String,
    hosted_zone_id: String,
}

pub(super) fn kind_of(endpoint: &VpcEndpoint) -> Kind {
    match endpoint.kind {
        VpcEndpointKind::Gateway { .. } => Kind::Gateway,
        VpcEndpointKind::Interface { .. } => Kind::Interface,
    }
}

fn shape(state: &State, endpoint: &VpcEndpoint) -> Shape {
    let (tables, interfaces, security_groups) = match &endpoint.kind {
        VpcEndpointKind::Gateway { route_tables } => (&route_tables[..], &[][..], &[][..]),
        VpcEndpointKind::Interface {
            interfaces,
            security_groups,
        } => (&[][..], &interfaces[..], &security_groups[..]),
    };
    Shape {
        vpc_endpoint_id: endpoint.id.to_string(),
        vpc_endpoint_type: kind_of(endpoint).name(),
        vpc_id: endpoint.vpc.to_string(),
        service_name: endpoint.service_name.clone(),
        service_region: Some(endpoint.scope.region.to_string())
            .filter(|_| kind_of(endpoint) == Kind::Interface),
        state: endpoint.state,
        policy_document: endpoint.policy.clone(),
        route_table_id_set: tables.iter().map(RouteTableId::to_string).collect(),
        subnet_id_set: interfaces.iter().map(|(s, _)| s.to_string()).collect(),
        group_set: groups(state, security_groups),
        ip_address_type: endpoint.ip_address_type.clone(),
        dns_options: DnsOptionsShape {
            dns_record_ip_type: endpoint.dns_record_ip_type.clone(),
            private_dns_only_for_inbound_resolver_endpoint: endpoint
                .private_dns_only_for_inbound_resolver,
        },
        private_dns_enabled: endpoint.private_dns_enabled,
        requester_managed: false,
        network_interface_id_set: interfaces.iter().map(|(_, i)| i.to_string()).collect(),
        dns_entry_set: dns_entries(state, endpoint, interfaces),
        creation_timestamp: endpoint.created.into(),
        owner_id: endpoint.scope.account.to_string(),
        tag_set: tag::list(&endpoint.tags),
    }
}

/// The endpoint's own names: one for all zones, one for each; and the service's, if that is on.
fn dns_entries(
    state: &State,
    endpoint: &VpcEndpoint,
    interfaces: &[(SubnetId, NetworkInterfaceId)],
) -> Vec<DnsEntry> {
    let region = &endpoint.scope.region;
    let Ok(service) = service::find(region, &endpoint.service_name, Kind::Interface) else {
        return Vec::new();
    };
    if interfaces.is_empty() {
        return Vec::new();
    }
    // The hosted zone of a region's endpoints, as constant as on AWS.
    let zone_of = |name: &str| {
        use sha2::Digest;
        let digest = hex::encode_upper(sha2::Sha256::digest(name));
        format!("Z{}", digest.get(..13).unwrap_or_default())
    };
    let tail = endpoint.id.as_str();
    let random: String = tail.chars().rev().take(8).collect();
    let base = service.base_name();
    let zones = interfaces.iter().filter_map(|(subnet, _)| {
        Some(format!(
            "{tail}-{random}-{}.{base}",
            state.subnets.get(subnet)?.zone
        ))
    });
    let own = [format!("{tail}-{random}.{base}")].into_iter().chain(zones);
    let private = service
        .private_dns_name()
        .filter(|_| endpoint.private_dns_enabled);
    own.map(|dns_name| DnsEntry {
        dns_name,
        hosted_zone_id: zone_of(&format!("vpce {region}")),
    })
    .chain(private.map(|dns_name| DnsEntry {
        dns_name,
        hosted_zone_id: zone_of(endpoint.id.as_str()),
    }))
    .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVpcEndpoint {
    vpc_endpoint_type: Option<String>,
    vpc_id: String,
    service_name: Option<String>,
    service_region: Option<String>,
    service_network_arn: Option<String>,
    resource_configuration_arn: Option<String>,
    policy_document: Option<String>,
    #[serde(default)]
    route_table_id: Vec<String>,
    #[serde(default)]
    subnet_id: Vec<String>,
    #[serde(default)]
    security_group_id: Vec<String>,
    #[serde(default)]
    subnet_configuration: Vec<SubnetConfiguration>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    private_dns_enabled: Option<bool>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

/// The address of the interface in one subnet.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SubnetConfiguration {
    subnet_id: Option<String>,
    ipv4: Option<String>,
    ipv6: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DnsOptions {
    dns_record_ip_type: Option<String>,
    private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
    private_dns_preference: Option<String>,
    #[serde(default)]
    private_dns_specified_domain: Vec<String>,
}

impl DnsOptions {
    /// Sets what is given.
    pub(super) fn apply(self, endpoint: &mut VpcEndpoint) -> Result<()> {
        refuse(&self.private_dns_preference, "PrivateDnsPreference")?;
        let domain = self.private_dns_specified_domain.first();
        refuse(&domain, "PrivateDnsSpecifiedDomain")?;
        if let Some(kind) = self.dns_record_ip_type {
            if !matches!(kind.as_str(), "ipv4" | "service-defined") {
                let why = "This cloud's endpoints have IPv4 addresses only.";
                return Err(invalid_parameter(kind, "dnsRecordIpType", why));
            }
            endpoint.dns_record_ip_type = kind;
        }
        if let Some(only) = self.private_dns_only_for_inbound_resolver_endpoint {
            if !endpoint.service_name.ends_with(".s3") {
                return Err(error(
                    "InvalidParameter",
                    "PrivateDnsOnlyForInboundResolverEndpoint is for the service s3 only.",
                ));
            }
            endpoint.private_dns_only_for_inbound_resolver = Some(only);
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneVpcEndpoint {
    vpc_endpoint: Shape,
    client_token: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateVpcEndpoint) -> Result<OneVpcEndpoint> {
    refuse(&input.service_network_arn, "ServiceNetworkArn")?;
    refuse(
        &input.resource_configuration_arn,
        "ResourceConfigurationArn",
    )?;
    let other = input.service_region.filter(|r| **r != *ctx.scope.region);
    refuse(&other, "ServiceRegion")?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let kind = match input.vpc_endpoint_type.as_deref() {
        None | Some("Gateway") => Kind::Gateway,
        Some("Interface") => Kind::Interface,
        Some(other) => {
            return Err(super::error::unsupported(format!(
                "VPC endpoints of type {other} are not supported by this cloud."
            )));
        }
    };
    let name = super::error::required(input.service_name, "serviceName")?;
    let service = service::find(&ctx.scope.region, &name, kind)?;
    let tags = tag::of(&input.tag_specification, VpcEndpoint::TYPE)?;
    let same = super::idempotent::<VpcEndpoint>(
        ctx,
        input.client_token.as_deref(),
        |e| e.client_token.as_deref(),
        |e| e.vpc == vpc.id && e.service_name == name && e.tags == tags,
    )?;
    if let Some(made) = same {
        return Ok(OneVpcEndpoint {
            vpc_endpoint: shape(&ctx.tx, &made),
            client_token: input.client_token,
        });
    }
    let mut endpoint = VpcEndpoint {
        id: VpcEndpointId::random(),
        scope: ctx.scope.clone(),
        vpc: vpc.id.clone(),
        service_name: name,
        kind: match kind {
            Kind::Gateway => VpcEndpointKind::Gateway {
                route_tables: Vec::new(),
            },
            Kind::Interface => VpcEndpointKind::Interface {
                interfaces: Vec::new(),
                security_groups: Vec::new(),
            },
        },
        policy: match input.policy_document {
            Some(policy) => checked_policy(policy)?,
            None => OPEN_POLICY.to_owned(),
        },
        ip_address_type: checked_address_type(input.ip_address_type)?,
        dns_record_ip_type: match kind {
            Kind::Gateway => "service-defined".into(),
            Kind::Interface => "ipv4".into(),
        },
        private_dns_only_for_inbound_resolver: (kind == Kind::Interface
            && service.name.ends_with(".s3"))
        .then_some(false),
        private_dns_enabled: false,
        state: VpcEndpointState::Pending,
        client_token: input.client_token.clone(),
        created: ctx.now,
        tags,
    };
    if let Some(options) = input.dns_options {
        options.apply(&mut endpoint)?;
    }
    match kind {
        Kind::Gateway => {
            if !input.subnet_id.is_empty() || !input.security_group_id.is_empty() {
                return Err(error(
                    "InvalidParameter",
                    "A gateway endpoint has neither subnets nor security groups.",
                ));
            }
            let gateways = owned::<VpcEndpoint>(&ctx.tx, &ctx.scope)
                .filter(|e| kind_of(e) == Kind::Gateway)
                .count();
            if gateways >= quota::GATEWAY_ENDPOINTS {
                return Err(error(
                    "VpcEndpointLimitExceeded",
                    "The maximum number of gateway VPC endpoints has been reached.",
                ));
            }
            add_route_tables(ctx, &mut endpoint, &input.route_table_id)?;
        }
        Kind::Interface => {
            if !input.route_table_id.is_empty() {
                return Err(error(
                    "InvalidParameter",
                    "An interface endpoint has no route tables.",
                ));
            }
            set_private_dns(
                ctx,
                &mut endpoint,
                &vpc,
                input.private_dns_enabled.unwrap_or(true),
            )?;
            let ids = network_interface::groups(ctx, &vpc, &input.security_group_id)?;
            set_groups(&mut endpoint, ids);
            add_subnets(
                ctx,
                &mut endpoint,
                &input.subnet_id,
                &input.subnet_configuration,
            )?;
        }
    }
    dry_run(input.dry_run)?;
    let message = format!(
        "nothing of {} answers at this endpoint yet: it is routed and described only",
        endpoint.service_name
    );
    let (now, id) = (ctx.now, endpoint.id.clone());
    ctx.tx
        .event(now, Severity::Warning, &id, "not-emulated", message);
    let answer = OneVpcEndpoint {
        vpc_endpoint: shape(&ctx.tx, &endpoint),
        client_token: input.client_token,
    };
    ctx.tx.put(endpoint);
    Ok(answer)
}

pub(super) fn checked_policy(policy: String) -> Result<String> {
    match serde_json::from_str::<serde_json::Value>(&policy) {
        Ok(serde_json::Value::Object(_)) => Ok(policy),
        _ => Err(error(
            "InvalidPolicyDocument",
            "The policy document is no valid JSON object.",
        )),
    }
}

pub(super) fn checked_address_type(given: Option<String>) -> Result<String> {
    match given.as_deref() {
        None | Some("ipv4") => Ok("ipv4".into()),
        Some(other) => Err(invalid_parameter(
            other,
            "ipAddressType",
            "This cloud's endpoints have IPv4 addresses only.",
        )),
    }
}

/// One endpoint of a VPC may give a service's own name to its addresses.
pub(super) fn set_private_dns(
    ctx: &Ctx,
    endpoint: &mut VpcEndpoint,
    vpc: &Vpc,
    on: bool,
) -> Result<()> {
    if on && !(vpc.enable_dns_support && vpc.enable_dns_hostnames) {
        return Err(error(
            "InvalidParameter",
            format!(
                "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for {}",
                vpc.id
            ),
        ));
    }
    let taken = owned::<VpcEndpoint>(&ctx.tx, &ctx.scope).find(|e| {
        e.id != endpoint.id
            && e.vpc == vpc.id
            && e.private_dns_enabled
            && e.service_name == endpoint.service_name
    });
    if on && let Some(other) = taken {
        return Err(error(
            "InvalidParameter",
            format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {} in the VPC {}: {}",
                endpoint.service_name, vpc.id, other.id
            ),
        ));
    }
    endpoint.private_dns_enabled = on;
    Ok(())
}

pub(super) fn set_groups(endpoint: &mut VpcEndpoint, ids: Vec<SecurityGroupId>) {
    if let VpcEndpointKind::Interface {
        security_groups, ..
    } = &mut endpoint.kind
    {
        *security_groups = ids;
    }
}

/// Names more tables in which the endpoint is a route.
pub(super) fn add_route_tables(
    ctx: &Ctx,
    endpoint: &mut VpcEndpoint,
    ids: &[String],
) -> Result<()> {
    let VpcEndpointKind::Gateway { route_tables } = &mut endpoint.kind else {
        return match ids.is_empty() {
            true => Ok(()),
            false => Err(invalid_combination(
                "An interface endpoint has no route tables.",
            )),
        };
    };
    for id in ids {
        let table = find::<RouteTable>(ctx, id)?;
        if table.vpc != endpoint.vpc {
            return Err(error(
                "InvalidParameter",
                format!(
                    "route table {id} and VPC {} belong to different networks",
                    endpoint.vpc
                ),
            ));
        }
        let twice = owned::<VpcEndpoint>(&ctx.tx, &ctx.scope).any(|e| {
            let names = |t: &VpcEndpointKind| matches!(t, VpcEndpointKind::Gateway { route_tables } if route_tables.contains(&table.id));
            e.id != endpoint.id && e.service_name == endpoint.service_name && names(&e.kind)
        });
        if twice {
            return Err(error(
                "RouteAlreadyExists",
                format!(
                    "route table {id} already has a route with destination-prefix-list-id of {}",
                    endpoint.service_name
                ),
            ));
        }
        if !route_tables.contains(&table.id) {
            route_tables.push(table.id.clone());
        }
    }
    Ok(())
}

/// Puts an interface into more subnets, one to a zone.
pub(super) fn add_subnets(
    ctx: &mut Ctx,
    endpoint: &mut VpcEndpoint,
    ids: &[String],
    configurations: &[SubnetConfiguration],
) -> Result<()> {
    let VpcEndpointKind::Interface {
        interfaces,
        security_groups,
    } = &mut endpoint.kind
    else {
        return match ids.is_empty() {
            true => Ok(()),
            false => Err(invalid_combination("A gateway endpoint has no subnets.")),
        };
    };
    for configuration in configurations {
        refuse(&configuration.ipv6, "SubnetConfiguration.Ipv6")?;
        let subnet = configuration.subnet_id.as_ref();
        let subnet = subnet.ok_or_else(|| missing("subnetConfiguration.subnetId"))?;
        if !ids.contains(subnet) {
            return Err(invalid_combination(format!(
                "The subnet {subnet} has a configuration but is not among the endpoint's subnets."
            )));
        }
    }
    for id in ids {
        let subnet = find::<Subnet>(ctx, id)?;
        if subnet.vpc != endpoint.vpc {
            return Err(error(
                "InvalidParameter",
                format!(
                    "subnet {id} and VPC {} belong to different networks",
                    endpoint.vpc
                ),
            ));
        }
        if interfaces.iter().any(|(s, _)| *s == subnet.id) {
            continue;
        }
        let zone_of = |s: &SubnetId| ctx.tx.subnets.get(s).map(|s| s.zone.clone());
        let taken = interfaces
            .iter()
            .any(|(s, _)| zone_of(s).as_ref() == Some(&subnet.zone));
        if taken {
            return Err(error(
                "DuplicateSubnetsInSameZone",
                format!("Found another VPC endpoint subnet in the availability zone of {id}."),
            ));
        }
        let wanted = configurations
            .iter()
            .find(|c| c.subnet_id.as_deref() == Some(subnet.id.as_str()))
            .and_then(|c| c.ipv4.as_deref());
        let private_ips = network_interface::private_ips(&ctx.tx, &subnet, wanted, &[], None)?;
        let new = network_interface::NewInterface {
            description: format!("VPC Endpoint Interface {}", endpoint.id),
            private_ips,
            security_groups: security_groups.clone(),
            requester: Some(Requester::VpcEndpoint(endpoint.id.clone())),
            ..Default::default()
        };
        let interface = network_interface::make(&mut ctx.tx, &subnet, new, ctx.now);
        interfaces.push((subnet.id.clone(), interface.id));
    }
    Ok(())
}

const FILTERS: &[Field<VpcEndpoint>] = &[
    ("ip-address-type", |_, e| one(&e.ip_address_type)),
    ("service-name", |_, e| one(&e.service_name)),
    ("service-region", |_, e| one(&e.scope.region)),
    ("vpc-id", |_, e| one(&e.vpc)),
    ("vpc-endpoint-id", |_, e| one(&e.id)),
    ("vpc-endpoint-state", |_, e| {
        one(match e.state {
            VpcEndpointState::Pending => "pending",
            VpcEndpointState::Available => "available",
            VpcEndpointState::Deleting => "deleting",
        })
    }),
    ("vpc-endpoint-type", |_, e| one(kind_of(e).name())),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcEndpoints {
    #[serde(default)]
    vpc_endpoint_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcEndpoints {
    vpc_endpoint_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeVpcEndpoints) -> Result<VpcEndpoints> {
    let page = Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    let ids = &input.vpc_endpoint_id;
    let (endpoints, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(VpcEndpoints {
        vpc_endpoint_set: endpoints.iter().map(|e| shape(&ctx.tx, e)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteVpcEndpoints {
    #[serde(default)]
    vpc_endpoint_id: Vec<String>,
    dry_run: Option<bool>,
}

/// What went wrong, one by one: the call itself succeeds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsuccessful {
    pub(super) unsuccessful: Vec<UnsuccessfulItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnsuccessfulItem {
    error: UnsuccessfulError,
    resource_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnsuccessfulError {
    code: String,
    message: String,
}

impl UnsuccessfulItem {
    pub(super) fn new(resource_id: &str, error: wire::ApiError) -> Self {
        Self {
            error: UnsuccessfulError {
                code: error.code.to_string(),
                message: error.message,
            },
            resource_id: resource_id.to_owned(),
        }
    }
}

pub fn delete(ctx: &mut Ctx, input: DeleteVpcEndpoints) -> Result<Unsuccessful> {
    if input.vpc_endpoint_id.is_empty() {
        return Err(missing("vpcEndpointId"));
    }
    dry_run(input.dry_run)?;
    let mut unsuccessful = Vec::new();
    for id in &input.vpc_endpoint_id {
        match find::<VpcEndpoint>(ctx, id) {
            Ok(endpoint) => {
                ctx.tx.modify::<VpcEndpoint>(&endpoint.id, |e| {
                    e.state = VpcEndpointState::Deleting;
                });
            }
            Err(error) => unsuccessful.push(UnsuccessfulItem::new(id, error)),
        }
    }
    Ok(Unsuccessful { unsuccessful })
}

/// The interfaces that belong to the endpoint.
pub(super) fn interfaces_of(state: &State, endpoint: &VpcEndpoint) -> Vec<Arc<NetworkInterface>> {
    let owner = Some(Requester::VpcEndpoint(endpoint.id.clone()));
    owned::<NetworkInterface>(state, &endpoint.scope)
        .filter(|i| i.requester == owner)
        .cloned()
        .collect()
}
