//! `/_nines/…`: what the command line asks of a running cloud, as JSON.

use crate::daemon::Up;
use control::Speed;
use host::Host;
use jiff::Timestamp;
use model::InstanceId;
use model::event::{Fault, Severity};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Snapshot, Store};
use wire::{HttpRequest, HttpResponse};

pub struct Admin {
    pub store: Arc<Store>,
    pub host: Arc<dyn Host>,
    pub up: Up,
}

type Answer = Result<Value, (u16, String)>;

impl Admin {
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let path = request.path.trim_start_matches("/_nines/");
        let parameter = |name: &str| {
            request
                .query
                .split('&')
                .filter_map(|p| p.split_once('='))
                .find(|(n, _)| *n == name)
                .map(|(_, v)| decode(v))
        };
        let state = self.store.snapshot();
        let answer: Answer = match (request.method.as_str(), path) {
            ("GET", "status") => Ok(self.status(&state)),
            ("GET", "ca") => match state.certificate_authorities.get(&()) {
                Some(authority) => Ok(json!({ "certificate": authority.certificate })),
                None => Err((404, "the cloud has no certificate authority yet".into())),
            },
            ("GET", "ps") => Ok(self.ps(&state)),
            ("GET", "events") => Ok(events(
                &state,
                parameter("after").and_then(|n| n.parse().ok()),
            )),
            ("GET", "why") => match (parameter("from"), parameter("to")) {
                (Some(from), Some(to)) => {
                    crate::why::reach(&state, &from, &to).map_err(|why| (404, why))
                }
                (None, Some(to)) => crate::why::target_group(&state, &to).map_err(|why| (404, why)),
                _ => Err((
                    400,
                    "`why` needs `to`, and `from` unless it is about a target group".into(),
                )),
            },
            ("POST", "break") => match (parameter("kind"), parameter("what")) {
                (Some(kind), Some(what)) => self.fault(&state, &kind, &what),
                _ => Err((400, "`break` needs `kind` and `what`".into())),
            },
            ("POST", "heal") => Ok(self.heal()),
            (_, path) => Err((404, format!("nothing at /_nines/{path}"))),
        };
        match answer {
            Ok(value) => HttpResponse::new(200).with_body("application/json", value.to_string()),
            Err((status, error)) => HttpResponse::new(status)
                .with_body("application/json", json!({ "error": error }).to_string()),
        }
    }

    fn status(&self, state: &Snapshot) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "name": self.up.name, "state": self.up.state,
            "speed": self.up.speed, "offline": self.up.offline, "revision": state.revision, "events": state.events.get_max().map_or(0, |(n, _)| n + 1),
        })
    }

    fn ps(&self, state: &Snapshot) -> Value {
        let instances: Vec<Value> = state
            .instances
            .values()
            .map(|i| {
                let interface = state.network_interfaces.values().find(|n| n.attachment.as_ref().is_some_and(|a| a.instance == i.id && a.device_index == 0));
                let group = state.auto_scaling_groups.values().find_map(|g| Some((g, g.instances.iter().find(|m| m.id == i.id)?)));
                let vcpus = model::instance_type::find(&i.instance_type).map_or(0, |t| t.vcpus);
                json!({
                    "id": i.id, "type": i.instance_type, "zone": i.zone, "state": i.state.name(), "ready": i.ready.is_some(), "launched": i.launched,
                    "image": i.image, "checks": if i.unreachable.is_some() { "impaired" } else { "ok" }, "user_data": i.user_data_failure,
                    "private_ip": interface.map(|n| n.primary_ip()),
                    "public_ip": interface.and_then(|n| control::network::public_addresses(state, n).values().next().copied()),
                    "name": i.tags.get("Name"), "group": group.map(|(g, _)| &g.name), "lifecycle": group.map(|(_, m)| m.lifecycle.name()),
                    "healthy": group.map(|(_, m)| m.healthy), "cores": f64::from(vcpus * self.up.millicores_per_vcpu) / 1000.0,
                })
            })
            .collect();
        let targets: Vec<Value> = state
            .target_health
            .values()
            .map(|h| {
                let group = state.target_groups.get(&h.target_group).map_or("", |g| g.name.as_str());
                json!({ "group": group, "target": h.target, "port": h.port, "state": h.state.name(), "since": h.since, "reason": h.reason })
            })
            .collect();
        let groups: Vec<Value> = state
            .auto_scaling_groups
            .values()
            .map(|g| json!({ "name": g.name, "min": g.min_size, "max": g.max_size, "desired": g.desired_capacity(), "instances": g.instances.len() }))
            .collect();
        let alarms: Vec<Value> = state
            .alarms
            .values()
            .map(|a| json!({ "name": a.name, "state": a.state.name(), "reason": a.state_reason, "since": a.state_transitioned }))
            .collect();
        let balancers: Vec<Value> = state
            .load_balancers
            .values()
            .filter(|b| b.deleted.is_none())
            .map(|b| {
                let nodes: Vec<Value> = b.zones.iter().map(|z| json!({ "zone": z.zone, "private_ip": z.private_ip, "public_ip": z.public_ip })).collect();
                let serving: Vec<&str> = control::load_balancer::in_service(state, b).iter().map(|z| z.zone.as_str()).collect();
                json!({ "name": b.name, "dns_name": b.dns_name, "active": b.active, "nodes": nodes, "in_service": serving })
            })
            .collect();
        let gateways: Vec<Value> =
            state.nat_gateways.values().map(|n| json!({ "id": n.id, "state": n.state, "subnet": n.subnet, "public_ip": n.public_ip })).collect();
        let faults: Vec<String> = state.faults.keys().map(fault_name).collect();
        json!({ "instances": instances, "targets": targets, "groups": groups, "alarms": alarms, "load_balancers": balancers, "nat_gateways": gateways, "faults": faults })
    }

    fn fault(&self, state: &Snapshot, kind: &str, what: &str) -> Answer {
        let missing = |thing: &str| {
            (
                404,
                format!("failed to break {kind} {what}: there is no such {thing}"),
            )
        };
        let instance = || {
            state
                .instances
                .values()
                .find(|i| i.id.as_str() == what)
                .ok_or_else(|| missing("instance"))
        };
        let fault = match kind {
            "az" => {
                let known = model::zone::REGIONS
                    .iter()
                    .flat_map(|r| r.zones())
                    .any(|(name, _)| name == what);
                Fault::Zone(
                    known
                        .then(|| what.to_owned())
                        .ok_or_else(|| missing("Availability Zone"))?,
                )
            }
            "nat" => Fault::NatGateway(
                state
                    .nat_gateways
                    .keys()
                    .find(|id| id.as_str() == what)
                    .cloned()
                    .ok_or_else(|| missing("NAT gateway"))?,
            ),
            "network" => Fault::Network(instance()?.id.clone()),
            "instance" => {
                let id = instance()?.id.clone();
                self.host
                    .stop(&id, true)
                    .map_err(|e| (409, format!("failed to kill {what}: {e}")))?;
                self.note(format!("{what} was killed"), what);
                return Ok(
                    json!({ "broken": format!("instance {what}: killed; its group or `start-instances` brings it back") }),
                );
            }
            "spot" | "rebalance" => return self.take_back(&instance()?.id, kind),
            _ => {
                return Err((
                    400,
                    format!(
                        "`break` knows az, nat, network, instance, spot and rebalance, not {kind}"
                    ),
                ));
            }
        };
        let name = fault_name(&fault);
        self.store.update(|tx| tx.put(fault));
        self.note(format!("{name} is broken until `nines heal`"), what);
        Ok(json!({ "broken": name }))
    }

    /// A Spot Instance is interrupted, or said to be at risk of it.
    fn take_back(&self, id: &InstanceId, kind: &str) -> Answer {
        let (speed, now) = (Speed::new(self.up.speed), Timestamp::now());
        let told = self.store.update(|tx| match kind {
            "spot" => control::spot::interrupt(tx, id, speed, now),
            _ => control::spot::recommend(tx, id, now),
        });
        match told {
            Ok(told) => Ok(json!({ "broken": format!("spot {id}: {told}") })),
            Err(why) => Err((409, format!("failed to break {kind} {id}: {why}"))),
        }
    }

    fn heal(&self) -> Value {
        let healed: Vec<String> = self.store.update(|tx| {
            let faults: Vec<Fault> = tx.faults.keys().cloned().collect();
            faults
                .iter()
                .map(|fault| {
                    tx.remove::<Fault>(fault);
                    fault_name(fault)
                })
                .collect()
        });
        for name in &healed {
            self.note(format!("{name} is healed"), name);
        }
        json!({ "healed": healed })
    }

    fn note(&self, message: String, subject: &str) {
        self.store.update(|tx| {
            tx.event(
                Timestamp::now(),
                Severity::Warning,
                subject,
                "fault",
                message,
            )
        });
    }
}

fn fault_name(fault: &Fault) -> String {
    match fault {
        Fault::Zone(zone) => format!("az {zone}"),
        Fault::NatGateway(id) => format!("nat {id}"),
        Fault::Network(id) => format!("network of {id}"),
    }
}

/// Events after a sequence number, or the last hundred.
fn events(state: &Snapshot, after: Option<u64>) -> Value {
    let all = state.events.values();
    let chosen: Vec<_> = match after {
        Some(after) => all.filter(|e| e.sequence > after).collect(),
        None => all.skip(state.events.len().saturating_sub(100)).collect(),
    };
    json!({ "events": chosen.iter().map(|e| json!({ "sequence": e.sequence, "time": e.time, "severity": e.severity, "subject": e.subject, "kind": e.kind, "message": e.message })).collect::<Vec<_>>() })
}

/// Undoes percent-encoding; malformed escapes stay as they are.
fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}
