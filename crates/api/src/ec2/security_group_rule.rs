//! Rules of security groups: authorized, revoked, described.

use super::error::{Result, dry_run, error, invalid_combination};
use super::filter::{Field, Filter, Filters, one};
use super::ip_permission::{self as permission, Flat, IpPermission, find_group, same};
use super::page::Page;
use super::resource::{Resource, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{protocol, quota, vpc_peering};
use crate::Ctx;
use ipnet::IpNet;
use model::vpc::{SecurityGroup, SecurityGroupPeer, SecurityGroupRule, Vpc};
use model::{SecurityGroupId, SecurityGroupRuleId, Tags};
use serde::{Deserialize, Serialize};
use store::State;
use wire::ApiError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    security_group_rule_id: String,
    security_group_rule_arn: String,
    group_id: String,
    group_owner_id: String,
    is_egress: bool,
    ip_protocol: String,
    from_port: i32,
    to_port: i32,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_info: Option<ReferencedGroup>,
    description: Option<String>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferencedGroup {
    group_id: String,
    user_id: String,
    /// Of another VPC.
    vpc_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
}

fn shape(state: &State, group: &SecurityGroup, rule: &SecurityGroupRule) -> Shape {
    // Rules, unlike permissions, always show ports.
    let (from_port, to_port) = rule.ports.unwrap_or((-1, -1));
    let mut shape = Shape {
        security_group_rule_id: rule.id.to_string(),
        security_group_rule_arn: group
            .scope
            .arn("ec2", format_args!("security-group-rule/{}", rule.id)),
        group_id: group.id.to_string(),
        group_owner_id: group.scope.account.to_string(),
        is_egress: rule.egress,
        ip_protocol: protocol::name(rule.protocol),
        from_port,
        to_port,
        cidr_ipv4: None,
        cidr_ipv6: None,
        prefix_list_id: None,
        referenced_group_info: None,
        description: rule.description.clone(),
        tag_set: tag::list(&rule.tags),
    };
    match &rule.peer {
        SecurityGroupPeer::Cidr(net @ IpNet::V4(_)) => shape.cidr_ipv4 = Some(net.to_string()),
        SecurityGroupPeer::Cidr(net @ IpNet::V6(_)) => shape.cidr_ipv6 = Some(net.to_string()),
        SecurityGroupPeer::PrefixList(id) => shape.prefix_list_id = Some(id.to_string()),
        SecurityGroupPeer::Group(id) => {
            let referenced = state.security_groups.get(id);
            let vpc = referenced.map_or(&group.vpc, |g| &g.vpc);
            let peering = vpc_peering::between(state, &group.vpc, vpc);
            shape.referenced_group_info = Some(ReferencedGroup {
                group_id: id.to_string(),
                user_id: group.scope.account.to_string(),
                vpc_id: (*vpc != group.vpc).then(|| vpc.to_string()),
                vpc_peering_connection_id: peering.map(|p| p.id.to_string()),
            });
        }
    }
    shape
}

/// `AuthorizeSecurityGroupIngress` and `…Egress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Authorize {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ip: Option<String>,
    source_security_group_name: Option<String>,
    source_security_group_owner_id: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorized {
    r#return: bool,
    security_group_rule_set: Vec<Shape>,
}

pub fn authorize_ingress(ctx: &mut Ctx, input: Authorize) -> Result<Authorized> {
    authorize(ctx, input, false)
}

pub fn authorize_egress(ctx: &mut Ctx, input: Authorize) -> Result<Authorized> {
    authorize(ctx, input, true)
}

fn authorize(ctx: &mut Ctx, input: Authorize, egress: bool) -> Result<Authorized> {
    let group = find_group(ctx, input.group_id.as_deref(), input.group_name.as_deref())?;
    let mut group = SecurityGroup::clone(&group);
    let flat = Flat {
        ip_protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr_ip: input.cidr_ip,
        source_security_group_name: input.source_security_group_name,
        source_security_group_owner_id: input.source_security_group_owner_id,
    };
    let tags = tag::of(&input.tag_specification, "security-group-rule")?;
    let rules = permission::rules(ctx, &group, egress, input.ip_permissions, flat)?;
    let mut added = Vec::with_capacity(rules.len());
    for mut rule in rules {
        check_new(&group, &rule)?;
        rule.tags = tags.clone();
        added.push(shape(&ctx.tx, &group, &rule));
        group.rules.push(rule);
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(group);
    Ok(Authorized {
        r#return: true,
        security_group_rule_set: added,
    })
}

pub(super) fn check_new(group: &SecurityGroup, rule: &SecurityGroupRule) -> Result<()> {
    if group.rules.iter().any(|r| r.id != rule.id && same(r, rule)) {
        return Err(error(
            "InvalidPermission.Duplicate",
            format!("the specified rule \"{}\" already exists", in_words(rule)),
        ));
    }
    let same_way = group.rules.iter().filter(|r| r.egress == rule.egress);
    if same_way.filter(|r| r.id != rule.id).count() >= quota::RULES_PER_GROUP {
        return Err(error(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        ));
    }
    Ok(())
}

/// As AWS's texts put a rule.
fn in_words(rule: &SecurityGroupRule) -> String {
    let peer = match &rule.peer {
        SecurityGroupPeer::Cidr(net) => net.to_string(),
        SecurityGroupPeer::Group(id) => id.to_string(),
        SecurityGroupPeer::PrefixList(id) => id.to_string(),
    };
    let protocol = match rule.protocol {
        protocol::ALL => "ALL".to_owned(),
        number => protocol::name(number).to_uppercase(),
    };
    match rule.ports {
        Some((from, to)) => {
            format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
        }
        None => format!("peer: {peer}, {protocol}, ALLOW"),
    }
}

/// `RevokeSecurityGroupIngress` and `…Egress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Revoke {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    security_group_rule_id: Vec<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ip: Option<String>,
    source_security_group_name: Option<String>,
    source_security_group_owner_id: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    r#return: bool,
    revoked_security_group_rule_set: Vec<RevokedRule>,
    unknown_ip_permission_set: Vec<permission::PermissionShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokedRule {
    security_group_rule_id: String,
    group_id: String,
    is_egress: bool,
    ip_protocol: String,
    from_port: i32,
    to_port: i32,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_id: Option<String>,
    description: Option<String>,
}

impl From<Shape> for RevokedRule {
    fn from(rule: Shape) -> Self {
        Self {
            security_group_rule_id: rule.security_group_rule_id,
            group_id: rule.group_id,
            is_egress: rule.is_egress,
            ip_protocol: rule.ip_protocol,
            from_port: rule.from_port,
            to_port: rule.to_port,
            cidr_ipv4: rule.cidr_ipv4,
            cidr_ipv6: rule.cidr_ipv6,
            prefix_list_id: rule.prefix_list_id,
            referenced_group_id: rule.referenced_group_info.map(|g| g.group_id),
            description: rule.description,
        }
    }
}

pub fn revoke_ingress(ctx: &mut Ctx, input: Revoke) -> Result<Revoked> {
    revoke(ctx, input, false)
}

pub fn revoke_egress(ctx: &mut Ctx, input: Revoke) -> Result<Revoked> {
    revoke(ctx, input, true)
}

/// All or none; only in the default VPC are rules that are not there passed over.
fn revoke(ctx: &mut Ctx, input: Revoke, egress: bool) -> Result<Revoked> {
    let group = find_group(ctx, input.group_id.as_deref(), input.group_name.as_deref())?;
    let mut group = SecurityGroup::clone(&group);
    let mut gone = Vec::new();
    let mut unknown = Vec::new();
    for id in &input.security_group_rule_id {
        let at = group
            .rules
            .iter()
            .position(|r| r.id.as_str() == id && r.egress == egress);
        match at {
            Some(at) => gone.push(group.rules.remove(at)),
            None => return Err(rule_not_found(id)),
        }
    }
    let flat = Flat {
        ip_protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr_ip: input.cidr_ip,
        source_security_group_name: input.source_security_group_name,
        source_security_group_owner_id: input.source_security_group_owner_id,
    };
    if input.security_group_rule_id.is_empty() {
        let lenient = ctx.tx.get::<Vpc>(&group.vpc).is_some_and(|v| v.is_default);
        for rule in permission::rules(ctx, &group, egress, input.ip_permissions, flat)? {
            match group.rules.iter().position(|r| same(r, &rule)) {
                Some(at) => gone.push(group.rules.remove(at)),
                None if lenient => unknown.push(rule),
                None => {
                    return Err(error(
                        "InvalidPermission.NotFound",
                        "The specified rule does not exist in this security group.",
                    ));
                }
            }
        }
    } else if !input.ip_permissions.is_empty() {
        return Err(invalid_combination(
            "The parameter securityGroupRuleIds may not be combined with ipPermissions.",
        ));
    }
    dry_run(input.dry_run)?;
    let answer = Revoked {
        r#return: true,
        revoked_security_group_rule_set: gone
            .iter()
            .map(|r| shape(&ctx.tx, &group, r).into())
            .collect(),
        unknown_ip_permission_set: permission::shapes(&group.scope.account, unknown.iter()),
    };
    ctx.tx.put(group);
    Ok(answer)
}

pub(super) fn rule_not_found(id: &str) -> ApiError {
    match id.parse::<SecurityGroupRuleId>() {
        Ok(_) => error(
            "InvalidSecurityGroupRuleId.NotFound",
            format!("The security group rule ID '{id}' does not exist"),
        ),
        Err(_) => error(
            "InvalidSecurityGroupRuleId.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"sgr-...\")"),
        ),
    }
}

/// Changes the tags of the rule of that id.
pub(super) fn change_tags(
    ctx: &mut Ctx,
    id: &str,
    change: &mut dyn FnMut(&mut Tags) -> Result<()>,
) -> Result<()> {
    let holder = owned::<SecurityGroup>(&ctx.tx, &ctx.scope).find_map(|g| {
        let at = g.rules.iter().position(|r| r.id.as_str() == id)?;
        Some((SecurityGroup::clone(g), at))
    });
    let Some((mut group, at)) = holder else {
        return Err(rule_not_found(id));
    };
    change(&mut group.rules[at].tags)?;
    ctx.tx.put(group);
    Ok(())
}

type InGroup<'a> = (&'a SecurityGroup, &'a SecurityGroupRule);

fn fields<'a>() -> [Field<InGroup<'a>>; 2] {
    [
        ("group-id", |_, (g, _)| one(&g.id)),
        ("security-group-rule-id", |_, (_, r)| one(&r.id)),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSecurityGroupRules {
    #[serde(default)]
    security_group_rule_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupRules {
    security_group_rule_set: Vec<Shape>,
    next_token: Option<String>,
}

/// Other than most filters, this one takes ids only.
fn check_groups(filters: &[Filter]) -> Result<()> {
    let of_groups = filters.iter().filter(|f| f.name == "group-id");
    for id in of_groups.flat_map(|f| &f.value) {
        id.parse::<SecurityGroupId>().map_err(|_| {
            let message = format!("The security group ID '{id}' is malformed");
            error(SecurityGroup::MALFORMED, message)
        })?;
    }
    Ok(())
}

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeSecurityGroupRules,
) -> Result<SecurityGroupRules> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, &fields())?;
    check_groups(&input.filter)?;
    let groups = owned::<SecurityGroup>(&ctx.tx, &ctx.scope);
    let mut rules: Vec<InGroup<'_>> = groups
        .flat_map(|g| g.rules.iter().map(move |r| (g.as_ref(), r)))
        .collect();
    let wanted = &input.security_group_rule_id;
    if let Some(id) = wanted
        .iter()
        .find(|id| !rules.iter().any(|(_, r)| r.id.as_str() == id.as_str()))
    {
        return Err(rule_not_found(id));
    }
    dry_run(input.dry_run)?;
    rules.retain(|in_group| {
        let rule = in_group.1;
        let chosen = wanted.is_empty() || wanted.iter().any(|id| id == rule.id.as_str());
        chosen && filters.match_tagged(&ctx.tx, in_group, &rule.tags)
    });
    rules.sort_by_key(|(_, r)| &r.id);
    let (rules, next_token) = page.of(rules, |(_, r)| r.id.to_string());
    Ok(SecurityGroupRules {
        security_group_rule_set: rules.iter().map(|(g, r)| shape(&ctx.tx, g, r)).collect(),
        next_token,
    })
}
