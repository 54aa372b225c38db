//! Health checks: made, changed and asked. The edge looks at their endpoints, the control plane at
//! alarms and at what others make of them.

use super::health_check_shape::{Alarm, Children, ConfigShape, Regions, Shape, check};
use super::{Result, conflict, invalid, location, max_items};
use crate::Ctx;
use model::Tags;
use model::route53::{HealthCheck, HealthCheckConfig};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::ApiError;

const PAGE: usize = 1000;
/// Of an account. Source:
/// `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html`
const MOST: usize = 200;

pub fn find(ctx: &Ctx, id: &str) -> Result<Arc<HealthCheck>> {
    let found = ctx.tx.health_checks.get(id);
    let found = found.filter(|c| c.scope.account == ctx.scope.account);
    found.cloned().ok_or_else(|| {
        let message = format!("No health check exists with the specified ID {id}.");
        ApiError::not_found("NoSuchHealthCheck", message)
    })
}

fn own(ctx: &Ctx) -> impl Iterator<Item = &Arc<HealthCheck>> {
    let account = &ctx.scope.account;
    let all = ctx.tx.health_checks.values();
    all.filter(move |c| c.scope.account == *account)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateHealthCheck {
    caller_reference: String,
    health_check_config: ConfigShape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    #[serde(rename = "$wire::Header/Location")]
    location: String,
    health_check: Shape,
}

/// The same reference again gives the same health check; with other settings it is refused.
pub fn create(ctx: &mut Ctx, input: CreateHealthCheck) -> Result<Created> {
    if !(1..=64).contains(&input.caller_reference.len()) {
        return Err(invalid("CallerReference has 1 to 64 characters."));
    }
    let config = HealthCheckConfig::from(input.health_check_config);
    check(ctx, &config)?;
    let made = own(ctx).find(|c| c.caller_reference == input.caller_reference);
    let made = made.cloned();
    let made = match made {
        Some(made) if made.config == config => made,
        Some(_) => {
            let message =
                "A health check was created with the same caller reference and other settings.";
            return Err(conflict("HealthCheckAlreadyExists", message));
        }
        None if own(ctx).count() >= MOST => {
            let message = format!("This account has {MOST} health checks, its limit.");
            return Err(ApiError::client("TooManyHealthChecks", message));
        }
        None => {
            let made = HealthCheck {
                scope: ctx.scope.clone(),
                id: uuid::Uuid::new_v4().to_string(),
                caller_reference: input.caller_reference,
                config,
                version: 1,
                created: ctx.now,
                tags: Tags::new(),
                observed: None,
            };
            ctx.tx.put(made.clone());
            Arc::new(made)
        }
    };
    Ok(Created {
        location: location(&format!("/healthcheck/{}", made.id)),
        health_check: (&*made).into(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OfId {
    health_check_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Got {
    health_check: Shape,
}

pub fn get(ctx: &mut Ctx, input: OfId) -> Result<Got> {
    let found = find(ctx, &input.health_check_id)?;
    Ok(Got {
        health_check: (&*found).into(),
    })
}

#[derive(Serialize)]
pub struct Deleted {}

pub fn delete(ctx: &mut Ctx, input: OfId) -> Result<Deleted> {
    let found = find(ctx, &input.health_check_id)?;
    ctx.tx.remove::<HealthCheck>(&found.id);
    Ok(Deleted {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateHealthCheck {
    health_check_id: String,
    health_check_version: Option<u64>,
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    port: Option<u16>,
    resource_path: Option<String>,
    fully_qualified_domain_name: Option<String>,
    search_string: Option<String>,
    failure_threshold: Option<u8>,
    inverted: Option<bool>,
    disabled: Option<bool>,
    health_threshold: Option<u16>,
    child_health_checks: Option<Children>,
    #[serde(rename = "EnableSNI")]
    enable_sni: Option<bool>,
    #[serde(default, deserialize_with = "wire::stored")]
    regions: Option<Regions>,
    alarm_identifier: Option<Alarm>,
    insufficient_data_health_status: Option<String>,
    #[serde(default)]
    reset_elements: Vec<Resettable>,
}

#[derive(Deserialize)]
enum Resettable {
    FullyQualifiedDomainName,
    Regions,
    ResourcePath,
    ChildHealthChecks,
}

/// What is not given stays.
pub fn update(ctx: &mut Ctx, input: UpdateHealthCheck) -> Result<Got> {
    let found = find(ctx, &input.health_check_id)?;
    if input
        .health_check_version
        .is_some_and(|v| v != found.version)
    {
        let message = format!("The health check has version {} now.", found.version);
        return Err(conflict("HealthCheckVersionMismatch", message));
    }
    let mut config = found.config.clone();
    for element in input.reset_elements {
        match element {
            Resettable::FullyQualifiedDomainName => config.fully_qualified_domain_name = None,
            Resettable::Regions => config.regions.clear(),
            Resettable::ResourcePath => config.resource_path = None,
            Resettable::ChildHealthChecks => config.child_health_checks.clear(),
        }
    }
    macro_rules! set {
        ($($field:ident),*) => { $(if input.$field.is_some() { config.$field = input.$field; })* };
    }
    set!(
        ip_address,
        port,
        resource_path,
        fully_qualified_domain_name,
        search_string,
        failure_threshold,
        health_threshold,
        enable_sni,
        insufficient_data_health_status
    );
    // An empty text takes a setting away.
    for text in [
        &mut config.ip_address,
        &mut config.resource_path,
        &mut config.fully_qualified_domain_name,
        &mut config.search_string,
        &mut config.insufficient_data_health_status,
    ] {
        text.take_if(|text| text.is_empty());
    }
    config.inverted = input.inverted.unwrap_or(config.inverted);
    config.disabled = input.disabled.unwrap_or(config.disabled);
    if let Some(Children(children)) = input.child_health_checks {
        config.child_health_checks = children;
    }
    if let Some(Regions(regions)) = input.regions {
        config.regions = regions;
    }
    if let Some(Alarm { region, name }) = input.alarm_identifier {
        config.alarm = Some((region, name));
    }
    check(ctx, &config)?;
    let mut changed = HealthCheck::clone(&found);
    changed.config = config;
    changed.version += 1;
    ctx.tx.put(changed.clone());
    Ok(Got {
        health_check: (&changed).into(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListHealthChecks {
    marker: Option<String>,
    max_items: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    health_checks: HealthChecks,
    marker: String,
    is_truncated: bool,
    next_marker: Option<String>,
    max_items: String,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/HealthCheck")]
struct HealthChecks(Vec<Shape>);

pub fn list(ctx: &mut Ctx, input: ListHealthChecks) -> Result<Listed> {
    let most = max_items(input.max_items.as_deref(), PAGE)?;
    let marker = input.marker.unwrap_or_default();
    let mut rest = own(ctx).filter(|c| c.id >= marker);
    let page = rest.by_ref().take(most).map(|c| Shape::from(&**c));
    let page = HealthChecks(page.collect());
    let next_marker = rest.next().map(|c| c.id.clone());
    Ok(Listed {
        health_checks: page,
        marker,
        is_truncated: next_marker.is_some(),
        next_marker,
        max_items: most.to_string(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Count {
    health_check_count: usize,
}

pub fn count(ctx: &mut Ctx, (): ()) -> Result<Count> {
    Ok(Count {
        health_check_count: own(ctx).count(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    health_check_observations: Observations,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/HealthCheckObservation")]
struct Observations(Vec<Observation>);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Observation {
    region: &'static str,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    status_report: Report,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    status: String,
    checked_time: wire::Timestamp,
}

/// The cloud has one checker, where AWS has some in each of eight regions.
fn observation(ctx: &Ctx, status: String, checked: model::Timestamp) -> Observation {
    Observation {
        region: "us-east-1",
        ip_address: checker(ctx).to_string(),
        status_report: Report {
            status,
            checked_time: checked.into(),
        },
    }
}

fn checker(ctx: &Ctx) -> std::net::Ipv4Addr {
    model::route53::checker(ctx.cloud.public_pool)
}

/// Of what is measured at endpoints; as on AWS there is none of calculated ones and of alarms.
fn probed(ctx: &Ctx, id: &str) -> Result<Arc<HealthCheck>> {
    let found = find(ctx, id)?;
    if matches!(&*found.config.kind, "CALCULATED" | "CLOUDWATCH_METRIC") {
        return Err(invalid(format!(
            "The health check {id} is of type {}, which has no checkers.",
            found.config.kind
        )));
    }
    Ok(found)
}

pub fn status(ctx: &mut Ctx, input: OfId) -> Result<Status> {
    let found = probed(ctx, &input.health_check_id)?;
    let seen = found.observed.iter();
    let seen = seen.map(|o| observation(ctx, o.status.clone(), o.checked));
    Ok(Status {
        health_check_observations: Observations(seen.collect()),
    })
}

pub fn last_failure(ctx: &mut Ctx, input: OfId) -> Result<Status> {
    let found = probed(ctx, &input.health_check_id)?;
    let failed = found.observed.iter().filter_map(|o| o.last_failure.clone());
    let failed = failed.map(|(at, status)| observation(ctx, status, at));
    Ok(Status {
        health_check_observations: Observations(failed.collect()),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ranges {
    checker_ip_ranges: Vec<String>,
}

pub fn ranges(ctx: &mut Ctx, (): ()) -> Result<Ranges> {
    Ok(Ranges {
        checker_ip_ranges: vec![format!("{}/32", checker(ctx))],
    })
}
