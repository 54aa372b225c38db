//! Random faults and changes, and what must hold all the time.
//!
//! `SIM_SEEDS=from..to` chooses the seeds. A seed that fails is played again with less and less in
//! it, and prints what is left with its timeline.
//!
//! A check that cannot fail says nothing: each was seen to fail, by a seed among the first two hundred, when the planner
//! was broken for it on purpose.
//!
//! | broken so | caught as |
//! |---|---|
//! | `roll` launches ahead without looking at the room | more than the capacity and what may be above it |
//! | `launch_ahead` forgets who has a successor already | two came ahead of one member |
//! | `size` ends nobody who is too much | somebody above the capacity for no reason |
//! | `size` is content with one less than desired | too few, and nothing that waits |
//! | a drained member leaves and its instance runs on | an instance that its group has forgotten |
//! | `size` calls zones balanced that differ by two | not at rest after all: the balance |
//! | after three failures launches are never tried again | not at rest after all: the capacity |

use crate::cloud::Cloud;
use crate::{stack, timeline};
use control::Speed;
use host::Host;
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance, UnhealthyBecause};
use model::event::Fault;
use model::instance::{DesiredInstance, InstanceState};
use model::instance_refresh::RefreshStatus;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ZONES: [&str; 2] = ["us-east-1a", "us-east-1b"];
const SEEDS: std::ops::Range<u64> = 0..2_000;
/// Failures after which no more are looked for: what breaks one seed mostly breaks hundreds, and
/// each is shrunk.
const ENOUGH: usize = 3;
const GROUP: &str = "AutoScalingGroupName=web";
const IMPAIRED: &str = "AvailabilityZoneImpairmentPolicy";

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
}

fn seeds() -> std::ops::Range<u64> {
    let range = std::env::var("SIM_SEEDS").ok();
    let range = range
        .as_deref()
        .and_then(|r| r.split_once(".."))
        .map(|(a, b)| a.parse().unwrap()..b.parse().unwrap());
    range.unwrap_or(SEEDS)
}

/// Everything that a seed decides, so that it can be played again with less in it.
#[derive(Clone)]
struct Script {
    seed: u64,
    speed: f64,
    app_boot: u64,
    grace: u32,
    fleet: Fleet,
    /// Members in a zone that is shifted away from are left as ill as they are.
    ignores: bool,
    /// What happens, and the seconds until the next.
    happenings: Vec<(Happening, u32)>,
}

/// What the group launches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fleet {
    Plain,
    /// Two types, half of them Spot.
    Mixed,
    /// The second type counts twice.
    Weighted,
}

impl Fleet {
    /// The heaviest member.
    fn weight(self) -> usize {
        match self {
            Self::Weighted => 2,
            Self::Plain | Self::Mixed => 1,
        }
    }

    /// Of the template's version, as a call has it.
    fn parameters(self, stem: &str, version: usize) -> String {
        let named = |path: &str| {
            format!("{stem}{path}.LaunchTemplateName=web&{stem}{path}.Version={version}")
        };
        if self == Self::Plain {
            return named("LaunchTemplate");
        }
        let launch = "MixedInstancesPolicy.LaunchTemplate";
        let mut all = named(&format!("{launch}.LaunchTemplateSpecification"));
        // The other version prefers the other type.
        for (at, (kind, weight)) in [("t3.micro", 1), ("t3.small", 2)].into_iter().enumerate() {
            let at = if version == 1 { at + 1 } else { 2 - at };
            let over = format!("{stem}{launch}.Overrides.member.{at}");
            all += &format!("&{over}.InstanceType={kind}");
            if self == Self::Weighted {
                all += &format!("&{over}.WeightedCapacity={weight}");
            }
        }
        let share =
            "MixedInstancesPolicy.InstancesDistribution.OnDemandPercentageAboveBaseCapacity";
        all + &format!("&{stem}{share}=50")
    }
}

/// Members are chosen by a number that is taken modulo how many there are.
#[derive(Clone, Debug)]
enum Happening {
    Desired(u32),
    Cut(usize),
    Heal(usize),
    HangBoots(usize, bool),
    RefuseLaunches(usize, bool),
    AnotherControlPlane,
    BreakApplication(usize),
    Kill(usize),
    PowerOff(usize),
    Vanish(usize),
    Terminate(usize),
    CallUnhealthy(usize),
    /// To the template's version, with these preferences.
    Refresh(usize, &'static str),
    /// On the way in, with this default result; on the way out.
    HookIn(&'static str),
    HookOut,
    CompleteHook(usize, &'static str),
    DeleteHooks,
    CancelRefresh(bool),
    RollBack,
    MaintenancePolicy(Option<(i32, i32)>),
    /// The host cannot say what runs.
    Blind(bool),
    /// Its interface does not answer the status check.
    Deafen(usize),
    /// A Spot Instance is taken back, or only said to be at risk.
    Interrupt(usize, bool),
    CapacityRebalance(bool),
    /// Away from a zone.
    Shift(usize),
    EndShifts,
    /// By its group, with the capacity or without.
    TerminateInGroup(usize, bool),
    Reboot(usize),
    Protect(usize, bool),
}

const REFRESHES: [(usize, &str); 4] = [
    (
        2,
        "Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=150",
    ),
    (
        1,
        "Preferences.MinHealthyPercentage=50&Preferences.AutoRollback=true",
    ),
    (
        2,
        "Preferences.MinHealthyPercentage=75&Preferences.MaxHealthyPercentage=125&Preferences.SkipMatching=true",
    ),
    (
        1,
        "Preferences.MinHealthyPercentage=0&Preferences.CheckpointPercentages.member.1=50&Preferences.CheckpointPercentages.member.2=100&Preferences.CheckpointDelay=60",
    ),
];

fn script(seed: u64) -> Script {
    let mut random = Random(seed);
    let mut happenings = Vec::new();
    let app_boot = random.below(20) as u64;
    let grace = 60 + random.below(240) as u32;
    // Faults as dense in the short ones, and less time to come to rest; some go on for long.
    let length = if seed.is_multiple_of(10) { 15 } else { 6 };
    for _ in 0..length {
        let (zone, yes, member) = (random.below(2), random.below(2) == 0, random.below(1000));
        let what = match random.below(32) {
            0 | 1 => Happening::Desired(2 + random.below(7) as u32),
            2 => Happening::Cut(zone),
            3 | 4 => Happening::Heal(zone),
            5 => Happening::HangBoots(zone, yes),
            6 => Happening::RefuseLaunches(zone, yes),
            7 => Happening::AnotherControlPlane,
            8 => Happening::BreakApplication(member),
            9 => Happening::Kill(member),
            10 => Happening::PowerOff(member),
            11 => Happening::Vanish(member),
            12 if yes => Happening::Terminate(member),
            12 => Happening::CallUnhealthy(member),
            13 | 14 => {
                let (version, preferences) = REFRESHES[member % REFRESHES.len()];
                Happening::Refresh(version, preferences)
            }
            17 if yes => Happening::HookIn(["CONTINUE", "ABANDON"][zone]),
            17 => Happening::HookOut,
            18 | 19 => Happening::CompleteHook(member, ["CONTINUE", "ABANDON"][zone]),
            20 => Happening::DeleteHooks,
            15 if zone == 0 => Happening::RollBack,
            15 => Happening::CancelRefresh(yes),
            21 => Happening::Blind(yes),
            22 => Happening::Deafen(member),
            23..=25 => Happening::Interrupt(member, zone == 0),
            26 => Happening::CapacityRebalance(yes),
            27 => Happening::Shift(zone),
            28 => Happening::EndShifts,
            29 => Happening::TerminateInGroup(member, yes),
            30 => Happening::Reboot(member),
            31 => Happening::Protect(member, yes),
            _ => Happening::MaintenancePolicy(
                [None, Some((100, 150)), Some((50, 100)), Some((90, 120))][member % 4],
            ),
        };
        happenings.push((what, 1 + random.below(60) as u32));
    }
    Script {
        seed,
        speed: [1.0, 1.0, 10.0, 20.0][seed as usize % 4],
        app_boot,
        grace,
        fleet: [Fleet::Plain, Fleet::Mixed, Fleet::Weighted][seed as usize % 3],
        ignores: seed % 5 < 2,
        happenings,
    }
}

/// Plays a script to its end, at which all is healed; panics where something does not hold.
fn play(script: &Script) {
    let mut cloud = Cloud::new(script.speed);
    cloud.thrifty = true;
    cloud.plane.count_seldom();
    cloud
        .plane
        .set_app_boot(Duration::from_secs(script.app_boot));
    stack::web(&cloud, "web", (2, 8, 4), script.grace);
    cloud.autoscaling(&format!(
        "UpdateAutoScalingGroup&{GROUP}&{}&CapacityRebalance={}&{IMPAIRED}.ZonalShiftEnabled=true&{IMPAIRED}.ImpairedZoneHealthCheckBehavior={}Unhealthy",
        script.fleet.parameters("", 1),
        script.seed.is_multiple_of(2),
        if script.ignores { "Ignore" } else { "Replace" },
    ));
    cloud.ec2("CreateLaunchTemplateVersion&LaunchTemplateName=web&SourceVersion=1&LaunchTemplateData.InstanceType=t3.small");
    cloud.until("at rest at first", 400.0, |c| c.at_rest("web"));
    cloud.watch = Some(always);
    for (what, pause) in &script.happenings {
        happen(&mut cloud, script.fleet, what);
        cloud.run(f64::from(*pause));
    }
    for zone in ZONES {
        cloud.heal(&Fault::Zone(zone.into()));
        cloud.host.hang_boots(zone, false);
        cloud.host.refuse_launches(zone, None);
    }
    cloud.plane.mend_apps();
    cloud.host.blind(false);
    for id in cloud.state().instances.keys() {
        let _ = cloud.host.deafen(id, false);
    }
    cloud.change_group("web", |g| {
        let members = g.instances.iter_mut();
        members.for_each(|m| m.protected_from_scale_in = false);
    });
    happen(&mut cloud, script.fleet, &Happening::EndShifts);
    happen(&mut cloud, script.fleet, &Happening::DeleteHooks);
    // Whoever was given notice has gone by then.
    cloud.run(120.0 / script.speed + 30.0);
    cloud.until("done with refreshing", 20_000.0, |c| {
        c.state().instance_refreshes.values().all(|r| !r.active())
    });
    cloud.until("at rest after all", 2500.0, |c| c.at_rest("web"));
    let activities = cloud.state().activities.len();
    // The longest that anything waits for: a grace period.
    cloud.run(330.0 / script.speed + 30.0);
    assert!(
        cloud.at_rest("web") && cloud.state().activities.len() == activities,
        "restless:\n{}",
        timeline::of(&cloud)
    );
    at_rest(&cloud);
}

/// Why the script fails, if it does.
fn failure(script: &Script) -> Option<String> {
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(script)));
    played.err().map(|why| {
        let text = why.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| "it panicked".into())
    })
}

/// The same failure with as little as possible: whatever can be left out is.
fn shrink(mut script: Script, mut why: String) -> (Script, String) {
    let mut at = 0;
    while at < script.happenings.len() {
        let mut less = script.clone();
        less.happenings.remove(at);
        match failure(&less) {
            Some(still) => (script, why) = (less, still),
            None => at += 1,
        }
    }
    (script, why)
}

#[test]
fn whatever_happens_the_group_comes_to_rest() {
    let next = AtomicU64::new(seeds().start);
    let found = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds().end || found.lock().unwrap().len() >= ENOUGH {
                        return;
                    }
                    let script = script(seed);
                    if let Some(why) = failure(&script) {
                        found.lock().unwrap().push(shrink(script, why));
                    }
                }
            });
        }
    });
    let failures: Vec<String> = found
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|(s, why)| {
            let lines: Vec<String> = s
                .happenings
                .iter()
                .map(|(what, pause)| format!("  {what:?}, then {pause} s"))
                .collect();
            format!(
                "seed {}: {:?} at speed {}, grace {} s, applications boot {} s:\n{}\n{why}",
                s.seed,
                s.fleet,
                s.speed,
                s.grace,
                s.app_boot,
                lines.join("\n")
            )
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn happen(cloud: &mut Cloud, fleet: Fleet, what: &Happening) {
    let group = cloud.group("web");
    let member = |n: &usize| {
        let all = &group.instances;
        (!all.is_empty()).then(|| all[n % all.len()].id.clone())
    };
    // What comes too late, or twice, is refused; that is no matter here.
    let refused = |cloud: &Cloud, call: &str| {
        let _ = cloud.call(api::autoscaling::service(), "2011-01-01", call);
    };
    let on = |n: &usize, f: &dyn Fn(&Cloud, &InstanceId)| {
        if let Some(id) = member(n) {
            f(cloud, &id);
        }
    };
    match what {
        Happening::Desired(desired) => cloud.resize("web", 2, 8, *desired),
        Happening::Cut(zone) => cloud.fault(Fault::Zone(ZONES[*zone].into())),
        Happening::Heal(zone) => cloud.heal(&Fault::Zone(ZONES[*zone].into())),
        Happening::HangBoots(zone, hang) => cloud.host.hang_boots(ZONES[*zone], *hang),
        Happening::RefuseLaunches(zone, refuse) => cloud
            .host
            .refuse_launches(ZONES[*zone], refuse.then_some("no room")),
        Happening::AnotherControlPlane => cloud.restart(false),
        Happening::BreakApplication(n) => on(n, &|c, id| c.plane.break_app(id)),
        Happening::Kill(n) => on(n, &|c, id| drop(c.host.kill(id))),
        Happening::PowerOff(n) => on(n, &|c, id| drop(c.host.power_off(id))),
        Happening::Vanish(n) => on(n, &|c, id| drop(c.host.vanish(id))),
        Happening::Terminate(n) => on(n, &|c, id| {
            c.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
        }),
        Happening::CallUnhealthy(n) => on(n, &|c, id| {
            c.change_group("web", |g| {
                for member in g.instances.iter_mut().filter(|m| m.id == *id) {
                    (member.healthy, member.unhealthy_because) =
                        (false, Some(UnhealthyBecause::User));
                }
            });
        }),
        Happening::Refresh(version, how) => {
            let desired = fleet.parameters("DesiredConfiguration.", *version);
            refused(
                cloud,
                &format!("StartInstanceRefresh&AutoScalingGroupName=web&{desired}&{how}"),
            );
        }
        Happening::HookIn(result) => refused(
            cloud,
            &format!(
                "PutLifecycleHook&{GROUP}&LifecycleHookName=in&HeartbeatTimeout=40&LifecycleTransition=autoscaling:EC2_INSTANCE_LAUNCHING&DefaultResult={result}"
            ),
        ),
        Happening::HookOut => refused(
            cloud,
            &format!(
                "PutLifecycleHook&{GROUP}&LifecycleHookName=out&HeartbeatTimeout=40&LifecycleTransition=autoscaling:EC2_INSTANCE_TERMINATING"
            ),
        ),
        Happening::CompleteHook(n, result) => {
            let waiting = group.instances.iter().filter(|m| !m.actions.is_empty());
            let waiting: Vec<_> = waiting.collect();
            if let Some(member) = waiting.get(n % waiting.len().max(1)) {
                let (id, hook) = (&member.id, &member.actions[0].hook.name);
                refused(
                    cloud,
                    &format!(
                        "CompleteLifecycleAction&{GROUP}&LifecycleHookName={hook}&InstanceId={id}&LifecycleActionResult={result}"
                    ),
                );
            }
        }
        Happening::DeleteHooks => {
            for name in ["in", "out"] {
                refused(
                    cloud,
                    &format!("DeleteLifecycleHook&{GROUP}&LifecycleHookName={name}"),
                );
            }
        }
        Happening::CancelRefresh(waits) => refused(
            cloud,
            &format!(
                "CancelInstanceRefresh&AutoScalingGroupName=web&WaitForTransitioningInstances={waits}"
            ),
        ),
        Happening::RollBack => refused(cloud, "RollbackInstanceRefresh&AutoScalingGroupName=web"),
        Happening::Blind(blind) => cloud.host.blind(*blind),
        Happening::Deafen(n) => on(n, &|c, id| drop(c.host.deafen(id, true))),
        Happening::Interrupt(n, really) => on(n, &|c, id| {
            let (speed, now) = (Speed::new(c.speed), c.now());
            // On-demand instances are not taken back.
            let _ = c.store.update(|tx| match really {
                true => control::spot::interrupt(tx, id, speed, now),
                false => control::spot::recommend(tx, id, now),
            });
        }),
        Happening::CapacityRebalance(on) => refused(
            cloud,
            &format!("UpdateAutoScalingGroup&{GROUP}&CapacityRebalance={on}"),
        ),
        Happening::Shift(zone) => cloud.shift("web", ZONES[*zone]),
        Happening::EndShifts => cloud.end_shifts(),
        Happening::TerminateInGroup(n, decrement) => on(n, &|c, id| {
            refused(
                c,
                &format!(
                    "TerminateInstanceInAutoScalingGroup&InstanceId={id}&ShouldDecrementDesiredCapacity={decrement}"
                ),
            )
        }),
        Happening::Reboot(n) => on(n, &|c, id| {
            let call = format!("RebootInstances&InstanceId.1={id}");
            let _ = c.call(api::ec2::service(), "2016-11-15", &call);
        }),
        Happening::Protect(n, protect) => on(n, &|c, id| {
            refused(
                c,
                &format!(
                    "SetInstanceProtection&{GROUP}&InstanceIds.member.1={id}&ProtectedFromScaleIn={protect}"
                ),
            )
        }),
        Happening::MaintenancePolicy(policy) => {
            cloud.change_group("web", |g| g.maintenance_policy = *policy)
        }
    }
}

/// Members that there may be above the desired capacity: one to balance zones, and what
/// a refresh or the maintenance policy launches ahead.
fn surplus(cloud: &Cloud, group: &AutoScalingGroup) -> usize {
    let policy = group.maintenance_policy.map(|(_, max)| max as usize);
    let state = cloud.state();
    let refreshes = state.instance_refreshes.values();
    let refresh = refreshes
        .filter(|r| r.is_of(group))
        .map(|r| r.preferences.max_healthy as usize);
    let most = policy.into_iter().chain(refresh).max().unwrap_or(100);
    let desired = group.desired_capacity() as usize;
    // A heavy member may take the place of a light one, in each of them.
    let heaviest = match group.is_weighted() {
        true => Fleet::Weighted.weight(),
        false => 1,
    };
    let over = heaviest - 1;
    // Ahead of Spot Instances at risk; also when rebalancing was turned off meanwhile.
    let spot = group.instances.iter().any(|m| m.spot);
    let most = if spot { most.max(110) } else { most };
    match most {
        100 => heaviest + over,
        most => heaviest + over + (desired * (most - 100) / 100).max(1) + over,
    }
}

/// What holds whenever the controllers have nothing more to do at a moment.
fn always(cloud: &Cloud) {
    let group = cloud.group("web");
    let state = cloud.state();
    let staying = group.instances.iter();
    let staying = staying.filter(|m| !m.lifecycle.is_terminating());
    let staying: usize = staying.map(|m| m.weight as usize).sum();
    let desired = group.desired_capacity() as usize;
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
        (group.min_size..=group.max_size).contains(&group.desired_capacity()),
        "a desired capacity beyond the group's limits",
    );
    let ahead = || {
        let staying = group
            .instances
            .iter()
            .filter(|m| !m.lifecycle.is_terminating());
        staying.filter(|m| m.replaces.is_some())
    };
    let replaced: BTreeSet<_> = ahead().filter_map(|m| m.replaces.as_ref()).collect();
    check(
        replaced.len() == ahead().count(),
        "two came ahead of one member: something was replaced twice",
    );
    // Who came ahead under another policy, or for a larger capacity, is still there; who comes
    // now does so within what may be now.
    let comes = |m: &GroupInstance| {
        let instance = state.instances.get(&m.id);
        instance.is_some_and(|i| i.launched == cloud.now())
    };
    let slack: usize = match ahead().any(comes) {
        true => 0,
        false => ahead().map(|m| m.weight as usize).sum::<usize>() + 1,
    };
    check(
        staying <= desired + surplus(cloud, &group).max(slack),
        "more than the capacity and what may be above it",
    );
    // Whoever is above the capacity is ahead of somebody, or of the balance, or may not go. A heavy
    // one that is too much stays until nothing is missing without it.
    let above = group
        .instances
        .iter()
        .filter(|m| !m.lifecycle.is_terminating());
    let above =
        above.filter(|m| m.rebalancing || m.replaces.is_some() || m.protected_from_scale_in);
    let above: usize = above.map(|m| m.weight as usize).sum();
    let over = if group.is_weighted() { 1 } else { 0 };
    check(
        staying <= desired + above + over,
        "somebody above the capacity for no reason: something was replaced twice",
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
    for seen in cloud.host.instances().into_iter().flatten() {
        let record = state.instances.get(&seen.id);
        check(
            record.is_some_and(|i| i.state != InstanceState::Terminated),
            "an instance on the machine that no record knows, or whose record says that it is over",
        );
    }
    for instance in state
        .instances
        .values()
        // One whose launch came to nothing ends by itself.
        .filter(|i| i.desired != DesiredInstance::Terminated)
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
    // A launch that a termination overtook is cancelled, and its instance ends all the same.
    let terminated = |id: &str| {
        let mut all = state.activities.values();
        all.any(|a| a.description.starts_with("Terminating") && a.description.ends_with(id))
    };
    let overtaken = state.activities.values().filter(|a| {
        let id = a.description.rsplit(' ').next().unwrap_or_default();
        a.description.starts_with("Launching") && a.status == "Cancelled" && terminated(id)
    });
    let (launched, gone) = (
        ended("Launching", "Successful") + overtaken.count(),
        ended("Terminating", "Successful"),
    );
    assert_eq!(
        launched,
        gone + members.len(),
        "launches and terminations do not add up:\n{}",
        timeline::activities(cloud)
    );
    let refreshes = state.instance_refreshes.values();
    let newest = refreshes.max_by_key(|r| r.requested);
    if newest.is_some_and(|r| r.status == RefreshStatus::Successful) {
        let version = group.template.version.parse().ok();
        assert!(
            group
                .instances
                .iter()
                .all(|m| Some(m.template.2) == version),
            "not all are of the version that was rolled out:\n{}",
            timeline::of(cloud)
        );
    }
}
