//! Attributes of a VPC: DNS, and whether its use of addresses is measured.

use super::error::{Result, dry_run, invalid_combination, invalid_parameter, missing};
use super::resource::find;
use super::{Done, done};
use crate::Ctx;
use model::vpc::Vpc;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcAttribute {
    vpc_id: String,
    attribute: String,
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct AttributeBooleanValue {
    pub value: Option<bool>,
}

impl AttributeBooleanValue {
    pub fn new(value: bool) -> Option<Self> {
        Some(Self { value: Some(value) })
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcAttribute {
    vpc_id: String,
    enable_dns_support: Option<AttributeBooleanValue>,
    enable_dns_hostnames: Option<AttributeBooleanValue>,
    enable_network_address_usage_metrics: Option<AttributeBooleanValue>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeVpcAttribute) -> Result<VpcAttribute> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let mut answer = VpcAttribute {
        vpc_id: vpc.id.to_string(),
        ..VpcAttribute::default()
    };
    let value = AttributeBooleanValue::new;
    match input.attribute.as_str() {
        "enableDnsSupport" => answer.enable_dns_support = value(vpc.enable_dns_support),
        "enableDnsHostnames" => answer.enable_dns_hostnames = value(vpc.enable_dns_hostnames),
        "enableNetworkAddressUsageMetrics" => {
            answer.enable_network_address_usage_metrics =
                value(vpc.enable_network_address_usage_metrics);
        }
        other => {
            return Err(invalid_parameter(
                other,
                "attribute",
                "Unknown VPC attribute.",
            ));
        }
    }
    dry_run(input.dry_run)?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyVpcAttribute {
    vpc_id: String,
    enable_dns_support: Option<AttributeBooleanValue>,
    enable_dns_hostnames: Option<AttributeBooleanValue>,
    enable_network_address_usage_metrics: Option<AttributeBooleanValue>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyVpcAttribute) -> Result<Done> {
    let mut vpc = Vpc::clone(&*find::<Vpc>(ctx, &input.vpc_id)?);
    let changes = [
        (input.enable_dns_support, &mut vpc.enable_dns_support),
        (input.enable_dns_hostnames, &mut vpc.enable_dns_hostnames),
        (
            input.enable_network_address_usage_metrics,
            &mut vpc.enable_network_address_usage_metrics,
        ),
    ];
    let mut given = 0;
    for (change, attribute) in changes {
        if let Some(change) = change {
            *attribute = change.value.ok_or_else(|| missing("Value"))?;
            given += 1;
        }
    }
    match given {
        0 => return Err(missing("enableDnsSupport or enableDnsHostnames")),
        1 => ctx.tx.put(vpc),
        _ => {
            return Err(invalid_combination(
                "Only one attribute can be modified in one request.",
            ));
        }
    }
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyVpcTenancy {
    vpc_id: String,
    instance_tenancy: String,
    dry_run: Option<bool>,
}

/// From dedicated to default is the only way there is.
pub fn modify_tenancy(ctx: &mut Ctx, input: ModifyVpcTenancy) -> Result<Done> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if input.instance_tenancy != "default" {
        return Err(invalid_parameter(
            input.instance_tenancy,
            "instanceTenancy",
            "The tenancy of a VPC can be changed to default only.",
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<Vpc>(&vpc.id, |v| v.instance_tenancy = input.instance_tenancy);
    done()
}
