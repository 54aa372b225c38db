//! What is wanted and recorded, what the host saw, and what follows.

use super::*;
use host::instance::Usage;
use model::instance::{MetadataOptions, PrivateDnsOptions};
use model::{ImageId, ReservationId, Scope, SubnetId, VolumeId, VpcId};

const RUN: DesiredInstance = DesiredInstance::Running;
const STOP: DesiredInstance = DesiredInstance::Stopped { force: false };
const FORCE: DesiredInstance = DesiredInstance::Stopped { force: true };
const END: DesiredInstance = DesiredInstance::Terminated;

fn second(n: i64) -> Timestamp {
    Timestamp::from_second(n).unwrap()
}

/// In this state since 100 s.
fn record(desired: DesiredInstance, state: InstanceState) -> Instance {
    Instance {
        id: InstanceId::random(),
        scope: Scope::new("000000000000", "us-east-1"),
        reservation: ReservationId::random(),
        launch_index: 0,
        image: ImageId::random(),
        contents: None,
        root_device: "/dev/xvda".into(),
        architecture: "x86_64".into(),
        instance_type: "t3.micro".into(),
        vpc: VpcId::random(),
        subnet: SubnetId::random(),
        zone: "us-east-1a".into(),
        key_name: None,
        user_data: None,
        assign_public_ip: false,
        profile: None,
        monitoring: false,
        metadata: MetadataOptions {
            http_tokens: "required".into(),
            http_endpoint: "enabled".into(),
            http_put_response_hop_limit: 2,
            instance_metadata_tags: "disabled".into(),
            http_protocol_ipv6: "disabled".into(),
        },
        disable_api_termination: false,
        disable_api_stop: false,
        shutdown_behavior: "stop".into(),
        ebs_optimized: false,
        tenancy: "default".into(),
        placement_group: None,
        cpu_options: (1, 2),
        amd_sev_snp: None,
        hibernation: false,
        enclave: false,
        auto_recovery: "default".into(),
        capacity_reservation_preference: "open".into(),
        capacity_reservation_target: None,
        capacity_reservation: None,
        private_dns: PrivateDnsOptions {
            hostname_type: "ip-name".into(),
            resource_name_a_record: false,
            resource_name_aaaa_record: false,
        },
        cpu_credits: None,
        root_volume: VolumeId::random(),
        client_token: None,
        launch_template: None,
        spot: None,
        launched: second(100),
        desired,
        run: 0,
        reboots_wanted: 0,
        reboots_done: 0,
        state,
        state_reason: None,
        state_transition_reason: String::new(),
        state_since: second(100),
        ready: None,
        unreachable: None,
        user_data_failure: None,
        uid_base: 1 << 20,
        tags: Default::default(),
    }
}

fn seen(state: RunState, run: u32) -> ObservedInstance {
    ObservedInstance {
        id: InstanceId::random(),
        run,
        state,
        init_pid: None,
        ready: false,
        started: second(100),
        ready_at: None,
        boots: 1,
        usage: Usage::default(),
        cpu_quota_usec_per_sec: 0,
        failure: None,
        reachable: None,
        user_data_failure: None,
    }
}

/// Steps as text, at 200 s with interfaces that stand.
fn steps(record: &Instance, seen: Option<&ObservedInstance>) -> String {
    let said = |step: Step| match step {
        Step::Launch => "launch".into(),
        Step::Stop { force } => {
            if force {
                "kill".into()
            } else {
                "stop".into()
            }
        }
        Step::Reboot => "reboot".into(),
        Step::Clear => "clear".into(),
        Step::Become {
            state,
            reason,
            desired,
        } => {
            let reason = reason
                .map(|(code, _)| format!(" {code}"))
                .unwrap_or_default();
            let desired = desired.map(|d| format!(" -> {d:?}")).unwrap_or_default();
            format!("{}{reason}{desired}", state.name())
        }
        Step::Ready(_) => "ready".into(),
        Step::Check { reachable: true } => "ok".into(),
        Step::Check { reachable: false } => "impaired".into(),
        Step::UserDataFailed(why) => format!("user data: {why}"),
        Step::Forget => "forget".to_owned(),
    };
    plan(
        record,
        seen,
        true,
        second(200),
        SignedDuration::from_secs(3600),
    )
    .into_iter()
    .map(said)
    .collect::<Vec<_>>()
    .join("; ")
}

#[track_caller]
fn check(desired: DesiredInstance, state: InstanceState, run: Option<RunState>, expected: &str) {
    let seen = run.map(|run| seen(run, 0));
    assert_eq!(
        steps(&record(desired, state), seen.as_ref()),
        expected,
        "{desired:?} {state:?} {run:?}"
    );
}

#[test]
fn what_follows_from_what_was_seen() {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    use RunState::{Running as Runs, Starting, Stopped as Ended, Stopping as Stops};
    let (off, killed, crashed, gone) = (
        Some(Ended(Exit::PowerOff)),
        Some(Ended(Exit::Killed)),
        Some(Ended(Exit::Crashed(1))),
        Some(Ended(Exit::Crashed(-1))),
    );

    check(RUN, Pending, None, "launch");
    check(RUN, Pending, Some(Starting), "");
    check(RUN, Pending, Some(Runs), "running");
    check(
        RUN,
        Pending,
        crashed,
        "shutting-down Server.InternalError -> Terminated",
    );

    check(RUN, Running, Some(Runs), "");
    check(
        RUN,
        Running,
        off,
        "stopped Client.InstanceInitiatedShutdown -> Stopped { force: false }",
    );
    check(
        RUN,
        Running,
        crashed,
        "stopped Server.InternalError -> Stopped { force: false }",
    );
    // Its process went with the machine; but not again and again.
    check(RUN, Running, None, "launch");
    check(
        RUN,
        Running,
        gone,
        "kill; stopped Server.InternalError -> Stopped { force: false }",
    );

    check(STOP, Stopping, Some(Runs), "stop");
    check(STOP, Stopping, Some(Starting), "stop");
    check(STOP, Stopping, Some(Stops), "");
    check(FORCE, Stopping, Some(Stops), "kill");
    check(STOP, Stopping, off, "stopped");
    check(STOP, Stopping, killed, "stopped");
    check(STOP, Stopping, gone, "kill; stopped");
    check(STOP, Stopping, None, "stopped");
    check(STOP, Stopped, off, "");

    check(END, ShuttingDown, Some(Runs), "stop");
    check(END, ShuttingDown, Some(Stops), "");
    check(END, ShuttingDown, off, "clear");
    check(
        END,
        ShuttingDown,
        None,
        "terminated Client.UserInitiatedShutdown",
    );
    check(END, Terminated, off, "clear");
    check(END, Terminated, None, "");
}

#[test]
fn a_start_that_hangs_fails_in_the_end() {
    let starting = seen(RunState::Starting, 0);
    let record = record(RUN, InstanceState::Pending);
    let at = |now| {
        plan(
            &record,
            Some(&starting),
            true,
            second(now),
            SignedDuration::from_secs(3600),
        )
    };
    assert_eq!(at(399), []);
    assert!(matches!(
        &at(400)[..],
        [Step::Become {
            state: InstanceState::ShuttingDown,
            ..
        }]
    ));
}

#[test]
fn what_is_seen_of_the_run_before_a_start_is_no_failure() {
    let mut record = record(RUN, InstanceState::Pending);
    record.run = 1;
    let check = |state, run, expected: &str| {
        assert_eq!(
            steps(&record, Some(&seen(state, run))),
            expected,
            "{state:?} {run}"
        );
    };
    // However short ago that run began.
    check(RunState::Stopped(Exit::PowerOff), 0, "launch");
    check(RunState::Stopping, 0, "");
    check(RunState::Running, 0, "stop");
    check(RunState::Starting, 1, "");
    check(RunState::Running, 1, "running");
    // It has a root volume to lose.
    check(
        RunState::Stopped(Exit::Crashed(1)),
        1,
        "stopped Server.InternalError -> Stopped { force: false }",
    );
}

#[test]
fn one_that_was_ready_and_vanished_is_recovered() {
    let mut record = record(RUN, InstanceState::Running);
    record.ready = Some(second(110));
    let gone = seen(RunState::Stopped(Exit::Crashed(-1)), 0);
    assert_eq!(steps(&record, Some(&gone)), "launch");
    record.auto_recovery = "disabled".into();
    let ended = "kill; stopped Server.InternalError -> Stopped { force: false }";
    assert_eq!(steps(&record, Some(&gone)), ended);
}

#[test]
fn shutdown_from_within_may_terminate() {
    let mut record = record(RUN, InstanceState::Running);
    record.shutdown_behavior = "terminate".into();
    let off = seen(RunState::Stopped(Exit::PowerOff), 0);
    assert_eq!(
        steps(&record, Some(&off)),
        "shutting-down Client.InstanceInitiatedShutdown -> Terminated"
    );
}

#[test]
fn reboots_happen_once_each() {
    let mut record = record(RUN, InstanceState::Running);
    record.reboots_wanted = 2;
    let runs = seen(RunState::Running, 0);
    assert_eq!(steps(&record, Some(&runs)), "reboot");
    record.reboots_done = 2;
    assert_eq!(steps(&record, Some(&runs)), "");
}

#[test]
fn ready_is_of_this_run() {
    let mut record = record(RUN, InstanceState::Running);
    record.run = 1;
    let ready = |run| ObservedInstance {
        ready: true,
        ready_at: Some(second(120)),
        ..seen(RunState::Running, run)
    };
    assert_eq!(steps(&record, Some(&ready(1))), "ready");
    assert_eq!(steps(&record, Some(&ready(0))), "");
}

#[test]
fn status_checks_follow_what_answered() {
    let mut record = record(RUN, InstanceState::Running);
    let answers = |reachable| ObservedInstance {
        reachable,
        ..seen(RunState::Running, 0)
    };
    let check = |record: &Instance, reachable, expected: &str| {
        assert_eq!(
            steps(record, Some(&answers(reachable))),
            expected,
            "{reachable:?}"
        );
    };
    // A boot takes its time.
    check(&record, Some(false), "");
    record.ready = Some(second(110));
    check(&record, Some(false), "impaired");
    check(&record, Some(true), "");
    record.unreachable = Some(second(150));
    check(&record, Some(false), "");
    check(&record, None, "");
    check(&record, Some(true), "ok");
    let failed = ObservedInstance {
        user_data_failure: Some("part-001 failed".into()),
        ..answers(None)
    };
    assert_eq!(steps(&record, Some(&failed)), "user data: part-001 failed");
    record.user_data_failure = failed.user_data_failure.clone();
    assert_eq!(steps(&record, Some(&failed)), "");
}

#[test]
fn nothing_is_launched_before_its_interfaces_stand_and_the_dead_are_forgotten() {
    let hour = SignedDuration::from_secs(3600);
    let pending = record(RUN, InstanceState::Pending);
    assert_eq!(plan(&pending, None, false, second(200), hour), []);
    let dead = record(END, InstanceState::Terminated);
    assert_eq!(plan(&dead, None, true, second(3699), hour), []);
    assert_eq!(plan(&dead, None, true, second(3700), hour), [Step::Forget]);
}

/// A start that hangs is given up five minutes after it began, however long ago it was asked for:
/// nobody may have looked meanwhile.
#[test]
fn a_start_has_its_time_from_when_it_began() {
    let record = record(DesiredInstance::Running, InstanceState::Pending);
    let at = |started, now| {
        let seen = ObservedInstance {
            started: second(started),
            ..seen(RunState::Starting, 0)
        };
        let hour = SignedDuration::from_secs(3600);
        plan(&record, Some(&seen), true, second(now), hour).len()
    };
    assert_eq!(at(100, 399), 0);
    assert_eq!(at(100, 400), 1);
    assert_eq!(at(900, 900), 0);
}
