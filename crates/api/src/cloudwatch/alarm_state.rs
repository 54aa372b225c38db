//! Setting an alarm's state by hand, and switching its actions.

use super::alarm::note;
use super::alarm_describe::not_found;
use super::error::{Result, invalid};
use crate::Ctx;
use model::cloudwatch::{AlarmState, CompositeAlarm, MetricAlarm};
use serde::Deserialize;
use serde_json::json;
use store::ScopedName;
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetAlarmState {
    alarm_name: String,
    state_value: String,
    state_reason: String,
    state_reason_data: Option<String>,
}

/// Holds until the next evaluation. The controller runs the actions of the new state, at once.
pub fn set(ctx: &mut Ctx, input: SetAlarmState) -> Result<()> {
    let state = match input.state_value.as_str() {
        "OK" => AlarmState::Ok,
        "ALARM" => AlarmState::Alarm,
        "INSUFFICIENT_DATA" => AlarmState::InsufficientData,
        other => {
            return Err(invalid(format!(
                "The value {other} for parameter StateValue is not supported."
            )));
        }
    };
    let data = input.state_reason_data.unwrap_or_default();
    if !data.is_empty() && serde_json::from_str::<serde_json::Value>(&data).is_err() {
        return Err(ApiError::client(
            "InvalidFormat",
            "StateReasonData is not JSON.",
        ));
    }
    let key = ScopedName::new(&ctx.scope, &input.alarm_name);
    let reason = input.state_reason;
    // Both kinds have the same members, and no type in common.
    macro_rules! change {
        ($kind:ty) => {{
            let now = ctx.now;
            let old = ctx
                .tx
                .get::<$kind>(&key)
                .map(|a| (a.state, a.state_reason.clone()));
            ctx.tx.modify::<$kind>(&key, |a| {
                if a.state != state {
                    a.state_transitioned = now;
                    a.state_before = a.state;
                    a.actions_due = true;
                }
                a.state = state;
                a.state_reason = reason.clone();
                a.state_reason_data = data.clone();
                a.state_updated = now;
            });
            old
        }};
    }
    let (metric, composite) = (change!(MetricAlarm), change!(CompositeAlarm));
    let is_composite = composite.is_some();
    let Some((before, reason_before)) = metric.or(composite) else {
        return Err(not_found(&input.alarm_name));
    };
    if before != state {
        let summary = format!("Alarm updated from {} to {}", before.name(), state.name());
        let change = json!({
            "version": "1.0",
            "oldState": { "stateValue": before.name(), "stateReason": reason_before },
            "newState": { "stateValue": state.name(), "stateReason": reason },
        })
        .to_string();
        let name = &input.alarm_name;
        note(ctx, name, is_composite, "StateUpdate", summary, change);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AlarmActions {
    alarm_names: Vec<String>,
}

pub fn enable_actions(ctx: &mut Ctx, input: AlarmActions) -> Result<()> {
    switch(ctx, &input.alarm_names, true)
}

pub fn disable_actions(ctx: &mut Ctx, input: AlarmActions) -> Result<()> {
    switch(ctx, &input.alarm_names, false)
}

/// Unknown names are passed over: the calls name no such error.
fn switch(ctx: &mut Ctx, names: &[String], on: bool) -> Result<()> {
    for name in names {
        let key = ScopedName::new(&ctx.scope, name);
        ctx.tx
            .modify::<MetricAlarm>(&key, |a| a.actions_enabled = on);
        ctx.tx
            .modify::<CompositeAlarm>(&key, |a| a.actions_enabled = on);
    }
    Ok(())
}
