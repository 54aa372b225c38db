//! What happened to alarms: definitions, states, actions.

use super::alarm_describe::bad_token;
use super::error::{Result, invalid};
use crate::Ctx;
use crate::ec2::page::Page;
use model::cloudwatch::AlarmHistoryItem;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAlarmHistory {
    alarm_name: Option<String>,
    alarm_contributor_id: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    history_item_type: Option<String>,
    start_date: Option<Timestamp>,
    end_date: Option<Timestamp>,
    max_records: Option<i64>,
    next_token: Option<String>,
    scan_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    alarm_history_items: Vec<Item>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    alarm_name: String,
    alarm_type: &'static str,
    timestamp: Timestamp,
    history_item_type: String,
    history_summary: String,
    history_data: String,
}

pub fn describe(ctx: &mut Ctx, input: DescribeAlarmHistory) -> Result<Described> {
    if let Some(kind) = &input.history_item_type
        && !["ConfigurationUpdate", "StateUpdate", "Action"].contains(&kind.as_str())
    {
        return Err(invalid(format!(
            "The value {kind} for parameter HistoryItemType is not supported."
        )));
    }
    let oldest_first = match input.scan_by.as_deref() {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => {
            return Err(invalid(format!(
                "The value {other} for parameter ScanBy is not supported."
            )));
        }
    };
    for kind in &input.alarm_types {
        super::alarm::choice("AlarmTypes", Some(kind), &["MetricAlarm", "CompositeAlarm"])?;
    }
    // AWS: metric alarms only, if no type is named.
    let asked = |kind: &str| input.alarm_types.iter().any(|t| t == kind);
    let (composite, metric) = (
        asked("CompositeAlarm"),
        input.alarm_types.is_empty() || asked("MetricAlarm"),
    );
    let matches = |i: &&AlarmHistoryItem| {
        (if i.composite { composite } else { metric })
            && input.alarm_contributor_id.is_none()
            && i.scope == ctx.scope
            && input.alarm_name.as_ref().is_none_or(|n| i.alarm == *n)
            && input
                .history_item_type
                .as_ref()
                .is_none_or(|k| i.kind == *k)
            && input.start_date.is_none_or(|t| i.time >= t.0)
            && input.end_date.is_none_or(|t| i.time <= t.0)
    };
    let mut items: Vec<&AlarmHistoryItem> = ctx
        .tx
        .alarm_history
        .values()
        .map(|i| &**i)
        .filter(matches)
        .collect();
    if !oldest_first {
        items.reverse();
    }
    // A key that rises in the order of the answer, so that a token survives new items.
    let key = |i: &&AlarmHistoryItem| {
        let n = if oldest_first {
            i.sequence
        } else {
            u64::MAX - i.sequence
        };
        format!("{n:020}")
    };
    let page = Page::within(1, 100, input.max_records, input.next_token.as_deref())
        .map_err(|_| bad_token())?;
    let (items, next_token) = page.of(items, key);
    let item = |i: &AlarmHistoryItem| Item {
        alarm_name: i.alarm.clone(),
        alarm_type: if i.composite {
            "CompositeAlarm"
        } else {
            "MetricAlarm"
        },
        timestamp: i.time.into(),
        history_item_type: i.kind.clone(),
        history_summary: i.summary.clone(),
        history_data: i.data.clone(),
    };
    Ok(Described {
        alarm_history_items: items.into_iter().map(item).collect(),
        next_token,
    })
}
