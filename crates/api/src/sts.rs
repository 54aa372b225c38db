//! STS: who is calling, and temporary credentials.
//!
//! Access keys are accepted as they come, so what matters of temporary ones is
//! that they carry the account: their key id holds its digits, which
//! [`account_of`] reads back.

use crate::Ctx;
use crate::iam;
use jiff::SignedDuration;
use model::Scope;
use model::iam::SessionCredentials;
use serde::{Deserialize, Serialize};
use wire::{ApiError, QueryKind, Service, Timestamp, action};

/// Of callers whose key names no account.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// Before the account's digits in the key ids of temporary credentials.
const TEMPORARY: &str = "ASIA";
/// The same for those of users.
const PERMANENT: &str = "AKIA";

/// The id of a new key of a user.
pub fn user_key_id(account: &str) -> String {
    format!(
        "{PERMANENT}{account}{}",
        model::random_hex(8).to_uppercase()
    )
}

pub fn service() -> Service<Ctx> {
    Service {
        version: "2011-06-15",
        xml_namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
        query_kind: Some(QueryKind::Query),
        actions: vec![
            action("GetCallerIdentity", get_caller_identity),
            action("GetAccessKeyInfo", get_access_key_info),
            action("AssumeRole", assume_role),
            action("GetSessionToken", get_session_token),
            action("DecodeAuthorizationMessage", decode_authorization_message),
        ],
        ..Service::new("sts")
    }
}

/// The account that an access key id stands for: twelve digits are the account
/// itself, keys given out here carry it, every other key is the default account's.
pub fn account_of(access_key: &str) -> &str {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if is_account(access_key) {
        return access_key;
    }
    let given_out = [TEMPORARY, PERMANENT]
        .iter()
        .find_map(|kind| access_key.strip_prefix(kind))
        .and_then(|tail| tail.get(..12));
    given_out
        .filter(|t| is_account(t))
        .unwrap_or(DEFAULT_ACCOUNT)
}

/// Of a caller without a role's credentials: nobody has logged in, so it is its account's root user.
pub fn caller_arn(scope: &Scope) -> String {
    format!("arn:aws:iam::{}:root", scope.account)
}

#[derive(Deserialize)]
pub struct GetCallerIdentity {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    user_id: String,
    account: String,
    arn: String,
}

fn get_caller_identity(ctx: &mut Ctx, _: GetCallerIdentity) -> Result<CallerIdentity, ApiError> {
    Ok(identity(ctx))
}

/// The ARN of whoever asks.
pub fn caller(ctx: &Ctx) -> String {
    identity(ctx).arn
}

fn identity(ctx: &Ctx) -> CallerIdentity {
    let account = ctx.scope.account.to_string();
    if let Some(user) = iam::caller(ctx) {
        return CallerIdentity {
            user_id: user.id.clone(),
            account,
            arn: user.arn.clone(),
        };
    }
    match ctx.tx.session_credentials.get(&ctx.access_key) {
        Some(session) => CallerIdentity {
            user_id: session.user_id.clone(),
            account,
            arn: session.arn.clone(),
        },
        None => CallerIdentity {
            user_id: account.clone(),
            account,
            arn: caller_arn(&ctx.scope),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccessKeyInfo {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyInfo {
    account: String,
}

fn get_access_key_info(_: &mut Ctx, input: GetAccessKeyInfo) -> Result<AccessKeyInfo, ApiError> {
    Ok(AccessKeyInfo {
        account: account_of(&input.access_key_id).to_owned(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

fn credentials(ctx: &Ctx, account: &str, seconds: u32) -> Credentials {
    let lifetime = SignedDuration::from_secs(i64::from(seconds));
    Credentials {
        access_key_id: format!(
            "{TEMPORARY}{account}{}",
            model::random_hex(8).to_uppercase()
        ),
        secret_access_key: model::random_hex(40),
        session_token: model::random_hex(128),
        expiration: ctx.now.checked_add(lifetime).unwrap_or(ctx.now).into(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSessionToken {
    duration_seconds: Option<u32>,
    serial_number: Option<String>,
    token_code: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionToken {
    credentials: Credentials,
}

fn get_session_token(ctx: &mut Ctx, input: GetSessionToken) -> Result<SessionToken, ApiError> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(validation("MFA devices are not supported by this cloud."));
    }
    let seconds = within(input.duration_seconds.unwrap_or(43_200), 900, 129_600)?;
    let account = ctx.scope.account.to_string();
    Ok(SessionToken {
        credentials: credentials(ctx, &account, seconds),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecodeAuthorizationMessage {
    encoded_message: String,
}

/// Nothing here is denied with an encoded message, so no message is one of this cloud's.
fn decode_authorization_message(
    _: &mut Ctx,
    input: DecodeAuthorizationMessage,
) -> Result<(), ApiError> {
    let size = input.encoded_message.len();
    Err(ApiError::client(
        "InvalidAuthorizationMessageException",
        format!("The message of {size} characters was not encoded by this cloud."),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<u32>,
    /// Policies only narrow what is allowed; nothing here is ever denied.
    #[serde(rename = "Policy")]
    #[serde(default, deserialize_with = "wire::validated")]
    _policy: Option<String>,
    #[serde(rename = "ExternalId")]
    #[serde(default, deserialize_with = "wire::validated")]
    _external_id: Option<String>,
    source_identity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumedRole {
    credentials: Credentials,
    assumed_role_user: AssumedRoleUser,
    source_identity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

/// The role must exist; its trust policy is not evaluated.
fn assume_role(ctx: &mut Ctx, input: AssumeRole) -> Result<AssumedRole, ApiError> {
    let name = &input.role_session_name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
    if name.len() > 64 {
        return Err(validation(format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must have length less than or equal to 64"
        )));
    }
    if name.len() < 2 || !name.chars().all(allowed) {
        return Err(validation(format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )));
    }
    let Some(role) = iam::role_by_arn(&ctx.tx, &input.role_arn) else {
        return Err(ApiError::new(
            403,
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                caller_arn(&ctx.scope),
                input.role_arn
            ),
        ));
    };
    let seconds = within(
        input.duration_seconds.unwrap_or(3600),
        900,
        role.max_session_duration,
    )?;
    let expires = ctx.now + SignedDuration::from_secs(i64::from(seconds));
    let session = SessionCredentials::new(role, name, ctx.now, expires);
    let assumed_role_user = AssumedRoleUser {
        assumed_role_id: session.user_id.clone(),
        arn: session.arn.clone(),
    };
    let credentials = Credentials {
        access_key_id: session.access_key_id.clone(),
        secret_access_key: session.secret_access_key.clone(),
        session_token: session.session_token.clone(),
        expiration: expires.into(),
    };
    ctx.tx.put(session);
    Ok(AssumedRole {
        credentials,
        assumed_role_user,
        source_identity: input.source_identity,
    })
}

fn within(seconds: u32, least: u32, most: u32) -> Result<u32, ApiError> {
    if (least..=most).contains(&seconds) {
        return Ok(seconds);
    }
    Err(validation(format!(
        "The requested DurationSeconds of {seconds} is not between {least} and {most}."
    )))
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_account() {
        let check = |key: &str, account: &str| assert_eq!(account_of(key), account, "{key}");
        check("111122223333", "111122223333");
        check("ASIA1111222233330AF9", "111122223333");
        check("AKIA1111222233330AF9", "111122223333");
        check("AKIAIOSFODNN7EXAMPLE", DEFAULT_ACCOUNT);
        check("ASIAIOSFODNN7EXAMPLE", DEFAULT_ACCOUNT);
        check("", DEFAULT_ACCOUNT);
        check("1111222233334", DEFAULT_ACCOUNT);
    }
}
