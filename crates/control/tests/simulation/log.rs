//! Lines that nodes wrote reach the bucket, the last ones too.

use crate::cloud::Cloud;
use crate::stack;
use model::s3::Bucket;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BUCKET: &str = "lines";
/// Of the real clock, for a thread to do its work; only a failure meets it.
const LIMIT: Duration = Duration::from_secs(20);

/// Lets the service that delivers logs in.
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject",
    "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
    "Resource": "arn:aws:s3:::lines/*"}]}"#;

fn bucket(cloud: &Cloud) {
    let bucket = Bucket {
        name: BUCKET.into(),
        scope: cloud.scope.clone(),
        created: cloud.start,
        versioning: None,
        object_lock: false,
        configuration: [("policy".to_owned(), POLICY.to_owned())].into(),
        tags: Default::default(),
    };
    cloud.store.update(|tx| tx.put(bucket));
}

fn set(cloud: &Cloud, arn: &str, attributes: &[(&str, &str)]) {
    let attributes = attributes.iter().enumerate().map(|(at, (key, value))| {
        let member = format!("Attributes.member.{}", at + 1);
        format!("&{member}.Key={key}&{member}.Value={value}")
    });
    let attributes: String = attributes.collect();
    cloud.elbv2(&format!(
        "ModifyLoadBalancerAttributes&LoadBalancerArn={arn}{attributes}"
    ));
}

/// A load balancer that logs; its directory and an interface of its nodes.
fn logging(cloud: &mut Cloud) -> (String, PathBuf, String) {
    bucket(cloud);
    let arn = stack::load_balancer(cloud, "web").load_balancer;
    let attributes = [
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", BUCKET),
        ("access_logs.s3.prefix", "front"),
    ];
    set(cloud, &arn, &attributes);
    cloud.run(5.0);
    let config = cloud.plane.config();
    let [balancer] = config.load_balancers.as_slice() else {
        panic!("one load balancer");
    };
    let directory = balancer.attributes.access_log.clone();
    let directory = directory.expect("it logs");
    let node = balancer.nodes[0].key.clone();
    (arn, directory, node)
}

fn write(directory: &Path, node: &str, line: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(format!("{node}.log")), line).unwrap();
}

/// Lets time pass until so many files were delivered; their names and what is in them.
fn delivered(cloud: &mut Cloud, count: usize) -> Vec<(String, String)> {
    wait(cloud, "the delivery", |cloud| {
        cloud.delivered.lock().unwrap().len() == count
    });
    let all = cloud.delivered.lock().unwrap();
    let all = all.iter().map(|delivery| {
        assert_eq!(delivery.bucket, BUCKET);
        let mut text = String::new();
        let mut unpacked = flate2::read::GzDecoder::new(delivery.body.as_slice());
        unpacked.read_to_string(&mut text).unwrap();
        (delivery.key.clone(), text)
    });
    all.collect()
}

fn wait(cloud: &mut Cloud, what: &str, holds: impl Fn(&Cloud) -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds(cloud) {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        cloud.run(10.0);
    }
}

#[test]
fn the_last_lines_of_a_deleted_load_balancer_are_delivered() {
    let mut cloud = Cloud::new(1.0);
    let (arn, directory, node) = logging(&mut cloud);
    write(&directory, &node, "one\n");
    let first = delivered(&mut cloud, 1);
    assert_eq!(first[0].1, "one\n");
    let state = cloud.state();
    let balancer = state.load_balancers.values().next().unwrap();
    let zone = balancer.zones.iter().find(|z| z.interface.as_str() == node);
    let address = zone.unwrap().public_ip.unwrap().to_string();
    let id = balancer.dimension().replace('/', ".");
    let begin = "front/AWSLogs/000000000000/elasticloadbalancing/us-east-1/2026/01/01/\
                 000000000000_elasticloadbalancing_us-east-1_";
    let name = first[0].0.strip_prefix(begin).unwrap();
    let name = name.strip_prefix(&format!("{id}_20260101T00")).unwrap();
    assert!(name.contains(&format!("Z_{address}_")), "{name}");
    assert!(name.ends_with(".log.gz"), "{name}");

    // Nodes write what they have when they close.
    cloud.elbv2(&format!("DeleteLoadBalancer&LoadBalancerArn={arn}"));
    cloud.run(5.0);
    assert!(cloud.state().load_balancers.values().next().is_none());
    write(&directory, &node, "two\n");
    // Another control plane knows of the lines, too.
    cloud.restart(false);
    let both = delivered(&mut cloud, 2);
    assert_eq!(both[1].1, "two\n");
    assert!(
        both[1].0.contains(&format!("Z_{address}_")),
        "{}",
        both[1].0
    );
    wait(&mut cloud, "the directory to go", |_| !directory.exists());
    fs::remove_dir(&cloud.logs).unwrap();
}

#[test]
fn switching_logs_off_leaves_no_line_behind() {
    let mut cloud = Cloud::new(1.0);
    let (arn, directory, node) = logging(&mut cloud);
    // Until the nodes have heard of it they write.
    cloud.plane.set_silent(true);
    set(&cloud, &arn, &[("access_logs.s3.enabled", "false")]);
    cloud.run(5.0);
    write(&directory, &node, "one\n");
    assert_eq!(delivered(&mut cloud, 1)[0].1, "one\n");
    write(&directory, &node, "two\n");
    cloud.plane.set_silent(false);
    assert_eq!(delivered(&mut cloud, 2)[1].1, "two\n");
    wait(&mut cloud, "the directory to go", |_| !directory.exists());
    // On again, it is made again, and known.
    set(&cloud, &arn, &[("access_logs.s3.enabled", "true")]);
    cloud.run(5.0);
    write(&directory, &node, "three\n");
    assert_eq!(delivered(&mut cloud, 3)[2].1, "three\n");
    fs::remove_dir_all(&cloud.logs).unwrap();
}

#[test]
fn lines_wait_for_their_bucket_as_long_as_somebody_can_make_it() {
    let mut cloud = Cloud::new(1.0);
    let (arn, directory, node) = logging(&mut cloud);
    cloud
        .store
        .update(|tx| _ = tx.remove::<Bucket>(&BUCKET.to_owned()));
    write(&directory, &node, "one\n");
    let missing = "failed to deliver logs: web: the bucket lines does not exist";
    wait(&mut cloud, "the event", |cloud| {
        events(cloud).iter().any(|text| text == missing)
    });
    bucket(&cloud);
    assert_eq!(delivered(&mut cloud, 1)[0].1, "one\n");
    // With both gone nobody can.
    write(&directory, &node, "two\n");
    cloud.elbv2(&format!("DeleteLoadBalancer&LoadBalancerArn={arn}"));
    cloud
        .store
        .update(|tx| _ = tx.remove::<Bucket>(&BUCKET.to_owned()));
    wait(&mut cloud, "the directory to go", |_| !directory.exists());
    wait(&mut cloud, "the event", are_dropped);
    fs::remove_dir(&cloud.logs).unwrap();
}

#[test]
fn last_lines_that_a_bucket_refuses_are_not_kept_for_ever() {
    let mut cloud = Cloud::new(1.0);
    let (arn, directory, node) = logging(&mut cloud);
    cloud.store.update(|tx| {
        let bucket = tx.buckets.get(BUCKET).unwrap();
        let mut bucket = Bucket::clone(bucket);
        bucket.configuration.clear();
        tx.put(bucket);
    });
    write(&directory, &node, "one\n");
    cloud.elbv2(&format!("DeleteLoadBalancer&LoadBalancerArn={arn}"));
    wait(&mut cloud, "a refusal", |cloud| {
        let refused = "failed to deliver logs: web: access denied";
        events(cloud).iter().any(|text| text == refused)
    });
    let begun = cloud.seconds();
    assert!(directory.exists());
    wait(&mut cloud, "the directory to go", |_| !directory.exists());
    wait(&mut cloud, "the event", are_dropped);
    // AWS's five minutes, eleven times more.
    assert!(cloud.seconds() - begun >= 3000.0, "{}", cloud.seconds());
    assert!(cloud.delivered.lock().unwrap().is_empty());
    fs::remove_dir(&cloud.logs).unwrap();
}

/// What was said of load balancers.
fn events(cloud: &Cloud) -> Vec<String> {
    let state = cloud.state();
    let events = state.events.values();
    let events = events.filter(|event| event.subject == "load-balancer");
    events.map(|event| event.message.clone()).collect()
}

fn are_dropped(cloud: &Cloud) -> bool {
    let mut events = events(cloud).into_iter();
    events.any(|text| text.ends_with("its last lines are dropped"))
}
