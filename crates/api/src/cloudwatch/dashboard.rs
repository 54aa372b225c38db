//! Dashboards: kept and given back. Their widgets are drawn by whoever reads them.

use super::alarm_describe::bad_token;
use super::dashboard_body;
use super::error::{Result, invalid};
use crate::Ctx;
use crate::ec2::page::Page;
use model::Scope;
use model::cloudwatch::Dashboard;
use serde::{Deserialize, Serialize};
use store::ScopedName;
use wire::{ApiError, Timestamp};

const PAGE: i64 = 1000;
const MAX_BODY: usize = 1 << 20;

/// Dashboards belong to the account and are seen from every region.
fn everywhere(ctx: &Ctx) -> Scope {
    Scope::new(&ctx.scope.account, "")
}

fn not_found(name: &str) -> ApiError {
    let message = format!("Dashboard {name} does not exist");
    ApiError::not_found("ResourceNotFound", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutDashboard {
    dashboard_name: String,
    dashboard_body: String,
    tags: Option<Vec<super::tag::Tag>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Validated {
    dashboard_validation_messages: [String; 0],
}

pub fn put(ctx: &mut Ctx, input: PutDashboard) -> Result<Validated> {
    let name = input.dashboard_name;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=255).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(invalid(format!(
            "The value {name} for parameter DashboardName is invalid: letters, digits, - and _ only."
        )));
    }
    if input.tags.is_some_and(|tags| !tags.is_empty()) {
        return Err(invalid(
            "Tags of dashboards are not supported by this cloud.",
        ));
    }
    check_body(&input.dashboard_body)?;
    let scope = everywhere(ctx);
    ctx.tx.put(Dashboard {
        arn: scope.arn("cloudwatch", format_args!("dashboard/{name}")),
        scope,
        name,
        body: input.dashboard_body,
        modified: ctx.now,
    });
    Ok(Validated {
        dashboard_validation_messages: [],
    })
}

fn check_body(body: &str) -> Result<()> {
    if MAX_BODY < body.len() {
        return Err(invalid("The dashboard body is larger than 1 MiB."));
    }
    let wrong = match serde_json::from_str(body) {
        Ok(parsed) => dashboard_body::check(&parsed),
        Err(_) => vec![dashboard_body::Wrong::new("", "Should be a JSON object")],
    };
    if wrong.is_empty() {
        return Ok(());
    }
    // Of texts: it is always written.
    let list = serde_json::to_string_pretty(&wrong).unwrap_or_default();
    let message = format!(
        "The dashboard body is invalid, there are {} validation errors:\n{list}",
        wrong.len()
    );
    Err(ApiError::client("InvalidParameterInput", message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetDashboard {
    dashboard_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    dashboard_arn: String,
    dashboard_body: String,
    dashboard_name: String,
}

pub fn get(ctx: &mut Ctx, input: GetDashboard) -> Result<Shape> {
    let key = ScopedName::new(&everywhere(ctx), &input.dashboard_name);
    let found = ctx.tx.get::<Dashboard>(&key);
    let dashboard = found.ok_or_else(|| not_found(&input.dashboard_name))?;
    Ok(Shape {
        dashboard_arn: dashboard.arn.clone(),
        dashboard_body: dashboard.body.clone(),
        dashboard_name: dashboard.name.clone(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDashboards {
    dashboard_name_prefix: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    dashboard_entries: Vec<Entry>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    dashboard_name: String,
    dashboard_arn: String,
    last_modified: Timestamp,
    size: usize,
}

pub fn list(ctx: &mut Ctx, input: ListDashboards) -> Result<Listed> {
    let page = Page::within(1, PAGE, Some(PAGE), input.next_token.as_deref());
    let page = page.map_err(|_| bad_token())?;
    let scope = everywhere(ctx);
    let prefix = input.dashboard_name_prefix.unwrap_or_default();
    let all = ctx.tx.dashboards.of(&scope);
    let wanted = all.filter(|d| d.name.starts_with(&prefix));
    let (dashboards, next_token) = page.of(wanted, |d| d.name.clone());
    let entry = |d: &std::sync::Arc<Dashboard>| Entry {
        dashboard_name: d.name.clone(),
        dashboard_arn: d.arn.clone(),
        last_modified: d.modified.into(),
        size: d.body.len(),
    };
    Ok(Listed {
        dashboard_entries: dashboards.into_iter().map(entry).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteDashboards {
    dashboard_names: Vec<String>,
}

#[derive(Serialize)]
pub struct Deleted {}

/// All of them or, where one is unknown, none.
pub fn delete(ctx: &mut Ctx, input: DeleteDashboards) -> Result<Deleted> {
    let scope = everywhere(ctx);
    if input.dashboard_names.is_empty() {
        return Err(invalid("The parameter DashboardNames has no member."));
    }
    for name in &input.dashboard_names {
        let key = ScopedName::new(&scope, name);
        if ctx.tx.remove::<Dashboard>(&key).is_none() {
            return Err(not_found(name));
        }
    }
    Ok(Deleted {})
}

#[cfg(test)]
mod tests {
    use super::check_body;

    #[test]
    fn bodies_are_objects() {
        let check = |body: &str, expected: bool| {
            assert_eq!(check_body(body).is_ok(), expected, "{body}");
        };
        check(r#"{"widgets": []}"#, true);
        check("{}", true);
        check(r#"{"widgets": 1}"#, false);
        check("[]", false);
        check("", false);
        check(&format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20)), false);
    }
}
