//! Rules of listeners. The default rule is the listener's own default actions.

use super::action::{self, ActionShape};
use super::arn::{self, find, owned};
use super::check::within;
use super::condition::{self, ConditionShape};
use super::error::{Result, error, not_permitted, validation};
use super::page::page;
use super::tag::{self, Tag};
use super::transform::{self, TransformShape};
use super::{Done, association};
use crate::Ctx;
use model::elbv2::{Listener, LoadBalancer, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Of one load balancer, without default rules.
pub const MAX_RULES: usize = 100;
const MAX_PRIORITY: u32 = 50_000;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    rule_arn: String,
    /// A number, or `default`.
    priority: String,
    conditions: Vec<ConditionShape>,
    actions: Vec<ActionShape>,
    is_default: bool,
    transforms: Vec<TransformShape>,
}

pub fn shape(rule: &Rule) -> Shape {
    Shape {
        rule_arn: rule.arn.clone(),
        priority: rule.priority.to_string(),
        conditions: condition::shapes(&rule.conditions),
        actions: action::shapes(&rule.actions),
        is_default: false,
        transforms: transform::shapes(&rule.transforms),
    }
}

fn default_shape(listener: &Listener) -> Shape {
    Shape {
        rule_arn: arn::default_rule(listener),
        priority: "default".into(),
        conditions: Vec::new(),
        actions: action::shapes(&listener.default_actions),
        is_default: true,
        transforms: Vec::new(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rules {
    pub rules: Vec<Shape>,
    pub next_marker: Option<String>,
}

pub fn priority(value: i64) -> Result<u32> {
    within(value, "priority", 1, MAX_PRIORITY)
}

pub fn in_use(priority: u32) -> wire::ApiError {
    error(
        "PriorityInUse",
        format!("Priority '{priority}' is currently in use"),
    )
}

/// Refuses a change of a default rule.
pub fn refuse_default(ctx: &Ctx, arn: &str, change: &str) -> Result<()> {
    match arn::listener_of_default_rule(ctx, arn) {
        Some(_) => Err(not_permitted(format!(
            "Default rule '{arn}' cannot be {change}"
        ))),
        None => Ok(()),
    }
}

fn of_listener<'a>(ctx: &'a Ctx, arn: &'a str) -> impl Iterator<Item = &'a Arc<Rule>> {
    ctx.tx.rules.of(arn)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRule {
    listener_arn: String,
    conditions: Vec<ConditionShape>,
    priority: i64,
    actions: Vec<ActionShape>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    transforms: Vec<TransformShape>,
}

pub fn create(ctx: &mut Ctx, input: CreateRule) -> Result<Rules> {
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    let balancer = find::<LoadBalancer>(ctx, &listener.load_balancer)?;
    if balancer.is_network() {
        return Err(not_permitted(
            "Rules are unsupported for load balancers of type 'network'",
        ));
    }
    let priority = priority(input.priority)?;
    let conditions = condition::of(&input.conditions)?;
    let actions = action::of(&input.actions)?;
    let transforms = transform::of(&input.transforms)?;
    transform::check_actions(&transforms, &actions)?;
    let tags = tag::of(&input.tags)?;
    if of_listener(ctx, &listener.arn).any(|r| r.priority == priority) {
        return Err(in_use(priority));
    }
    let listeners: BTreeSet<&str> = owned::<Listener>(&ctx.tx, &ctx.scope)
        .filter(|l| l.load_balancer == balancer.arn)
        .map(|l| l.arn.as_str())
        .collect();
    let rules = owned::<Rule>(&ctx.tx, &ctx.scope);
    if MAX_RULES
        <= rules
            .filter(|r| listeners.contains(r.listener.as_str()))
            .count()
    {
        return Err(error(
            "TooManyRules",
            "The maximum number of rules per load balancer has been reached",
        ));
    }
    association::check(ctx, &balancer, &listener.protocol, &actions)?;
    let rule = Rule {
        arn: arn::new_rule(&ctx.scope, &listener.arn),
        scope: ctx.scope.clone(),
        listener: listener.arn.clone(),
        priority,
        conditions,
        actions,
        transforms,
        tags,
    };
    let rules = vec![shape(&rule)];
    ctx.tx.put(rule);
    Ok(Rules {
        rules,
        next_marker: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeRules {
    listener_arn: Option<String>,
    #[serde(default)]
    rule_arns: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// By priority, the default rule last.
pub fn describe(ctx: &mut Ctx, input: DescribeRules) -> Result<Rules> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    // Keys sort as the rules are to be listed.
    let mut chosen: Vec<(String, Shape)> = Vec::new();
    let keyed = |r: &Rule| (format!("{:05}{}", r.priority, r.arn), shape(r));
    let last = |l: &Listener| (format!("default{}", l.arn), default_shape(l));
    match &input.listener_arn {
        Some(_) if !input.rule_arns.is_empty() => {
            return Err(validation(
                "A listener ARN and rule ARNs cannot be specified at the same time",
            ));
        }
        Some(arn) => {
            let listener = find::<Listener>(ctx, arn)?;
            chosen.extend(of_listener(ctx, arn).map(|r| keyed(r)));
            chosen.push(last(&listener));
        }
        None if input.rule_arns.is_empty() => {
            return Err(validation(
                "You must specify either listener rule ARNs or a listener ARN",
            ));
        }
        None => {
            for arn in &input.rule_arns {
                chosen.push(match arn::listener_of_default_rule(ctx, arn) {
                    Some(listener) => last(&listener),
                    None => keyed(&*find::<Rule>(ctx, arn)?),
                });
            }
        }
    }
    chosen.sort_by(|(a, _), (b, _)| a.cmp(b));
    chosen.dedup_by(|(a, _), (b, _)| a == b);
    let (chosen, next_marker) = page.of(chosen, |(key, _)| key.clone());
    Ok(Rules {
        rules: chosen.into_iter().map(|(_, shape)| shape).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyRule {
    rule_arn: String,
    conditions: Option<Vec<ConditionShape>>,
    actions: Option<Vec<ActionShape>>,
    #[serde(default)]
    transforms: Vec<TransformShape>,
    reset_transforms: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyRule) -> Result<Rules> {
    refuse_default(ctx, &input.rule_arn, "modified")?;
    let mut rule = Rule::clone(&*find::<Rule>(ctx, &input.rule_arn)?);
    let resets = input.reset_transforms == Some(true);
    if resets && !input.transforms.is_empty() {
        return Err(validation(
            "Transforms and ResetTransforms cannot be specified at the same time",
        ));
    }
    if resets || !input.transforms.is_empty() {
        rule.transforms = transform::of(&input.transforms)?;
    }
    if let Some(conditions) = &input.conditions {
        rule.conditions = condition::of(conditions)?;
    }
    if let Some(actions) = &input.actions {
        rule.actions = action::of(actions)?;
        let listener = find::<Listener>(ctx, &rule.listener)?;
        let balancer = find::<LoadBalancer>(ctx, &listener.load_balancer)?;
        association::check(ctx, &balancer, &listener.protocol, &rule.actions)?;
    }
    transform::check_actions(&rule.transforms, &rule.actions)?;
    let rules = vec![shape(&rule)];
    ctx.tx.put(rule);
    Ok(Rules {
        rules,
        next_marker: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteRule {
    rule_arn: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteRule) -> Result<Done> {
    refuse_default(ctx, &input.rule_arn, "deleted")?;
    let rule = find::<Rule>(ctx, &input.rule_arn)?;
    ctx.tx.remove::<Rule>(&rule.arn);
    Ok(Done {})
}
