//! Changes on their way to those who answer by them.

use super::{Result, new_id};
use crate::Ctx;
use model::route53::ZoneChange;
use serde::{Deserialize, Serialize};
use wire::ApiError;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeInfo {
    id: String,
    status: &'static str,
    submitted_at: wire::Timestamp,
    comment: Option<String>,
}

impl From<&ZoneChange> for ChangeInfo {
    fn from(change: &ZoneChange) -> Self {
        Self {
            id: format!("/change/{}", change.id),
            status: if change.in_sync { "INSYNC" } else { "PENDING" },
            submitted_at: change.submitted.into(),
            comment: change.comment.clone(),
        }
    }
}

/// Notes that something changed; the control plane says when it is in force.
pub fn submitted(ctx: &mut Ctx, comment: Option<String>) -> ChangeInfo {
    let change = ZoneChange {
        scope: ctx.scope.clone(),
        id: new_id('C'),
        submitted: ctx.now,
        comment,
        in_sync: false,
    };
    let info = ChangeInfo::from(&change);
    ctx.tx.put(change);
    info
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetChange {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changed {
    pub change_info: ChangeInfo,
}

pub fn get(ctx: &mut Ctx, input: GetChange) -> Result<Changed> {
    let id = input.id.strip_prefix("/change/").unwrap_or(&input.id);
    let found = ctx.tx.zone_changes.get(id);
    let found = found.filter(|c| c.scope.account == ctx.scope.account);
    let message = || format!("A change with the ID {id} does not exist.");
    let found = found.ok_or_else(|| ApiError::not_found("NoSuchChange", message()))?;
    Ok(Changed {
        change_info: (&**found).into(),
    })
}
