//! An account's registry: tokens to log in with, and what it is.

use super::{Result, check_registry, key};
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use model::ecr::Registry;
use oci::Claim;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// As AWS's; never shrunk, since a login stands for real software.
const LIFE: SignedDuration = SignedDuration::from_hours(12);

/// From now on the registry's name means something on the host, which is for the host alone to
/// ask: an instance could have it trust a name that is somebody else's in the open.
pub(super) fn ensure(ctx: &mut Ctx) {
    if ctx.from_host && !ctx.tx.registries.contains_key(&ctx.scope) {
        let scope = ctx.scope.clone();
        ctx.tx.put(Registry { scope });
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAuthorizationToken {
    registry_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    authorization_data: Vec<AuthorizationData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationData {
    authorization_token: String,
    expires_at: Timestamp,
    proxy_endpoint: String,
}

pub fn token(ctx: &mut Ctx, input: GetAuthorizationToken) -> Result<Tokens> {
    for registry in input.registry_ids.iter().flatten() {
        check_registry(ctx, Some(registry))?;
    }
    let expires = ctx.now.checked_add(LIFE).unwrap_or(ctx.now);
    let password = key(&ctx.cloud)?.issue(&Claim {
        account: ctx.scope.account.to_string(),
        region: ctx.scope.region.to_string(),
        expires: expires.as_second().try_into().unwrap_or_default(),
    });
    ensure(ctx);
    Ok(Tokens {
        authorization_data: vec![AuthorizationData {
            authorization_token: STANDARD.encode(format!("AWS:{password}")),
            expires_at: expires.into(),
            proxy_endpoint: format!("https://{}", Registry::host(&ctx.scope)),
        }],
    })
}

#[derive(Deserialize)]
pub struct DescribeRegistry {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    registry_id: String,
    replication_configuration: ReplicationConfiguration,
}

#[derive(Serialize)]
struct ReplicationConfiguration {
    rules: [(); 0],
}

pub fn describe(ctx: &mut Ctx, _: DescribeRegistry) -> Result<Described> {
    Ok(Described {
        registry_id: ctx.scope.account.to_string(),
        replication_configuration: ReplicationConfiguration { rules: [] },
    })
}
