//! `AWS/NATGateway`: what went through each gateway, counted in its namespace.
//!
//! Its counters are read six times a period, as AWS's peaks are averages over ten seconds of a
//! minute (and over a second at least, where the cloud is fast). A connection has idled out if it
//! stood at one look with less time left than passed until the next, and is gone then.
//! Assumption: a peak is of what the gateway takes in, from both sides.
//! Source: `https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html`.

use crate::Speed;
use crate::clock::earliest;
use host::Host;
use host::network::{NatUsage, Passed};
use jiff::{SignedDuration, Timestamp};
use metrics::{MetricKey, Metrics};
use model::NatGatewayId;
use model::vpc::{NatGateway, NatGatewayState};
use std::collections::BTreeMap;
use store::State;

const LOOK_SECS: u32 = 10;

/// Where each gateway's counters stood.
#[derive(Default)]
pub struct Readings {
    looked: Option<Timestamp>,
    by_gateway: BTreeMap<NatGatewayId, Reading>,
}

struct Reading {
    /// At the start of the period.
    before: NatUsage,
    /// At the last look.
    at: Timestamp,
    last: NatUsage,
    busiest: Busiest,
    idled: u64,
}

/// The highest rates of the period.
#[derive(Default, Clone, Copy)]
struct Busiest {
    bytes: f64,
    packets: f64,
}

fn serving(state: &State) -> impl Iterator<Item = &NatGateway> {
    let all = state.nat_gateways.values().map(AsRef::as_ref);
    all.filter(|gateway| gateway.state == NatGatewayState::Available)
}

/// Looks at every gateway where it is time to; says when it is again.
pub fn look(
    readings: &mut Readings,
    state: &State,
    host: &dyn Host,
    speed: Speed,
    now: Timestamp,
) -> Option<Timestamp> {
    serving(state).next()?;
    let pause = speed.wait(LOOK_SECS).max(SignedDuration::from_secs(1));
    let due = readings.looked.map_or(now, |at| at + pause);
    if now < due {
        return Some(due);
    }
    readings.take(state, host, now);
    earliest(None, Some(now + pause))
}

impl Readings {
    fn take(&mut self, state: &State, host: &dyn Host, now: Timestamp) {
        self.looked = Some(now);
        let mut before = std::mem::take(&mut self.by_gateway);
        for gateway in serving(state) {
            let Some(usage) = host.nat_usage(&gateway.interface) else {
                continue;
            };
            let reading = match before.remove(&gateway.id) {
                Some(mut known) => {
                    known.look(usage, now);
                    known
                }
                None => Reading {
                    before: usage.clone(),
                    at: now,
                    last: usage,
                    busiest: Busiest::default(),
                    idled: 0,
                },
            };
            self.by_gateway.insert(gateway.id.clone(), reading);
        }
    }
}

impl Reading {
    fn look(&mut self, usage: NatUsage, now: Timestamp) {
        let seconds = now.duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let rate = |of: fn(&Passed) -> u64| {
            let taken_in = |u: &NatUsage| of(&u.in_from_source) + of(&u.in_from_destination);
            since(taken_in(&usage), taken_in(&self.last)) / seconds
        };
        self.busiest = Busiest {
            bytes: self.busiest.bytes.max(rate(|p| p.bytes)),
            packets: self.busiest.packets.max(rate(|p| p.packets)),
        };
        // The kernel counts whole seconds, rounded down.
        let idled = |(connection, left): &(&_, &u32)| {
            f64::from(**left) <= seconds && !usage.standing.contains_key(*connection)
        };
        self.idled += self.last.standing.iter().filter(idled).count() as u64;
        (self.at, self.last) = (now, usage);
    }

    fn close(&mut self) -> Vec<(&'static str, &'static str, f64)> {
        let mut values = values(&self.before, &self.last);
        let busiest = std::mem::take(&mut self.busiest);
        let idled = std::mem::take(&mut self.idled);
        values.extend([
            ("PeakBytesPerSecond", "Count", busiest.bytes),
            ("PeakPacketsPerSecond", "Count", busiest.packets),
            ("IdleTimeoutCount", "Count", idled as f64),
        ]);
        self.before = self.last.clone();
        values
    }
}

/// Writes the points of the period that has just ended.
pub fn measure(
    metrics: &Metrics,
    readings: &mut Readings,
    state: &State,
    host: &dyn Host,
    start: Timestamp,
    now: Timestamp,
) {
    // Those that began to serve in the period have no whole one behind them.
    let began: Vec<NatGatewayId> = serving(state)
        .filter(|g| !readings.by_gateway.contains_key(&g.id))
        .map(|g| g.id.clone())
        .collect();
    readings.take(state, host, now);
    for gateway in serving(state).filter(|g| !began.contains(&g.id)) {
        let Some(reading) = readings.by_gateway.get_mut(&gateway.id) else {
            continue;
        };
        for (name, unit, value) in reading.close() {
            let dimensions = [("NatGatewayId", gateway.id.as_str())];
            let key = MetricKey::new(&gateway.scope, "AWS/NATGateway", name, &dimensions);
            metrics.put(key, unit, start, value, 1.0);
        }
    }
}

/// New rules begin to count anew.
fn since(now: u64, before: u64) -> f64 {
    now.checked_sub(before).unwrap_or(now) as f64
}

fn values(before: &NatUsage, now: &NatUsage) -> Vec<(&'static str, &'static str, f64)> {
    let mut values = Vec::with_capacity(13);
    let mut traffic = |names: [&'static str; 2], now: Passed, before: Passed| {
        values.push((names[0], "Bytes", since(now.bytes, before.bytes)));
        values.push((names[1], "Count", since(now.packets, before.packets)));
    };
    traffic(
        ["BytesInFromSource", "PacketsInFromSource"],
        now.in_from_source,
        before.in_from_source,
    );
    traffic(
        ["BytesOutToDestination", "PacketsOutToDestination"],
        now.out_to_destination,
        before.out_to_destination,
    );
    traffic(
        ["BytesInFromDestination", "PacketsInFromDestination"],
        now.in_from_destination,
        before.in_from_destination,
    );
    traffic(
        ["BytesOutToSource", "PacketsOutToSource"],
        now.out_to_source,
        before.out_to_source,
    );
    let mut count = |name, value| values.push((name, "Count", value));
    count("ActiveConnectionCount", now.open as f64);
    count(
        "ConnectionAttemptCount",
        since(now.attempts, before.attempts),
    );
    count(
        "ConnectionEstablishedCount",
        since(now.established, before.established),
    );
    count("PacketsDropCount", since(now.dropped, before.dropped));
    if let (Some(now), Some(before)) = (now.no_port, before.no_port) {
        count("ErrorPortAllocation", since(now, before));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn counters_become_what_was_since_the_last_period() {
        let traffic = |packets, bytes| Passed { packets, bytes };
        let before = NatUsage {
            in_from_source: traffic(10, 1000),
            attempts: 7,
            no_port: Some(1),
            ..NatUsage::default()
        };
        let now = NatUsage {
            in_from_source: traffic(12, 1300),
            // Its rules are new.
            attempts: 2,
            open: 3,
            no_port: Some(1),
            ..NatUsage::default()
        };
        let found = values(&before, &now);
        let value = |name: &str| found.iter().find(|(n, ..)| *n == name).map(|(.., v)| *v);
        assert_eq!(value("BytesInFromSource"), Some(300.0));
        assert_eq!(value("PacketsInFromSource"), Some(2.0));
        assert_eq!(value("ConnectionAttemptCount"), Some(2.0));
        assert_eq!(value("ActiveConnectionCount"), Some(3.0));
        assert_eq!(value("ErrorPortAllocation"), Some(0.0));
        let unknown = NatUsage::default();
        let found = values(&unknown, &unknown);
        assert!(found.iter().all(|(n, ..)| *n != "ErrorPortAllocation"));
    }

    #[test]
    fn peaks_are_of_the_busiest_look_and_only_what_idled_out_counts() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let connection = |port| {
            let end = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            (6, end(port), end(80))
        };
        let usage = |bytes, standing: &[(u16, u32)]| NatUsage {
            in_from_source: Passed { packets: 0, bytes },
            in_from_destination: Passed {
                packets: bytes / 100,
                bytes: 0,
            },
            standing: standing.iter().map(|(p, s)| (connection(*p), *s)).collect(),
            ..NatUsage::default()
        };
        let first = usage(0, &[(1, 9), (2, 9), (3, 300), (4, 5)]);
        let mut reading = Reading {
            before: first.clone(),
            at: start,
            last: first,
            busiest: Busiest::default(),
            idled: 0,
        };
        // The first idled out, a packet came for the second, the third was closed.
        reading.look(usage(5000, &[(2, 345), (4, 350)]), at(10));
        reading.look(usage(6000, &[(2, 335)]), at(20));
        let found = reading.close();
        let value = |name: &str| found.iter().find(|(n, ..)| *n == name).map(|(.., v)| *v);
        assert_eq!(value("PeakBytesPerSecond"), Some(500.0));
        assert_eq!(value("PeakPacketsPerSecond"), Some(5.0));
        assert_eq!(value("IdleTimeoutCount"), Some(1.0));
        assert_eq!(value("BytesInFromSource"), Some(6000.0));
        let again = reading.close();
        assert!(again.iter().all(|(.., v)| *v == 0.0), "{again:?}");
    }
}
