//! Transforms of rules: what targets are to see instead of the host and URL that clients send.
//! Source: `A/rule-transforms.html`.

use super::check::{length, one_of};
use super::error::{Result, validation};
use super::regular_expression;
use model::elbv2::{Action, Transform};
use serde::{Deserialize, Serialize};

const TYPES: &[&str] = &["host-header-rewrite", "url-rewrite"];
/// Of a regular expression and of what replaces its match.
const MAX_LENGTH: usize = 1024;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransformShape {
    r#type: String,
    host_header_rewrite_config: Option<Config>,
    url_rewrite_config: Option<Config>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    rewrites: Vec<Rewrite>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rewrite {
    regex: String,
    replace: String,
}

/// The transforms that a call gives.
pub fn of(shapes: &[TransformShape]) -> Result<Vec<Transform>> {
    let transforms = shapes.iter().map(TransformShape::parse);
    let transforms = transforms.collect::<Result<Vec<_>>>()?;
    for kind in TYPES {
        if 1 < shapes.iter().filter(|shape| shape.r#type == *kind).count() {
            return Err(validation(format!(
                "A rule can only have one transform of the type '{kind}'"
            )));
        }
    }
    Ok(transforms)
}

/// Nothing but a target sees what they make of a request.
pub fn check_actions(transforms: &[Transform], actions: &[Action]) -> Result<()> {
    let forwards = matches!(actions.last(), Some(Action::Forward { .. }));
    match transforms.is_empty() || forwards {
        true => Ok(()),
        false => Err(validation(
            "Transforms can only be specified for rules with an action of the type 'forward'",
        )),
    }
}

impl TransformShape {
    fn parse(&self) -> Result<Transform> {
        one_of(&self.r#type, "transforms.member.type", TYPES)?;
        let is_host = self.r#type == "host-header-rewrite";
        let (own, other) = match is_host {
            true => (&self.host_header_rewrite_config, &self.url_rewrite_config),
            false => (&self.url_rewrite_config, &self.host_header_rewrite_config),
        };
        if other.is_some() {
            return Err(validation(format!(
                "The transform configuration does not match the type '{}'",
                self.r#type
            )));
        }
        let rewrites = own.as_ref().map_or(&[][..], |config| &config.rewrites);
        let [Rewrite { regex, replace }] = rewrites else {
            return Err(validation(format!(
                "A transform of the type '{}' must have exactly one rewrite",
                self.r#type
            )));
        };
        regular_expression::check(regex, "rewrites.member.regex", MAX_LENGTH)?;
        length(replace, "rewrites.member.replace", 0, MAX_LENGTH)?;
        let (regex, replace) = (regex.clone(), replace.clone());
        Ok(match is_host {
            true => Transform::HostHeader { regex, replace },
            false => Transform::Url { regex, replace },
        })
    }
}

pub fn shapes(transforms: &[Transform]) -> Vec<TransformShape> {
    let config = |regex: &String, replace: &String| {
        Some(Config {
            rewrites: vec![Rewrite {
                regex: regex.clone(),
                replace: replace.clone(),
            }],
        })
    };
    let shape = |transform: &Transform| match transform {
        Transform::HostHeader { regex, replace } => TransformShape {
            r#type: "host-header-rewrite".into(),
            host_header_rewrite_config: config(regex, replace),
            url_rewrite_config: None,
        },
        Transform::Url { regex, replace } => TransformShape {
            r#type: "url-rewrite".into(),
            host_header_rewrite_config: None,
            url_rewrite_config: config(regex, replace),
        },
    };
    transforms.iter().map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn checks() {
        let check = |given: serde_json::Value, expected: bool| {
            let shapes: Vec<TransformShape> = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(of(&shapes).is_ok(), expected, "{given}");
        };
        let rewrites = |regex: &str| json!({"Rewrites": [{"Regex": regex, "Replace": "/$1"}]});
        let url = |regex: &str| json!({"Type": "url-rewrite", "UrlRewriteConfig": rewrites(regex)});
        let host = json!({"Type": "host-header-rewrite", "HostHeaderRewriteConfig": rewrites("a")});
        check(json!([]), true);
        check(json!([url("^/(.*)$"), host]), true);
        check(json!([url("a"), url("b")]), false);
        check(json!([url("(")]), false);
        check(json!([url("(?=a)")]), false);
        check(json!([url(&"a".repeat(1025))]), false);
        check(json!([{"Type": "url-rewrite"}]), false);
        check(json!([{"Type": "moon"}]), false);
        check(
            json!([{"Type": "url-rewrite", "HostHeaderRewriteConfig": rewrites("a")}]),
            false,
        );
    }
}
