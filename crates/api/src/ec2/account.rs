//! What is true of the account in the region.

use super::error::{Result, dry_run, invalid_parameter};
use super::{default_vpc, quota};
use crate::Ctx;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAccountAttributes {
    #[serde(default)]
    attribute_name: Vec<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountAttributes {
    account_attribute_set: Vec<Attribute>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    attribute_name: &'static str,
    attribute_value_set: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    attribute_value: String,
}

pub fn describe_attributes(
    ctx: &mut Ctx,
    input: DescribeAccountAttributes,
) -> Result<AccountAttributes> {
    let default_vpc = default_vpc::find(ctx).map_or("none".into(), |v| v.id.to_string());
    let elastic_ips = quota::ELASTIC_IPS.to_string();
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default_vpc),
        ("max-elastic-ips", elastic_ips.clone()),
        ("vpc-max-elastic-ips", elastic_ips),
        (
            "vpc-max-security-groups-per-interface",
            quota::GROUPS_PER_INTERFACE.to_string(),
        ),
    ];
    let wanted = &input.attribute_name;
    if let Some(unknown) = wanted
        .iter()
        .find(|n| all.iter().all(|(name, _)| name != n))
    {
        return Err(invalid_parameter(
            unknown,
            "attributeName",
            "Unknown account attribute.",
        ));
    }
    dry_run(input.dry_run)?;
    let attributes = all
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|n| n == name));
    Ok(AccountAttributes {
        account_attribute_set: attributes
            .map(|(attribute_name, attribute_value)| Attribute {
                attribute_name,
                attribute_value_set: vec![Value { attribute_value }],
            })
            .collect(),
    })
}
