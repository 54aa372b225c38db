//! What an instance has written becomes a layer of others.

use crate::cloud::{Cloud, PATIENCE};
use host::instance::SnapshotOutcome;
use host::linux::namespace;
use model::snapshot::Layer;
use model::{InstanceId, SnapshotId};
use std::time::Instant;

#[test]
fn a_snapshot_is_a_layer_of_others() {
    let Some(mut cloud) = Cloud::new(21) else {
        return;
    };
    cloud.spec.root_bytes = Some(1 << 30);
    cloud.boot();
    cloud.say(
        "echo kept > /root/kept; mkdir /var/lib/docker/x; echo data > /var/lib/docker/x/y; \
         chown 1000 /var/lib/docker/x/y /root/kept",
    );
    let snapshot = SnapshotId::random();
    cloud
        .instances
        .snapshot(&cloud.spec.id, &snapshot)
        .expect("begun");
    // A shell opens the host layer as well, and must leave what is in the making alone.
    host::linux::instance::Instances::open(crate::cloud::settings(&cloud.name)).expect("open");
    // Killed and started again meanwhile, it shares the copy's mount of its volume.
    cloud
        .instances
        .stop(&cloud.spec.id, true, PATIENCE)
        .expect("stop");
    cloud.stopped();
    cloud.boot();
    assert_eq!(cloud.say("cat /root/kept"), "kept");
    let deadline = Instant::now() + PATIENCE;
    let outcome = loop {
        if let Some(outcome) = cloud.instances.snapshots().remove(&snapshot) {
            break outcome;
        }
        assert!(Instant::now() < deadline, "the copy takes too long");
        std::thread::yield_now();
    };
    assert_eq!(outcome, SnapshotOutcome::Done);

    let source = cloud.spec.clone();
    // Its name may lead to a newer version by now: a layer goes with the files it was made on.
    cloud.spec.image = "/nowhere".into();
    cloud.spec.id = InstanceId::random();
    cloud.spec.uid_base += 65_536;
    cloud.spec.layers = vec![Layer {
        snapshot,
        uid_base: source.uid_base,
    }];
    namespace::create_instance_namespaces(&cloud.name, cloud.spec.id.as_str(), cloud.spec.uid_base)
        .expect("namespaces");
    cloud.boot();
    assert_eq!(
        cloud.say("cat /root/kept /var/lib/docker/x/y; stat -c %u /root/kept /var/lib/docker/x/y"),
        "kept\ndata\n1000\n1000"
    );
    cloud.instances.terminate(&source.id).expect("terminate");
    namespace::remove_instance_namespaces(&cloud.name, source.id.as_str()).expect("removed");
}
