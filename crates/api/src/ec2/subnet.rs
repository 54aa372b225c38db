//! Subnets: one block of the VPC in one zone.

use super::error::{
    Result, dry_run, error, has_dependencies, invalid_combination, invalid_parameter, missing,
    refuse, required, unsupported,
};
use super::filter::{Field, Filter, maybe, one};
use super::ipv6::{self, SubnetBlock};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::vpc_attribute::AttributeBooleanValue;
use super::{
    Done, availability_zone, cidr, done, network_acl, private_address, quota, route_table,
};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::vpc::{Subnet, Vpc};
use model::{SubnetId, Tags, zone};
use serde::{Deserialize, Serialize};
use store::{State, Tx};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape {
    subnet_id: String,
    subnet_arn: String,
    state: &'static str,
    vpc_id: String,
    owner_id: String,
    cidr_block: String,
    ipv6_cidr_block_association_set: Vec<SubnetBlock>,
    available_ip_address_count: u32,
    availability_zone: String,
    availability_zone_id: String,
    default_for_az: bool,
    map_public_ip_on_launch: bool,
    map_customer_owned_ip_on_launch: bool,
    assign_ipv6_address_on_creation: bool,
    ipv6_native: bool,
    enable_dns64: bool,
    private_dns_name_options_on_launch: PrivateDnsNameOptions,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateDnsNameOptions {
    hostname_type: String,
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "enableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

pub(super) fn shape(state: &State, subnet: &Subnet) -> Shape {
    Shape {
        subnet_id: subnet.id.to_string(),
        subnet_arn: subnet
            .scope
            .arn("ec2", format_args!("subnet/{}", subnet.id)),
        state: "available",
        vpc_id: subnet.vpc.to_string(),
        owner_id: subnet.scope.account.to_string(),
        cidr_block: subnet.cidr.to_string(),
        ipv6_cidr_block_association_set: subnet
            .ipv6_cidr
            .iter()
            .map(|given| SubnetBlock::new(given, "associated"))
            .collect(),
        available_ip_address_count: private_address::free_count(state, subnet),
        availability_zone: subnet.zone.clone(),
        availability_zone_id: zone::zone_id(&subnet.zone).unwrap_or_default().to_owned(),
        default_for_az: subnet.default_for_az,
        map_public_ip_on_launch: subnet.map_public_ip_on_launch,
        map_customer_owned_ip_on_launch: false,
        assign_ipv6_address_on_creation: subnet.assign_ipv6_address_on_creation,
        ipv6_native: false,
        enable_dns64: subnet.enable_dns64,
        private_dns_name_options_on_launch: PrivateDnsNameOptions {
            hostname_type: subnet.private_dns_hostname_type.clone(),
            enable_resource_name_dns_a_record: subnet.enable_resource_name_dns_a_record,
            enable_resource_name_dns_aaaa_record: subnet.enable_resource_name_dns_aaaa_record,
        },
        tag_set: tag::list(&subnet.tags),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneSubnet {
    pub(super) subnet: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSubnet {
    vpc_id: String,
    cidr_block: Option<String>,
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    ipv6_cidr_block: Option<String>,
    ipv6_native: Option<bool>,
    outpost_arn: Option<String>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i32>,
    ipv6_ipam_pool_id: Option<String>,
    ipv6_netmask_length: Option<i32>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateSubnet) -> Result<OneSubnet> {
    if input.ipv6_native == Some(true) {
        return Err(unsupported(
            "IPv6-only subnets are not supported by this cloud: packets are carried over IPv4.",
        ));
    }
    refuse(&input.ipv6_ipam_pool_id, "Ipv6IpamPoolId")?;
    refuse(&input.ipv6_netmask_length, "Ipv6NetmaskLength")?;
    refuse(&input.outpost_arn, "OutpostArn")?;
    refuse(&input.ipv4_ipam_pool_id, "Ipv4IpamPoolId")?;
    refuse(&input.ipv4_netmask_length, "Ipv4NetmaskLength")?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let block = cidr::ipv4(&required(input.cidr_block, "cidrBlock")?, "cidrBlock")?;
    let inside = vpc.cidrs.iter().any(|(_, c)| c.contains(&block));
    if !(16..=28).contains(&block.prefix_len()) || !inside {
        return Err(error(
            "InvalidSubnet.Range",
            format!("The CIDR '{block}' is invalid."),
        ));
    }
    let taken = owned::<Subnet>(&ctx.tx, &ctx.scope)
        .any(|s| s.vpc == vpc.id && cidr::overlap(&s.cidr, &block));
    if taken {
        return Err(error(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{block}' conflicts with another subnet"),
        ));
    }
    let zone = availability_zone::choose(ctx, input.availability_zone, input.availability_zone_id)?
        .or_else(|| emptiest_zone(ctx, &vpc));
    let zone = required(zone, "availabilityZone")?;
    let tags = tag::of(&input.tag_specification, Subnet::TYPE)?;
    quota::check::<Subnet>(
        ctx,
        quota::SUBNETS_PER_VPC,
        "SubnetLimitExceeded",
        "subnets",
        |s| s.vpc == vpc.id,
    )?;
    let ipv6_cidr = match &input.ipv6_cidr_block {
        Some(block) => Some(ipv6::subnet_block(ctx, &vpc.id, block)?),
        None => None,
    };
    dry_run(input.dry_run)?;
    let mut subnet = make(&mut ctx.tx, &vpc, zone, block, tags);
    if ipv6_cidr.is_some() {
        subnet.ipv6_cidr = ipv6_cidr;
        ctx.tx.put(subnet.clone());
    }
    Ok(OneSubnet {
        subnet: shape(&ctx.tx, &subnet),
    })
}

/// AWS picks a zone where none is named; we take one with the fewest subnets of the VPC.
fn emptiest_zone(ctx: &Ctx, vpc: &Vpc) -> Option<String> {
    let subnets_in = |zone: &str| {
        owned::<Subnet>(&ctx.tx, &ctx.scope)
            .filter(|s| s.vpc == vpc.id && s.zone == zone)
            .count()
    };
    let zones = zone::region(&ctx.scope.region)?.zones();
    zones
        .map(|(name, _)| name)
        .min_by_key(|name| subnets_in(name))
}

/// A subnet, in the VPC's default network ACL.
pub(super) fn make(tx: &mut Tx, vpc: &Vpc, zone: String, cidr: Ipv4Net, tags: Tags) -> Subnet {
    let subnet = Subnet {
        id: SubnetId::random(),
        scope: vpc.scope.clone(),
        vpc: vpc.id.clone(),
        cidr,
        ipv6_cidr: None,
        zone,
        default_for_az: false,
        map_public_ip_on_launch: false,
        assign_ipv6_address_on_creation: false,
        enable_dns64: false,
        private_dns_hostname_type: "ip-name".into(),
        enable_resource_name_dns_a_record: false,
        enable_resource_name_dns_aaaa_record: false,
        tags,
    };
    tx.put(subnet.clone());
    network_acl::associate_default(tx, &subnet);
    subnet
}

const FILTERS: &[Field<Subnet>] = &[
    ("availability-zone", |_, s| one(&s.zone)),
    ("availabilityZone", |_, s| one(&s.zone)),
    ("availability-zone-id", |_, s| maybe(zone::zone_id(&s.zone))),
    ("available-ip-address-count", |state, s| {
        one(private_address::free_count(state, s))
    }),
    ("cidr", |_, s| one(s.cidr)),
    ("cidr-block", |_, s| one(s.cidr)),
    ("cidrBlock", |_, s| one(s.cidr)),
    ("customer-owned-ipv4-pool", |_, _| vec![]),
    ("default-for-az", |_, s| one(s.default_for_az)),
    ("defaultForAz", |_, s| one(s.default_for_az)),
    ("enable-dns64", |_, s| one(s.enable_dns64)),
    ("enable-lni-at-device-index", |_, _| vec![]),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, s| {
        maybe(s.ipv6_cidr.as_ref().map(|(_, block)| block))
    }),
    ("ipv6-cidr-block-association.association-id", |_, s| {
        maybe(s.ipv6_cidr.as_ref().map(|(id, _)| id))
    }),
    ("ipv6-cidr-block-association.state", |_, s| {
        maybe(s.ipv6_cidr.as_ref().map(|_| "associated"))
    }),
    ("ipv6-native", |_, _| one(false)),
    ("map-customer-owned-ip-on-launch", |_, _| one(false)),
    ("map-public-ip-on-launch", |_, s| {
        one(s.map_public_ip_on_launch)
    }),
    ("outpost-arn", |_, _| vec![]),
    ("owner-id", |_, s| one(&s.scope.account)),
    (
        "private-dns-name-options-on-launch.hostname-type",
        |_, s| one(&s.private_dns_hostname_type),
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
        |_, s| one(s.enable_resource_name_dns_a_record),
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
        |_, s| one(s.enable_resource_name_dns_aaaa_record),
    ),
    ("state", |_, _| one("available")),
    ("subnet-arn", |_, s| {
        one(s.scope.arn("ec2", format_args!("subnet/{}", s.id)))
    }),
    ("subnet-id", |_, s| one(&s.id)),
    ("vpc-id", |_, s| one(&s.vpc)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSubnets {
    #[serde(default)]
    subnet_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnets {
    subnet_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeSubnets) -> Result<Subnets> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (subnets, next_token) = describe(ctx, &input.subnet_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Subnets {
        subnet_set: subnets.iter().map(|s| shape(&ctx.tx, s)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSubnet {
    subnet_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteSubnet) -> Result<Done> {
    let subnet = find::<Subnet>(ctx, &input.subnet_id)?;
    if ctx.tx.network_interfaces.of(&subnet.id).next().is_some() {
        return Err(has_dependencies("subnet", &subnet.id));
    }
    dry_run(input.dry_run)?;
    route_table::forget_subnet(&mut ctx.tx, &subnet);
    network_acl::forget_subnet(&mut ctx.tx, &subnet);
    ctx.tx.remove::<Subnet>(&subnet.id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifySubnetAttribute {
    subnet_id: String,
    map_public_ip_on_launch: Option<AttributeBooleanValue>,
    private_dns_hostname_type_on_launch: Option<String>,
    enable_resource_name_dns_a_record_on_launch: Option<AttributeBooleanValue>,
    #[serde(rename = "EnableResourceNameDnsAAAARecordOnLaunch")]
    enable_resource_name_dns_aaaa_record_on_launch: Option<AttributeBooleanValue>,
    assign_ipv6_address_on_creation: Option<AttributeBooleanValue>,
    enable_dns64: Option<AttributeBooleanValue>,
    map_customer_owned_ip_on_launch: Option<AttributeBooleanValue>,
    customer_owned_ipv4_pool: Option<String>,
    enable_lni_at_device_index: Option<i32>,
    disable_lni_at_device_index: Option<AttributeBooleanValue>,
}

/// One attribute a call, as on AWS.
pub fn modify_attribute(ctx: &mut Ctx, input: ModifySubnetAttribute) -> Result<Done> {
    let mut subnet = Subnet::clone(&*find::<Subnet>(ctx, &input.subnet_id)?);
    refuse(&input.customer_owned_ipv4_pool, "CustomerOwnedIpv4Pool")?;
    refuse(&input.enable_lni_at_device_index, "EnableLniAtDeviceIndex")?;
    refuse(
        &input.disable_lni_at_device_index,
        "DisableLniAtDeviceIndex",
    )?;
    let mut customer_owned = false;
    let flags = [
        (
            input.map_public_ip_on_launch,
            &mut subnet.map_public_ip_on_launch,
        ),
        (
            input.enable_resource_name_dns_a_record_on_launch,
            &mut subnet.enable_resource_name_dns_a_record,
        ),
        (
            input.enable_resource_name_dns_aaaa_record_on_launch,
            &mut subnet.enable_resource_name_dns_aaaa_record,
        ),
        (
            input.assign_ipv6_address_on_creation,
            &mut subnet.assign_ipv6_address_on_creation,
        ),
        (input.enable_dns64, &mut subnet.enable_dns64),
        (input.map_customer_owned_ip_on_launch, &mut customer_owned),
    ];
    let mut given = 0;
    for (change, flag) in flags {
        if let Some(change) = change {
            *flag = change.value.ok_or_else(|| missing("Value"))?;
            given += 1;
        }
    }
    if let Some(kind) = input.private_dns_hostname_type_on_launch {
        if !matches!(kind.as_str(), "ip-name" | "resource-name") {
            let why = "Expecting ip-name or resource-name.";
            return Err(invalid_parameter(
                kind,
                "privateDnsHostnameTypeOnLaunch",
                why,
            ));
        }
        subnet.private_dns_hostname_type = kind;
        given += 1;
    }
    match given {
        0 => return Err(missing("mapPublicIpOnLaunch")),
        1 => {}
        _ => {
            return Err(invalid_combination(
                "Only one subnet attribute can be modified at a time.",
            ));
        }
    }
    if subnet.assign_ipv6_address_on_creation && subnet.ipv6_cidr.is_none() {
        return Err(invalid_parameter(
            true,
            "assignIpv6AddressOnCreation",
            "The subnet has no IPv6 CIDR block.",
        ));
    }
    if customer_owned {
        return Err(unsupported(
            "Customer-owned addresses are not supported by this cloud.",
        ));
    }
    ctx.tx.put(subnet);
    done()
}
