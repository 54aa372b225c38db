//! The account itself: its alias, its password policy, how much of everything it has.

use super::error::{Result, already_exists, invalid, no_such_entity};
use super::global;
use super::identity::all;
use crate::Ctx;
use model::iam::Role;
use model::iam_user::{Account, Group, PasswordPolicy, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn account(ctx: &Ctx) -> Account {
    let scope = global(ctx);
    match ctx.tx.accounts.get(&scope) {
        Some(account) => Account::clone(account),
        None => Account {
            scope,
            alias: None,
            password_policy: None,
        },
    }
}

pub(super) fn password_policy(ctx: &Ctx) -> Option<PasswordPolicy> {
    account(ctx).password_policy
}

#[derive(Deserialize)]
pub struct GetAccountSummary {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountSummary {
    summary_map: BTreeMap<&'static str, usize>,
}

/// What is there is counted; the quotas are AWS's.
pub fn summary(ctx: &mut Ctx, _: GetAccountSummary) -> Result<AccountSummary> {
    let scope = global(ctx);
    let policies = || ctx.tx.policies.values().filter(|p| p.scope == scope);
    let profiles = ctx.tx.instance_profiles.values();
    let certificates = ctx.tx.server_certificates.values();
    let providers = ctx.tx.oidc_providers.values().filter(|p| p.scope == scope);
    let saml = ctx.tx.saml_providers.values().filter(|p| p.scope == scope);
    let summary_map = BTreeMap::from([
        ("Users", all::<User>(ctx).count()),
        ("UsersQuota", 5000),
        ("Groups", all::<Group>(ctx).count()),
        ("GroupsQuota", 300),
        ("Roles", all::<Role>(ctx).count()),
        ("RolesQuota", 1000),
        ("Policies", policies().count()),
        ("PoliciesQuota", 1500),
        (
            "PolicyVersionsInUse",
            policies().map(|p| p.versions.len()).sum(),
        ),
        ("PolicyVersionsInUseQuota", 10_000),
        ("VersionsPerPolicyQuota", 5),
        (
            "InstanceProfiles",
            profiles.filter(|p| p.scope == scope).count(),
        ),
        ("InstanceProfilesQuota", 1000),
        (
            "ServerCertificates",
            certificates.filter(|c| c.scope == scope).count(),
        ),
        ("ServerCertificatesQuota", 20),
        ("Providers", providers.count() + saml.count()),
        ("AccessKeysPerUserQuota", 2),
        ("GroupsPerUserQuota", 10),
        ("AttachedPoliciesPerUserQuota", 10),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 20),
        ("MFADevices", 0),
        ("AccountMFAEnabled", 0),
        ("AccountAccessKeysPresent", 0),
    ]);
    Ok(AccountSummary { summary_map })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountAlias {
    account_alias: String,
}

pub fn create_alias(ctx: &mut Ctx, input: AccountAlias) -> Result<()> {
    let alias = input.account_alias;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (3..=63).contains(&alias.len())
        && alias.chars().all(inner)
        && !alias.starts_with('-')
        && !alias.ends_with('-')
        && !alias.contains("--");
    if !fits {
        return Err(invalid(format!(
            "1 validation error detected: Value '{alias}' at 'accountAlias' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){{1,61}}[a-z0-9]$"
        )));
    }
    let mut account = account(ctx);
    let mut others = ctx.tx.accounts.values();
    if others.any(|a| a.scope != account.scope && a.alias.as_ref() == Some(&alias)) {
        return Err(already_exists(format!(
            "The account alias {alias} already exists."
        )));
    }
    account.alias = Some(alias);
    ctx.tx.put(account);
    Ok(())
}

pub fn delete_alias(ctx: &mut Ctx, input: AccountAlias) -> Result<()> {
    let mut account = account(ctx);
    if account.alias.as_ref() != Some(&input.account_alias) {
        return Err(no_such_entity(format!(
            "The account alias with name {} cannot be found.",
            input.account_alias
        )));
    }
    account.alias = None;
    ctx.tx.put(account);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccountAliases {
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountAliases {
    account_aliases: Vec<String>,
    is_truncated: bool,
}

/// An account has one alias at most.
pub fn list_aliases(ctx: &mut Ctx, _: ListAccountAliases) -> Result<AccountAliases> {
    Ok(AccountAliases {
        account_aliases: account(ctx).alias.into_iter().collect(),
        is_truncated: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdatePasswordPolicy {
    minimum_password_length: Option<u32>,
    require_symbols: Option<bool>,
    require_numbers: Option<bool>,
    require_uppercase_characters: Option<bool>,
    require_lowercase_characters: Option<bool>,
    #[serde(default, deserialize_with = "wire::stored")]
    allow_users_to_change_password: Option<bool>,
    #[serde(default, deserialize_with = "wire::stored")]
    max_password_age: Option<u32>,
    #[serde(default, deserialize_with = "wire::stored")]
    password_reuse_prevention: Option<u32>,
    #[serde(default, deserialize_with = "wire::stored")]
    hard_expiry: Option<bool>,
}

/// What is not given is set back, as AWS does.
pub fn update_password_policy(ctx: &mut Ctx, input: UpdatePasswordPolicy) -> Result<()> {
    let within = |given: Option<u32>, name: &str, least: u32, most: u32| match given {
        Some(n) if !(least..=most).contains(&n) => Err(invalid(format!(
            "1 validation error detected: Value '{n}' at '{name}' failed to satisfy constraint: Member must have value between {least} and {most}"
        ))),
        _ => Ok(()),
    };
    within(
        input.minimum_password_length,
        "minimumPasswordLength",
        6,
        128,
    )?;
    within(input.max_password_age, "maxPasswordAge", 1, 1095)?;
    within(
        input.password_reuse_prevention,
        "passwordReusePrevention",
        1,
        24,
    )?;
    let mut account = account(ctx);
    account.password_policy = Some(PasswordPolicy {
        minimum_length: input.minimum_password_length.unwrap_or(6),
        symbols: input.require_symbols.unwrap_or(false),
        numbers: input.require_numbers.unwrap_or(false),
        uppercase: input.require_uppercase_characters.unwrap_or(false),
        lowercase: input.require_lowercase_characters.unwrap_or(false),
        users_may_change: input.allow_users_to_change_password.unwrap_or(false),
        max_age: input.max_password_age,
        reuse_prevention: input.password_reuse_prevention,
        hard_expiry: input.hard_expiry,
    });
    ctx.tx.put(account);
    Ok(())
}

#[derive(Deserialize)]
pub struct NoMembers {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OnePasswordPolicy {
    password_policy: PolicyShape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyShape {
    minimum_password_length: u32,
    require_symbols: bool,
    require_numbers: bool,
    require_uppercase_characters: bool,
    require_lowercase_characters: bool,
    allow_users_to_change_password: bool,
    expire_passwords: bool,
    max_password_age: Option<u32>,
    password_reuse_prevention: Option<u32>,
    hard_expiry: Option<bool>,
}

fn no_policy(ctx: &Ctx) -> wire::ApiError {
    no_such_entity(format!(
        "The Password Policy with domain name {} cannot be found.",
        ctx.scope.account
    ))
}

pub fn get_password_policy(ctx: &mut Ctx, _: NoMembers) -> Result<OnePasswordPolicy> {
    let policy = password_policy(ctx).ok_or_else(|| no_policy(ctx))?;
    Ok(OnePasswordPolicy {
        password_policy: PolicyShape {
            minimum_password_length: policy.minimum_length,
            require_symbols: policy.symbols,
            require_numbers: policy.numbers,
            require_uppercase_characters: policy.uppercase,
            require_lowercase_characters: policy.lowercase,
            allow_users_to_change_password: policy.users_may_change,
            expire_passwords: policy.max_age.is_some(),
            max_password_age: policy.max_age,
            password_reuse_prevention: policy.reuse_prevention,
            hard_expiry: policy.hard_expiry,
        },
    })
}

pub fn delete_password_policy(ctx: &mut Ctx, _: NoMembers) -> Result<()> {
    let mut account = account(ctx);
    if account.password_policy.take().is_none() {
        return Err(no_policy(ctx));
    }
    ctx.tx.put(account);
    Ok(())
}
