//! Why an alarm on an instance's metrics may never leave INSUFFICIENT_DATA.
//!
//! With basic monitoring there is a point each five minutes, stamped with their start, as on AWS; an alarm over a
//! minute or two looks where no point is. AWS says nothing of it to whoever puts such an alarm. We do.

use crate::Ctx;
use model::InstanceId;
use model::autoscaling::AutoScalingGroup;
use model::cloudwatch::MetricAlarm;
use model::event::Severity;
use model::instance::Instance;
use store::ScopedName;

/// Of basic monitoring, in seconds.
const BETWEEN: u32 = 300;
/// An alarm that looks back so far, in seconds, sees each of its points once.
const ONCE: u32 = 180;

/// What comes each minute whatever the monitoring.
fn each_minute(metric: &str) -> bool {
    metric.starts_with("StatusCheckFailed") || metric == "MetadataNoToken"
}

/// What comes each five minutes whatever the monitoring.
fn of_credits(metric: &str) -> bool {
    metric.starts_with("CPU") && metric.contains("Credit")
}

pub fn warn(ctx: &mut Ctx, alarm: &MetricAlarm) {
    let looks = alarm.period.saturating_mul(alarm.evaluation_periods);
    let metric = &alarm.metric_name;
    if alarm.namespace != "AWS/EC2" || each_minute(metric) || looks >= BETWEEN {
        return;
    }
    let credits = of_credits(metric);
    let mut dimensions = alarm.dimensions.iter();
    let Some(whose) = dimensions.find_map(|d| seldom(ctx, d, credits)) else {
        return;
    };
    let finds = match looks >= ONCE {
        true => "sees each of them once",
        false => "finds none of them and stays in INSUFFICIENT_DATA",
    };
    let advice = match credits {
        true => "",
        false => "; detailed monitoring gives one a minute",
    };
    let message = format!(
        "looks at {looks} s of {metric}, of which {whose} gives a point each {BETWEEN} s only: as on AWS it {finds}{advice}"
    );
    ctx.tx
        .event(ctx.now, Severity::Warning, &alarm.name, "alarm", message);
}

/// Who is meant, if all of its instances have basic monitoring, or `any` will do.
fn seldom(ctx: &Ctx, (name, value): &(String, String), any: bool) -> Option<String> {
    match name.as_str() {
        "InstanceId" => {
            let id = value.parse::<InstanceId>().ok()?;
            let instance = ctx.tx.get::<Instance>(&id)?;
            (instance.scope == ctx.scope && (any || !instance.monitoring)).then(|| value.clone())
        }
        "AutoScalingGroupName" => {
            let key = ScopedName::new(&ctx.scope, value);
            let group = ctx.tx.get::<AutoScalingGroup>(&key)?;
            let monitored =
                |id: &InstanceId| ctx.tx.get::<Instance>(id).is_some_and(|i| i.monitoring);
            let none = group.instances.iter().all(|m| !monitored(&m.id));
            (!group.instances.is_empty() && (any || none)).then(|| format!("the group {value}"))
        }
        _ => None,
    }
}
