//! Repository policies: kept, not evaluated.

use super::{Result, constraint, find};
use crate::Ctx;
use model::ecr::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Record;
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetRepositoryPolicy {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(deserialize_with = "wire::stored")]
    policy_text: String,
    /// Nobody can be locked out where no policy is evaluated.
    #[serde(rename = "force")]
    #[serde(default, deserialize_with = "wire::validated")]
    _force: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPolicy {
    registry_id: String,
    repository_name: String,
    policy_text: String,
}

pub fn set(ctx: &mut Ctx, input: SetRepositoryPolicy) -> Result<RepositoryPolicy> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    if input.policy_text.len() > 10_240 || !is_policy(&input.policy_text) {
        let rule = "Invalid repository policy provided";
        return Err(constraint("PolicyText", rule));
    }
    ctx.tx.modify::<Repository>(&repository.key(), |r| {
        r.policy = Some(input.policy_text.clone());
    });
    Ok(RepositoryPolicy {
        registry_id: ctx.scope.account.to_string(),
        repository_name: input.repository_name,
        policy_text: input.policy_text,
    })
}

/// Statements of somebody who may or may not do something; the resource is the repository.
fn is_policy(text: &str) -> bool {
    let one_of = |value: Option<&Value>, allowed: &[&str]| {
        value
            .and_then(Value::as_str)
            .is_some_and(|v| allowed.contains(&v))
    };
    let statement = |s: &Value| {
        let has = |names: [&str; 2]| names.iter().any(|name| s.get(name).is_some());
        one_of(s.get("Effect"), &["Allow", "Deny"])
            && has(["Principal", "NotPrincipal"])
            && has(["Action", "NotAction"])
    };
    let Ok(policy) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let version = policy.get("Version").is_none()
        || one_of(policy.get("Version"), &["2008-10-17", "2012-10-17"]);
    version
        && match policy.get("Statement") {
            Some(Value::Array(all)) => !all.is_empty() && all.iter().all(statement),
            Some(one) => statement(one),
            None => false,
        }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyOf {
    registry_id: Option<String>,
    repository_name: String,
}

pub fn get(ctx: &mut Ctx, input: PolicyOf) -> Result<RepositoryPolicy> {
    let name = input.repository_name;
    let repository = find(ctx, input.registry_id.as_deref(), &name)?;
    let account = &ctx.scope.account;
    let policy_text = repository.policy.clone().ok_or_else(|| {
        ApiError::client(
            "RepositoryPolicyNotFoundException",
            format!(
                "Repository policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
            ),
        )
    })?;
    Ok(RepositoryPolicy {
        registry_id: account.to_string(),
        repository_name: name,
        policy_text,
    })
}

pub fn delete(ctx: &mut Ctx, input: PolicyOf) -> Result<RepositoryPolicy> {
    let policy = get(ctx, input)?;
    let repository = find(ctx, None, &policy.repository_name)?;
    ctx.tx
        .modify::<Repository>(&repository.key(), |r| r.policy = None);
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::is_policy;

    #[test]
    fn policies() {
        let check = |text: &str, expected| assert_eq!(is_policy(text), expected, "{text}");
        let statement = r#"{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;
        check(&format!(r#"{{"Statement":[{statement}]}}"#), true);
        check(
            &format!(r#"{{"Version":"2008-10-17","Statement":{statement}}}"#),
            true,
        );
        check(
            &format!(r#"{{"Version":"2000","Statement":{statement}}}"#),
            false,
        );
        check(r#"{"Statement":[]}"#, false);
        check(r#"{"Statement":[{"Effect":"Allow","Action":"*"}]}"#, false);
        check("{}", false);
        check("", false);
    }
}
