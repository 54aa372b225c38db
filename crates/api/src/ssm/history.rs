//! The versions of a parameter.

use super::read::find_named;
use super::{Result, shape};
use crate::Ctx;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

const MAX_PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParameterHistory {
    name: String,
    with_decryption: Option<bool>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct History {
    parameters: Vec<Version>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    name: String,
    r#type: String,
    key_id: Option<String>,
    last_modified_date: Timestamp,
    last_modified_user: String,
    description: Option<String>,
    value: String,
    allowed_pattern: Option<String>,
    version: u64,
    labels: Vec<String>,
    tier: String,
    policies: Vec<()>,
    data_type: String,
}

pub fn get(ctx: &mut Ctx, input: GetParameterHistory) -> Result<History> {
    let parameter = find_named(ctx, &input.name)?;
    let decrypt = input.with_decryption.unwrap_or(false);
    let limit = input.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    // A token is the number of the last version of the page before.
    let after = match input.next_token.as_deref() {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            wire::ApiError::client("InvalidNextToken", "The specified token isn't valid.")
        })?,
    };
    let mut rest = parameter.versions.iter().filter(|v| v.number > after);
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next_token = page.last().filter(|_| more).map(|v| v.number.to_string());
    let user = crate::sts::caller_arn(&ctx.scope);
    let version = |v: &model::ssm::ParameterVersion| Version {
        name: parameter.name.clone(),
        r#type: parameter.kind.clone(),
        key_id: parameter.key_id.clone(),
        last_modified_date: v.modified.into(),
        last_modified_user: user.clone(),
        description: parameter.description.clone(),
        value: shape::value(&parameter, v, decrypt),
        allowed_pattern: parameter.allowed_pattern.clone(),
        version: v.number,
        labels: v.labels.clone(),
        tier: parameter.tier.clone(),
        policies: Vec::new(),
        data_type: parameter.data_type.clone(),
    };
    Ok(History {
        parameters: page.into_iter().map(version).collect(),
        next_token,
    })
}
