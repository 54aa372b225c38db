//! Service Quotas: the limits that the other actions enforce, under AWS's codes.
//!
//! A quota stands here only if something refuses what goes beyond it; raising one is no
//! action. Values come from where they are enforced.

use crate::Ctx;
use crate::ec2::quota;
use serde::{Deserialize, Serialize};
use wire::{ApiError, Service, action};

/// AWS's most on one page.
const MAX_PAGE: usize = 100;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2019-06-24",
        json_target_prefix: Some("ServiceQuotasV20190624"),
        actions: vec![
            action("GetServiceQuota", get),
            action("GetAWSDefaultServiceQuota", get_default),
            action("ListServiceQuotas", list),
            action("ListAWSDefaultServiceQuotas", list_defaults),
            action("ListServices", list_services),
        ],
        ..Service::new("servicequotas")
    }
}

/// Service, code, name, value. None of them counts over all regions.
type Quota = (&'static str, &'static str, &'static str, usize);

const QUOTAS: &[Quota] = &[
    (
        "ec2",
        "L-0263D0A3",
        "EC2-VPC Elastic IPs",
        quota::ELASTIC_IPS,
    ),
    (
        "vpc",
        "L-0EA8095F",
        "Inbound or outbound rules per security group",
        quota::RULES_PER_GROUP,
    ),
    (
        "vpc",
        "L-1B52E74A",
        "Gateway VPC endpoints per Region",
        quota::GATEWAY_ENDPOINTS,
    ),
    (
        "vpc",
        "L-2AEEBF1A",
        "Rules per network ACL",
        quota::RULES_PER_ACL,
    ),
    (
        "vpc",
        "L-2AFB9258",
        "Security groups per network interface",
        quota::GROUPS_PER_INTERFACE,
    ),
    (
        "vpc",
        "L-407747CB",
        "Subnets per VPC",
        quota::SUBNETS_PER_VPC,
    ),
    (
        "vpc",
        "L-589F43AA",
        "Route tables per VPC",
        quota::ROUTE_TABLES_PER_VPC,
    ),
    (
        "vpc",
        "L-83CA0A9D",
        "IPv4 CIDR blocks per VPC",
        quota::CIDRS_PER_VPC,
    ),
    (
        "vpc",
        "L-93826ACB",
        "Routes per route table",
        quota::ROUTES_PER_TABLE,
    ),
    (
        "vpc",
        "L-A4707A72",
        "Internet gateways per Region",
        quota::INTERNET_GATEWAYS,
    ),
    (
        "vpc",
        "L-B4A6D682",
        "Network ACLs per VPC",
        quota::NETWORK_ACLS_PER_VPC,
    ),
    (
        "vpc",
        "L-E79EC296",
        "VPC security groups per Region",
        quota::SECURITY_GROUPS,
    ),
    ("vpc", "L-F678F1CE", "VPCs per Region", quota::VPCS),
    (
        "vpc",
        "L-FE5A380F",
        "NAT gateways per Availability Zone",
        quota::NAT_GATEWAYS,
    ),
];

const SERVICES: [(&str, &str); 2] = [
    ("ec2", "Amazon Elastic Compute Cloud (Amazon EC2)"),
    ("vpc", "Amazon Virtual Private Cloud (Amazon VPC)"),
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QuotaShape {
    service_code: &'static str,
    service_name: &'static str,
    quota_arn: String,
    quota_code: &'static str,
    quota_name: &'static str,
    value: f64,
    unit: &'static str,
    adjustable: bool,
    global_quota: bool,
    quota_applied_at_level: Option<&'static str>,
}

fn shape(ctx: &Ctx, quota: &Quota, level: Option<&'static str>) -> QuotaShape {
    let (service_code, quota_code, quota_name, value) = *quota;
    let named = SERVICES.iter().find(|(code, _)| *code == service_code);
    QuotaShape {
        service_code,
        service_name: named.map_or(service_code, |(_, name)| name),
        quota_arn: ctx
            .scope
            .arn("servicequotas", format_args!("{service_code}/{quota_code}")),
        quota_code,
        quota_name,
        value: value as f64,
        unit: "None",
        adjustable: false,
        global_quota: false,
        quota_applied_at_level: level,
    }
}

fn no_such(what: impl Into<String>) -> ApiError {
    ApiError::client("NoSuchResourceException", what)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetServiceQuota {
    service_code: String,
    quota_code: String,
    context_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneQuota {
    quota: QuotaShape,
}

fn find(service: &str, code: &str) -> Result<&'static Quota, ApiError> {
    let mut quotas = QUOTAS.iter();
    quotas
        .find(|q| q.0 == service && q.1 == code)
        .ok_or_else(|| {
            no_such(format!(
                "The request failed because the specified service quota does not exist in this cloud: {service} {code}."
            ))
        })
}

fn get(ctx: &mut Ctx, input: GetServiceQuota) -> Result<OneQuota, ApiError> {
    if input.context_id.is_some() {
        return Err(ApiError::client(
            "IllegalArgumentException",
            "Quotas of single resources are not supported by this cloud.",
        ));
    }
    let quota = find(&input.service_code, &input.quota_code)?;
    Ok(OneQuota {
        quota: shape(ctx, quota, Some("ACCOUNT")),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetDefault {
    service_code: String,
    quota_code: String,
}

fn get_default(ctx: &mut Ctx, input: GetDefault) -> Result<OneQuota, ApiError> {
    let quota = find(&input.service_code, &input.quota_code)?;
    Ok(OneQuota {
        quota: shape(ctx, quota, None),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServiceQuotas {
    service_code: String,
    quota_code: Option<String>,
    quota_applied_at_level: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Quotas {
    quotas: Vec<QuotaShape>,
    next_token: Option<String>,
}

fn list(ctx: &mut Ctx, input: ListServiceQuotas) -> Result<Quotas, ApiError> {
    match input.quota_applied_at_level.as_deref() {
        None | Some("ACCOUNT" | "ALL") => {}
        Some(other) => {
            return Err(ApiError::client(
                "IllegalArgumentException",
                format!("No quotas at the level {other} in this cloud."),
            ));
        }
    }
    listed(ctx, input, Some("ACCOUNT"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDefaults {
    service_code: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn list_defaults(ctx: &mut Ctx, input: ListDefaults) -> Result<Quotas, ApiError> {
    let input = ListServiceQuotas {
        service_code: input.service_code,
        quota_code: None,
        quota_applied_at_level: None,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    listed(ctx, input, None)
}

fn listed(
    ctx: &Ctx,
    input: ListServiceQuotas,
    level: Option<&'static str>,
) -> Result<Quotas, ApiError> {
    let service = &input.service_code;
    if !SERVICES.iter().any(|(code, _)| code == service) {
        return Err(no_such(format!("The service {service} does not exist.")));
    }
    let limit = input.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let after = input.next_token.unwrap_or_default();
    let mut rest = QUOTAS.iter().filter(|q| {
        q.0 == service && q.1 > after.as_str() && input.quota_code.as_ref().is_none_or(|c| c == q.1)
    });
    let page: Vec<&Quota> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next_token = page.last().filter(|_| more).map(|q| q.1.to_owned());
    Ok(Quotas {
        quotas: page.into_iter().map(|q| shape(ctx, q, level)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServices {
    /// There are fewer than the least page holds.
    #[serde(rename = "MaxResults")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_results: Option<usize>,
    #[serde(rename = "NextToken")]
    #[serde(default, deserialize_with = "wire::validated")]
    _next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Services {
    services: Vec<ServiceShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceShape {
    service_code: &'static str,
    service_name: &'static str,
}

fn list_services(_: &mut Ctx, _: ListServices) -> Result<Services, ApiError> {
    let shape = |&(service_code, service_name): &(&'static str, &'static str)| ServiceShape {
        service_code,
        service_name,
    };
    Ok(Services {
        services: SERVICES.iter().map(shape).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::{QUOTAS, SERVICES};

    #[test]
    fn quotas_are_in_order_and_of_known_services() {
        assert!(QUOTAS.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
        let known = |service| SERVICES.iter().any(|(code, _)| *code == service);
        assert!(QUOTAS.iter().all(|q| known(q.0)));
    }
}
