//! Setting an alarm's state by hand, and switching its actions.

use super::alarm::{not_found, record};
use super::error::{Result, invalid};
use crate::Ctx;
use model::cloudwatch::{AlarmState, MetricAlarm};
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

/// Holds until the next evaluation. The controller runs the actions of the new state then,
/// if it still stands, since only it may act.
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
    let Some(old) = ctx.tx.get::<MetricAlarm>(&key).cloned() else {
        return Err(not_found(&input.alarm_name));
    };
    let now = ctx.now;
    ctx.tx.modify::<MetricAlarm>(&key, |a| {
        a.state_transitioned = if a.state == state {
            a.state_transitioned
        } else {
            now
        };
        a.state = state;
        a.state_reason = input.state_reason.clone();
        a.state_reason_data = data;
        a.state_updated = now;
    });
    if old.state != state {
        let summary = format!(
            "Alarm updated from {} to {}",
            old.state.name(),
            state.name()
        );
        let change = json!({
            "version": "1.0",
            "oldState": { "stateValue": old.state.name(), "stateReason": old.state_reason },
            "newState": { "stateValue": state.name(), "stateReason": input.state_reason },
        });
        record(ctx, &old, "StateUpdate", summary, change);
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
        ctx.tx
            .modify::<MetricAlarm>(&ScopedName::new(&ctx.scope, name), |a| {
                a.actions_enabled = on
            });
    }
    Ok(())
}
