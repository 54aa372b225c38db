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
/// What comes each minute whatever the monitoring.
const EACH_MINUTE: &str = "StatusCheckFailed";

pub fn warn(ctx: &mut Ctx, alarm: &MetricAlarm) {
    let looks = alarm.period.saturating_mul(alarm.evaluation_periods);
    let measured = alarm.namespace == "AWS/EC2" && !alarm.metric_name.starts_with(EACH_MINUTE);
    if !measured || looks >= BETWEEN {
        return;
    }
    let Some(whose) = alarm.dimensions.iter().find_map(|d| basic(ctx, d)) else {
        return;
    };
    let message = format!(
        "looks at {looks} s of {}, of which {whose} gives a point each {BETWEEN} s only: as on AWS it finds few of them or none, and stays in INSUFFICIENT_DATA; detailed monitoring gives one a minute",
        alarm.metric_name
    );
    ctx.tx
        .event(ctx.now, Severity::Warning, &alarm.name, "alarm", message);
}

/// Who is meant, if all of its instances have basic monitoring.
fn basic(ctx: &Ctx, (name, value): &(String, String)) -> Option<String> {
    match name.as_str() {
        "InstanceId" => {
            let id = value.parse::<InstanceId>().ok()?;
            let instance = ctx.tx.get::<Instance>(&id)?;
            (instance.scope == ctx.scope && !instance.monitoring).then(|| value.clone())
        }
        "AutoScalingGroupName" => {
            let key = ScopedName::new(&ctx.scope, value);
            let group = ctx.tx.get::<AutoScalingGroup>(&key)?;
            let monitored =
                |id: &InstanceId| ctx.tx.get::<Instance>(id).is_some_and(|i| i.monitoring);
            let any = !group.instances.is_empty();
            let none = group.instances.iter().all(|m| !monitored(&m.id));
            (any && none).then(|| format!("the group {value}"))
        }
        _ => None,
    }
}
