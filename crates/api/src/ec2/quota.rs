//! AWS's default quotas that calls enforce, in one place: Service Quotas answers with them.

use super::error::{Result, error};
use super::resource::{Resource, owned};
use crate::Ctx;

pub const ELASTIC_IPS: usize = 5;
pub const VPCS: usize = 5;
pub const INTERNET_GATEWAYS: usize = 5;
pub const SUBNETS_PER_VPC: usize = 200;
pub const ROUTE_TABLES_PER_VPC: usize = 200;
pub const NETWORK_ACLS_PER_VPC: usize = 200;
pub const SECURITY_GROUPS: usize = 2500;
/// In one Availability Zone.
pub const NAT_GATEWAYS: usize = 5;
pub const GATEWAY_ENDPOINTS: usize = 20;
/// In a Region; one VPC has one.
pub const INSTANCE_CONNECT_ENDPOINTS: usize = 5;
pub const GROUPS_PER_INTERFACE: usize = 5;
/// In each direction.
pub const RULES_PER_GROUP: usize = 60;
/// In each direction.
pub const RULES_PER_ACL: usize = 20;
pub const ROUTES_PER_TABLE: usize = 500;
pub const CIDRS_PER_VPC: usize = 5;

/// Refuses one more of what the caller already has `most` of.
pub(super) fn check<R: Resource>(
    ctx: &Ctx,
    most: usize,
    code: &'static str,
    what: &str,
    counts: impl Fn(&R) -> bool,
) -> Result<()> {
    let there = owned::<R>(&ctx.tx, &ctx.scope)
        .filter(|r| counts(r))
        .count();
    if there < most {
        return Ok(());
    }
    Err(error(
        code,
        format!("The maximum number of {what} has been reached."),
    ))
}
