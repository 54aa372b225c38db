//! EC2 Instance Connect Endpoints: asked for here, made, changed and removed by their controller.
//!
//! Keeping clients' addresses (`PreserveClientIp`, Terraform's default) is not done: packets would have
//! to leave under addresses that are not the interface's. The wish is kept, and an event says so. IPv6
//! is refused. Which code AWS answers beyond its limits is documented nowhere; `ResourceLimitExceeded`
//! is EC2's general one.

use super::error::{Result, dry_run, error, missing};
use super::filter::{Field, Filter, one};
use super::network_interface::{self, NewInterface};
use super::page::{Page, describe};
use super::resource::{Resource, find};
use super::tag::{self, Tag, TagSpecification};
use super::vpc_endpoint::checked_address_type;
use super::{Done, done, private_address, quota};
use crate::Ctx;
use model::event::Severity;
use model::instance_connect::{InstanceConnectEndpoint, InstanceConnectEndpointState as State};
use model::vpc::{NetworkInterface, Requester, Subnet, Vpc};
use model::{InstanceConnectEndpointId, SecurityGroupId, zone};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    owner_id: String,
    instance_connect_endpoint_id: String,
    instance_connect_endpoint_arn: String,
    state: State,
    state_message: &'static str,
    dns_name: String,
    network_interface_id_set: Vec<String>,
    vpc_id: String,
    availability_zone: Option<String>,
    availability_zone_id: Option<&'static str>,
    created_at: wire::Timestamp,
    subnet_id: String,
    preserve_client_ip: bool,
    security_group_id_set: Vec<String>,
    tag_set: Vec<Tag>,
    ip_address_type: &'static str,
    public_dns_names: PublicDnsNames,
}

#[derive(Serialize)]
struct PublicDnsNames {
    ipv4: DnsNames,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DnsNames {
    dns_name: String,
}

fn shape(state: &store::State, endpoint: &InstanceConnectEndpoint) -> Shape {
    let scope = &endpoint.scope;
    let zone = state.subnets.get(&endpoint.subnet).map(|s| s.zone.clone());
    Shape {
        owner_id: scope.account.to_string(),
        instance_connect_endpoint_id: endpoint.id.to_string(),
        instance_connect_endpoint_arn: format!(
            "arn:aws:ec2:{}:{}:instance-connect-endpoint/{}",
            scope.region, scope.account, endpoint.id
        ),
        state: endpoint.state,
        state_message: "",
        dns_name: endpoint.dns_name(),
        network_interface_id_set: match endpoint.state {
            State::CreateInProgress => Vec::new(),
            _ => vec![endpoint.interface.to_string()],
        },
        vpc_id: endpoint.vpc.to_string(),
        availability_zone_id: zone.as_deref().and_then(zone::zone_id),
        availability_zone: zone,
        created_at: endpoint.created.into(),
        subnet_id: endpoint.subnet.to_string(),
        preserve_client_ip: endpoint.preserve_client_ip,
        security_group_id_set: endpoint
            .security_groups
            .iter()
            .map(SecurityGroupId::to_string)
            .collect(),
        tag_set: tag::list(&endpoint.tags),
        ip_address_type: "ipv4",
        public_dns_names: PublicDnsNames {
            ipv4: DnsNames {
                dns_name: endpoint.dns_name(),
            },
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateInstanceConnectEndpoint {
    subnet_id: String,
    #[serde(default)]
    security_group_id: Vec<String>,
    #[serde(default, deserialize_with = "wire::stored")]
    preserve_client_ip: Option<bool>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    ip_address_type: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    instance_connect_endpoint: Shape,
    client_token: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateInstanceConnectEndpoint) -> Result<Created> {
    checked_address_type(input.ip_address_type)?;
    let subnet = find::<Subnet>(ctx, &input.subnet_id)?;
    let vpc = find::<Vpc>(ctx, subnet.vpc.as_str())?;
    let tags = tag::of(&input.tag_specification, InstanceConnectEndpoint::TYPE)?;
    let security_groups = network_interface::groups(ctx, &vpc, &input.security_group_id)?;
    let preserve_client_ip = input.preserve_client_ip.unwrap_or(false);
    let same = super::idempotent::<InstanceConnectEndpoint>(
        ctx,
        input.client_token.as_deref(),
        |e| e.client_token.as_deref(),
        |e| {
            e.subnet == subnet.id
                && e.security_groups == security_groups
                && e.preserve_client_ip == preserve_client_ip
                && e.tags == tags
        },
    )?;
    if let Some(made) = same {
        return Ok(Created {
            instance_connect_endpoint: shape(&ctx.tx, &made),
            client_token: input.client_token,
        });
    }
    let limit = |most, what, counts: &dyn Fn(&InstanceConnectEndpoint) -> bool| {
        quota::check::<InstanceConnectEndpoint>(ctx, most, "ResourceLimitExceeded", what, counts)
    };
    limit(1, "EC2 Instance Connect Endpoints of the VPC", &|e| {
        e.vpc == vpc.id
    })?;
    limit(
        quota::INSTANCE_CONNECT_ENDPOINTS,
        "EC2 Instance Connect Endpoints",
        &|_| true,
    )?;
    let private_ips = private_address::take(&ctx.tx, &subnet, 1)?;
    dry_run(input.dry_run)?;
    let id = InstanceConnectEndpointId::random();
    let interface = network_interface::make(
        &mut ctx.tx,
        &subnet,
        NewInterface {
            description: format!("EC2 Instance Connect Endpoint {id}"),
            private_ips,
            security_groups: security_groups.clone(),
            requester: Some(Requester::InstanceConnectEndpoint(id.clone())),
            ..NewInterface::default()
        },
        ctx.now,
    );
    let endpoint = InstanceConnectEndpoint {
        id,
        scope: ctx.scope.clone(),
        vpc: vpc.id.clone(),
        subnet: subnet.id.clone(),
        interface: interface.id,
        security_groups,
        preserve_client_ip,
        state: State::CreateInProgress,
        client_token: input.client_token.clone(),
        created: ctx.now,
        tags,
    };
    let answer = Created {
        instance_connect_endpoint: shape(&ctx.tx, &endpoint),
        client_token: input.client_token,
    };
    if preserve_client_ip {
        report_preservation(ctx, &endpoint.id);
    }
    ctx.tx.put(endpoint);
    Ok(answer)
}

/// Says that clients' addresses are not kept, where they shall be.
fn report_preservation(ctx: &mut Ctx, id: &InstanceConnectEndpointId) {
    let message = "connections begin at the endpoint's own address: clients' addresses are not preserved, so let security groups \
                   of instances allow the endpoint's";
    let now = ctx.now;
    ctx.tx
        .event(now, Severity::Warning, id, "not-emulated", message);
}

const FILTERS: &[Field<InstanceConnectEndpoint>] = &[
    ("instance-connect-endpoint-id", |_, e| one(&e.id)),
    ("state", |_, e| one(e.state.name())),
    ("subnet-id", |_, e| one(&e.subnet)),
    ("vpc-id", |_, e| one(&e.vpc)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceConnectEndpoints {
    #[serde(default)]
    instance_connect_endpoint_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    instance_connect_endpoint_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstanceConnectEndpoints) -> Result<Described> {
    let page = Page::within(1, 50, input.max_results, input.next_token.as_deref())?;
    let ids = &input.instance_connect_endpoint_id;
    let (found, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Described {
        instance_connect_endpoint_set: found.iter().map(|e| shape(&ctx.tx, e)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceConnectEndpoint {
    instance_connect_endpoint_id: String,
    #[serde(default)]
    security_group_id: Vec<String>,
    #[serde(default, deserialize_with = "wire::stored")]
    preserve_client_ip: Option<bool>,
    ip_address_type: Option<String>,
    dry_run: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyInstanceConnectEndpoint) -> Result<Done> {
    let endpoint = find::<InstanceConnectEndpoint>(ctx, &input.instance_connect_endpoint_id)?;
    let unchanged = input.preserve_client_ip.is_none() && input.ip_address_type.is_none();
    if unchanged && input.security_group_id.is_empty() {
        return Err(missing("SecurityGroupId"));
    }
    checked_address_type(input.ip_address_type)?;
    if !endpoint.state.is_open() {
        let state = endpoint.state.name();
        let message = format!("The endpoint {} is in the state {state}.", endpoint.id);
        return Err(error("IncorrectState", message));
    }
    let vpc = find::<Vpc>(ctx, endpoint.vpc.as_str())?;
    let groups = match input.security_group_id.is_empty() {
        true => endpoint.security_groups.clone(),
        false => network_interface::groups(ctx, &vpc, &input.security_group_id)?,
    };
    dry_run(input.dry_run)?;
    let preserve = input
        .preserve_client_ip
        .unwrap_or(endpoint.preserve_client_ip);
    if input.preserve_client_ip == Some(true) {
        report_preservation(ctx, &endpoint.id);
    }
    ctx.tx
        .modify::<NetworkInterface>(&endpoint.interface, |i| i.security_groups = groups.clone());
    ctx.tx.modify::<InstanceConnectEndpoint>(&endpoint.id, |e| {
        e.security_groups = groups;
        e.preserve_client_ip = preserve;
        e.state = State::UpdateInProgress;
    });
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteInstanceConnectEndpoint {
    instance_connect_endpoint_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    instance_connect_endpoint: Shape,
}

pub fn delete(ctx: &mut Ctx, input: DeleteInstanceConnectEndpoint) -> Result<Deleted> {
    let found = find::<InstanceConnectEndpoint>(ctx, &input.instance_connect_endpoint_id)?;
    dry_run(input.dry_run)?;
    let mut endpoint = InstanceConnectEndpoint::clone(&found);
    endpoint.state = State::DeleteInProgress;
    let answer = Deleted {
        instance_connect_endpoint: shape(&ctx.tx, &endpoint),
    };
    ctx.tx.put(endpoint);
    Ok(answer)
}
