//! Measured metrics: what instances used, what the balancer counted, how large groups are.
//!
//! A period of AWS (60 s, or 300 s with basic monitoring) lasts an Nth of that
//! under `--speed N`; its point is stamped with the period's start, on the wall clock.
//! Sources: `viewing_metrics_with_cloudwatch.html` (EC2),
//! `load-balancer-cloudwatch-metrics.html` (ALB), `ec2-auto-scaling-metrics.html`.

mod credit;
mod group;
mod health_check;
mod instance;
mod load_balancer;
mod metadata;
mod nat_gateway;
mod network_load_balancer;

use crate::World;
use crate::clock::earliest;
use crate::index::Members;
use ::balancer::report::{FlowMetrics, Metrics as BalancerMetrics, NodeMetrics};
use jiff::Timestamp;
use model::event::Severity;
use std::collections::BTreeMap;

/// Seconds of a period.
const MINUTE_SECS: u32 = 60;

/// Counters as last read, and what the balancer counted since the last period.
#[derive(Default)]
pub struct Usage {
    /// Number of the period that is open.
    period: Option<i64>,
    instances: instance::Readings,
    credits: credit::Readings,
    nat_gateways: nat_gateway::Readings,
    balancer: Vec<NodeMetrics>,
    flows: Vec<FlowMetrics>,
    /// Requests to the metadata service without a token, by instance.
    no_token: BTreeMap<String, u64>,
}

impl Usage {
    /// Adds a second's counts to the open period.
    pub fn take_balancer(&mut self, counts: &BalancerMetrics) {
        self.balancer.extend(counts.nodes.iter().cloned());
    }

    /// The same of network load balancers.
    pub fn take_flows(&mut self, counts: &[FlowMetrics]) {
        self.flows.extend(counts.iter().cloned());
    }

    /// The same of the metadata service.
    pub fn take_no_token(&mut self, counts: &BTreeMap<String, u64>) {
        for (instance, count) in counts {
            *self.no_token.entry(instance.clone()).or_default() += count;
        }
    }
}

/// Closes the period when its time has come; says when the next one ends.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let length = world.settings.speed.wait(MINUTE_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let state = world.store.snapshot();
    let (gateways, speed) = (&mut world.usage.nat_gateways, world.settings.speed);
    let look = nat_gateway::look(gateways, &state, &*world.host, speed, now);
    let end = earliest(
        Timestamp::from_millisecond((number + 1) * length).ok(),
        look,
    );
    let Some(open) = world.usage.period.replace(number) else {
        return end;
    };
    if number == open {
        return end;
    }
    let back = |periods: i64| Timestamp::from_millisecond((number - periods) * length);
    let (Ok(start), Ok(basic_start)) = (back(1), back(instance::BASIC)) else {
        return end;
    };
    let seen = world.host.instances().unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to measure the instances, whose metrics have a gap now");
        Vec::new()
    });
    let period = instance::Period {
        number,
        start,
        basic_start,
        now,
        speed: world.settings.speed,
    };
    let members = Members::new(&state);
    let readings = &mut world.usage.instances;
    instance::measure(&world.metrics, readings, &state, &members, &seen, period);
    let credits = &mut world.usage.credits;
    let limits = credit::measure(&world.metrics, credits, &state, &seen, period);
    for limit in limits {
        slow(world, limit, now);
    }
    let counts = std::mem::take(&mut world.usage.balancer);
    load_balancer::measure(&world.metrics, &state, &counts, start);
    let flows = std::mem::take(&mut world.usage.flows);
    network_load_balancer::measure(&world.metrics, &state, &flows, start);
    let no_token = std::mem::take(&mut world.usage.no_token);
    metadata::measure(&world.metrics, &state, &no_token, start);
    health_check::measure(&world.metrics, &state, start);
    nat_gateway::measure(
        &world.metrics,
        &mut world.usage.nat_gateways,
        &state,
        &*world.host,
        start,
        now,
    );
    for one in state.auto_scaling_groups.values() {
        group::measure(&world.metrics, one, start);
    }
    if number % 60 == 0 {
        world.metrics.retain(now);
    }
    end
}

/// Slows an instance down whose credits are gone, or lets it go.
fn slow(world: &mut World, limit: credit::Limit, now: Timestamp) {
    if let Err(error) = world.host.limit_cpu(&limit.id, limit.usec_per_sec) {
        tracing::warn!(id = %limit.id, %error, "failed to limit the CPU time of an instance; it is tried again");
        world.usage.credits.take_back(&limit);
        return;
    }
    let credit::Limit { id, news, .. } = limit;
    let (severity, told) = match news {
        None => return,
        Some(credit::News::Slowed(baseline)) => (
            Severity::Warning,
            format!(
                "has hardly any CPU credits left and is being slowed to its baseline of {baseline:.0} %, as on AWS; the credit specification `unlimited` prevents that"
            ),
        ),
        Some(credit::News::Free) => (
            Severity::Info,
            "has CPU credits again and may use all of its vCPUs".to_owned(),
        ),
    };
    world
        .store
        .update(|tx| tx.event(now, severity, &id, "cpu-credits", told));
}
