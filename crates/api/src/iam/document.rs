//! Policy documents: what IAM refuses to keep, in its order and words.
//!
//! Only the grammar is checked; nothing is evaluated.
//! `https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html`

use super::error::Result;
use serde_json::{Map, Value};
use wire::ApiError;

/// What a document is for.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Of a user, group or role, and named for it alone.
    Inline,
    /// A policy of its own, which must be of the newer version.
    Managed,
    /// Who may assume a role.
    Trust,
}

const PARTITIONS: [&str; 6] = ["*", "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"];
const TOP: [&str; 3] = ["Version", "Id", "Statement"];
const ELEMENTS: [&str; 9] = [
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
/// Operators without their prefixes and suffix.
const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
];
/// How the resources of IAM itself begin.
const IAM_PATHS: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

const LEGACY: &str = "The policy failed legacy parsing";

fn malformed(why: impl Into<String>) -> ApiError {
    ApiError::client("MalformedPolicyDocument", why)
}

pub fn check(document: &str, kind: Kind) -> Result<()> {
    let syntax = || malformed("Syntax errors in policy.");
    let value: Value = serde_json::from_str(document)
        .map_err(|_| malformed("This policy contains invalid Json"))?;
    let policy = value.as_object().ok_or_else(syntax)?;
    let statements = statements(policy).ok_or_else(syntax)?;
    if !statements.iter().all(|s| is_statement(s, kind)) {
        return Err(syntax());
    }
    if kind == Kind::Managed && policy.get("Version").and_then(Value::as_str) != Some("2012-10-17")
    {
        return Err(malformed(
            "Policy document must be version 2012-10-17 or greater.",
        ));
    }
    if !statements.iter().all(|s| survives_legacy_parsing(s)) {
        return Err(malformed(LEGACY));
    }
    let mut ids: Vec<&str> = statements.iter().filter_map(|s| text(s, "Sid")).collect();
    ids.retain(|id| !id.is_empty());
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < all {
        return Err(malformed(
            "Statement IDs (SID) in a single policy must be unique.",
        ));
    }
    for statement in &statements {
        if ["Action", "NotAction"]
            .iter()
            .all(|name| list(statement, name).is_empty())
        {
            return Err(malformed("Policy statement must contain actions."));
        }
        check_principal(statement, kind)?;
        for resource in resources(statement) {
            check_resource(resource)?;
        }
    }
    for statement in &statements {
        for name in ["Action", "NotAction"] {
            for action in list(statement, name) {
                check_action(action)?;
            }
        }
        if kind != Kind::Trust && resources(statement).is_empty() {
            return Err(malformed("Policy statement must contain resources."));
        }
    }
    Ok(())
}

type Statement = Map<String, Value>;

fn statements(policy: &Statement) -> Option<Vec<&Statement>> {
    let version = policy.get("Version");
    let known = |v: &Value| matches!(v.as_str(), Some("2008-10-17" | "2012-10-17"));
    let fits = policy.keys().all(|key| TOP.contains(&key.as_str()))
        && version.is_none_or(known)
        && policy.get("Id").is_none_or(Value::is_string);
    let statements = match policy.get("Statement")? {
        Value::Object(one) => vec![one],
        Value::Array(list) => list.iter().map(Value::as_object).collect::<Option<_>>()?,
        _ => return None,
    };
    (fits && !statements.is_empty()).then_some(statements)
}

fn is_statement(statement: &Statement, kind: Kind) -> bool {
    let strings = |name: &str| match statement.get(name) {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(_) => false,
    };
    let has = |name: &str| statement.contains_key(name);
    let effect = text(statement, "Effect").unwrap_or_default();
    statement.keys().all(|key| ELEMENTS.contains(&key.as_str()))
        && (effect.eq_ignore_ascii_case("allow") || effect.eq_ignore_ascii_case("deny"))
        && !(has("Action") && has("NotAction"))
        && !(has("Resource") && has("NotResource"))
        && ["Action", "NotAction", "Resource", "NotResource"]
            .into_iter()
            .all(strings)
        && statement.get("Sid").is_none_or(Value::is_string)
        && statement.get("Condition").is_none_or(is_condition)
        && (kind == Kind::Trust || !has("NotPrincipal"))
}

fn is_condition(value: &Value) -> bool {
    let Some(operators) = value.as_object() else {
        return false;
    };
    operators.iter().all(|(operator, keys)| {
        let Some(keys) = keys.as_object() else {
            return false;
        };
        let scalar = |v: &Value| !v.is_object() && !v.is_null();
        keys.values().all(scalar) && (keys.is_empty() || OPERATORS.contains(&bare(operator)))
    })
}

/// `ForAnyValue:StringLikeIfExists` as `StringLike`.
fn bare(operator: &str) -> &str {
    let tail = operator.strip_prefix("ForAnyValue:");
    let tail = tail.or_else(|| operator.strip_prefix("ForAllValues:"));
    let tail = tail.unwrap_or(operator);
    tail.strip_suffix("IfExists").unwrap_or(tail)
}

fn text<'a>(statement: &'a Statement, name: &str) -> Option<&'a str> {
    statement.get(name).and_then(Value::as_str)
}

/// The strings of a member that is one or a list.
fn list<'a>(statement: &'a Statement, name: &str) -> Vec<&'a str> {
    match statement.get(name) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn resources(statement: &Statement) -> Vec<&str> {
    let mut all = list(statement, "Resource");
    all.extend(list(statement, "NotResource"));
    all
}

/// An older parser looks on too: effects as they are spelt, dates that are dates, ARNs whose
/// service is named.
fn survives_legacy_parsing(statement: &Statement) -> bool {
    let effect = matches!(text(statement, "Effect"), Some("Allow" | "Deny"));
    let conditions = statement.get("Condition").and_then(Value::as_object);
    let mut conditions = conditions.into_iter().flatten();
    let dates = conditions.all(|(operator, keys)| {
        let mut values = keys.as_object().into_iter().flat_map(Map::values);
        !bare(operator).starts_with("Date")
            || values.all(|value| match value {
                Value::String(date) => is_date(date),
                Value::Array(dates) => dates.iter().all(|d| d.as_str().is_some_and(is_date)),
                _ => true,
            })
    });
    let arns = resources(statement).into_iter().all(|resource| {
        let mut parts = resource.split(':');
        let is_arn = parts.next() == Some("arn");
        !is_arn || parts.nth(1).is_none_or(|service| !service.is_empty())
    });
    effect && dates && arns
}

/// ISO 8601, whole or its beginning, or seconds.
fn is_date(text: &str) -> bool {
    if text.parse::<i64>().is_ok_and(|seconds| seconds >= 0) {
        return true;
    }
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    let mut date = date.split('-');
    let within = |part: Option<&str>, least: u32, most: u32| {
        part.is_none_or(|p| p.parse().is_ok_and(|n: u32| (least..=most).contains(&n)))
    };
    let day = date.next().is_some_and(|year| year.parse::<u32>().is_ok())
        && within(date.next(), 1, 12)
        && within(date.next(), 1, 31)
        && date.next().is_none();
    let mut time = time.splitn(3, ':').filter(|part| !part.is_empty());
    day && within(time.next(), 0, 23) && within(time.next(), 0, 59)
}

fn check_principal(statement: &Statement, kind: Kind) -> Result<()> {
    let named = statement.contains_key("Principal") || statement.contains_key("NotPrincipal");
    match (kind, named) {
        (Kind::Trust, true) if !resources(statement).is_empty() => {
            Err(malformed("Has prohibited field Resource"))
        }
        (Kind::Trust, false) => Err(malformed("Missing required field Principal")),
        (Kind::Inline | Kind::Managed, true) => {
            Err(malformed("Policy document should not specify a principal."))
        }
        _ => Ok(()),
    }
}

fn check_resource(resource: &str) -> Result<()> {
    if resource == "*" || resource.is_empty() {
        return Ok(());
    }
    let Some((_, rest)) = resource.split_once(':') else {
        return Err(malformed(format!(
            "Resource {resource} must be in ARN format or \"*\"."
        )));
    };
    let parts: Vec<&str> = rest.splitn(5, ':').collect();
    let part = |n: usize| parts.get(n).copied().unwrap_or("*");
    let (partition, service, region) = (part(0), part(1), parts.get(2).copied());
    if !PARTITIONS.contains(&partition) {
        return Err(malformed(format!(
            "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
            part(1),
            part(2),
            part(3),
            part(4)
        )));
    }
    if parts.len() < 2 {
        return Err(malformed(
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ));
    }
    let regional = region.is_some_and(|r| !r.is_empty());
    if service == "iam" && regional {
        return Err(malformed(format!(
            "IAM resource {resource} cannot contain region information."
        )));
    }
    if service == "s3" && regional && !part(4).starts_with("accesspoint/") {
        return Err(malformed(format!(
            "Resource {resource} can not contain region information."
        )));
    }
    let iam = service == "iam" && part(4) != "*";
    if iam && !IAM_PATHS.iter().any(|path| part(4).starts_with(path)) {
        return Err(malformed(format!(
            "IAM resource path must either be \"*\" or start with {}.",
            IAM_PATHS.join(", ")
        )));
    }
    Ok(())
}

fn check_action(action: &str) -> Result<()> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else {
        return Err(malformed(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ));
    };
    if name.contains(':') {
        return Err(malformed("Actions/Condition can contain only one colon."));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if vendor != "*" && !vendor.chars().all(allowed) {
        return Err(malformed(format!("Vendor {vendor} is not valid")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, document: &str, expected: Option<&str>) {
        let said = super::check(document, kind).err().map(|e| e.message);
        let fits = match (&said, expected) {
            (None, None) => true,
            (Some(said), Some(expected)) => said.contains(expected),
            _ => false,
        };
        assert!(fits, "{document}: {said:?}");
    }

    fn statement(text: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{{{text}}}}}"#)
    }

    #[test]
    fn documents_are_checked() {
        let managed = |text: &str, expected: Option<&str>| {
            check(Kind::Managed, &statement(text), expected);
        };
        let allow = r#""Effect":"Allow","#;
        let with = |rest: &str| format!("{allow}{rest}");
        managed(&with(r#""Action":"s3:*","Resource":"*""#), None);
        managed(
            &with(r#""Action":["s3:Get*","ec2:*"],"NotResource":["arn:aws:s3:::b/*"]"#),
            None,
        );
        managed(
            &with(r#""Action":"s3:*","Resource":"*","Color":"red""#),
            Some("Syntax errors"),
        );
        managed(
            r#""Effect":"allow","Action":"s3:*","Resource":"*""#,
            Some("legacy"),
        );
        managed(
            r#""Effect":"Maybe","Action":"s3:*","Resource":"*""#,
            Some("Syntax errors"),
        );
        managed(&with(r#""Resource":"*""#), Some("must contain actions"));
        managed(&with(r#""Action":"s3:*""#), Some("must contain resources"));
        managed(
            &with(r#""Action":"get","Resource":"*""#),
            Some("prefaced by a vendor"),
        );
        managed(
            &with(r#""Action":"a:b:c","Resource":"*""#),
            Some("only one colon"),
        );
        managed(
            &with(r#""Action":"s 3:*","Resource":"*""#),
            Some("Vendor s 3 is not valid"),
        );
        managed(
            &with(r#""Action":"s3:*","Resource":"b""#),
            Some("must be in ARN format"),
        );
        managed(
            &with(r#""Action":"s3:*","Resource":"arn:oz:s3:::b""#),
            Some("Partition \"oz\""),
        );
        managed(
            &with(r#""Action":"s3:*","Resource":"arn:aws:s3:us-east-1::b""#),
            Some("region"),
        );
        managed(
            &with(r#""Action":"iam:*","Resource":"arn:aws:iam::1:b""#),
            Some("IAM resource path"),
        );
        managed(
            &with(r#""Action":"s3:*","Resource":"*","Principal":"*""#),
            Some("a principal"),
        );
        let dated = |date: &str| {
            with(&format!(
                r#""Action":"s3:*","Resource":"*","Condition":{{"DateLessThan":{{"aws:CurrentTime":"{date}"}}}}"#
            ))
        };
        managed(&dated("2030-01-01T00:00:00Z"), None);
        managed(&dated("1893456000"), None);
        managed(&dated("2030-13-01"), Some("legacy"));
        let odd = with(r#""Action":"s3:*","Resource":"*","Condition":{"Looks":{"a":"b"}}"#);
        managed(&odd, Some("Syntax errors"));
    }

    #[test]
    fn whole_documents_and_their_kinds() {
        check(Kind::Inline, "not json", Some("invalid Json"));
        check(Kind::Inline, "[]", Some("Syntax errors"));
        check(Kind::Inline, "{}", Some("Syntax errors"));
        let old = r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        check(Kind::Inline, old, None);
        check(Kind::Managed, old, Some("2012-10-17 or greater"));
        let one = r#"{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}"#;
        let twice = format!(r#"{{"Version":"2012-10-17","Statement":[{one},{one}]}}"#);
        check(Kind::Managed, &twice, Some("must be unique"));
        let trust = r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}"#;
        check(Kind::Trust, &statement(trust), None);
        let trust = format!(r#"{trust},"Resource":"*""#);
        check(
            Kind::Trust,
            &statement(&trust),
            Some("prohibited field Resource"),
        );
        let nobody = r#""Effect":"Allow","Action":"sts:AssumeRole""#;
        check(Kind::Trust, &statement(nobody), Some("field Principal"));
    }
}
