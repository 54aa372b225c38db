//! Changes of a VPC endpoint.

use super::error::{Result, dry_run, error, invalid_combination};
use super::resource::find;
use super::vpc_endpoint::{
    self as endpoint, DnsOptions, OPEN_POLICY, SubnetConfiguration, interfaces_of,
};
use super::{Done, done, network_interface, quota};
use crate::Ctx;
use model::vpc::{NetworkInterface, SecurityGroup, Vpc};
use model::vpc_endpoint::{VpcEndpoint, VpcEndpointKind, VpcEndpointState};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyVpcEndpoint {
    vpc_endpoint_id: String,
    reset_policy: Option<bool>,
    policy_document: Option<String>,
    #[serde(default)]
    add_route_table_id: Vec<String>,
    #[serde(default)]
    remove_route_table_id: Vec<String>,
    #[serde(default)]
    add_subnet_id: Vec<String>,
    #[serde(default)]
    remove_subnet_id: Vec<String>,
    #[serde(default)]
    add_security_group_id: Vec<String>,
    #[serde(default)]
    remove_security_group_id: Vec<String>,
    #[serde(default)]
    subnet_configuration: Vec<SubnetConfiguration>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    private_dns_enabled: Option<bool>,
    dry_run: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyVpcEndpoint) -> Result<Done> {
    let found = find::<VpcEndpoint>(ctx, &input.vpc_endpoint_id)?;
    if found.state == VpcEndpointState::Deleting {
        return Err(error(
            "InvalidState",
            format!("The VPC endpoint {} is being deleted.", found.id),
        ));
    }
    let mut changed = VpcEndpoint::clone(&found);
    match (input.policy_document, input.reset_policy) {
        (Some(_), Some(true)) => {
            return Err(invalid_combination(
                "Only one of policyDocument and resetPolicy may be specified.",
            ));
        }
        (Some(policy), _) => changed.policy = endpoint::checked_policy(policy)?,
        (None, Some(true)) => changed.policy = OPEN_POLICY.to_owned(),
        (None, _) => {}
    }
    if input.ip_address_type.is_some() {
        changed.ip_address_type = endpoint::checked_address_type(input.ip_address_type)?;
    }
    if let Some(options) = input.dns_options {
        options.apply(&mut changed)?;
    }
    let vpc = find::<Vpc>(ctx, changed.vpc.as_str())?;
    if let Some(on) = input.private_dns_enabled {
        if let VpcEndpointKind::Gateway { .. } = changed.kind {
            return Err(invalid_combination(
                "A gateway endpoint has no private DNS names.",
            ));
        }
        endpoint::set_private_dns(ctx, &mut changed, &vpc, on)?;
    }
    endpoint::add_route_tables(ctx, &mut changed, &input.add_route_table_id)?;
    if let VpcEndpointKind::Gateway { route_tables } = &mut changed.kind {
        route_tables.retain(|t| !input.remove_route_table_id.contains(&t.to_string()));
    }
    endpoint::add_subnets(
        ctx,
        &mut changed,
        &input.add_subnet_id,
        &input.subnet_configuration,
    )?;
    change_groups(
        ctx,
        &mut changed,
        &input.add_security_group_id,
        &input.remove_security_group_id,
    )?;
    leave_subnets(ctx, &mut changed, &input.remove_subnet_id);
    dry_run(input.dry_run)?;
    // New interfaces are the data plane's to observe.
    if !input.add_subnet_id.is_empty() {
        changed.state = VpcEndpointState::Pending;
    }
    ctx.tx.put(changed);
    done()
}

fn change_groups(
    ctx: &mut Ctx,
    changed: &mut VpcEndpoint,
    add: &[String],
    remove: &[String],
) -> Result<()> {
    let VpcEndpointKind::Interface {
        security_groups, ..
    } = &changed.kind
    else {
        return match add.is_empty() && remove.is_empty() {
            true => Ok(()),
            false => Err(invalid_combination(
                "A gateway endpoint has no security groups.",
            )),
        };
    };
    let mut groups = security_groups.clone();
    for id in add {
        let group = find::<SecurityGroup>(ctx, id)?;
        if group.vpc != changed.vpc {
            return Err(network_interface::not_in_vpc(id, &changed.vpc));
        }
        if !groups.contains(&group.id) {
            groups.push(group.id.clone());
        }
    }
    groups.retain(|g| !remove.contains(&g.to_string()));
    if groups.len() > quota::GROUPS_PER_INTERFACE {
        return Err(error(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        ));
    }
    if groups.is_empty() && !security_groups.is_empty() {
        return Err(error(
            "InvalidParameter",
            "A VPC endpoint needs at least one security group.",
        ));
    }
    for interface in interfaces_of(&ctx.tx, changed) {
        ctx.tx.modify::<NetworkInterface>(&interface.id, |i| {
            i.security_groups.clone_from(&groups);
        });
    }
    endpoint::set_groups(changed, groups);
    Ok(())
}

fn leave_subnets(ctx: &mut Ctx, changed: &mut VpcEndpoint, remove: &[String]) {
    let VpcEndpointKind::Interface { interfaces, .. } = &mut changed.kind else {
        return;
    };
    interfaces.retain(|(subnet, interface)| {
        let stays = !remove.contains(&subnet.to_string());
        if !stays {
            network_interface::remove(&mut ctx.tx, interface);
        }
        stays
    });
}
