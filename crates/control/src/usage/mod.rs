//! Measured metrics: what instances used, what the balancer counted, how large groups are.
//!
//! A period of AWS (60 s, or 300 s with basic monitoring) lasts an Nth of that
//! under `--speed N`; its point is stamped with the period's start, on the wall clock.
//! Sources: `viewing_metrics_with_cloudwatch.html` (EC2),
//! `load-balancer-cloudwatch-metrics.html` (ALB), `ec2-auto-scaling-metrics.html`.

mod credit;
mod group;
mod instance;
mod load_balancer;
mod nat_gateway;
mod network_load_balancer;

use crate::World;
use crate::index::Members;
use ::balancer::report::{FlowMetrics, Metrics as BalancerMetrics, NodeMetrics};
use jiff::Timestamp;

/// Seconds of a period.
const MINUTE_SECS: u32 = 60;

/// Counters as last read, and what the balancer counted since the last period.
#[derive(Default)]
pub struct Usage {
    /// Number of the period that is open.
    period: Option<i64>,
    instances: instance::Readings,
    nat_gateways: nat_gateway::Readings,
    balancer: Vec<NodeMetrics>,
    flows: Vec<FlowMetrics>,
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
}

/// Closes the period when its time has come; says when the next one ends.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let length = world.settings.speed.wait(MINUTE_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let end = Timestamp::from_millisecond((number + 1) * length).ok();
    let Some(open) = world.usage.period.replace(number) else {
        return end;
    };
    if number == open {
        return end;
    }
    let Ok(start) = Timestamp::from_millisecond((number - 1) * length) else {
        return end;
    };
    let state = world.store.snapshot();
    let seen = world.host.instances().unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to measure the instances, whose metrics have a gap now");
        Vec::new()
    });
    let period = instance::Period {
        number,
        start,
        now,
        speed: world.settings.speed,
    };
    let members = Members::new(&state);
    let readings = &mut world.usage.instances;
    instance::measure(&world.metrics, readings, &state, &members, &seen, period);
    let counts = std::mem::take(&mut world.usage.balancer);
    load_balancer::measure(&world.metrics, &state, &counts, start);
    let flows = std::mem::take(&mut world.usage.flows);
    network_load_balancer::measure(&world.metrics, &state, &flows, start);
    nat_gateway::measure(
        &world.metrics,
        &mut world.usage.nat_gateways,
        &state,
        &*world.host,
        start,
    );
    for one in state.auto_scaling_groups.values() {
        group::measure(&world.metrics, one, start);
    }
    if number % 60 == 0 {
        world.metrics.retain(now);
    }
    end
}
