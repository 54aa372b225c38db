//! CPU credits of burstable instances: earned with time, spent with use, and what happens to one
//! that has none left.
//!
//! One credit is a vCPU at full use for a minute, of cloud time as the periods are. An `unlimited`
//! instance goes on and owes; a `standard` one is slowed down to the share that it earns, gradually
//! as AWS says, from the first moment after its boot. The balance is that of the newest point, so
//! it outlives the control plane, and what an instance may use is a function of it: nothing else
//! is remembered.
//! Source: `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html`

use super::instance::{BASIC, Period};
use host::instance::{ObservedInstance, RunState};
use jiff::{SignedDuration, Timestamp};
use metrics::{MetricKey, Metrics, Statistic};
use model::InstanceId;
use model::instance::{Instance, InstanceState};
use model::instance_type::{self, Burst};
use std::collections::BTreeMap;
use store::State;

/// Seconds of a point, whatever the monitoring.
const PERIOD_SECS: u32 = 300;
/// What a T2 instance may spend from its start on, for each vCPU.
const LAUNCH_CREDITS: f64 = 30.0;
/// A balance that full use would spend in fewer minutes begins to slow the instance down. AWS
/// publishes no length.
const RAMP_MINUTES: f64 = 5.0;
/// A share above that is not worth telling.
const TOLD_BELOW: f64 = 0.9;
/// A stopped instance keeps its credits so long, but for T2.
const KEPT_DAYS: i64 = 7;
const NAMESPACE: &str = "AWS/EC2";

/// Where each instance's CPU time stood at its last point, and what it was last allowed to use.
#[derive(Default)]
pub struct Readings(BTreeMap<InstanceId, Reading>);

impl Readings {
    /// The limit could not be set: what was known before is true still.
    pub fn take_back(&mut self, limit: &Limit) {
        if let Some(reading) = self.0.get_mut(&limit.id) {
            reading.share = None;
            reading.is_slowed ^= limit.news.is_some();
        }
    }
}

#[derive(Clone, Copy)]
struct Reading {
    started: Timestamp,
    at: Timestamp,
    cpu_usec: u64,
    share: Option<f64>,
    is_slowed: bool,
}

/// How much of its CPU an instance may use from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub id: InstanceId,
    pub usec_per_sec: u64,
    /// It was free before, or is again: what to tell.
    pub news: Option<News>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum News {
    /// To that percentage in the end.
    Slowed(f64),
    Free,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Account {
    balance: f64,
    /// Spent beyond the balance, to be earned back.
    surplus: f64,
}

/// A burstable instance's type and option.
struct Burstable {
    burst: Burst,
    vcpus: f64,
    unlimited: bool,
}

impl Burstable {
    fn of(instance: &Instance) -> Option<Self> {
        let kind = instance_type::find(&instance.instance_type)?;
        Some(Self {
            burst: kind.burst?,
            vcpus: f64::from(kind.vcpus),
            unlimited: instance.cpu_credits.as_deref() == Some("unlimited"),
        })
    }

    /// The part of its vCPUs that it may use with that balance.
    fn share(&self, balance: f64) -> f64 {
        if self.unlimited {
            return 1.0;
        }
        let rest = 1.0 - self.burst.baseline;
        let ramp = self.vcpus * rest * RAMP_MINUTES;
        let share = self.burst.baseline + rest * (balance / ramp).clamp(0.0, 1.0);
        // In steps of a hundredth: each is written to the machine.
        (share * 100.0).round() / 100.0
    }
}

impl Account {
    /// After a while; gives what is charged, beyond what the surplus may be.
    fn after(self, burst: &Burst, unlimited: bool, earned: f64, spent: f64) -> (Self, f64) {
        let most = burst.maximum_credits;
        let owed = self.surplus + spent - earned - self.balance;
        if owed <= 0.0 {
            let balance = (-owed).min(most);
            return (
                Self {
                    balance,
                    surplus: 0.0,
                },
                0.0,
            );
        }
        let owed = if unlimited { owed } else { 0.0 };
        let account = Self {
            balance: 0.0,
            surplus: owed.min(most),
        };
        (account, owed - account.surplus)
    }

    /// As the newest points have it; an instance without any has just been launched.
    fn known(metrics: &Metrics, instance: &Instance, of: &Burstable, period: &Period) -> Self {
        let length = period.speed.wait(PERIOD_SECS).as_millis().max(1) as i64;
        let newest = |name: &str, back_ms: i64| {
            let points = metrics.query(
                &key(instance, name),
                None,
                period.start - SignedDuration::from_millis(back_ms),
                period.start + SignedDuration::from_millis(length),
                length,
                &Statistic::Average,
            );
            points.last().map(|(_, value)| *value)
        };
        let is_t2 = of.burst.default_option == "standard";
        let day = period.speed.wait(86_400).as_millis() as i64;
        let balance = newest("CPUCreditBalance", length * 3).or_else(|| match is_t2 {
            true => Some(LAUNCH_CREDITS * of.vcpus),
            false => newest("CPUCreditBalance", KEPT_DAYS * day),
        });
        Self {
            balance: balance.unwrap_or(0.0),
            surplus: newest("CPUSurplusCreditBalance", length * 3).unwrap_or(0.0),
        }
    }
}

fn key(instance: &Instance, name: &str) -> MetricKey {
    let dimensions = [("InstanceId", instance.id.as_str())];
    MetricKey::new(&instance.scope, NAMESPACE, name, &dimensions)
}

/// Writes the points of the period where five minutes are over, and says who may use another
/// share of its CPU than before.
pub fn measure(
    metrics: &Metrics,
    readings: &mut Readings,
    state: &State,
    seen: &[ObservedInstance],
    period: Period,
) -> Vec<Limit> {
    readings.0.retain(|id, _| state.instances.contains_key(id));
    let known = seen.iter().filter_map(|one| {
        let instance = state.instances.get(&one.id)?;
        measure_one(metrics, readings, instance, one, &period)
    });
    known.collect()
}

fn measure_one(
    metrics: &Metrics,
    readings: &mut Readings,
    instance: &Instance,
    seen: &ObservedInstance,
    period: &Period,
) -> Option<Limit> {
    let of = Burstable::of(instance)?;
    if instance.state != InstanceState::Running || seen.state != RunState::Running {
        readings.0.remove(&instance.id);
        return None;
    }
    let fresh = Reading {
        started: seen.started,
        at: period.now,
        cpu_usec: seen.usage.cpu_usec,
        share: None,
        is_slowed: false,
    };
    let reading = match readings.0.get_mut(&instance.id) {
        Some(known) if known.started == seen.started => known,
        _ => {
            readings.0.insert(instance.id.clone(), fresh);
            return None;
        }
    };
    let seconds = period.now.duration_since(reading.at).as_secs_f64();
    let quota = seen.cpu_quota_usec_per_sec;
    if seconds <= 0.0 || quota == 0 {
        return None;
    }
    let used = seen.usage.cpu_usec.saturating_sub(reading.cpu_usec) as f64;
    let cpu = (used / (quota as f64 * seconds)).min(1.0);
    let minutes = seconds * period.speed.factor() / 60.0;
    let (earned, spent) = (
        of.burst.credits_per_hour * minutes / 60.0,
        cpu * of.vcpus * minutes,
    );
    let before = Account::known(metrics, instance, &of, period);
    let (account, charged) = before.after(&of.burst, of.unlimited, earned, spent);
    if period.number % BASIC == 0 {
        let values = [
            ("CPUCreditUsage", spent),
            ("CPUCreditBalance", account.balance),
            ("CPUSurplusCreditBalance", account.surplus),
            ("CPUSurplusCreditsCharged", charged),
        ];
        for (name, value) in values {
            let value = (value * 1e4).round() / 1e4;
            metrics.put(key(instance, name), "Count", period.basic_start, value, 1.0);
        }
        *reading = Reading {
            share: reading.share,
            is_slowed: reading.is_slowed,
            ..fresh
        };
    }
    // A boot takes its time whatever the cloud's speed.
    instance.ready?;
    let share = of.share(account.balance);
    if reading.share.replace(share) == Some(share) {
        return None;
    }
    let was_slowed = reading.is_slowed;
    reading.is_slowed = share < if was_slowed { 1.0 } else { TOLD_BELOW };
    Some(Limit {
        id: instance.id.clone(),
        usec_per_sec: (quota as f64 * share) as u64,
        news: match (was_slowed, reading.is_slowed) {
            (false, true) => Some(News::Slowed(of.burst.baseline * 100.0)),
            (true, false) => Some(News::Free),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Burst = Burst {
        credits_per_hour: 12.0,
        maximum_credits: 288.0,
        baseline: 0.1,
        default_option: "unlimited",
    };

    #[test]
    fn credits_are_earned_spent_and_owed() {
        let check = |(balance, surplus), unlimited, earned, spent, expected: (f64, f64, f64)| {
            let (after, charged) =
                Account { balance, surplus }.after(&BURST, unlimited, earned, spent);
            let found = (after.balance, after.surplus, charged);
            assert_eq!(found, expected, "{balance} {surplus} +{earned} -{spent}");
        };
        check((10.0, 0.0), true, 1.0, 0.5, (10.5, 0.0, 0.0));
        check((288.0, 0.0), true, 1.0, 0.0, (288.0, 0.0, 0.0));
        check((1.0, 0.0), true, 1.0, 10.0, (0.0, 8.0, 0.0));
        check((1.0, 0.0), false, 1.0, 10.0, (0.0, 0.0, 0.0));
        // What was borrowed is earned back first.
        check((0.0, 8.0), true, 10.0, 0.0, (2.0, 0.0, 0.0));
        check((0.0, 285.0), true, 1.0, 10.0, (0.0, 288.0, 6.0));
    }

    #[test]
    fn the_last_credits_slow_a_standard_instance_down_to_its_baseline() {
        let check = |unlimited, balance, expected| {
            let of = Burstable {
                burst: BURST,
                vcpus: 2.0,
                unlimited,
            };
            assert_eq!(of.share(balance), expected, "{unlimited} {balance}");
        };
        check(false, 288.0, 1.0);
        check(false, 9.0, 1.0);
        check(false, 4.5, 0.55);
        check(false, 0.0, 0.1);
        check(true, 0.0, 1.0);
    }
}
