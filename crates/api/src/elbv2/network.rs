//! What is different about network load balancers: their listeners' and target groups' protocols,
//! and which of them go together. Source: the Network Load Balancer guide, `load-balancer-listeners.html`
//! and `load-balancer-target-groups.html`.

use super::error::{Result, error, unsupported, validation};
use model::elbv2::{HealthCheck, LoadBalancer, TargetGroup};

const HTTP: [&str; 2] = ["HTTP", "HTTPS"];
const SERVED: [&str; 4] = ["TCP", "TLS", "UDP", "TCP_UDP"];

/// Whether target groups of the protocol belong to network load balancers.
pub fn is_network(protocol: &str) -> bool {
    !HTTP.contains(&protocol)
}

/// Checks a known protocol of a listener against its load balancer.
pub fn check_listener(balancer: &LoadBalancer, protocol: &str) -> Result<()> {
    if balancer.is_network() != is_network(protocol) {
        return Err(validation(format!(
            "Protocol '{protocol}' is not supported for load balancers of type '{}'",
            balancer.kind
        )));
    }
    match balancer.is_network() && !SERVED.contains(&protocol) {
        true => Err(unsupported(format_args!(
            "Listeners with the protocol '{protocol}' are"
        ))),
        false => Ok(()),
    }
}

/// Checks a known protocol of a target group.
pub fn check_group(protocol: &str) -> Result<()> {
    match is_network(protocol) && !SERVED.contains(&protocol) {
        true => Err(unsupported(format_args!(
            "Target groups with the protocol '{protocol}' are"
        ))),
        false => Ok(()),
    }
}

fn fits(listener: &str, group: &str) -> bool {
    match listener {
        "TCP" => ["TCP", "TCP_UDP"].contains(&group),
        "TLS" => ["TCP", "TLS"].contains(&group),
        "UDP" => ["UDP", "TCP_UDP"].contains(&group),
        "TCP_UDP" => group == "TCP_UDP",
        _ => !is_network(group),
    }
}

/// Checks that a listener of the protocol may forward to the group.
pub fn check_pair(listener: &str, group: &TargetGroup) -> Result<()> {
    if fits(listener, &group.protocol) {
        return Ok(());
    }
    Err(error(
        "IncompatibleProtocols",
        format!(
            "Listener protocol '{listener}' is not supported with a target group with the protocol '{}'",
            group.protocol
        ),
    ))
}

/// The usual health check of a group; `protocol` is the check's own.
pub fn default_health_check(protocol: &str) -> HealthCheck {
    let http = HTTP.contains(&protocol);
    HealthCheck {
        enabled: true,
        protocol: protocol.to_owned(),
        port: "traffic-port".into(),
        path: if http { "/" } else { "" }.into(),
        interval: 30,
        timeout: if protocol == "HTTP" { 6 } else { 10 },
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: if http { "200-399" } else { "" }.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_and_groups_that_go_together() {
        let check = |listener: &str, fitting: &[&str]| {
            let all = ["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP"];
            let fits = |protocol: &&str| fits(listener, protocol);
            let found: Vec<&str> = all.into_iter().filter(fits).collect();
            assert_eq!(found, fitting, "{listener}");
        };
        check("TCP", &["TCP", "TCP_UDP"]);
        check("TLS", &["TCP", "TLS"]);
        check("UDP", &["UDP", "TCP_UDP"]);
        check("TCP_UDP", &["TCP_UDP"]);
        check("HTTPS", &["HTTP", "HTTPS"]);
    }

    #[test]
    fn checks_of_connections_have_no_path() {
        let check = |protocol: &str, path: &str, timeout: u32| {
            let check = default_health_check(protocol);
            assert_eq!((check.path.as_str(), check.timeout), (path, timeout));
        };
        check("TCP", "", 10);
        check("HTTP", "/", 6);
        check("HTTPS", "/", 10);
    }
}
