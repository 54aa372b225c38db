//! Run Command: scripts in instances, as many at once as is asked, and how they end.

use crate::cloud::{Cloud, text};
use host::Host;
use model::InstanceId;
use model::ssm::Invocation;

/// Instances of one profile that have booted.
fn launched(cloud: &mut Cloud, count: u32) -> Vec<InstanceId> {
    for call in [
        "CreateInstanceProfile&InstanceProfileName=managed",
        "CreateRole&RoleName=managed&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%7D%7D",
        "AddRoleToInstanceProfile&InstanceProfileName=managed&RoleName=managed",
    ] {
        let answer = cloud.call(api::iam::service(), "2010-05-08", call);
        assert!(answer.is_ok(), "{answer:?}");
    }
    let launch = |_| {
        let answer = cloud.ec2("RunInstances&ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro&MinCount=1&MaxCount=1&IamInstanceProfile.Name=managed");
        text(&answer, "instanceId").parse().expect("an id")
    };
    let mut ids: Vec<InstanceId> = (0..count).map(launch).collect();
    ids.sort();
    cloud.run(10.0);
    ids
}

fn send(cloud: &Cloud, ids: &[InstanceId], commands: &str, more: &str) -> Result<(), String> {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    let body = format!(
        r#"{{"DocumentName":"AWS-RunShellScript","InstanceIds":[{}],"Parameters":{{"commands":[{commands}]}}{more}}}"#,
        ids.join(",")
    );
    cloud
        .json(api::ssm::service(), "SendCommand", &body)
        .map(drop)
}

/// The status of each invocation of the newest command, by instance.
fn statuses(cloud: &Cloud) -> Vec<&'static str> {
    newest(cloud).iter().map(|i| i.status.details()).collect()
}

fn newest(cloud: &Cloud) -> Vec<Invocation> {
    let state = cloud.state();
    let newest = state.commands.values().max_by_key(|c| c.requested);
    let newest = newest.expect("a command");
    let all = state.invocations.of(newest.id.as_str());
    all.map(|i| Invocation::clone(i)).collect()
}

#[test]
fn as_many_at_once_as_is_asked() {
    let mut cloud = Cloud::new(1.0);
    let ids = launched(&mut cloud, 3);
    let two = r#","MaxConcurrency":"2""#;
    send(&cloud, &ids, r#""sleep 5","echo done""#, two).expect("sent");
    assert_eq!(statuses(&cloud), ["Pending"; 3]);
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["InProgress", "InProgress", "Pending"]);
    cloud.run(5.0);
    assert_eq!(statuses(&cloud), ["Success", "Success", "InProgress"]);
    cloud.run(6.0);
    for invocation in newest(&cloud) {
        assert_eq!(invocation.stdout, "done\n");
        let took = invocation
            .ended
            .expect("over")
            .duration_since(invocation.started.expect("begun"));
        assert_eq!((took.as_secs(), invocation.exit_code), (5, Some(0)));
    }
    assert!(
        cloud.host.commands().is_empty(),
        "nothing is kept on the host"
    );
}

#[test]
fn one_failure_is_one_too_many() {
    let mut cloud = Cloud::new(1.0);
    let ids = launched(&mut cloud, 3);
    cloud.run(1.0);
    send(&cloud, &ids, r#""exit 3""#, r#","MaxConcurrency":"1""#).expect("sent");
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["Failed", "Terminated", "Terminated"]);
    cloud.run(1.0);
    send(
        &cloud,
        &ids,
        r#""exit 3""#,
        r#","MaxConcurrency":"1","MaxErrors":"50%""#,
    )
    .expect("sent");
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["Failed", "Failed", "Terminated"]);
}

#[test]
fn time_and_people_end_what_runs() {
    let mut cloud = Cloud::new(1.0);
    let ids = launched(&mut cloud, 2);
    let short = r#""sleep 60"],"executionTimeout":["5""#;
    send(&cloud, &ids, short, "").expect("sent");
    cloud.run(6.0);
    assert_eq!(statuses(&cloud), ["Execution Timed Out"; 2]);

    send(&cloud, &ids, r#""sleep 60""#, "").expect("sent");
    cloud.run(2.0);
    let command = newest(&cloud).remove(0).command;
    let body = format!(
        r#"{{"CommandId":"{command}","InstanceIds":["{}"]}}"#,
        ids[1]
    );
    cloud
        .json(api::ssm::service(), "CancelCommand", &body)
        .expect("called off");
    assert_eq!(
        statuses(&cloud),
        ["InProgress"; 2],
        "it is seen to end first"
    );
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["InProgress", "Cancelled"]);
    // An instance that ends takes its script along.
    cloud.host.kill(&ids[0]).expect("killed");
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["Failed", "Cancelled"]);
}

#[test]
fn who_does_not_listen_is_waited_for() {
    let mut cloud = Cloud::new(1.0);
    let ids = launched(&mut cloud, 2);
    let other = "i-0123456789abcdef0".parse().expect("an id");
    let refused = send(&cloud, &[other], r#""true""#, "").expect_err("no instance");
    assert!(refused.starts_with("InvalidInstanceId"), "{refused}");

    let one_by_one = r#","MaxConcurrency":"1","TimeoutSeconds":30"#;
    send(&cloud, &ids, r#""sleep 40""#, one_by_one).expect("sent");
    cloud.run(35.0);
    assert_eq!(statuses(&cloud), ["InProgress", "Delivery Timed Out"]);
    cloud.run(10.0);

    // What ran when the control plane ended is lost, and said to be.
    send(&cloud, &ids, r#""sleep 40""#, "").expect("sent");
    cloud.run(2.0);
    for id in &ids {
        let key = format!("{}/{id}", newest(&cloud)[0].command);
        cloud.host.cancel_command(&key);
        cloud.host.forget_command(&key);
    }
    cloud.restart(false);
    cloud.run(2.0);
    assert_eq!(statuses(&cloud), ["Failed"; 2]);
    assert!(newest(&cloud)[0].stderr.contains("started anew"));
}
