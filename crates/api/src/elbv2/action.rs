//! Actions of listeners and rules: forward, redirect, fixed response.
//!
//! Authentication would come before one of these; it is refused, so that a rule
//! has exactly one action.

use super::arn::{Resource, check as check_arn};
use super::check::{length, one_of, within};
use super::error::{Result, error, unsupported, validation};
use super::redirect::RedirectConfig;
use model::elbv2::{Action, TargetGroup};
use serde::{Deserialize, Serialize};

pub const MAX_TARGET_GROUPS: usize = 5;

const TYPES: &[&str] = &[
    "forward",
    "authenticate-oidc",
    "authenticate-cognito",
    "redirect",
    "fixed-response",
    "jwt-validation",
];

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActionShape {
    r#type: String,
    order: Option<i64>,
    target_group_arn: Option<String>,
    forward_config: Option<ForwardConfig>,
    redirect_config: Option<RedirectConfig>,
    fixed_response_config: Option<FixedResponseConfig>,
    /// Read only so that the refusal names what is not supported.
    #[serde(skip_serializing)]
    authenticate_oidc_config: Option<serde_json::Value>,
    #[serde(skip_serializing)]
    authenticate_cognito_config: Option<serde_json::Value>,
    #[serde(skip_serializing)]
    jwt_validation_config: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ForwardConfig {
    #[serde(default)]
    target_groups: Vec<TargetGroupTuple>,
    target_group_stickiness_config: Option<StickinessConfig>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetGroupTuple {
    target_group_arn: String,
    weight: Option<i64>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StickinessConfig {
    enabled: Option<bool>,
    duration_seconds: Option<i64>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FixedResponseConfig {
    message_body: Option<String>,
    status_code: String,
    content_type: Option<String>,
}

/// Also of redirects, in a file of their own.
pub(super) fn invalid(message: impl Into<String>) -> wire::ApiError {
    error("InvalidLoadBalancerAction", message)
}

/// The actions that a call gives; whether their target groups exist and fit is checked apart.
pub fn of(shapes: &[ActionShape]) -> Result<Vec<Action>> {
    for shape in shapes {
        one_of(&shape.r#type, "actions.member.type", TYPES)?;
        let refused = shape.r#type.starts_with("authenticate-")
            || shape.r#type == "jwt-validation"
            || shape.authenticate_oidc_config.is_some()
            || shape.authenticate_cognito_config.is_some()
            || shape.jwt_validation_config.is_some();
        if refused {
            return Err(unsupported(format_args!(
                "Actions of the type '{}' are",
                shape.r#type
            )));
        }
    }
    match shapes {
        [] => Err(validation("At least one action must be specified")),
        [one] => Ok(vec![one.parse()?]),
        _ => Err(error(
            "TooManyActions",
            "Only one action of type forward, redirect or fixed-response can be specified",
        )),
    }
}

impl ActionShape {
    fn parse(&self) -> Result<Action> {
        let order = match self.order {
            Some(order) => Some(within(order, "actions.member.order", 1, 50_000)?),
            None => None,
        };
        let others = |forward: bool, redirect: bool, fixed: bool| {
            let given = [
                !forward && (self.target_group_arn.is_some() || self.forward_config.is_some()),
                !redirect && self.redirect_config.is_some(),
                !fixed && self.fixed_response_config.is_some(),
            ];
            match given.contains(&true) {
                true => Err(invalid(format!(
                    "The configuration does not match the action type '{}'",
                    self.r#type
                ))),
                false => Ok(()),
            }
        };
        match self.r#type.as_str() {
            "redirect" => {
                others(false, true, false)?;
                let config = self.redirect_config.as_ref();
                let missing = || invalid("A redirect action needs a redirect configuration");
                config.ok_or_else(missing)?.parse(order)
            }
            "fixed-response" => {
                others(false, false, true)?;
                let config = self.fixed_response_config.as_ref();
                let missing = || invalid("A fixed-response action needs its configuration");
                config.ok_or_else(missing)?.parse(order)
            }
            _ => {
                others(true, false, false)?;
                self.forward(order)
            }
        }
    }

    fn forward(&self, order: Option<u32>) -> Result<Action> {
        let Some(config) = &self.forward_config else {
            let arn = self.target_group_arn.clone();
            let arn = arn.ok_or_else(|| validation("A target group ARN must be specified"))?;
            check_arn::<TargetGroup>(&arn)?;
            return Ok(Action::Forward {
                order,
                target_groups: vec![(arn, 1)],
                stickiness: None,
                stickiness_off: None,
            });
        };
        let mut target_groups: Vec<(String, u32)> = Vec::new();
        for tuple in &config.target_groups {
            check_arn::<TargetGroup>(&tuple.target_group_arn)?;
            if target_groups
                .iter()
                .any(|(arn, _)| *arn == tuple.target_group_arn)
            {
                return Err(invalid(format!(
                    "{} '{}' is specified more than once in an action",
                    TargetGroup::NOUN,
                    tuple.target_group_arn
                )));
            }
            let weight = match tuple.weight {
                Some(weight) => within(weight, "forwardConfig.targetGroups.member.weight", 0, 999)?,
                None => 1,
            };
            target_groups.push((tuple.target_group_arn.clone(), weight));
        }
        if target_groups.is_empty() {
            return Err(validation("A target group ARN must be specified"));
        }
        if MAX_TARGET_GROUPS < target_groups.len() {
            return Err(invalid(format!(
                "An action can have at most {MAX_TARGET_GROUPS} target groups"
            )));
        }
        if let Some(short) = &self.target_group_arn
            && !matches!(target_groups.as_slice(), [(only, _)] if only == short)
        {
            return Err(invalid(
                "The target group ARN must be the only one of the forward configuration",
            ));
        }
        let (enabled, seconds) = match &config.target_group_stickiness_config {
            Some(config) => (config.enabled == Some(true), config.duration_seconds),
            None => (false, None),
        };
        let at = "forwardConfig.targetGroupStickinessConfig.durationSeconds";
        let seconds = match seconds {
            Some(seconds) => Some(within(seconds, at, 1, 604_800)?),
            None if enabled => {
                return Err(invalid("Stickiness of target groups needs a duration"));
            }
            None => None,
        };
        Ok(Action::Forward {
            order,
            target_groups,
            stickiness: seconds.filter(|_| enabled),
            stickiness_off: seconds.filter(|_| !enabled),
        })
    }
}

const CONTENT_TYPES: &[&str] = &[
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

impl FixedResponseConfig {
    fn parse(&self, order: Option<u32>) -> Result<Action> {
        let code = self.status_code.as_str();
        let digits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
        let status = code.parse::<u16>().ok();
        let Some(status) = status.filter(|s| digits && matches!(s / 100, 2 | 4 | 5)) else {
            return Err(validation(format!(
                "1 validation error detected: Value '{code}' at 'fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$"
            )));
        };
        if let Some(content_type) = self.content_type.as_deref() {
            one_of(
                content_type,
                "fixedResponseConfig.contentType",
                CONTENT_TYPES,
            )?;
        }
        if let Some(body) = &self.message_body {
            length(body, "fixedResponseConfig.messageBody", 0, 1024)?;
        }
        Ok(Action::FixedResponse {
            order,
            status,
            content_type: self.content_type.clone(),
            body: self.message_body.clone(),
        })
    }
}

pub fn shapes(actions: &[Action]) -> Vec<ActionShape> {
    actions.iter().map(shape).collect()
}

fn shape(action: &Action) -> ActionShape {
    match action {
        Action::Forward {
            order,
            target_groups,
            stickiness,
            stickiness_off,
        } => ActionShape {
            r#type: "forward".into(),
            order: order.map(i64::from),
            // Answers repeat a lone target group in both forms.
            target_group_arn: match target_groups.as_slice() {
                [(only, _)] => Some(only.clone()),
                _ => None,
            },
            forward_config: Some(ForwardConfig {
                target_groups: target_groups
                    .iter()
                    .map(|(arn, weight)| TargetGroupTuple {
                        target_group_arn: arn.clone(),
                        weight: Some(i64::from(*weight)),
                    })
                    .collect(),
                target_group_stickiness_config: Some(StickinessConfig {
                    enabled: Some(stickiness.is_some()),
                    duration_seconds: stickiness.or(*stickiness_off).map(i64::from),
                }),
            }),
            ..ActionShape::default()
        },
        Action::Redirect { order, .. } => ActionShape {
            r#type: "redirect".into(),
            order: order.map(i64::from),
            redirect_config: RedirectConfig::of(action),
            ..ActionShape::default()
        },
        Action::FixedResponse {
            order,
            status,
            content_type,
            body,
        } => ActionShape {
            r#type: "fixed-response".into(),
            order: order.map(i64::from),
            fixed_response_config: Some(FixedResponseConfig {
                message_body: body.clone(),
                status_code: status.to_string(),
                content_type: content_type.clone(),
            }),
            ..ActionShape::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: serde_json::Value) -> Result<Vec<Action>> {
        let shapes: Vec<ActionShape> = serde_json::from_value(json).unwrap();
        of(&shapes)
    }

    const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1";

    fn code(json: serde_json::Value) -> String {
        match parse(json) {
            Ok(_) => "ok".into(),
            Err(e) => e.code.into_owned(),
        }
    }

    #[test]
    fn actions_are_checked() {
        let check = |json: serde_json::Value, expected: &str| {
            assert_eq!(code(json.clone()), expected, "{json}");
        };
        use serde_json::json;
        check(json!([{"Type": "forward", "TargetGroupArn": GROUP}]), "ok");
        check(json!([{"Type": "forward"}]), "ValidationError");
        check(json!([]), "ValidationError");
        check(
            json!([{"Type": "forward", "TargetGroupArn": "web"}]),
            "ValidationError",
        );
        check(
            json!([{"Type": "forward", "TargetGroupArn": GROUP, "Order": 0}]),
            "ValidationError",
        );
        check(
            json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP, "Weight": 1000}]}}]),
            "ValidationError",
        );
        check(
            json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}], "TargetGroupStickinessConfig": {"Enabled": true}}}]),
            "InvalidLoadBalancerAction",
        );
        check(
            json!([{"Type": "authenticate-oidc"}]),
            "InvalidConfigurationRequest",
        );
        check(
            json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}}]),
            "ok",
        );
        check(
            json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]),
            "InvalidLoadBalancerAction",
        );
        check(
            json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "#{path}"}}]),
            "InvalidLoadBalancerAction",
        );
        check(
            json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Port": "0"}}]),
            "InvalidLoadBalancerAction",
        );
        check(
            json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_303", "Port": "81"}}]),
            "ValidationError",
        );
        check(
            json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"}}]),
            "ok",
        );
        check(
            json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "302"}}]),
            "ValidationError",
        );
        check(
            json!([{"Type": "fixed-response", "TargetGroupArn": GROUP, "FixedResponseConfig": {"StatusCode": "200"}}]),
            "InvalidLoadBalancerAction",
        );
    }
}
