//! Restarts, removal, and how long changes take.

use crate::lab::*;
use host::linux::namespace;
use host::linux::network::{Networks, names};
use host::network::*;
use std::time::Instant;

#[test]
fn a_restart_adopts_and_the_end_leaves_nothing() {
    let Some(mut lab) = Lab::new("nadopt", 25) else {
        return;
    };
    lab.two_vpcs();
    let applied = lab.apply();
    assert!(!applied.changed.is_empty());
    assert!(
        lab.apply().changed.is_empty(),
        "the same value changes nothing"
    );
    let _servers = ["app1", "web"].map(|name| lab.serve(name, name, 8080));
    let mut flow = lab.connect("web", "app1", 8080).expect("reachable");

    lab.networks = Some(Networks::open(lab.settings.clone()).expect("records"));
    assert!(
        lab.apply().changed.is_empty(),
        "a new control plane finds all as it should be"
    );
    assert!(echoes(&mut flow));

    // One more interface touches its router and itself, no others.
    lab.add_instance("late", "private-a", "10.0.10.77", 61);
    let changed = lab.apply().changed;
    let expected = [lab.router(), lab.namespace("late")].into();
    assert_eq!(changed, expected);
    assert!(echoes(&mut flow));

    // A veth that vanished comes back.
    let device = lab.device("web");
    program_in(&lab.router(), "ip", &["link", "del", &device]);
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");

    // So does a router of which there is no record, with all its interfaces.
    let records = lab.settings.state_dir.join("namespaces");
    std::fs::remove_file(records.join(lab.router()).with_extension("json")).expect("record");
    lab.networks = Some(Networks::open(lab.settings.clone()).expect("records"));
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");
    assert_eq!(lab.seen_as("app2", "web:public"), "P.21");

    // Interfaces that are no longer named go, and nothing else.
    let node = lab.id("node");
    lab.vpc().interfaces.remove(&node);
    lab.apply();
    assert!(!namespace::exists(&names::interface(lab.cloud(), &node)));
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");

    // An impossible interface is named; the rest is built.
    let mut strange = lab.interface("web").clone();
    strange.owner = Owner::LoadBalancerNode;
    strange.public.clear();
    lab.vpc().interfaces.insert(node.clone(), strange);
    let applied = lab
        .networks
        .as_mut()
        .expect("open")
        .apply(&lab.network)
        .expect("applied");
    let named: Vec<_> = applied
        .failures
        .iter()
        .map(|f| f.interface.clone())
        .collect();
    assert_eq!(named, [Some(node.clone())], "{:?}", applied.failures);

    // One that the kernel refuses (its ids do not exist) is named; the rest is built.
    lab.vpc().interfaces.remove(&node);
    lab.add_instance("refused", "private-a", "10.0.10.78", 62);
    lab.add_instance("fine", "private-a", "10.0.10.79", 63);
    let refused = lab.id("refused");
    if let Owner::Instance { uid_base, .. } = &mut lab.interface("refused").owner {
        *uid_base = u32::MAX - 9;
    }
    let applied = lab
        .networks
        .as_mut()
        .expect("open")
        .apply(&lab.network)
        .expect("applied");
    assert!(!applied.failures.is_empty());
    for failure in applied.failures {
        assert_eq!(failure.interface.as_ref(), Some(&refused), "{failure:?}");
        assert_eq!(failure.vpc.as_ref(), lab.network.vpcs.keys().next());
    }
    assert_eq!(lab.seen_as("fine", "app1"), "10.0.10.79");
    // It is tried again, and succeeds when its cause is gone.
    lab.interface("refused").owner = lab.interface("fine").owner.clone();
    if let Owner::Instance { instance, .. } = &mut lab.interface("refused").owner {
        *instance = "i-000000000000000aa".parse().expect("id");
    }
    lab.apply();
    assert_eq!(lab.seen_as("refused", "app1"), "10.0.10.78");

    let (cloud, device) = (lab.cloud().to_owned(), names::host_device(lab.cloud()));
    let state = lab.settings.state_dir.clone();
    lab.networks
        .take()
        .expect("open")
        .remove_all()
        .expect("removed");
    assert_eq!(namespace::list(&cloud).expect("listed"), [""; 0]);
    assert_eq!(namespace::list_user(&cloud).expect("listed"), [""; 0]);
    assert!(!std::path::Path::new("/sys/class/net").join(device).exists());
    let left: Vec<_> = std::fs::read_dir(state).expect("state").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Prints figures; asserts only that a change stays a change of one interface.
#[test]
fn how_long_it_takes() {
    let Some(mut lab) = Lab::new("ntime", 26) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let timed = |lab: &mut Lab, what: &str| {
        let start = Instant::now();
        let changed = lab.apply().changed.len();
        println!(
            "apply, {what}: {:.1} ms, {changed} namespaces",
            start.elapsed().as_secs_f64() * 1e3
        );
        changed
    };
    assert_eq!(timed(&mut lab, "no change"), 0);
    lab.add_instance("one", "private-a", "10.0.10.9", 70);
    assert_eq!(timed(&mut lab, "1 interface more"), 2);
    for n in 0..100 {
        lab.add_instance(
            &format!("many{n}"),
            "private-b",
            &format!("10.0.11.{}", 100 + n),
            100 + n,
        );
    }
    assert_eq!(timed(&mut lab, "100 interfaces more"), 101);
    assert_eq!(timed(&mut lab, "no change among 107"), 0);
    lab.add_instance("last", "private-a", "10.0.10.10", 71);
    assert_eq!(timed(&mut lab, "1 interface more among 107"), 2);
    let sg = lab.group(EVERYTHING);
    lab.vpc()
        .security_groups
        .get_mut(&sg)
        .expect("group")
        .ingress
        .push(allow("10.0.0.0/8", tcp(9)));
    assert_eq!(timed(&mut lab, "1 security group rule among 108"), 1);
    for n in 0..100 {
        let id = lab.id(&format!("many{n}"));
        lab.vpc().interfaces.remove(&id);
    }
    timed(&mut lab, "100 interfaces fewer");
    let start = Instant::now();
    lab.networks
        .take()
        .expect("open")
        .remove_all()
        .expect("removed");
    println!("remove_all: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}
