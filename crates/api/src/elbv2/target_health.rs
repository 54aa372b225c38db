//! What the balancer's nodes found, as the controller recorded it.

use super::arn::find;
use super::check::one_of;
use super::error::Result;
use super::target::TargetShape;
use crate::Ctx;
use model::elbv2::{Target, TargetGroup, TargetHealth, TargetState};
use serde::{Deserialize, Serialize};
use store::TargetHealthKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTargetHealth {
    target_group_arn: String,
    #[serde(default)]
    targets: Vec<TargetShape>,
    #[serde(default)]
    include: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetHealthDescriptions {
    target_health_descriptions: Vec<Description>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    target: TargetShape,
    health_check_port: Option<String>,
    target_health: HealthShape,
    anomaly_detection: Option<AnomalyDetection>,
    administrative_override: Option<AdministrativeOverride>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthShape {
    state: &'static str,
    reason: Option<String>,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AnomalyDetection {
    result: &'static str,
    mitigation_in_effect: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AdministrativeOverride {
    state: &'static str,
    reason: &'static str,
    description: &'static str,
}

impl AnomalyDetection {
    /// Only of targets that get HTTP requests.
    fn of(health: &TargetHealth) -> AnomalyDetection {
        AnomalyDetection {
            result: if health.is_anomalous {
                "anomalous"
            } else {
                "normal"
            },
            mitigation_in_effect: if health.is_mitigated { "yes" } else { "no" },
        }
    }
}

impl AdministrativeOverride {
    fn of(health: &TargetHealth) -> AdministrativeOverride {
        match health.is_shifted {
            true => AdministrativeOverride {
                state: "zonal_shift_active",
                reason: "AdministrativeOverride.ZonalShiftActive",
                description: "Zonal shift is active in target's Availability Zone",
            },
            false => AdministrativeOverride {
                state: "no_override",
                reason: "AdministrativeOverride.NoOverride",
                description: "No override is currently active on target",
            },
        }
    }
}

pub fn describe(ctx: &mut Ctx, input: DescribeTargetHealth) -> Result<TargetHealthDescriptions> {
    let group = find::<TargetGroup>(ctx, &input.target_group_arn)?;
    for include in &input.include {
        one_of(include, "include.member", &["AnomalyDetection", "All"])?;
    }
    let shows_anomalies = !input.include.is_empty();
    let mut descriptions = Vec::new();
    if input.targets.is_empty() {
        for target in &group.targets {
            descriptions.push(registered(ctx, &group, target, shows_anomalies));
        }
    }
    for asked in input.targets {
        let port = asked.port_in(&group)?;
        let mut targets = group.targets.iter();
        let known = targets.find(|t| t.id == asked.id && t.port == port);
        descriptions.push(match known {
            Some(target) => registered(ctx, &group, target, shows_anomalies),
            None => unregistered(&group, asked, port),
        });
    }
    Ok(TargetHealthDescriptions {
        target_health_descriptions: descriptions,
    })
}

fn registered(
    ctx: &Ctx,
    group: &TargetGroup,
    target: &Target,
    shows_anomalies: bool,
) -> Description {
    let known = ctx.tx.get::<TargetHealth>(&TargetHealthKey {
        target_group: group.arn.clone(),
        target: target.id.clone(),
        port: target.port,
    });
    let because = |code: &str, text: &str| Some((code.to_owned(), text.to_owned()));
    let seen = known.filter(|_| shows_anomalies);
    let is_http = !group.protocol_version.is_empty();
    let (state, reason) = match known {
        // The call that began it has returned; the record follows with the controller's next pass.
        _ if target.draining.is_some() => (
            TargetState::Draining,
            because(
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            ),
        ),
        Some(record) => (record.state, record.reason.clone()),
        None => (
            TargetState::Initial,
            because(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
        ),
    };
    let (reason, description) = reason.unzip();
    Description {
        target: TargetShape {
            id: target.id.clone(),
            port: Some(target.port.into()),
            availability_zone: target.zone.clone(),
            quic_server_id: None,
        },
        health_check_port: Some(health_check_port(group, target.port)),
        target_health: HealthShape {
            state: state.name(),
            reason,
            description,
        },
        anomaly_detection: seen.filter(|_| is_http).map(AnomalyDetection::of),
        administrative_override: known.map(AdministrativeOverride::of),
    }
}

/// Of a target that has this port.
fn health_check_port(group: &TargetGroup, port: u16) -> String {
    match group.health_check.port.as_str() {
        "traffic-port" => port.to_string(),
        port => port.to_owned(),
    }
}

fn unregistered(group: &TargetGroup, asked: TargetShape, port: u16) -> Description {
    Description {
        target: TargetShape {
            port: Some(port.into()),
            ..asked
        },
        health_check_port: Some(health_check_port(group, port)),
        target_health: HealthShape {
            state: TargetState::Unused.name(),
            reason: Some("Target.NotRegistered".into()),
            description: Some("Target is not registered to the target group".into()),
        },
        anomaly_detection: None,
        administrative_override: None,
    }
}
