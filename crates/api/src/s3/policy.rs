//! Bucket policies: whether one is well-formed, whether it is public, and whom it lets in.

use model::Scope;
use serde_json::Value;
use wire::ApiError;

/// AWS's limit, in bytes.
const MAX_SIZE: usize = 20 * 1024;

/// A policy of `bucket` that can be kept.
pub fn check(bucket: &str, text: &[u8]) -> Result<String, ApiError> {
    let malformed = |message: &str| ApiError::client("MalformedPolicy", message);
    if text.len() > MAX_SIZE {
        return Err(malformed(
            "Policy exceeds the maximum allowed document size.",
        ));
    }
    let not_json = "This policy contains invalid Json";
    let text = std::str::from_utf8(text).map_err(|_| malformed(not_json))?;
    let policy: Value = serde_json::from_str(text).map_err(|_| malformed(not_json))?;
    let Some(document) = policy.as_object() else {
        return Err(malformed(
            "Policies must be valid JSON and the first byte must be '{'",
        ));
    };
    let members = ["Version", "Id", "Statement"];
    if let Some(unknown) = document.keys().find(|key| !members.contains(&key.as_str())) {
        return Err(malformed(&format!("Unknown field {unknown}")));
    }
    if !matches!(
        document.get("Version").and_then(Value::as_str),
        None | Some("2012-10-17" | "2008-10-17")
    ) {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let statements = statements(&policy);
    if statements.is_empty() {
        return Err(malformed("Missing required field Statement"));
    }
    for statement in statements {
        check_statement(bucket, statement).map_err(|message| malformed(&message))?;
    }
    Ok(text.to_owned())
}

fn check_statement(bucket: &str, statement: &Value) -> Result<(), String> {
    let statement = statement.as_object().ok_or("Statement is not an object")?;
    let known = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    if let Some(unknown) = statement.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("Unknown field {unknown}"));
    }
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !matches!(effect, Some("Allow" | "Deny")) {
        return Err("Missing required field Effect".to_owned());
    }
    for (one, other) in [
        ("Principal", "NotPrincipal"),
        ("Action", "NotAction"),
        ("Resource", "NotResource"),
    ] {
        if statement.contains_key(one) == statement.contains_key(other) {
            return Err(format!("Missing required field {one}"));
        }
    }
    let own = format!("arn:aws:s3:::{bucket}");
    let resources = statement.get("Resource").or(statement.get("NotResource"));
    let is_own = |text: &str| {
        let rest = text.strip_prefix(&own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || (text.contains(['*', '?']) && matches(text.split('/').next().unwrap_or(text), &own))
    };
    if !texts(resources).iter().all(|text| is_own(text)) || texts(resources).is_empty() {
        return Err("Policy has invalid resource".to_owned());
    }
    let actions = statement.get("Action").or(statement.get("NotAction"));
    let is_s3 = |text: &str| text == "*" || text.to_ascii_lowercase().starts_with("s3:");
    if !texts(actions).iter().all(|text| is_s3(text)) || texts(actions).is_empty() {
        return Err("Policy has invalid action".to_owned());
    }
    Ok(())
}

fn statements(policy: &Value) -> Vec<&Value> {
    match policy.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// One text or a list of them.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether it grants anything to everybody without a condition.
pub fn is_public(policy: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return false;
    };
    statements(&policy).into_iter().any(|statement| {
        let allows = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
        allows && statement.get("Condition").is_none() && is_everybody(statement)
    })
}

fn is_everybody(statement: &Value) -> bool {
    match statement.get("Principal") {
        Some(Value::String(text)) => text == "*",
        Some(principal) => texts(principal.get("AWS")).contains(&"*"),
        // An Allow for all but some is for everybody.
        None => true,
    }
}

/// Whether the policy lets `caller` (nobody: unsigned) do `action` with `resource`.
///
/// Statements with a condition never allow and always deny: the context they
/// ask for (addresses, organisations) is not known here.
pub fn allows(policy: &str, caller: Option<&Scope>, action: &str, resource: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return false;
    };
    let mut allowed = false;
    for statement in statements(&policy) {
        if !applies(statement, caller, action, resource) {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => allowed |= statement.get("Condition").is_none(),
            _ => return false,
        }
    }
    allowed
}

/// The same for one of AWS's services. Conditions are taken to hold: they say for which of the
/// caller's own things the service may act, and those are the only ones here.
pub fn allows_service(policy: &str, service: &str, action: &str, resource: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return false;
    };
    let mut allowed = false;
    for statement in statements(&policy) {
        let principal = statement.get("Principal");
        let is_named = principal.is_some_and(|principal| {
            names(principal, None) || texts(principal.get("Service")).contains(&service)
        });
        if !is_named || !covers(statement, action, resource) {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => allowed = true,
            // A condition (no encryption in transit, say) is one that the service does not meet.
            _ if statement.get("Condition").is_some() => {}
            _ => return false,
        }
    }
    allowed
}

fn applies(statement: &Value, caller: Option<&Scope>, action: &str, resource: &str) -> bool {
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => names(principal, caller),
        (None, Some(principal)) => !names(principal, caller),
        (None, None) => false,
    };
    principal && covers(statement, action, resource)
}

/// Whether the statement is about that action with that resource.
fn covers(statement: &Value, action: &str, resource: &str) -> bool {
    let among = |positive: &str, negative: &str, holds: &dyn Fn(&str) -> bool| match statement
        .get(positive)
    {
        Some(value) => texts(Some(value)).into_iter().any(holds),
        None => !texts(statement.get(negative)).into_iter().any(holds),
    };
    let action = action.to_ascii_lowercase();
    among("Action", "NotAction", &|p| {
        matches(&p.to_ascii_lowercase(), &action)
    }) && among("Resource", "NotResource", &|p| matches(p, resource))
}

fn names(principal: &Value, caller: Option<&Scope>) -> bool {
    let listed = match principal {
        Value::String(text) => vec![text.as_str()],
        other => texts(other.get("AWS")),
    };
    listed.into_iter().any(|name| {
        name == "*"
            || caller.is_some_and(|caller| {
                *name == *caller.account || name == format!("arn:aws:iam::{}:root", caller.account)
            })
    })
}

/// `*` stands for any text, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star, when what followed it does not fit.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, at)) = star else {
                    return false;
                };
                star = Some((after, at + 1));
                p = after;
                t = at + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
    }

    #[test]
    fn refuses_what_is_no_policy_of_the_bucket() {
        let check = |text: &str, expected: Result<(), &str>| {
            let found = super::check("b", text.as_bytes());
            let found = found.map(|_| ()).map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        let one = |action: &str, resource: &str| {
            policy(&format!(
                r#"[{{"Effect":"Allow","Principal":"*","Action":"{action}","Resource":"{resource}"}}]"#
            ))
        };
        check(&one("s3:GetObject", "arn:aws:s3:::b/*"), Ok(()));
        check(&one("*", "arn:aws:s3:::b"), Ok(()));
        check(
            &one("s3:GetObject", "arn:aws:s3:::other/*"),
            Err("Policy has invalid resource"),
        );
        check(
            &one("s3:GetObject", "arn:aws:s3:::bb/*"),
            Err("Policy has invalid resource"),
        );
        check(
            &one("ec2:RunInstances", "arn:aws:s3:::b"),
            Err("Policy has invalid action"),
        );
        check("{", Err("This policy contains invalid Json"));
        check(
            "[]",
            Err("Policies must be valid JSON and the first byte must be '{'"),
        );
        check(&policy("[]"), Err("Missing required field Statement"));
        check(
            &policy(r#"{"Effect":"Allow"}"#),
            Err("Missing required field Principal"),
        );
    }

    #[test]
    fn lets_in_whom_it_names() {
        let check = |statements: &str, account: Option<&str>, action: &str, expected: bool| {
            let caller = account.map(|account| Scope::new(account, "us-east-1"));
            let resource = "arn:aws:s3:::b/k";
            let found = allows(&policy(statements), caller.as_ref(), action, resource);
            assert_eq!(found, expected, "{statements} {account:?} {action}");
        };
        let public = r#"{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}"#;
        check(public, None, "s3:GetObject", true);
        check(public, None, "s3:PutObject", false);
        let other = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}"#;
        check(other, None, "s3:GetObject", false);
        check(other, Some("111111111111"), "s3:GetObject", true);
        check(other, Some("222222222222"), "s3:GetObject", false);
        let denied = format!(
            r#"[{public},{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/k"}}]"#
        );
        check(&denied, None, "s3:GetObject", false);
    }

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("", "", true);
        check("*", "", true);
        check("a*c", "abbc", true);
        check("a*c", "abbcd", false);
        check("a?c", "abc", true);
        check("*b*d", "abcd", true);
        check(&"*a".repeat(50), &"a".repeat(10_000), true);
    }
}
