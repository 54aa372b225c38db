//! Random faults and changes, and what must hold all the time.
//!
//! `SIM_SEEDS=from..to` chooses the seeds; a seed that fails prints its timeline.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use host::Host;
use model::InstanceId;
use model::autoscaling::{LifecycleState, UnhealthyBecause};
use model::event::Fault;
use model::instance::InstanceState;
use std::time::Duration;

const ZONES: [&str; 2] = ["us-east-1a", "us-east-1b"];
const SEEDS: std::ops::Range<u64> = 0..25;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }
    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty())
            .then(|| self.below(of.len()))
            .and_then(|i| of.get(i))
    }
}

fn seeds() -> std::ops::Range<u64> {
    let range = std::env::var("SIM_SEEDS").ok();
    let range = range
        .as_deref()
        .and_then(|r| r.split_once(".."))
        .map(|(a, b)| a.parse().unwrap()..b.parse().unwrap());
    range.unwrap_or(SEEDS)
}

#[test]
fn whatever_happens_the_group_comes_to_rest() {
    for seed in seeds() {
        let speed = [1.0, 1.0, 10.0, 20.0][seed as usize % 4];
        let mut random = Random(seed);
        let mut cloud = Cloud::new(speed);
        cloud
            .plane
            .set_app_boot(Duration::from_secs(random.below(20) as u64));
        stack::web(&cloud, "web", (2, 8, 4), 60 + random.below(240) as u32);
        cloud.until("at rest at first", 400.0, |c| c.at_rest("web"));
        cloud.watch = Some(always);
        let mut said = vec![format!("seed {seed}, speed {speed}")];
        for _ in 0..15 {
            let what = happen(&mut cloud, &mut random);
            said.push(format!("{:>8.1} {what}", cloud.seconds()));
            eprintln!("{}", said.last().unwrap());
            let pause = 1 + random.below(60);
            cloud.run(pause as f64);
        }
        for zone in ZONES {
            cloud.heal(&Fault::Zone(zone.into()));
            cloud.host.hang_boots(zone, false);
            cloud.host.refuse_launches(zone, None);
        }
        cloud.plane.mend_apps();
        eprintln!("{:>8.1} all is healed (seed {seed})", cloud.seconds());
        cloud.until("at rest after all", 2500.0, |c| c.at_rest("web"));
        let activities = cloud.state().activities.len();
        cloud.run(400.0);
        assert!(
            cloud.at_rest("web") && cloud.state().activities.len() == activities,
            "restless:\n{}",
            timeline::of(&cloud)
        );
        at_rest(&cloud);
    }
}

fn happen(cloud: &mut Cloud, random: &mut Random) -> String {
    let members: Vec<InstanceId> = cloud
        .group("web")
        .instances
        .iter()
        .map(|m| m.id.clone())
        .collect();
    let zone = ZONES[random.below(2)];
    let name = |cloud: &Cloud, id: &InstanceId| cloud.names[id.as_str()].clone();
    match random.below(13) {
        0 | 1 => {
            let desired = 2 + random.below(7) as u32;
            cloud.resize("web", 2, 8, desired);
            format!("desired is {desired}")
        }
        2 => {
            cloud.fault(Fault::Zone(zone.into()));
            format!("{zone} is cut")
        }
        3 | 4 => {
            cloud.heal(&Fault::Zone(zone.into()));
            format!("{zone} is healed")
        }
        5 => {
            let hang = random.below(2) == 0;
            cloud.host.hang_boots(zone, hang);
            format!("boots in {zone} hang: {hang}")
        }
        6 => {
            let refuse = random.below(2) == 0;
            cloud
                .host
                .refuse_launches(zone, refuse.then_some("no room"));
            format!("launches in {zone} are refused: {refuse}")
        }
        7 => {
            cloud.restart(false);
            "another control plane".into()
        }
        n => {
            let Some(id) = random.one(&members).cloned() else {
                return "nothing".into();
            };
            let name = name(cloud, &id);
            match n {
                8 => {
                    cloud.plane.break_app(&id);
                    format!("the application of {name} breaks")
                }
                9 => format!("{name} is killed: {:?}", cloud.host.kill(&id).is_ok()),
                10 => format!("{name} powers off: {:?}", cloud.host.power_off(&id).is_ok()),
                11 => format!("{name} vanishes: {:?}", cloud.host.vanish(&id).is_ok()),
                _ if random.below(2) == 0 => {
                    cloud.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
                    format!("{name} is terminated by its user")
                }
                _ => {
                    cloud.change_group("web", |g| {
                        for member in g.instances.iter_mut().filter(|m| m.id == id) {
                            (member.healthy, member.unhealthy_because) =
                                (false, Some(UnhealthyBecause::User));
                        }
                    });
                    format!("{name} is called unhealthy")
                }
            }
        }
    }
}

/// What holds whenever the controllers have nothing more to do at a moment.
fn always(cloud: &Cloud) {
    let group = cloud.group("web");
    let state = cloud.state();
    let staying = group
        .instances
        .iter()
        .filter(|m| m.lifecycle != LifecycleState::Terminating)
        .count();
    let desired = group.desired_capacity as usize;
    let check = |holds: bool, what: &str| {
        if !holds {
            panic!(
                "{what} at {:.1} s ({staying} of {desired} stay)\n{}",
                cloud.seconds(),
                timeline::of(cloud)
            );
        }
    };
    check(
        staying <= desired + 1,
        "more than the capacity and one to balance zones: something was replaced twice",
    );
    let waits = group.retry_at.is_some_and(|at| cloud.now() < at);
    check(
        staying >= desired || waits,
        "too few, and nothing that waits for a failed launch",
    );
    for member in &group.instances {
        check(
            state.instances.contains_key(&member.id),
            "a member without an instance",
        );
    }
    for seen in cloud.host.instances() {
        check(
            state.instances.contains_key(&seen.id),
            "an instance on the machine that no record knows",
        );
    }
    for instance in state
        .instances
        .values()
        .filter(|i| i.state != InstanceState::Terminated)
    {
        check(
            group.instances.iter().any(|m| m.id == instance.id),
            "an instance that its group has forgotten",
        );
    }
}

/// What holds once all is quiet.
fn at_rest(cloud: &Cloud) {
    let group = cloud.group("web");
    let state = cloud.state();
    let target_group = state.target_groups.values().next().unwrap();
    let mut targets: Vec<&str> = target_group.targets.iter().map(|t| t.id.as_str()).collect();
    let mut members: Vec<&str> = group.instances.iter().map(|m| m.id.as_str()).collect();
    targets.sort();
    members.sort();
    assert_eq!(targets, members, "{}", timeline::of(cloud));
    assert!(group.instances.iter().all(|m| cloud.host.is_running(&m.id)));
    assert!(
        state.activities.values().all(|a| a.ended.is_some()),
        "an activity never ends:\n{}",
        timeline::activities(cloud)
    );
    let ended = |start: &str, status: &str| {
        state
            .activities
            .values()
            .filter(|a| a.description.starts_with(start) && a.status == status)
            .count()
    };
    let (launched, gone) = (
        ended("Launching", "Successful"),
        ended("Terminating", "Successful"),
    );
    assert_eq!(
        launched,
        gone + members.len(),
        "launches and terminations do not add up:\n{}",
        timeline::activities(cloud)
    );
}
