//! How answers show a parameter, and how calls name one: by name or ARN, with a version or
//! label behind a colon.

use model::ssm::{Parameter, ParameterVersion};
use serde::Serialize;
use wire::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ParameterShape {
    pub name: String,
    pub r#type: String,
    pub value: String,
    pub version: u64,
    pub selector: Option<String>,
    pub last_modified_date: Timestamp,
    #[serde(rename = "ARN")]
    pub arn: String,
    pub data_type: String,
}

pub(super) fn arn(parameter: &Parameter) -> String {
    let slash = if parameter.name.starts_with('/') {
        ""
    } else {
        "/"
    };
    parameter
        .scope
        .arn("ssm", format_args!("parameter{slash}{}", parameter.name))
}

pub(super) fn shape(
    parameter: &Parameter,
    version: &ParameterVersion,
    selector: Option<&str>,
    decrypt: bool,
) -> ParameterShape {
    ParameterShape {
        name: parameter.name.clone(),
        r#type: parameter.kind.clone(),
        value: value(parameter, version, decrypt),
        version: version.number,
        selector: selector.map(|s| format!(":{s}")),
        last_modified_date: version.modified.into(),
        arn: arn(parameter),
        data_type: parameter.data_type.clone(),
    }
}

/// Without decryption a secure string is what a key would have made of it: unreadable, and
/// the same each time.
pub(super) fn value(parameter: &Parameter, version: &ParameterVersion, decrypt: bool) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    if parameter.kind != "SecureString" || decrypt {
        return version.value.clone();
    }
    let sealed = Sha256::digest(format!("{}\0{}", arn(parameter), version.value));
    base64::engine::general_purpose::STANDARD.encode(sealed)
}

/// `name:version` or `name:label`, and what is behind the colon.
pub(super) fn split_selector(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        // An ARN's colons come before its name's slashes.
        Some((name, selector)) if !selector.contains('/') => (name, Some(selector)),
        _ => (name, None),
    }
}

/// The name in an ARN of any account; a plain name is its own.
pub(super) fn plain_name(given: &str) -> &str {
    let in_arn = given
        .strip_prefix("arn:aws:ssm:")
        .and_then(|rest| rest.split_once(":parameter"));
    match in_arn {
        // `parameter/name` is the ARN of `name` and of `/name`: who has slashes inside has one in front.
        Some((_, name)) if name.matches('/').count() > 1 => name,
        Some((_, name)) => name.trim_start_matches('/'),
        None => given,
    }
}

#[cfg(test)]
mod tests {
    use super::{plain_name, split_selector};

    #[test]
    fn names_versions_and_arns() {
        let check = |given: &str, name: &str, selector: Option<&str>| {
            let (given, found) = split_selector(given);
            assert_eq!((plain_name(given), found), (name, selector));
        };
        check("db", "db", None);
        check("/a/b", "/a/b", None);
        check("/a/b:3", "/a/b", Some("3"));
        check("db:prod", "db", Some("prod"));
        check("arn:aws:ssm:us-east-1:1:parameter/a/b", "/a/b", None);
        check("arn:aws:ssm:us-east-1:1:parameter/a/b:2", "/a/b", Some("2"));
        check("arn:aws:ssm:us-east-1:1:parameter/db", "db", None);
        check(
            "arn:aws:ssm:us-east-1::parameter/aws/service/x:1",
            "/aws/service/x",
            Some("1"),
        );
    }
}
