//! Health checks on the wire: their settings, what they are unless given, and what they may be.

use super::{Result, invalid};
use crate::Ctx;
use model::route53::{HealthCheck, HealthCheckConfig};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigShape {
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    port: Option<u16>,
    r#type: String,
    resource_path: Option<String>,
    fully_qualified_domain_name: Option<String>,
    search_string: Option<String>,
    request_interval: Option<u8>,
    failure_threshold: Option<u8>,
    #[serde(default, deserialize_with = "wire::stored")]
    measure_latency: Option<bool>,
    #[serde(default)]
    inverted: bool,
    #[serde(default)]
    disabled: bool,
    health_threshold: Option<u16>,
    child_health_checks: Option<Children>,
    #[serde(rename = "EnableSNI")]
    enable_sni: Option<bool>,
    #[serde(default, deserialize_with = "wire::stored")]
    regions: Option<Regions>,
    alarm_identifier: Option<Alarm>,
    insufficient_data_health_status: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename = "$wire::Items/ChildHealthCheck")]
pub struct Children(pub Vec<String>);

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename = "$wire::Items/Region")]
pub struct Regions(pub Vec<String>);

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    pub region: String,
    pub name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    id: String,
    caller_reference: String,
    health_check_config: ConfigShape,
    health_check_version: u64,
}

impl From<&HealthCheck> for Shape {
    fn from(check: &HealthCheck) -> Self {
        Self {
            id: check.id.clone(),
            caller_reference: check.caller_reference.clone(),
            health_check_config: (&check.config).into(),
            health_check_version: check.version,
        }
    }
}

impl From<ConfigShape> for HealthCheckConfig {
    fn from(shape: ConfigShape) -> Self {
        let text = |t: Option<String>| t.filter(|t| !t.is_empty());
        let probes = shape.r#type.starts_with("HTTP") || shape.r#type == "TCP";
        let tls = shape.r#type.starts_with("HTTPS");
        Self {
            ip_address: text(shape.ip_address),
            port: shape
                .port
                .or(shape
                    .r#type
                    .starts_with("HTTP")
                    .then_some(if tls { 443 } else { 80 })),
            resource_path: text(shape.resource_path),
            fully_qualified_domain_name: text(shape.fully_qualified_domain_name),
            search_string: text(shape.search_string),
            request_interval: shape.request_interval.or(probes.then_some(30)),
            failure_threshold: shape.failure_threshold.or(probes.then_some(3)),
            measure_latency: shape.measure_latency.or(probes.then_some(false)),
            inverted: shape.inverted,
            disabled: shape.disabled,
            health_threshold: shape.health_threshold,
            child_health_checks: shape.child_health_checks.map(|c| c.0).unwrap_or_default(),
            enable_sni: shape.enable_sni.or(probes.then_some(tls)),
            regions: shape.regions.map(|r| r.0).unwrap_or_default(),
            alarm: shape.alarm_identifier.map(|a| (a.region, a.name)),
            insufficient_data_health_status: text(shape.insufficient_data_health_status),
            kind: shape.r#type,
        }
    }
}

impl From<&HealthCheckConfig> for ConfigShape {
    fn from(config: &HealthCheckConfig) -> Self {
        let config = config.clone();
        let some = |list: Vec<String>| Some(list).filter(|l| !l.is_empty());
        Self {
            ip_address: config.ip_address,
            port: config.port,
            r#type: config.kind,
            resource_path: config.resource_path,
            fully_qualified_domain_name: config.fully_qualified_domain_name,
            search_string: config.search_string,
            request_interval: config.request_interval,
            failure_threshold: config.failure_threshold,
            measure_latency: config.measure_latency,
            inverted: config.inverted,
            disabled: config.disabled,
            health_threshold: config.health_threshold,
            child_health_checks: some(config.child_health_checks).map(Children),
            enable_sni: config.enable_sni,
            regions: some(config.regions).map(Regions),
            alarm_identifier: config.alarm.map(|(region, name)| Alarm { region, name }),
            insufficient_data_health_status: config.insufficient_data_health_status,
        }
    }
}

/// Ranges are those of
/// `https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html`; the texts of
/// errors are ours.
pub fn check(ctx: &Ctx, config: &HealthCheckConfig) -> Result<()> {
    let refuse = |why: String| Err(invalid(why));
    let kind = &*config.kind;
    match kind {
        "HTTP" | "HTTPS" | "HTTP_STR_MATCH" | "HTTPS_STR_MATCH" | "TCP" => {
            check_endpoint(ctx, config)?;
        }
        "CALCULATED" => {
            if config.child_health_checks.is_empty() || config.child_health_checks.len() > 256 {
                return refuse(
                    "A health check of type CALCULATED has 1 to 256 ChildHealthChecks.".into(),
                );
            }
            if config.health_threshold.is_none_or(|t| t > 256) {
                return refuse(
                    "A health check of type CALCULATED has a HealthThreshold of 0 to 256.".into(),
                );
            }
            for child in &config.child_health_checks {
                let child = super::health_check::find(ctx, child)?;
                if child.config.kind == "CALCULATED" {
                    return refuse(format!(
                        "The health check {} is itself of type CALCULATED, which no child may be.",
                        child.id
                    ));
                }
            }
        }
        "CLOUDWATCH_METRIC" => {
            let Some((region, name)) = &config.alarm else {
                return refuse(
                    "A health check of type CLOUDWATCH_METRIC has an AlarmIdentifier.".into(),
                );
            };
            let scope = model::Scope::new(&ctx.scope.account, region);
            let key = store::ScopedName::new(&scope, name);
            if !ctx.tx.alarms.contains_key(&key) {
                return refuse(format!("There is no alarm {name} in region {region}."));
            }
            let status = config.insufficient_data_health_status.as_deref();
            if !matches!(
                status,
                None | Some("Healthy" | "Unhealthy" | "LastKnownStatus")
            ) {
                return refuse(
                    "InsufficientDataHealthStatus is Healthy, Unhealthy or LastKnownStatus.".into(),
                );
            }
        }
        "RECOVERY_CONTROL" => {
            return refuse("This cloud has no routing controls; health checks of type RECOVERY_CONTROL are not supported.".into());
        }
        other => {
            return refuse(format!(
                "1 validation error detected: Value '{other}' at 'healthCheckConfig.type' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, HTTPS, HTTP_STR_MATCH, HTTPS_STR_MATCH, TCP, CALCULATED, CLOUDWATCH_METRIC, RECOVERY_CONTROL]"
            ));
        }
    }
    Ok(())
}

fn check_endpoint(ctx: &Ctx, config: &HealthCheckConfig) -> Result<()> {
    let refuse = |why: &str| Err(invalid(why));
    if config.ip_address.is_none() && config.fully_qualified_domain_name.is_none() {
        return refuse("Either IPAddress or FullyQualifiedDomainName must be given.");
    }
    if let Some(address) = &config.ip_address {
        match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(address))
                if !is_reserved(address)
                    && !model::route53::barred(ctx.cloud.public_pool).contains(&address) => {}
            Ok(IpAddr::V6(_)) => {
                return refuse("Health checks here reach endpoints by IPv4 only.");
            }
            _ => {
                return Err(invalid(format!(
                    "{address} is not an address that health checkers can reach: it is local, private, non-routable or multicast."
                )));
            }
        }
    }
    if config.kind == "TCP" && config.port.is_none() {
        return refuse("A health check of type TCP has a Port.");
    }
    if config.port == Some(0) {
        return refuse("Port is 1 to 65535.");
    }
    if !matches!(config.request_interval, Some(10 | 30)) {
        return refuse("RequestInterval is 10 or 30.");
    }
    if config
        .failure_threshold
        .is_none_or(|t| !(1..=10).contains(&t))
    {
        return refuse("FailureThreshold is 1 to 10.");
    }
    let matches = config.kind.ends_with("_STR_MATCH");
    if matches != config.search_string.is_some() {
        return refuse(
            "SearchString is given for HTTP_STR_MATCH and HTTPS_STR_MATCH, and for no other type.",
        );
    }
    let too_long = |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > 255);
    if too_long(&config.search_string)
        || too_long(&config.resource_path)
        || too_long(&config.fully_qualified_domain_name)
    {
        return refuse(
            "ResourcePath, SearchString and FullyQualifiedDomainName have at most 255 characters.",
        );
    }
    if config.kind == "TCP" && config.resource_path.is_some() {
        return refuse("A health check of type TCP has no ResourcePath.");
    }
    Ok(())
}

/// Addresses of nobody on the internet. 198.18.0.0/15 is the internet here.
fn is_reserved(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
}
