//! Changes of security group rules in place, and of their descriptions.

use super::error::{Result, dry_run, error, invalid_combination, invalid_value, missing};
use super::ip_permission::{self as permission, Flat, IpPermission, find_group, same};
use super::resource::find;
use super::security_group_rule::{check_new, rule_not_found};
use crate::Ctx;
use ipnet::IpNet;
use model::vpc::{SecurityGroup, SecurityGroupPeer, SecurityGroupRule};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifySecurityGroupRules {
    group_id: String,
    #[serde(default)]
    security_group_rule: Vec<RuleUpdate>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleUpdate {
    security_group_rule_id: String,
    security_group_rule: Option<RuleRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleRequest {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_id: Option<String>,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Modified {
    r#return: bool,
}

/// Replaces what rules say; the kind of their source stays.
pub fn modify(ctx: &mut Ctx, input: ModifySecurityGroupRules) -> Result<Modified> {
    let mut group = SecurityGroup::clone(&*find::<SecurityGroup>(ctx, &input.group_id)?);
    if input.security_group_rule.is_empty() {
        return Err(missing("securityGroupRules"));
    }
    for update in input.security_group_rule {
        let id = &update.security_group_rule_id;
        let at = group.rules.iter().position(|r| r.id.as_str() == id);
        let at = at.ok_or_else(|| rule_not_found(id))?;
        let Some(request) = update.security_group_rule else {
            return Err(missing("securityGroupRule"));
        };
        let rule = changed(ctx, &group, &group.rules[at], request)?;
        check_new(&group, &rule)?;
        group.rules[at] = rule;
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(group);
    Ok(Modified { r#return: true })
}

fn changed(
    ctx: &Ctx,
    group: &SecurityGroup,
    rule: &SecurityGroupRule,
    request: RuleRequest,
) -> Result<SecurityGroupRule> {
    let peer = match (
        request.cidr_ipv4,
        request.cidr_ipv6,
        request.prefix_list_id,
        request.referenced_group_id,
    ) {
        (Some(v4), None, None, None) => permission::ipv4_peer(&v4)?,
        (None, Some(v6), None, None) => permission::ipv6_peer(&v6)?,
        (None, None, Some(list), None) => permission::prefix_list_peer(ctx, &list)?,
        (None, None, None, Some(id)) => {
            let referenced = find::<SecurityGroup>(ctx, &id)?;
            if referenced.vpc != group.vpc {
                return Err(invalid_value(format!(
                    "You have specified two resources that belong to different networks: {} and {id}.",
                    group.id
                )));
            }
            SecurityGroupPeer::Group(referenced.id.clone())
        }
        (None, None, None, None) => {
            return Err(error(
                "MissingParameter",
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
            ));
        }
        _ => {
            return Err(invalid_combination(
                "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified",
            ));
        }
    };
    let kind = |peer: &SecurityGroupPeer| match peer {
        SecurityGroupPeer::Cidr(IpNet::V4(_)) => 4,
        SecurityGroupPeer::Cidr(IpNet::V6(_)) => 6,
        SecurityGroupPeer::Group(_) => 1,
        SecurityGroupPeer::PrefixList(_) => 2,
    };
    if kind(&peer) != kind(&rule.peer) {
        return Err(invalid_value(format!(
            "You may not change the source type of the security group rule {}.",
            rule.id
        )));
    }
    permission::check_description(request.description.as_deref())?;
    let protocol = permission::protocol(request.ip_protocol.as_deref())?;
    Ok(SecurityGroupRule {
        protocol,
        ports: permission::ports(protocol, request.from_port, request.to_port)?,
        peer,
        description: request.description.filter(|d| !d.is_empty()),
        ..rule.clone()
    })
}

/// `UpdateSecurityGroupRuleDescriptionsIngress` and `…Egress`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateDescriptions {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    #[serde(default)]
    security_group_rule_description: Vec<RuleDescription>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleDescription {
    security_group_rule_id: String,
    description: Option<String>,
}

pub fn update_descriptions_ingress(ctx: &mut Ctx, input: UpdateDescriptions) -> Result<Modified> {
    update_descriptions(ctx, input, false)
}

pub fn update_descriptions_egress(ctx: &mut Ctx, input: UpdateDescriptions) -> Result<Modified> {
    update_descriptions(ctx, input, true)
}

fn update_descriptions(ctx: &mut Ctx, input: UpdateDescriptions, egress: bool) -> Result<Modified> {
    let group = find_group(ctx, input.group_id.as_deref(), input.group_name.as_deref())?;
    let mut group = SecurityGroup::clone(&group);
    if input.security_group_rule_description.is_empty() {
        let permissions = input.ip_permissions;
        for rule in permission::rules(ctx, &group, egress, permissions, Flat::default())? {
            match group.rules.iter_mut().find(|r| same(r, &rule)) {
                Some(there) => there.description = rule.description,
                None => {
                    return Err(error(
                        "InvalidPermission.NotFound",
                        "The specified rule does not exist in this security group.",
                    ));
                }
            }
        }
    }
    for update in input.security_group_rule_description {
        let id = &update.security_group_rule_id;
        permission::check_description(update.description.as_deref())?;
        let mut rules = group.rules.iter_mut();
        match rules.find(|r| r.id.as_str() == id && r.egress == egress) {
            Some(rule) => rule.description = update.description.filter(|d| !d.is_empty()),
            None => return Err(rule_not_found(id)),
        }
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(group);
    Ok(Modified { r#return: true })
}
