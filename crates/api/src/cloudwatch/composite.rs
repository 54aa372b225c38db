//! Composite alarms: alarms over the states of others. The controller writes their state.

use super::alarm::{actions, another_kind};
use super::alarm_definition::{self, Change};
use super::error::{Result, length};
use super::query::validation;
use super::{alarm_describe::named, tag};
use crate::Ctx;
use metrics::composite::Rule;
use model::cloudwatch::{AlarmState, CompositeAlarm, MetricAlarm, Suppressor, alarm_name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::ScopedName;
use wire::Timestamp;

const MAX_RULE: usize = 10_240;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutCompositeAlarm {
    alarm_name: String,
    alarm_rule: String,
    alarm_description: Option<String>,
    actions_enabled: Option<bool>,
    #[serde(rename = "OKActions", default)]
    ok_actions: Vec<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default)]
    insufficient_data_actions: Vec<String>,
    #[serde(default)]
    tags: Vec<tag::Tag>,
    actions_suppressor: Option<String>,
    actions_suppressor_wait_period: Option<u32>,
    actions_suppressor_extension_period: Option<u32>,
}

pub fn put(ctx: &mut Ctx, input: PutCompositeAlarm) -> Result<()> {
    length(&input.alarm_name, "AlarmName", 1, 255)?;
    length(&input.alarm_rule, "AlarmRule", 1, MAX_RULE)?;
    if let Some(text) = &input.alarm_description {
        length(text, "AlarmDescription", 0, 1024)?;
    }
    another_kind::<MetricAlarm>(ctx, &input.alarm_name)?;
    let rule = Rule::parse(&input.alarm_rule)
        .map_err(|why| validation(format!("AlarmRule is not valid: {why}.")))?;
    for child in rule.children() {
        exists(ctx, "AlarmRule", child)?;
    }
    let children = rule.children();
    circle(ctx, &input.alarm_name, children.into_iter().map(alarm_name))?;
    let all = [
        ("AlarmActions", &input.alarm_actions),
        ("OKActions", &input.ok_actions),
        ("InsufficientDataActions", &input.insufficient_data_actions),
    ];
    actions(all)?;
    let unfit = |a: &&String| a.contains(":ec2:") || a.contains(":autoscaling:");
    if let Some(bad) = all
        .iter()
        .find_map(|(_, actions)| actions.iter().find(unfit))
    {
        return Err(validation(format!(
            "A composite alarm cannot perform EC2 or Auto Scaling actions: {bad}."
        )));
    }
    let periods = (
        input.actions_suppressor_wait_period,
        input.actions_suppressor_extension_period,
    );
    let suppressor = match (input.actions_suppressor, periods) {
        (None, (None, None)) => None,
        (Some(alarm), (Some(wait_period), Some(extension_period))) => {
            exists(ctx, "ActionsSuppressor", &alarm)?;
            Some(Suppressor {
                alarm,
                wait_period,
                extension_period,
            })
        }
        _ => {
            return Err(validation(
                "ActionsSuppressor, ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod are given together.",
            ));
        }
    };
    let key = ScopedName::new(&ctx.scope, &input.alarm_name);
    let old = ctx.tx.get::<CompositeAlarm>(&key).cloned();
    let change = match old {
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    // A new definition keeps the state until the next evaluation, and the tags.
    let kept = match old {
        Some(old) => old,
        None => CompositeAlarm {
            arn: ctx
                .scope
                .arn("cloudwatch", format_args!("alarm:{}", input.alarm_name)),
            scope: ctx.scope.clone(),
            name: input.alarm_name.clone(),
            description: None,
            rule: String::new(),
            actions_enabled: true,
            ok_actions: Vec::new(),
            alarm_actions: Vec::new(),
            insufficient_data_actions: Vec::new(),
            suppressor: None,
            suppressed: None,
            updated: ctx.now,
            state: AlarmState::InsufficientData,
            state_reason: "Unchecked: Initial alarm creation".to_owned(),
            state_reason_data: String::new(),
            state_updated: ctx.now,
            state_transitioned: ctx.now,
            state_before: AlarmState::InsufficientData,
            actions_due: false,
            tags: tag::of(&input.tags)?,
        },
    };
    let alarm = CompositeAlarm {
        description: input.alarm_description,
        rule: input.alarm_rule,
        actions_enabled: input.actions_enabled.unwrap_or(true),
        ok_actions: input.ok_actions,
        alarm_actions: input.alarm_actions,
        insufficient_data_actions: input.insufficient_data_actions,
        suppressor,
        updated: ctx.now,
        ..kept
    };
    alarm_definition::composite(ctx, change, &alarm);
    ctx.tx.put(alarm);
    Ok(())
}

fn exists(ctx: &Ctx, parameter: &str, alarm: &str) -> Result<()> {
    let key = ScopedName::new(&ctx.scope, alarm_name(alarm));
    let known =
        ctx.tx.get::<MetricAlarm>(&key).is_some() || ctx.tx.get::<CompositeAlarm>(&key).is_some();
    if known {
        return Ok(());
    }
    Err(validation(format!(
        "{parameter} names the alarm {alarm}, which does not exist."
    )))
}

/// Composite alarms may be children of others, not of themselves.
fn circle<'a>(ctx: &Ctx, name: &str, children: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut open: Vec<String> = children.map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    while let Some(child) = open.pop() {
        if child == name {
            return Err(validation(format!(
                "AlarmRule would make the alarm {name} depend on itself."
            )));
        }
        let key = ScopedName::new(&ctx.scope, &child);
        if seen.insert(child)
            && let Some(composite) = ctx.tx.get::<CompositeAlarm>(&key)
        {
            open.extend(named(composite));
        }
    }
    Ok(())
}

/// As it is described.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Composite {
    alarm_name: String,
    alarm_arn: String,
    alarm_description: Option<String>,
    alarm_rule: String,
    alarm_configuration_updated_timestamp: Timestamp,
    actions_enabled: bool,
    #[serde(rename = "OKActions")]
    ok_actions: Vec<String>,
    alarm_actions: Vec<String>,
    insufficient_data_actions: Vec<String>,
    state_value: &'static str,
    state_reason: String,
    state_reason_data: Option<String>,
    state_updated_timestamp: Timestamp,
    state_transitioned_timestamp: Timestamp,
    actions_suppressed_by: Option<String>,
    actions_suppressed_reason: Option<String>,
    actions_suppressor: Option<String>,
    actions_suppressor_wait_period: Option<u32>,
    actions_suppressor_extension_period: Option<u32>,
}

impl Composite {
    pub fn of(a: &CompositeAlarm) -> Self {
        Self {
            alarm_name: a.name.clone(),
            alarm_arn: a.arn.clone(),
            alarm_description: a.description.clone(),
            alarm_rule: a.rule.clone(),
            alarm_configuration_updated_timestamp: a.updated.into(),
            actions_enabled: a.actions_enabled,
            ok_actions: a.ok_actions.clone(),
            alarm_actions: a.alarm_actions.clone(),
            insufficient_data_actions: a.insufficient_data_actions.clone(),
            state_value: a.state.name(),
            state_reason: a.state_reason.clone(),
            state_reason_data: Some(a.state_reason_data.clone()).filter(|d| !d.is_empty()),
            state_updated_timestamp: a.state_updated.into(),
            state_transitioned_timestamp: a.state_transitioned.into(),
            actions_suppressed_by: a.suppressed.as_ref().map(|s| s.by.clone()),
            actions_suppressed_reason: a.suppressed.as_ref().map(|s| s.reason.clone()),
            actions_suppressor: a.suppressor.as_ref().map(|s| s.alarm.clone()),
            actions_suppressor_wait_period: a.suppressor.as_ref().map(|s| s.wait_period),
            actions_suppressor_extension_period: a.suppressor.as_ref().map(|s| s.extension_period),
        }
    }
}
