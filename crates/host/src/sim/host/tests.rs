use super::*;
use crate::instance::Cpu;
use crate::network::{Interface, Subnet, Vpc};
use model::{NetworkAclId, NetworkInterfaceId, RouteTableId, SubnetId, VpcId};
use std::net::Ipv4Addr;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

fn spec(id: &InstanceId) -> InstanceSpec {
    InstanceSpec {
        id: id.clone(),
        run: 0,
        image: "/image".into(),
        uid_base: 1 << 20,
        hostname: "ip-10-0-0-4".into(),
        domain: "ec2.internal".into(),
        default_user: None,
        address: ADDRESS,
        name_servers: vec![Ipv4Addr::new(10, 0, 0, 2).into()],
        search: "ec2.internal".into(),
        cpu: Cpu {
            vcpus: 2,
            millicores_per_vcpu: 100,
        },
        memory_bytes: 1 << 30,
        pids_max: 4096,
        root_bytes: None,
        trust: None,
        layers: Vec::new(),
        binds: Vec::new(),
    }
}

/// A network in which the instance has one interface, in zone `a`.
fn network(id: &InstanceId) -> Network {
    let (subnet, table, acl) = (
        SubnetId::random(),
        RouteTableId::random(),
        NetworkAclId::random(),
    );
    let cidr = "10.0.0.0/16".parse().unwrap();
    let mut vpc = Vpc {
        cidrs: vec![cidr],
        internet_gateway: None,
        dns_support: true,
        subnets: BTreeMap::new(),
        route_tables: BTreeMap::new(),
        network_acls: BTreeMap::new(),
        security_groups: BTreeMap::new(),
        interfaces: BTreeMap::new(),
        peerings: BTreeMap::new(),
    };
    vpc.subnets.insert(
        subnet.clone(),
        Subnet {
            cidr,
            zone: "a".into(),
            route_table: table,
            network_acl: acl,
        },
    );
    let interface = Interface {
        subnet,
        mac: [2, 0, 0, 0, 0, 1],
        addresses: vec![ADDRESS],
        public: BTreeMap::new(),
        security_groups: Vec::new(),
        source_dest_check: true,
        owner: Owner::Instance {
            instance: id.clone(),
            device: 0,
            uid_base: 1 << 20,
        },
    };
    vpc.interfaces
        .insert(NetworkInterfaceId::random(), interface);
    Network {
        vpcs: BTreeMap::from([(VpcId::random(), vpc)]),
        ..Network::default()
    }
}

/// A host, its clock, and an instance whose interface stands.
fn lab() -> (SimHost, Clock, InstanceId) {
    let clock = Clock::new(Timestamp::UNIX_EPOCH);
    let host = SimHost::new(clock.clone());
    let id = InstanceId::random();
    host.apply_network(&network(&id));
    (host, clock, id)
}

fn wait(clock: &Clock, seconds: f64) {
    clock.advance_to(after(clock.now(), Duration::from_secs_f64(seconds)));
}

fn seen(host: &SimHost) -> ObservedInstance {
    host.instances().unwrap().remove(0)
}

#[test]
fn an_instance_starts_boots_stops_and_goes() {
    let (host, clock, id) = lab();
    host.launch(&spec(&id)).unwrap();
    assert_eq!(seen(&host).state, RunState::Starting);
    wait(&clock, 0.1);
    assert_eq!(
        (seen(&host).state, seen(&host).ready),
        (RunState::Running, false)
    );
    wait(&clock, 2.0);
    assert!(seen(&host).ready);
    host.reboot(&id).unwrap();
    assert_eq!(
        (seen(&host).state, seen(&host).ready, seen(&host).boots),
        (RunState::Starting, false, 2)
    );
    wait(&clock, 3.0);
    host.stop(&id, false).unwrap();
    assert_eq!(seen(&host).state, RunState::Stopping);
    wait(&clock, 1.0);
    assert_eq!(seen(&host).state, RunState::Stopped(Exit::PowerOff));
    host.launch(&spec(&id)).unwrap();
    assert_eq!(
        (seen(&host).state, seen(&host).boots),
        (RunState::Starting, 1)
    );
    host.terminate(&id).unwrap();
    assert!(host.instances().unwrap().is_empty());
    assert!(matches!(
        host.stop(&id, true),
        Err(InstanceError::Missing(_))
    ));
}

#[test]
fn faults_end_and_hang_and_refuse() {
    let (host, clock, id) = lab();
    host.refuse_launches("a", Some("no room"));
    assert_eq!(
        host.launch(&spec(&id)).unwrap_err().to_string(),
        format!("launch {id}: no room")
    );
    host.refuse_launches("a", None);
    host.hang_boots("a", true);
    host.launch(&spec(&id)).unwrap();
    wait(&clock, 1000.0);
    assert_eq!(
        (seen(&host).state, seen(&host).ready),
        (RunState::Running, false)
    );
    host.kill(&id).unwrap();
    assert_eq!(seen(&host).state, RunState::Stopped(Exit::Crashed(137)));
    let stranger = InstanceId::random();
    assert!(
        host.launch(&spec(&stranger)).is_err(),
        "it has no interface"
    );
}

#[test]
fn cpu_follows_the_load() {
    let (host, clock, id) = lab();
    host.launch(&spec(&id)).unwrap();
    wait(&clock, 0.05);
    host.set_load(&id, 0.5).unwrap();
    wait(&clock, 10.0);
    host.set_load(&id, 0.0).unwrap();
    wait(&clock, 10.0);
    // Two vCPUs of a tenth of a core each, half used, for ten seconds.
    assert_eq!(seen(&host).usage.cpu_usec, 1_000_000);
}
