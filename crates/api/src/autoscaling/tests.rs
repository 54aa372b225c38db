//! Actions that move members, on a group whose members the tests put into service.

use super::{activity, attachment, capacity, group, member, standby, target_group};
use crate::testing::{input, run};
use crate::{Ctx, ec2, elbv2};
use model::autoscaling::{AutoScalingGroup, LifecycleState, UnhealthyBecause};
use model::elbv2::TargetGroup;
use model::instance::{Instance, InstanceState};
use serde_json::{Value, json};
use store::ScopedName;
use wire::{ApiError, Call, HttpRequest};

/// Calls an action of any service by its name, over Query.
fn call(ctx: &mut Ctx, service: &wire::Service<Ctx>, query: &str) -> String {
    let request = HttpRequest {
        method: "GET".into(),
        path: "/".into(),
        query: format!("Version={}&{query}", service.version),
        ..HttpRequest::default()
    };
    let call = Call::detect(&request).unwrap();
    let response = service.call(ctx, &call, "id");
    let body = String::from_utf8(response.body.to_vec()).unwrap();
    assert_eq!(response.status, 200, "{body}");
    body
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

/// A group `web` of 1 to 3 with two running members that serve, and a spare instance.
struct Stack {
    target_group: String,
    spare: String,
}

fn stack(ctx: &mut Ctx) -> Stack {
    let ec2 = ec2::service();
    let subnet = ctx.tx.subnets.values().find(|s| s.zone == "us-east-1a");
    let subnet = subnet.unwrap().clone();
    let images = call(
        ctx,
        &ec2,
        "Action=DescribeImages&Filter.1.Name=architecture&Filter.1.Value.1=x86_64",
    );
    let image = between(&images, "<imageId>", "</imageId>").to_owned();
    let data =
        format!("LaunchTemplateData.ImageId={image}&LaunchTemplateData.InstanceType=t3.micro");
    let template = format!("Action=CreateLaunchTemplate&LaunchTemplateName=web&{data}");
    call(ctx, &ec2, &template);
    let answer = call(
        ctx,
        &elbv2::service(),
        &format!(
            "Action=CreateTargetGroup&Name=web&Protocol=HTTP&Port=80&VpcId={}",
            subnet.vpc
        ),
    );
    let target_group = between(&answer, "<TargetGroupArn>", "</TargetGroupArn>").to_owned();
    let made = group::create(
        ctx,
        input(json!({
            "AutoScalingGroupName": "web",
            "MinSize": 1,
            "MaxSize": 3,
            "DesiredCapacity": 2,
            "LaunchTemplate": {"LaunchTemplateName": "web"},
            "VPCZoneIdentifier": subnet.id.to_string(),
            "HealthCheckGracePeriod": 60,
        })),
    );
    made.unwrap();
    let run = "Action=RunInstances&MinCount=3&MaxCount=3&LaunchTemplate.LaunchTemplateName=web";
    call(ctx, &ec2, &format!("{run}&SubnetId={}", subnet.id));
    let ids: Vec<_> = ctx.tx.instances.keys().cloned().collect();
    for id in &ids {
        ctx.tx
            .modify::<Instance>(id, |i| i.state = InstanceState::Running);
    }
    change(ctx, |g| {
        g.set_desired_capacity(0);
        g.target_groups = vec![];
    });
    let two = [ids[0].to_string(), ids[1].to_string()];
    let attached = json!({"AutoScalingGroupName": "web", "InstanceIds": two});
    attachment::attach(ctx, input(attached)).unwrap();
    let now = ctx.now;
    change(ctx, |g| {
        g.target_groups = vec![target_group.clone()];
        for m in &mut g.instances {
            m.lifecycle = LifecycleState::InService;
            m.in_service = Some(now);
        }
    });
    for id in &two {
        let member = ids.iter().find(|i| i.as_str() == id).unwrap();
        ctx.tx.modify::<TargetGroup>(&target_group, |g| {
            g.targets.push(model::elbv2::Target {
                id: member.to_string(),
                port: 80,
                zone: None,
                registered: now,
                draining: None,
            });
        });
    }
    Stack {
        target_group,
        spare: ids[2].to_string(),
    }
}

fn change(ctx: &mut Ctx, f: impl FnOnce(&mut AutoScalingGroup)) {
    let key = ScopedName::new(&ctx.scope, "web");
    assert!(ctx.tx.modify::<AutoScalingGroup>(&key, f));
}

fn web(ctx: &Ctx) -> AutoScalingGroup {
    (*group::find(ctx, "web").unwrap()).clone()
}

fn first(ctx: &Ctx) -> String {
    web(ctx).instances[0].id.to_string()
}

fn states(ctx: &Ctx) -> Vec<&'static str> {
    let group = web(ctx);
    group.instances.iter().map(|m| m.lifecycle.name()).collect()
}

fn draining(ctx: &Ctx, stack: &Stack) -> usize {
    let group = ctx.tx.get::<TargetGroup>(&stack.target_group).unwrap();
    group
        .targets
        .iter()
        .filter(|t| t.draining.is_some())
        .count()
}

/// The activity that tells of `text` in its description.
fn activity_about(ctx: &mut Ctx, text: &str) -> Value {
    let all = activity::describe(ctx, input(json!({"AutoScalingGroupName": "web"})));
    let all = serde_json::to_value(all.unwrap()).unwrap();
    let mut all = all["Activities"].as_array().unwrap().iter();
    let found = all.find(|a| a["Description"].as_str().unwrap().contains(text));
    found.unwrap().clone()
}

fn refused<T>(result: Result<T, ApiError>, text: &str) {
    let error = result.err().unwrap();
    assert_eq!(error.code, "ValidationError");
    assert!(error.message.contains(text), "{}", error.message);
}

#[test]
fn members_attach_up_to_the_maximum() {
    run(|ctx| {
        let stack = stack(ctx);
        let one = json!({"AutoScalingGroupName": "web", "InstanceIds": [stack.spare]});
        attachment::attach(ctx, input(one.clone())).unwrap();
        assert_eq!(web(ctx).desired_capacity(), 3);
        assert_eq!(states(ctx), ["InService", "InService", "Pending"]);
        let description = format!("Attaching an existing EC2 instance: {}", stack.spare);
        assert_eq!(
            activity_about(ctx, &description)["StatusCode"],
            "InProgress"
        );
        refused(
            attachment::attach(ctx, input(one.clone())),
            "maximum size 3",
        );
        change(ctx, |g| g.max_size = 5);
        refused(attachment::attach(ctx, input(one)), "already part");
        let unknown = json!({"AutoScalingGroupName": "web", "InstanceIds": ["i-0"]});
        refused(
            attachment::attach(ctx, input(unknown)),
            "Invalid Instance ID",
        );
    });
}

#[test]
fn members_detach_and_drain() {
    run(|ctx| {
        let stack = stack(ctx);
        let id = first(ctx);
        let leave = |decrement: bool, id: &str| {
            input(json!({
                "AutoScalingGroupName": "web",
                "InstanceIds": [id],
                "ShouldDecrementDesiredCapacity": decrement,
            }))
        };
        attachment::detach(ctx, leave(true, &id)).unwrap();
        assert_eq!(web(ctx).desired_capacity(), 1);
        assert_eq!(states(ctx), ["Detaching", "InService"]);
        refused(attachment::detach(ctx, leave(true, &id)), "size constraint");
        change(ctx, |g| drop(g.instances.remove(0)));
        assert_eq!(draining(ctx, &stack), 1);
        refused(attachment::detach(ctx, leave(true, &id)), "not part of");
        let last = first(ctx);
        refused(
            attachment::detach(ctx, leave(true, &last)),
            "min size constraint",
        );
        // Without the decrement the controller replaces it.
        attachment::detach(ctx, leave(false, &last)).unwrap();
        assert_eq!(
            (web(ctx).desired_capacity(), states(ctx)),
            (1, vec!["Detaching"])
        );
    });
}

#[test]
fn standby_and_back() {
    run(|ctx| {
        let stack = stack(ctx);
        let id = first(ctx);
        let enter = json!({
            "AutoScalingGroupName": "web",
            "InstanceIds": [id],
            "ShouldDecrementDesiredCapacity": true,
        });
        standby::enter(ctx, input(enter.clone())).unwrap();
        assert_eq!(states(ctx), ["EnteringStandby", "InService"]);
        change(ctx, |g| g.instances[0].lifecycle = LifecycleState::Standby);
        assert_eq!((web(ctx).desired_capacity(), draining(ctx, &stack)), (1, 1));
        refused(standby::enter(ctx, input(enter)), "min size constraint");
        let exit = json!({"AutoScalingGroupName": "web", "InstanceIds": [id]});
        standby::exit(ctx, input(exit.clone())).unwrap();
        assert_eq!(states(ctx), ["Pending", "InService"]);
        assert_eq!(web(ctx).desired_capacity(), 2);
        let cause = activity_about(ctx, "out of Standby")["Cause"].clone();
        assert_eq!(
            cause,
            format!(
                "At 1970-01-01T00:00:00Z instance {id} was moved out of standby in response to a user request, increasing the capacity from 1 to 2."
            )
        );
        refused(standby::exit(ctx, input(exit)), "not in Standby");
    });
}

#[test]
fn a_member_is_terminated_once() {
    run(|ctx| {
        let stack = stack(ctx);
        let id = first(ctx);
        let end =
            |id: &str| input(json!({"InstanceId": id, "ShouldDecrementDesiredCapacity": true}));
        let activity = member::terminate(ctx, end(&id)).unwrap();
        let activity = serde_json::to_value(activity).unwrap();
        let status = &activity["Activity"]["StatusCode"];
        assert_eq!(*status, "WaitingForELBConnectionDraining");
        assert_eq!(states(ctx), ["Terminating", "InService"]);
        assert_eq!((web(ctx).desired_capacity(), draining(ctx, &stack)), (1, 1));
        // Again: the same activity, and no second decrement.
        let again = serde_json::to_value(member::terminate(ctx, end(&id)).unwrap()).unwrap();
        assert_eq!(
            again["Activity"]["ActivityId"],
            activity["Activity"]["ActivityId"]
        );
        assert_eq!(web(ctx).desired_capacity(), 1);
        refused(
            member::terminate(ctx, end("i-0")),
            "No managed instance found",
        );
    });
}

/// Whoever asks for less may have ended why launches fail, whichever call it is by.
#[test]
fn less_desired_capacity_forgets_since_when_launches_fail() {
    type Shrink = fn(&mut Ctx, String);
    let mut calls: Vec<(&str, Shrink)> = Vec::new();
    calls.push(("DetachInstances", |ctx, id| {
        attachment::detach(ctx, leaving(&id)).unwrap();
    }));
    calls.push(("EnterStandby", |ctx, id| {
        standby::enter(ctx, leaving(&id)).unwrap();
    }));
    calls.push(("TerminateInstanceInAutoScalingGroup", |ctx, id| {
        let end = json!({"InstanceId": id, "ShouldDecrementDesiredCapacity": true});
        member::terminate(ctx, input(end)).unwrap();
    }));
    calls.push(("SetDesiredCapacity", |ctx, _| {
        let one = json!({"AutoScalingGroupName": "web", "DesiredCapacity": 1});
        capacity::set(ctx, input(one)).unwrap();
    }));
    for (name, call) in calls {
        run(|ctx| {
            stack(ctx);
            let (now, id) = (ctx.now, first(ctx));
            let set = json!({"AutoScalingGroupName": "web", "DesiredCapacity": 3});
            change(ctx, |g| g.failing_since = Some(now));
            capacity::set(ctx, input(set)).unwrap();
            assert_eq!(web(ctx).failing_since, Some(now), "more is no reason");
            change(ctx, |g| g.set_desired_capacity(2));
            change(ctx, |g| g.failing_since = Some(now));
            call(ctx, id);
            let group = web(ctx);
            assert_eq!(
                (group.desired_capacity(), group.failing_since),
                (1, None),
                "{name}"
            );
        });
    }
}

fn leaving(id: &str) -> attachment::LeavingInstances {
    input(json!({
        "AutoScalingGroupName": "web",
        "InstanceIds": [id],
        "ShouldDecrementDesiredCapacity": true,
    }))
}

#[test]
fn the_grace_period_shields_from_a_callers_verdict() {
    run(|ctx| {
        stack(ctx);
        let id = first(ctx);
        let mut judge = |status: &str, respect: bool, expected: bool| {
            let given = json!({
                "InstanceId": id,
                "HealthStatus": status,
                "ShouldRespectGracePeriod": respect,
            });
            member::set_health(ctx, input(given)).unwrap();
            let member = web(ctx).instances[0].clone();
            assert_eq!(member.healthy, expected, "{status} {respect}");
            let because = (!expected).then_some(UnhealthyBecause::User);
            assert_eq!(member.unhealthy_because, because);
        };
        judge("Unhealthy", true, true);
        judge("Unhealthy", false, false);
        judge("Healthy", true, true);
    });
}

#[test]
fn causes_tell_who_changed_the_capacity() {
    run(|ctx| {
        stack(ctx);
        change(ctx, |g| g.last_cause = None);
        let set = |n: u32| input(json!({"AutoScalingGroupName": "web", "DesiredCapacity": n}));
        capacity::set(ctx, set(2)).unwrap();
        assert_eq!(web(ctx).last_cause, None);
        capacity::set(ctx, set(3)).unwrap();
        let cause = |ctx: &Ctx| web(ctx).last_cause.unwrap_or_default();
        let at = "At 1970-01-01T00:00:00Z";
        assert_eq!(
            cause(ctx),
            format!(
                "{at} a user request explicitly set group desired capacity changing the desired capacity from 2 to 3."
            )
        );
        refused(capacity::set(ctx, set(4)), "above max value 3");
        refused(capacity::set(ctx, set(0)), "below min value 1");
        let smaller = json!({"AutoScalingGroupName": "web", "MaxSize": 2});
        group::update(ctx, input(smaller)).unwrap();
        assert_eq!(
            cause(ctx),
            format!(
                "{at} a user request update of AutoScalingGroup constraints to min: 1, max: 2, desired: 2 changing the desired capacity from 3 to 2."
            )
        );
    });
}

#[test]
fn a_group_with_members_is_deleted_by_force_only() {
    run(|ctx| {
        stack(ctx);
        let plain = json!({"AutoScalingGroupName": "web"});
        let error = group::delete(ctx, input(plain)).unwrap_err();
        assert_eq!(error.code, "ResourceInUse");
        let force = json!({"AutoScalingGroupName": "web", "ForceDelete": true});
        group::delete(ctx, input(force)).unwrap();
        assert!(web(ctx).deleting.is_some());
        let change = json!({"AutoScalingGroupName": "web", "MaxSize": 9});
        refused(group::update(ctx, input(change)), "pending delete");
    });
}

#[test]
fn a_detached_target_group_lets_members_drain() {
    run(|ctx| {
        let stack = stack(ctx);
        let given = json!({
            "AutoScalingGroupName": "web",
            "TargetGroupARNs": [stack.target_group],
        });
        target_group::detach(ctx, input(given)).unwrap();
        assert_eq!(draining(ctx, &stack), 2);
        assert!(web(ctx).target_groups.is_empty());
    });
}
