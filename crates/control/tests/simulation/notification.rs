//! What a group's topics are told. Nobody sends it: it stands among the cloud's events.

use crate::cloud::Cloud;
use crate::stack;
use serde_json::Value;

const ALL: &str = "arn:aws:sns:us-east-1:000000000000:all";
const ENDS: &str = "arn:aws:sns:us-east-1:000000000000:ends";

fn put(cloud: &Cloud, topic: &str, types: &[&str]) {
    cloud.sns(&format!(
        "CreateTopic&Name={}",
        topic.rsplit(':').next().unwrap()
    ));
    let types: Vec<String> = types
        .iter()
        .enumerate()
        .map(|(n, kind)| format!("&NotificationTypes.member.{}=autoscaling:{kind}", n + 1))
        .collect();
    cloud.autoscaling(&format!(
        "PutNotificationConfiguration&AutoScalingGroupName=web&TopicARN={topic}{}",
        types.concat()
    ));
}

fn messages(cloud: &Cloud, topic: &str) -> Vec<Value> {
    let state = cloud.state();
    let told = state.events.values().filter(|e| e.kind == "notification");
    told.map(|e| serde_json::from_str(&e.message).unwrap())
        .filter(|m: &Value| m["TopicARN"] == topic)
        .collect()
}

fn kinds(cloud: &Cloud, topic: &str) -> Vec<String> {
    let all = messages(cloud, topic);
    let kind = |m: &Value| m["Event"].as_str().unwrap().replace("autoscaling:", "");
    all.iter().map(kind).collect()
}

#[test]
fn topics_are_told_of_launches_ends_and_failures_they_asked_for() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (0, 4, 0));
    put(
        &cloud,
        ALL,
        &[
            "TEST_NOTIFICATION",
            "EC2_INSTANCE_LAUNCH",
            "EC2_INSTANCE_LAUNCH_ERROR",
            "EC2_INSTANCE_TERMINATE",
            "EC2_INSTANCE_TERMINATE_ERROR",
        ],
    );
    put(&cloud, ENDS, &["EC2_INSTANCE_TERMINATE"]);
    assert_eq!(kinds(&cloud, ALL), ["TEST_NOTIFICATION"]);
    cloud.resize("web", 0, 4, 1);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let id = cloud.in_service("web")[0].to_string();
    let launch = messages(&cloud, ALL).pop().unwrap();
    for (name, expected) in [
        ("Event", "autoscaling:EC2_INSTANCE_LAUNCH"),
        ("Service", "AWS Auto Scaling"),
        ("AccountId", "000000000000"),
        ("AutoScalingGroupName", "web"),
        ("EC2InstanceId", &id),
        ("StatusCode", "InProgress"),
        (
            "Description",
            &format!("Launching a new EC2 instance: {id}"),
        ),
    ] {
        assert_eq!(launch[name], expected, "{name}");
    }
    let zone = launch["Details"]["Availability Zone"].as_str().unwrap();
    assert!(zone.starts_with("us-east-1"), "{launch}");
    let cause = launch["Cause"].as_str().unwrap();
    assert!(
        cause.contains("increasing the capacity from 0 to 1."),
        "{cause}"
    );
    // No zone has room for another.
    for zone in ["us-east-1a", "us-east-1b"] {
        cloud.fault(model::event::Fault::Zone(zone.into()));
    }
    cloud.resize("web", 0, 4, 2);
    cloud.run(2.0);
    assert_eq!(
        kinds(&cloud, ALL)[..3],
        [
            "TEST_NOTIFICATION",
            "EC2_INSTANCE_LAUNCH",
            "EC2_INSTANCE_LAUNCH_ERROR"
        ]
    );
    let failed = messages(&cloud, ALL).pop().unwrap();
    assert_eq!(failed["StatusCode"], "Failed");
    let said = failed["StatusMessage"].as_str().unwrap();
    assert!(
        said.contains("We currently do not have sufficient"),
        "{said}"
    );
    assert_eq!(kinds(&cloud, ENDS), Vec::<String>::new());
    cloud.resize("web", 0, 4, 0);
    cloud.until("empty", 120.0, |c| c.group("web").instances.is_empty());
    assert_eq!(kinds(&cloud, ENDS), ["EC2_INSTANCE_TERMINATE"]);
    assert_eq!(kinds(&cloud, ALL).last().unwrap(), "EC2_INSTANCE_TERMINATE");
    assert_eq!(messages(&cloud, ENDS)[0]["EC2InstanceId"], id);
    // A topic that is taken off hears nothing more.
    cloud.autoscaling(&format!(
        "DeleteNotificationConfiguration&AutoScalingGroupName=web&TopicARN={ALL}"
    ));
    let told = kinds(&cloud, ALL).len();
    for zone in ["us-east-1a", "us-east-1b"] {
        cloud.heal(&model::event::Fault::Zone(zone.into()));
    }
    cloud.resize("web", 0, 4, 1);
    cloud.until("at rest again", 60.0, |c| c.at_rest("web"));
    assert_eq!(kinds(&cloud, ALL).len(), told);
}
