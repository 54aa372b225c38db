//! Security groups. Their rules are in [`super::security_group_rule`].

use super::error::{Result, dry_run, error, invalid_value, required};
use super::filter::{Field, Filter, all, one};
use super::ip_permission::{self, PermissionShape};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{default_vpc, protocol, quota};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::vpc::{SecurityGroup, SecurityGroupPeer, SecurityGroupRule, Vpc};
use model::{SecurityGroupId, SecurityGroupRuleId, Tags};
use serde::{Deserialize, Serialize};
use store::{State, Tx};

const DEFAULT: &str = "default";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    group_id: String,
    group_name: String,
    group_description: String,
    owner_id: String,
    vpc_id: String,
    security_group_arn: String,
    ip_permissions: Vec<PermissionShape>,
    ip_permissions_egress: Vec<PermissionShape>,
    tag_set: Vec<Tag>,
}

fn shape(group: &SecurityGroup) -> Shape {
    Shape {
        group_id: group.id.to_string(),
        group_name: group.name.clone(),
        group_description: group.description.clone(),
        owner_id: group.scope.account.to_string(),
        vpc_id: group.vpc.to_string(),
        security_group_arn: arn(group),
        ip_permissions: permissions(group, false),
        ip_permissions_egress: permissions(group, true),
        tag_set: tag::list(&group.tags),
    }
}

fn arn(group: &SecurityGroup) -> String {
    let rest = format_args!("security-group/{}", group.id);
    group.scope.arn("ec2", rest)
}

fn permissions(group: &SecurityGroup, egress: bool) -> Vec<PermissionShape> {
    let rules = group.rules.iter().filter(|r| r.egress == egress);
    ip_permission::shapes(&group.scope.account, rules)
}

fn allow_all(egress: bool, peer: SecurityGroupPeer) -> SecurityGroupRule {
    SecurityGroupRule {
        id: SecurityGroupRuleId::random(),
        egress,
        protocol: protocol::ALL,
        ports: None,
        peer,
        description: None,
        tags: Tags::new(),
    }
}

/// What a new group lets out: everything, over IPv6 too where its VPC has that.
fn default_egress(vpc: &Vpc) -> Vec<SecurityGroupRule> {
    let v6 = (!vpc.ipv6_cidrs.is_empty()).then(|| IpNet::V6(Ipv6Net::default()));
    let everywhere = [IpNet::V4(Ipv4Net::default())].into_iter().chain(v6);
    everywhere
        .map(|block| allow_all(true, SecurityGroupPeer::Cidr(block)))
        .collect()
}

/// A VPC's first IPv6 block opens those of its groups to IPv6 whose outbound rules nobody changed.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html>
pub(super) fn allow_ipv6(tx: &mut Tx, vpc: &Vpc) {
    let everywhere = IpNet::V4(Ipv4Net::default());
    let untouched = |g: &SecurityGroup| {
        let mut egress = g.rules.iter().filter(|r| r.egress);
        let only = egress.next().filter(|_| egress.next().is_none());
        only.is_some_and(|r| {
            r.protocol == protocol::ALL && r.peer == SecurityGroupPeer::Cidr(everywhere)
        })
    };
    let groups = tx.security_groups.of(&vpc.scope);
    let groups = groups.filter(|g| g.vpc == vpc.id && untouched(g));
    let ids: Vec<SecurityGroupId> = groups.map(|g| g.id.clone()).collect();
    for id in ids {
        let everywhere = SecurityGroupPeer::Cidr(IpNet::V6(Ipv6Net::default()));
        tx.modify::<SecurityGroup>(&id, |g| g.rules.push(allow_all(true, everywhere)));
    }
}

/// The group that a VPC comes with: in from its members, out to everywhere.
pub(super) fn make_default(tx: &mut Tx, vpc: &Vpc) {
    let id = SecurityGroupId::random();
    let mut rules = vec![allow_all(false, SecurityGroupPeer::Group(id.clone()))];
    rules.extend(default_egress(vpc));
    tx.put(SecurityGroup {
        id: id.clone(),
        scope: vpc.scope.clone(),
        vpc: vpc.id.clone(),
        name: DEFAULT.into(),
        description: "default VPC security group".into(),
        rules,
        tags: Tags::new(),
    });
}

pub fn is_default(group: &SecurityGroup) -> bool {
    group.name == DEFAULT
}

/// The group that an interface gets where none is named.
pub fn default_of(state: &State, vpc: &Vpc) -> Option<SecurityGroupId> {
    owned::<SecurityGroup>(state, &vpc.scope)
        .find(|g| g.vpc == vpc.id && is_default(g))
        .map(|g| g.id.clone())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSecurityGroup {
    group_name: String,
    group_description: String,
    vpc_id: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedSecurityGroup {
    group_id: String,
    security_group_arn: String,
    tag_set: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateSecurityGroup) -> Result<CreatedSecurityGroup> {
    let vpc = match &input.vpc_id {
        Some(id) => find::<Vpc>(ctx, id)?,
        None => default_vpc::find(ctx)
            .ok_or_else(|| error("VPCIdNotSpecified", "No default VPC for this user"))?,
    };
    let name = input.group_name.trim();
    check_name(name)?;
    check_text(&input.group_description, "GroupDescription")?;
    quota::check::<SecurityGroup>(
        ctx,
        quota::SECURITY_GROUPS,
        "SecurityGroupLimitExceeded",
        "security groups",
        |_| true,
    )?;
    if owned::<SecurityGroup>(&ctx.tx, &ctx.scope).any(|g| g.vpc == vpc.id && g.name == name) {
        return Err(error(
            "InvalidGroup.Duplicate",
            format!(
                "The security group '{name}' already exists for VPC '{}'",
                vpc.id
            ),
        ));
    }
    let tags = tag::of(&input.tag_specification, SecurityGroup::TYPE)?;
    dry_run(input.dry_run)?;
    let group = SecurityGroup {
        id: SecurityGroupId::random(),
        scope: ctx.scope.clone(),
        vpc: vpc.id.clone(),
        name: name.to_owned(),
        description: input.group_description,
        rules: default_egress(&vpc),
        tags,
    };
    let answer = CreatedSecurityGroup {
        group_id: group.id.to_string(),
        security_group_arn: arn(&group),
        tag_set: tag::list(&group.tags),
    };
    ctx.tx.put(group);
    Ok(answer)
}

fn check_name(name: &str) -> Result<()> {
    if name.eq_ignore_ascii_case(DEFAULT) {
        return Err(invalid_value(format!(
            "Cannot use reserved security group name: {name}"
        )));
    }
    if name.starts_with("sg-") {
        return Err(invalid_value(format!(
            "Invalid group name: {name}. Group names may not be in the format sg-*."
        )));
    }
    check_text(name, "groupName")
}

/// `https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html`
fn check_text(text: &str, parameter: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:/()#,@[]+=&;{}!$* ".contains(c);
    if text.is_empty() || text.chars().count() > 255 || !text.chars().all(allowed) {
        return Err(invalid_value(format!(
            "Value ({text}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
        )));
    }
    Ok(())
}

const FILTERS: &[Field<SecurityGroup>] = &[
    ("description", |_, g| one(&g.description)),
    ("egress.ip-permission.cidr", |_, g| peers(g, true, ipv4)),
    ("egress.ip-permission.from-port", |_, g| {
        values(g, true, |r| Some(r.ports?.0))
    }),
    ("egress.ip-permission.group-id", |_, g| {
        peers(g, true, group_id)
    }),
    ("egress.ip-permission.group-name", |s, g| {
        group_names(s, g, true)
    }),
    ("egress.ip-permission.ipv6-cidr", |_, g| {
        peers(g, true, ipv6)
    }),
    ("egress.ip-permission.prefix-list-id", |_, g| {
        peers(g, true, prefix_list)
    }),
    ("egress.ip-permission.protocol", |_, g| {
        values(g, true, |r| Some(protocol::name(r.protocol)))
    }),
    ("egress.ip-permission.to-port", |_, g| {
        values(g, true, |r| Some(r.ports?.1))
    }),
    ("egress.ip-permission.user-id", |_, g| users(g, true)),
    ("group-id", |_, g| one(&g.id)),
    ("group-name", |_, g| one(&g.name)),
    ("ip-permission.cidr", |_, g| peers(g, false, ipv4)),
    ("ip-permission.from-port", |_, g| {
        values(g, false, |r| Some(r.ports?.0))
    }),
    ("ip-permission.group-id", |_, g| peers(g, false, group_id)),
    ("ip-permission.group-name", |s, g| group_names(s, g, false)),
    ("ip-permission.ipv6-cidr", |_, g| peers(g, false, ipv6)),
    ("ip-permission.prefix-list-id", |_, g| {
        peers(g, false, prefix_list)
    }),
    ("ip-permission.protocol", |_, g| {
        values(g, false, |r| Some(protocol::name(r.protocol)))
    }),
    ("ip-permission.to-port", |_, g| {
        values(g, false, |r| Some(r.ports?.1))
    }),
    ("ip-permission.user-id", |_, g| users(g, false)),
    ("owner-id", |_, g| one(&g.scope.account)),
    ("vpc-id", |_, g| one(&g.vpc)),
];

fn values<T: std::fmt::Display>(
    group: &SecurityGroup,
    egress: bool,
    of: fn(&SecurityGroupRule) -> Option<T>,
) -> Vec<String> {
    let rules = group.rules.iter().filter(|r| r.egress == egress);
    all(rules.filter_map(of))
}

fn peers(
    group: &SecurityGroup,
    egress: bool,
    of: fn(&SecurityGroupPeer) -> Option<String>,
) -> Vec<String> {
    let rules = group.rules.iter().filter(|r| r.egress == egress);
    rules.filter_map(|r| of(&r.peer)).collect()
}

fn ipv4(peer: &SecurityGroupPeer) -> Option<String> {
    match peer {
        SecurityGroupPeer::Cidr(net @ IpNet::V4(_)) => Some(net.to_string()),
        _ => None,
    }
}

fn ipv6(peer: &SecurityGroupPeer) -> Option<String> {
    match peer {
        SecurityGroupPeer::Cidr(net @ IpNet::V6(_)) => Some(net.to_string()),
        _ => None,
    }
}

fn group_id(peer: &SecurityGroupPeer) -> Option<String> {
    match peer {
        SecurityGroupPeer::Group(id) => Some(id.to_string()),
        _ => None,
    }
}

fn prefix_list(peer: &SecurityGroupPeer) -> Option<String> {
    match peer {
        SecurityGroupPeer::PrefixList(id) => Some(id.to_string()),
        _ => None,
    }
}

fn group_names(state: &State, group: &SecurityGroup, egress: bool) -> Vec<String> {
    let ids = peers(group, egress, group_id);
    ids.iter()
        .filter_map(|id| Some(state.security_groups.get(id.as_str())?.name.clone()))
        .collect()
}

fn users(group: &SecurityGroup, egress: bool) -> Vec<String> {
    match peers(group, egress, group_id).is_empty() {
        true => vec![],
        false => one(&group.scope.account),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSecurityGroups {
    #[serde(default)]
    group_id: Vec<String>,
    #[serde(default)]
    group_name: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroups {
    security_group_info: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeSecurityGroups) -> Result<SecurityGroups> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let mut ids = input.group_id;
    for name in &input.group_name {
        // Names are those of the default VPC's groups.
        let group = ip_permission::find_group(ctx, None, Some(name))?;
        ids.push(group.id.to_string());
    }
    let (groups, next_token) = describe(ctx, &ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(SecurityGroups {
        security_group_info: groups.iter().map(|g| shape(g)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSecurityGroupsForVpc {
    vpc_id: String,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupsForVpc {
    security_group_for_vpc_set: Vec<ForVpcShape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForVpcShape {
    group_id: String,
    group_name: String,
    description: String,
    owner_id: String,
    primary_vpc_id: String,
    tag_set: Vec<Tag>,
}

const FOR_VPC_FILTERS: &[Field<SecurityGroup>] = &[
    ("description", |_, g| one(&g.description)),
    ("group-id", |_, g| one(&g.id)),
    ("group-name", |_, g| one(&g.name)),
    ("owner-id", |_, g| one(&g.scope.account)),
    ("primary-vpc-id", |_, g| one(&g.vpc)),
];

pub fn for_vpc(ctx: &mut Ctx, input: GetSecurityGroupsForVpc) -> Result<SecurityGroupsForVpc> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let groups = owned::<SecurityGroup>(&ctx.tx, &ctx.scope);
    let ids: Vec<String> = groups
        .filter(|g| g.vpc == vpc.id)
        .map(|g| g.id.to_string())
        .collect();
    let (groups, next_token) = describe(ctx, &ids, &input.filter, FOR_VPC_FILTERS, &page)?;
    dry_run(input.dry_run)?;
    let shape = |g: &std::sync::Arc<SecurityGroup>| ForVpcShape {
        group_id: g.id.to_string(),
        group_name: g.name.clone(),
        description: g.description.clone(),
        owner_id: g.scope.account.to_string(),
        primary_vpc_id: g.vpc.to_string(),
        tag_set: tag::list(&g.tags),
    };
    Ok(SecurityGroupsForVpc {
        security_group_for_vpc_set: groups.iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSecurityGroup {
    group_id: Option<String>,
    group_name: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedSecurityGroup {
    r#return: bool,
    group_id: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteSecurityGroup) -> Result<DeletedSecurityGroup> {
    let (id, name) = (input.group_id.as_deref(), input.group_name.as_deref());
    required(id.or(name), "groupId")?;
    let group = ip_permission::find_group(ctx, id, name)?;
    if is_default(&group) {
        return Err(error(
            "CannotDelete",
            format!(
                "the specified group: \"{}\" name: \"{DEFAULT}\" cannot be deleted by a user",
                group.id
            ),
        ));
    }
    if is_used(&ctx.tx, &group) {
        return Err(error(
            "DependencyViolation",
            format!("resource {} has a dependent object", group.id),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<SecurityGroup>(&group.id);
    Ok(DeletedSecurityGroup {
        r#return: true,
        group_id: group.id.to_string(),
    })
}

/// By an interface, or by a rule of another group.
fn is_used(state: &State, group: &SecurityGroup) -> bool {
    let refers = |other: &SecurityGroup| {
        let mut peers = other.rules.iter().map(|r| &r.peer);
        other.id != group.id
            && peers.any(|p| matches!(p, SecurityGroupPeer::Group(id) if *id == group.id))
    };
    state.network_interfaces.of(&group.id).next().is_some()
        || owned::<SecurityGroup>(state, &group.scope).any(|g| refers(g))
}
