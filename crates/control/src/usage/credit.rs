//! CPU credits of burstable instances: earned with time, spent with use.
//!
//! One credit is a vCPU at full use for a minute, of cloud time as the periods are. They are
//! accounts only: an instance whose credits are gone is not slowed down. The balance is that of
//! the newest point, so it outlives the control plane.
//! Source: `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html`

use jiff::{SignedDuration, Timestamp};
use metrics::{MetricKey, Metrics, Statistic};
use model::instance::Instance;
use model::instance_type::{self, Burst};

/// Seconds of a point, whatever the monitoring.
pub const PERIOD_SECS: u32 = 300;
/// What a T2 instance may spend from its first moment on, for each vCPU.
const LAUNCH_CREDITS: f64 = 30.0;
const NAMESPACE: &str = "AWS/EC2";

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Account {
    pub balance: f64,
    /// Spent beyond the balance, to be earned back.
    pub surplus: f64,
}

/// The type's credits, its vCPUs, and whether more may be spent than there is.
pub fn burst_of(instance: &Instance) -> Option<(Burst, f64, bool)> {
    let kind = instance_type::find(&instance.instance_type)?;
    let unlimited = instance.cpu_credits.as_deref() == Some("unlimited");
    Some((kind.burst?, f64::from(kind.vcpus), unlimited))
}

impl Account {
    /// After a period; gives what is charged, beyond what the surplus may be.
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
    fn known(
        metrics: &Metrics,
        instance: &Instance,
        burst: &Burst,
        vcpus: f64,
        start: Timestamp,
        length_ms: i64,
    ) -> Self {
        let newest = |name: &str| {
            let from = start - SignedDuration::from_millis(length_ms * 3);
            let points = metrics.query(
                &key(instance, name),
                None,
                from,
                start + SignedDuration::from_millis(length_ms),
                length_ms,
                &Statistic::Average,
            );
            points.last().map(|(_, value)| *value)
        };
        let fresh = match burst.default_option {
            "standard" => LAUNCH_CREDITS * vcpus,
            _ => 0.0,
        };
        Self {
            balance: newest("CPUCreditBalance").unwrap_or(fresh),
            surplus: newest("CPUSurplusCreditBalance").unwrap_or(0.0),
        }
    }
}

fn key(instance: &Instance, name: &str) -> MetricKey {
    let dimensions = [("InstanceId", instance.id.as_str())];
    MetricKey::new(&instance.scope, NAMESPACE, name, &dimensions)
}

/// Writes the points of a period in which the instance used `cpu` of all its vCPUs, from 0 to 1.
/// `minutes` are those of the cloud, `length_ms` is the period on the clock.
pub fn measure(
    metrics: &Metrics,
    instance: &Instance,
    cpu: f64,
    minutes: f64,
    start: Timestamp,
    length_ms: i64,
) {
    let Some((burst, vcpus, unlimited)) = burst_of(instance) else {
        return;
    };
    let spent = cpu * vcpus * minutes;
    let earned = burst.credits_per_hour * minutes / 60.0;
    let before = Account::known(metrics, instance, &burst, vcpus, start, length_ms);
    let (account, charged) = before.after(&burst, unlimited, earned, spent);
    let values = [
        ("CPUCreditUsage", spent),
        ("CPUCreditBalance", account.balance),
        ("CPUSurplusCreditBalance", account.surplus),
        ("CPUSurplusCreditsCharged", charged),
    ];
    for (name, value) in values {
        let value = (value * 1e4).round() / 1e4;
        metrics.put(key(instance, name), "Count", start, value, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_earned_spent_and_owed() {
        let burst = Burst {
            credits_per_hour: 12.0,
            maximum_credits: 288.0,
            baseline: 0.1,
            default_option: "unlimited",
        };
        let check = |(balance, surplus), unlimited, earned, spent, expected: (f64, f64, f64)| {
            let (after, charged) =
                Account { balance, surplus }.after(&burst, unlimited, earned, spent);
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
}
