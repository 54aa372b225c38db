//! How a target group's targets are probed. Source: `A/target-group-health-checks.html`.

use super::check::{length, one_of, within};
use super::error::{Result, validation};
use super::network;
use model::elbv2::HealthCheck;
use serde::{Deserialize, Serialize};

const PROTOCOLS: &[&str] = &[
    "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC",
];

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Matcher {
    pub http_code: Option<String>,
    pub grpc_code: Option<String>,
}

/// What a call asks for; the rest stays as it is.
#[derive(Default)]
pub struct Request {
    pub enabled: Option<bool>,
    pub protocol: Option<String>,
    pub port: Option<String>,
    pub path: Option<String>,
    pub interval: Option<i64>,
    pub timeout: Option<i64>,
    pub healthy_threshold: Option<i64>,
    pub unhealthy_threshold: Option<i64>,
    pub matcher: Option<Matcher>,
}

pub fn default(protocol_version: &str) -> HealthCheck {
    let grpc = protocol_version == "GRPC";
    HealthCheck {
        enabled: true,
        protocol: "HTTP".into(),
        port: "traffic-port".into(),
        path: if grpc { "/AWS.ALB/healthcheck" } else { "/" }.into(),
        interval: 30,
        timeout: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: if grpc { "12" } else { "200" }.into(),
    }
}

/// The health check with what the call asks for; the types and protocols are the group's.
pub fn changed(
    current: &HealthCheck,
    request: Request,
    target_type: &str,
    group_protocol: &str,
    protocol_version: &str,
) -> Result<HealthCheck> {
    let mut check = current.clone();
    let is_network = network::is_network(group_protocol);
    if request.enabled == Some(false) {
        return Err(validation(format!(
            "Health check enabled must be true for target groups with target type '{target_type}'"
        )));
    }
    if let Some(protocol) = request.protocol {
        check_protocol(&protocol, group_protocol)?;
        if target_type == "alb" && protocol == "TCP" {
            return Err(validation(
                "Health check protocol 'TCP' is not supported for target groups with the target type 'alb'",
            ));
        }
        if is_network && (protocol == "TCP") != (check.protocol == "TCP") {
            // Path and codes come and go with HTTP.
            let usual = network::default_health_check(&protocol);
            (check.path, check.matcher) = (usual.path, usual.matcher);
        }
        check.protocol = protocol;
    }
    if let Some(port) = request.port {
        let number = port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| 0 < port);
        if !number && port != "traffic-port" {
            return Err(validation(format!(
                "Health check port '{port}' is not valid"
            )));
        }
        check.port = port;
    }
    let connects = check.protocol == "TCP";
    if connects && (request.path.is_some() || request.matcher.is_some()) {
        return Err(validation(
            "A health check path and a matcher cannot be specified for health checks with the protocol 'TCP'",
        ));
    }
    if let Some(path) = request.path {
        length(&path, "healthCheckPath", 1, 1024)?;
        let visible = path.bytes().all(|b| b.is_ascii_graphic());
        if !path.starts_with('/') || !visible {
            return Err(validation(format!(
                "Health check path '{path}' is not valid"
            )));
        }
        check.path = path;
    }
    if let Some(seconds) = request.interval {
        check.interval = within(seconds, "healthCheckIntervalSeconds", 5, 300)?;
    }
    if let Some(seconds) = request.timeout {
        check.timeout = within(seconds, "healthCheckTimeoutSeconds", 2, 120)?;
    }
    if let Some(count) = request.healthy_threshold {
        check.healthy_threshold = within(count, "healthyThresholdCount", 2, 10)?;
    }
    if let Some(count) = request.unhealthy_threshold {
        check.unhealthy_threshold = within(count, "unhealthyThresholdCount", 2, 10)?;
    }
    // A network group's may be equal: by default TCP times out after the 10 s that many set as interval.
    // The text is as terraform-linters/tflint-ruleset-aws#404 has it.
    let shortest = check.timeout + u32::from(!is_network);
    if check.interval < shortest {
        return Err(validation(
            "Health check interval must be greater than the timeout.",
        ));
    }
    if let Some(matcher) = request.matcher {
        check.matcher = codes(matcher, protocol_version)?;
    }
    Ok(check)
}

fn check_protocol(protocol: &str, group_protocol: &str) -> Result<()> {
    one_of(protocol, "healthCheckProtocol", PROTOCOLS)?;
    match protocol {
        "HTTP" | "HTTPS" => Ok(()),
        "TCP" if network::is_network(group_protocol) => Ok(()),
        other => Err(validation(format!(
            "Health check protocol '{other}' is not supported for target groups with the protocol '{group_protocol}'"
        ))),
    }
}

fn codes(matcher: Matcher, protocol_version: &str) -> Result<String> {
    let (text, least, most, what) = match (matcher.http_code, matcher.grpc_code) {
        (Some(http), None) if protocol_version != "GRPC" => (http, 200, 499, "HTTP"),
        (None, Some(grpc)) if protocol_version == "GRPC" => (grpc, 0, 99, "gRPC"),
        _ => {
            return Err(validation(format!(
                "The matcher does not fit the protocol version '{protocol_version}'"
            )));
        }
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|_| digits);
        number.filter(|n| (least..=most).contains(n))
    };
    let part = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((from, to)) => match (number(from), number(to)) {
            (Some(from), Some(to)) => from <= to,
            _ => false,
        },
    };
    if text.split(',').all(part) {
        return Ok(text);
    }
    Err(validation(format!(
        "Health check matcher {what} code '{text}' must be within '{least}-{most}' inclusive"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(request: Request) -> bool {
        changed(&default("HTTP1"), request, "instance", "HTTP", "HTTP1").is_ok()
    }

    #[test]
    fn matchers_are_lists_and_ranges() {
        let check = |text: &str, expected: bool| {
            let request = Request {
                matcher: Some(Matcher {
                    http_code: Some(text.into()),
                    grpc_code: None,
                }),
                ..Request::default()
            };
            assert_eq!(result(request), expected, "{text}");
        };
        check("200", true);
        check("200,202", true);
        check("200-299,301", true);
        check("299-200", false);
        check("199", false);
        check("200-500", false);
        check("", false);
        check("200,", false);
        check("+200", false);
        check("2xx", false);
    }

    #[test]
    fn members_are_checked() {
        let check = |request: Request, expected: bool| assert_eq!(result(request), expected);
        let base = Request::default;
        check(base(), true);
        check(
            Request {
                enabled: Some(false),
                ..base()
            },
            false,
        );
        check(
            Request {
                protocol: Some("TCP".into()),
                ..base()
            },
            false,
        );
        check(
            Request {
                port: Some("8080".into()),
                ..base()
            },
            true,
        );
        check(
            Request {
                port: Some("0".into()),
                ..base()
            },
            false,
        );
        check(
            Request {
                port: Some("web".into()),
                ..base()
            },
            false,
        );
        check(
            Request {
                path: Some("/health?full=1".into()),
                ..base()
            },
            true,
        );
        check(
            Request {
                path: Some("health".into()),
                ..base()
            },
            false,
        );
        check(
            Request {
                path: Some("/a b".into()),
                ..base()
            },
            false,
        );
        check(
            Request {
                interval: Some(5),
                ..base()
            },
            false,
        );
        check(
            Request {
                interval: Some(5),
                timeout: Some(4),
                ..base()
            },
            true,
        );
        check(
            Request {
                healthy_threshold: Some(1),
                ..base()
            },
            false,
        );
        check(
            Request {
                unhealthy_threshold: Some(11),
                ..base()
            },
            false,
        );
    }
}
