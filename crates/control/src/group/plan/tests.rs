//! Members are written as text, one word each: zone, state, marks.
//!
//! `a` is the zone; then `P` pending, `S` in service, `T` terminating; then any of
//! `!` marked unhealthy by its load balancer, `x` marked as not running, `k` protected,
//! `?` never seen healthy, `r` rebalancing, `o` of an older template version,
//! `-` its instance is stopped, `0` its instance is gone, `d` its target reports unhealthy,
//! `i` its status check has failed from the start, `s` a Spot Instance at risk of interruption,
//! `u` in no target group, `l` left out of them when it came.

use super::*;
use model::autoscaling::GroupTemplate;
use model::autoscaling::{GroupInstance, LifecycleState as L};
use model::instance::InstanceState;
use model::{LaunchTemplateId, Scope};
use std::collections::BTreeSet;

const GROUP: &str = "arn:targetgroup";

fn second(n: i64) -> Timestamp {
    Timestamp::from_second(n).unwrap()
}

fn id(n: usize) -> InstanceId {
    format!("i-{n:017x}").parse().unwrap()
}

/// Two zones, everything at 0 s, ELB health with a grace of 60 s.
fn group(desired: u32, members: &str) -> (AutoScalingGroup, BTreeMap<InstanceId, Fact>) {
    let template = LaunchTemplateId::random();
    let mut instances = Vec::new();
    let mut facts = BTreeMap::new();
    for (n, word) in members.split_whitespace().enumerate() {
        let has = |c: char| word.contains(c);
        let lifecycle = match word.chars().nth(1) {
            Some('P') => L::Pending,
            Some('T') => L::Terminating,
            _ => L::InService,
        };
        instances.push(GroupInstance {
            id: id(n),
            zone: word[..1].into(),
            instance_type: "t3.micro".into(),
            lifecycle,
            healthy: !has('!') && !has('x'),
            unhealthy_because: if has('!') {
                Some(UnhealthyBecause::LoadBalancer)
            } else {
                has('x').then_some(UnhealthyBecause::Ec2State)
            },
            protected_from_scale_in: has('k'),
            template: (template.clone(), "t".into(), if has('o') { 1 } else { 2 }),
            configuration: None,
            weight: 1,
            spot: false,
            in_service: (lifecycle != L::Pending).then(|| second(n as i64)),
            activity: None,
            seen_healthy: !has('?') && lifecycle != L::Pending,
            rebalancing: has('r'),
            replaces: None,
            actions: Vec::new(),
            to_pool: false,
            warmed: false,
            past_hooks: false,
            left_out: Vec::from_iter(has('l').then(|| GROUP.to_owned())),
        });
        let target = || BTreeSet::from([GROUP.to_owned()]);
        let state = if has('0') {
            None
        } else if has('-') {
            Some(InstanceState::Stopped)
        } else {
            Some(InstanceState::Running)
        };
        let registered = lifecycle == L::InService && !has('u') && !has('l');
        let ill = has('d');
        let fact = Fact {
            state: if lifecycle == L::Pending && state.is_some() {
                Some(InstanceState::Pending)
            } else {
                state
            },
            running_since: Some(second(0)),
            launched: Some(second(0)),
            configured: None,
            healthy_in: if registered && !ill && !has('?') {
                target()
            } else {
                BTreeSet::new()
            },
            unhealthy_in: if ill { target() } else { BTreeSet::new() },
            registered_in: if registered {
                target()
            } else {
                BTreeSet::new()
            },
            draining_in: if lifecycle == L::Terminating && state.is_some() {
                target()
            } else {
                BTreeSet::new()
            },
            impaired: has('i').then(|| second(0)),
            boot: Some(SignedDuration::from_secs(2)),
            at_risk: has('s'),
        };
        facts.insert(id(n), fact);
    }
    let id = template;
    let template = GroupTemplate {
        id: id.clone(),
        name: "t".into(),
        version: "$Latest".into(),
        policy: None,
        configuration: None,
    };
    let scope = Scope::new("000000000000", "us-east-1");
    let mut group = AutoScalingGroup::new(scope, "1", "web", template, second(0));
    group.max_size = 20;
    group.set_desired_capacity(desired);
    group.zones = vec!["a".into(), "b".into()];
    group.target_groups = vec![GROUP.into()];
    group.health_check_types = vec!["EC2".into(), "ELB".into()];
    group.health_check_grace_period = 60;
    group.subnets_named = true;
    group.instances = instances;
    group.target_groups_in_service = vec![GROUP.into()];
    group.measured_boot_ms = Some(5000);
    group.booted_versions = vec![(id.clone(), 1), (id, 2)];
    (group, facts)
}

fn situation<'a>(
    group: &'a AutoScalingGroup,
    facts: &'a BTreeMap<InstanceId, Fact>,
    rebalance_at: Option<Timestamp>,
    now: i64,
) -> Situation<'a> {
    Situation {
        group,
        facts,
        shifted: None,
        refresh: None,
        refresh_alarms: Vec::new(),
        template: &group.template,
        current: Current {
            template: (group.template.id.clone(), 2),
            by_type: BTreeMap::new(),
        },
        rebalance_at,
        speed: Speed::new(1.0),
        now: second(now),
    }
}

/// Steps as text: `launch a` (zones in order, with why), `end 2`, `ill 0`…
fn steps(group: &AutoScalingGroup, facts: &BTreeMap<InstanceId, Fact>, now: i64) -> String {
    said(group, plan(situation(group, facts, None, now)).0)
}

fn said(group: &AutoScalingGroup, steps: Vec<Step>) -> String {
    let number = |wanted: &InstanceId| {
        group
            .instances
            .iter()
            .position(|m| m.id == *wanted)
            .unwrap()
            .to_string()
    };
    let said = |step: Step| match step {
        Step::Launch {
            zones,
            why,
            replaces: None,
        } => format!("launch {} {why:?}", zones.join(",")),
        Step::Launch {
            zones,
            why,
            replaces: Some(i),
        } => format!("launch {} {why:?} for {}", zones.join(","), number(&i)),
        Step::Refresh(change) => format!("refresh {}", change.1.status.name()),
        Step::EnterService(i) => format!("serve {}", number(&i)),
        Step::AwaitHooks(i, transition) => format!("hooks {} {transition:?}", number(&i)),
        Step::HookTimedOut { id, .. } => format!("hook timed out {}", number(&id)),
        Step::Proceed(i) => format!("proceed {}", number(&i)),
        Step::Abandon(i) => format!("abandon {}", number(&i)),
        Step::LaunchFailed(i) => format!("failed {}", number(&i)),
        Step::Register { id, .. } => format!("register {}", number(&id)),
        Step::SeenHealthy(i) => format!("seen {}", number(&i)),
        Step::TargetGroupInService(_) => "group serves".into(),
        Step::MarkUnhealthy(i, why) => format!("ill {} {why:?}", number(&i)),
        Step::Terminate {
            id,
            why: TerminateWhy::Unhealthy(_),
        } => format!("replace {}", number(&id)),
        Step::Terminate { id, why } => format!("terminate {} {why:?}", number(&id)),
        Step::End(i) => format!("end {}", number(&i)),
        Step::FromPool { id, why } => format!("from pool {} {why:?}", number(&id)),
        Step::ToPool(i) => format!("to pool {}", number(&i)),
        Step::Chill(i) => format!("chill {}", number(&i)),
        Step::Warmed(i, state) => format!("warmed {} {state:?}", number(&i)),
        Step::PoolGone => "pool gone".into(),
        Step::StandBy(i) => format!("stand by {}", number(&i)),
        Step::Detach(i) => format!("detach {}", number(&i)),
        Step::Leave(i) => format!("leave {}", number(&i)),
        Step::SettleCause => "settle".into(),
        Step::Vanish => "vanish".into(),
    };
    steps.into_iter().map(said).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(desired: u32, members: &str, expected: &str) {
    let (group, facts) = group(desired, members);
    assert_eq!(
        steps(&group, &facts, 1000),
        expected,
        "desired {desired}: {members}"
    );
}

#[track_caller]
fn check_with(
    desired: u32,
    members: &str,
    change: impl FnOnce(&mut AutoScalingGroup),
    expected: &str,
) {
    let (mut group, facts) = group(desired, members);
    change(&mut group);
    assert_eq!(
        steps(&group, &facts, 1000),
        expected,
        "desired {desired}: {members}"
    );
}

fn suspend(processes: &[&str]) -> impl FnOnce(&mut AutoScalingGroup) {
    let processes = processes
        .iter()
        .map(|p| ((*p).to_owned(), String::new()))
        .collect();
    move |g| g.suspended_processes = processes
}

#[test]
fn capacity_goes_to_the_zone_with_fewest() {
    check(0, "", "");
    check(2, "aS bS", "");
    check(
        3,
        "",
        "launch a,b Capacity; launch b,a Capacity; launch a,b Capacity",
    );
    check(4, "aS aS", "launch b,a Capacity; launch b,a Capacity");
    check(2, "aP bP", "");
}

#[test]
fn scale_in_takes_from_the_largest_zone_by_policy() {
    check(2, "aS aS bS", "terminate 1 Capacity");
    check(1, "aS aS bS", "terminate 1 Capacity; terminate 2 Capacity");
    // An older template goes first, but only in the largest zone.
    check(3, "aSo aS bSo bS", "terminate 2 Capacity");
    check(2, "aS aS bSo", "terminate 1 Capacity");
    check_with(
        2,
        "aS aS bS",
        |g| g.termination_policies = vec!["OldestInstance".into()],
        "terminate 0 Capacity",
    );
    check_with(
        2,
        "aS aS bS",
        |g| g.termination_policies = vec!["OldestLaunchTemplate".into(), "NewestInstance".into()],
        "terminate 1 Capacity",
    );
}

#[test]
fn protection_keeps_from_scale_in_and_not_from_replacement() {
    check(1, "aSk bS aSk", "terminate 1 Capacity");
    check(1, "aSk bSk", "");
    check(2, "aSkx- bS", "replace 0; launch a,b Replacement");
}

#[test]
fn an_instance_that_does_not_run_is_ill_at_once() {
    check(2, "aS- bS", "ill 0 Ec2State");
    check(2, "aS0 bS", "ill 0 Ec2State");
    let (group, facts) = group(2, "aS- bS");
    assert_eq!(
        steps(&group, &facts, 5),
        "ill 0 Ec2State",
        "also within the grace period"
    );
}

#[test]
fn a_load_balancers_verdict_counts_after_the_grace_period() {
    check(2, "aSd bS", "ill 0 LoadBalancer");
    let (mut group, mut facts) = group(2, "aSd bS");
    assert_eq!(steps(&group, &facts, 59), "");
    assert_eq!(steps(&group, &facts, 60), "ill 0 LoadBalancer");
    // Recovered at 100 s: it boots again.
    facts.get_mut(&id(0)).unwrap().running_since = Some(second(100));
    assert_eq!(steps(&group, &facts, 159), "");
    assert_eq!(steps(&group, &facts, 160), "ill 0 LoadBalancer");
    facts.get_mut(&id(0)).unwrap().running_since = Some(second(0));
    // As long as nothing ever passed a check, nobody is replaced.
    group.target_groups_in_service.clear();
    facts.get_mut(&id(1)).unwrap().healthy_in.clear();
    assert_eq!(steps(&group, &facts, 1000), "");
    group.health_check_types = vec!["EC2".into()];
    group.target_groups_in_service = vec![GROUP.into()];
    assert_eq!(steps(&group, &facts, 1000), "");
}

#[test]
fn an_instance_that_ends_on_its_way_in_is_replaced() {
    let (group, mut facts) = group(2, "aS bP");
    facts.get_mut(&id(1)).unwrap().state = Some(InstanceState::Stopped);
    assert_eq!(
        steps(&group, &facts, 1000),
        "replace 1; launch b,a Replacement"
    );
}

/// Two heavy ones for a capacity of three: what is too much does not take the room.
#[test]
fn heavy_members_are_replaced_ahead_as_well() {
    check_with(
        3,
        "aS! bS",
        |g| {
            g.maintenance_policy = Some((100, 150));
            g.instances.iter_mut().for_each(|m| m.weight = 2);
        },
        "launch a,b Replacement for 0",
    );
}

/// Two ill ones and no room for a third: nobody could ever be replaced (seed 3282).
#[test]
fn a_successor_that_fails_makes_room_for_another() {
    let ill = |g: &mut AutoScalingGroup| {
        g.maintenance_policy = Some((100, 150));
        g.instances[3].replaces = Some(id(2));
    };
    check_with(3, "aS bS aS! bS!", ill, "replace 3");
    check_with(
        3,
        "aS bS aS!",
        |g| g.maintenance_policy = Some((100, 150)),
        "launch a,b Replacement for 2",
    );
}

#[test]
fn an_impaired_instance_is_given_some_minutes_and_its_grace_period() {
    check(2, "aSi bS", "ill 0 Ec2StatusCheck");
    let (mut group, mut facts) = group(2, "aSi bS");
    assert_eq!(steps(&group, &facts, 179), "");
    assert_eq!(steps(&group, &facts, 180), "ill 0 Ec2StatusCheck");
    group.health_check_grace_period = 300;
    assert_eq!(steps(&group, &facts, 299), "");
    assert_eq!(steps(&group, &facts, 300), "ill 0 Ec2StatusCheck");
    // A fast cloud still waits for as long as two boots take, and a twentieth of the rest.
    group.health_check_grace_period = 0;
    facts.get_mut(&id(0)).unwrap().boot = Some(SignedDuration::from_secs(40));
    let at = |now| Situation {
        speed: Speed::new(20.0),
        ..situation(&group, &facts, None, now)
    };
    assert_eq!(plan(at(84)), (Vec::new(), Some(second(85))));
    assert_eq!(plan(at(85)).0.len(), 1);
    check_with(2, "aSi bS", suspend(&["HealthCheck"]), "");
}

#[test]
fn spot_instances_at_risk_get_successors() {
    let rebalance = |g: &mut AutoScalingGroup| g.capacity_rebalance = true;
    check(2, "aSs bS", "");
    check_with(2, "aSs bS", rebalance, "launch a,b Recommendation for 0");
    // A tenth of the capacity above it, and one at least.
    let twenty = "aSs bSs ".repeat(10);
    check_with(
        20,
        &twenty,
        rebalance,
        "launch a,b Recommendation for 0; launch b,a Recommendation for 1",
    );
    let (mut group, facts) = group(2, "aSs bS aS?");
    group.instances[2].replaces = Some(id(0));
    assert_eq!(steps(&group, &facts, 50), "", "it has not passed a check");
    let (mut group, facts) = self::group(2, "aSs bS aS");
    group.instances[2].replaces = Some(id(0));
    assert_eq!(steps(&group, &facts, 50), "terminate 0 Recommendation");
}

#[test]
fn what_load_balancers_call_ill_is_replaced_a_tenth_at_a_time() {
    check(2, "aS! bS", "replace 0; launch a,b Replacement");
    check(4, "aS! bS! aS! bS!", "replace 0; launch a,b Replacement");
    check(4, "aS! bS aS bP", "");
    // The one before it still drains.
    check(4, "aT! aS! bS bS aS", "");
    // Gone from the machine: no longer under way.
    check(4, "aT!- aS! bS bS aS", "replace 1; launch a,b Replacement");
    // Not running: no limit.
    check(
        4,
        "aSx- bSx- aSx- bSx-",
        "replace 0; replace 1; replace 2; replace 3; launch a,b Replacement; launch b,a Replacement; launch a,b Replacement; launch b,a Replacement",
    );
    let twenty = "aS! bS! ".repeat(10);
    check(
        20,
        &twenty,
        "replace 0; replace 1; launch a,b Replacement; launch b,a Replacement",
    );
}

#[test]
fn balance_launches_first() {
    check(3, "aS aS aS", "launch b Rebalance");
    check(3, "aS aS bS", "");
    // Not while anything is on its way.
    check(3, "aS aS aP", "");
    // The new one serves: the largest zone loses one.
    check(3, "aS aS aS bSr", "terminate 2 Rebalance");
    check(3, "aS aS aS bS?r", "");
    check_with(
        3,
        "aS aS aS bS?r",
        |g| g.health_check_types = vec!["EC2".into()],
        "terminate 2 Rebalance",
    );
    let (group, facts) = group(3, "aS aS aS");
    let (steps, again) = plan(situation(&group, &facts, Some(second(1010)), 1000));
    assert_eq!(
        (steps, again),
        (Vec::new(), Some(second(1010))),
        "it failed a moment ago"
    );
}

/// Two light ones for a heavy one; not where so many would have to come that the zones are as
/// uneven as before.
#[test]
fn a_heavy_member_makes_way_for_light_ones() {
    let weigh = |weight| {
        move |g: &mut AutoScalingGroup| g.instances.iter_mut().for_each(|m| m.weight = weight)
    };
    let launch = "launch b Rebalance";
    check_with(4, "aS aS", weigh(2), &[launch; 2].join("; "));
    check_with(9, "aS aS aS", weigh(3), &[launch; 3].join("; "));
    check_with(8, "aS aS", weigh(4), "");
}

/// Else the next one would come for the same reason, for ever.
#[test]
fn who_came_for_the_balance_does_not_go_for_it() {
    let weigh = |newcomer| {
        move |g: &mut AutoScalingGroup| {
            let weights = [2, 2, 2, newcomer];
            for (member, weight) in g.instances.iter_mut().zip(weights) {
                member.weight = weight;
            }
        }
    };
    // Only the newcomer is light enough: it takes two for a heavy one to go.
    check_with(6, "aS aS aS bSr", weigh(1), "launch b Rebalance");
    check_with(6, "aS aS aS bSr", weigh(2), "terminate 2 Rebalance");
    // One unit more than wanted was there before.
    check_with(5, "aS aS aS bSr", weigh(2), "terminate 2 Rebalance");
}

#[test]
fn a_zone_that_is_shifted_away_from_gets_nothing() {
    let check = |desired, members, behaviour: &str, expected| {
        let (mut group, facts) = group(desired, members);
        group.impaired_zone_behavior = Some(behaviour.into());
        let shifted = Situation {
            shifted: Some("a"),
            ..situation(&group, &facts, None, 1000)
        };
        assert_eq!(said(&group, plan(shifted).0), expected, "{members}");
    };
    let replace = "ReplaceUnhealthy";
    check(2, "", replace, "launch b Capacity; launch b Capacity");
    // Zones are not balanced into it.
    check(3, "bS bS bS", replace, "");
    check(2, "aSx- bS", replace, "replace 0; launch b Replacement");
    check(
        2,
        "aSx- bSx-",
        "IgnoreUnhealthy",
        "replace 1; launch b Replacement",
    );
}

/// Never one without the other: `wait_for_elb_capacity` would take it for healthy.
#[test]
fn a_member_enters_service_registered() {
    // The second was left out when it last came, before it went to standby.
    for member in ["aP", "aPl"] {
        let (mut group, mut facts) = group(1, member);
        for fact in facts.values_mut() {
            fact.state = Some(InstanceState::Running);
        }
        assert_eq!(steps(&group, &facts, 1000), "serve 0; register 0");
        suspend(&["AddToLoadBalancer"])(&mut group);
        assert_eq!(steps(&group, &facts, 1000), "serve 0");
    }
}

#[test]
fn suspended_processes_do_not_run() {
    check_with(2, "aS", suspend(&["Launch"]), "");
    check_with(1, "aS bS", suspend(&["Terminate"]), "");
    check_with(3, "aS aS aS", suspend(&["AZRebalance"]), "");
    check_with(3, "aS aS aS", suspend(&["Launch"]), "");
    check_with(2, "aS- bS", suspend(&["HealthCheck"]), "");
    check_with(2, "aSx- bS", suspend(&["ReplaceUnhealthy"]), "");
    check_with(2, "aSx- bS", suspend(&["Launch"]), "replace 0");
    check_with(2, "aSx- bS", suspend(&["Terminate"]), "");
    // Who comes meanwhile is not registered later either.
    check(2, "aS?u bS", "register 0");
    check_with(2, "aS?u bS", suspend(&["AddToLoadBalancer"]), "");
    check(2, "aS?l bS", "");
    // Balancing launches and nobody goes, up to a tenth more than the maximum.
    let stuck = |max| {
        move |g: &mut AutoScalingGroup| {
            suspend(&["Terminate"])(g);
            g.max_size = max;
        }
    };
    check_with(3, "aS aS aS", stuck(3), "launch b Rebalance");
    check_with(4, "aS aS aS aS bSr", stuck(4), "");
    check_with(4, "aS aS aS aS bSr", stuck(5), "launch b Rebalance");
}

#[test]
fn failed_launches_wait() {
    check(1, "aP0", "failed 0");
    let (mut group, facts) = group(2, "aS");
    group.retry_at = Some(second(1010));
    assert_eq!(
        plan(situation(&group, &facts, None, 1000)),
        (Vec::new(), Some(second(1010)))
    );
    assert_eq!(steps(&group, &facts, 1010), "launch b,a Capacity");
}

#[test]
fn members_that_leave_drain_end_and_go() {
    check(1, "aS bT", "");
    let (group, mut facts) = group(1, "aS bT");
    facts.get_mut(&id(1)).unwrap().draining_in.clear();
    assert_eq!(steps(&group, &facts, 1000), "end 1");
    facts.get_mut(&id(1)).unwrap().state = Some(InstanceState::ShuttingDown);
    assert_eq!(steps(&group, &facts, 1000), "");
    facts.get_mut(&id(1)).unwrap().state = Some(InstanceState::Terminated);
    assert_eq!(steps(&group, &facts, 1000), "leave 1");
}

#[test]
fn a_deleted_group_ends_its_members_and_vanishes() {
    let delete = |g: &mut AutoScalingGroup| g.deleting = Some(second(1));
    check_with(
        0,
        "aS bSk",
        delete,
        "terminate 0 Capacity; terminate 1 Capacity",
    );
    check_with(0, "aT", delete, "");
    check_with(0, "", delete, "vanish");
}

#[test]
fn a_cause_that_was_undone_is_forgotten() {
    let caused = |g: &mut AutoScalingGroup| g.last_cause = Some("At … 2 to 4.".into());
    check_with(2, "aS bS", caused, "settle");
    check_with(3, "aS bS", caused, "launch a,b Capacity");
}
