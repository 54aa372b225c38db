//! A small cloud to send packets through: names for its parts, servers and questions.
//!
//! A server answers each connection with its name and the address it sees, then echoes.

use host::linux::network::{Applied, Networks, Settings, names};
use host::linux::{namespace, program};
use host::network::*;
use ipnet::Ipv4Net;
use model::{NetworkInterfaceId, RouteTableId, SecurityGroupId, VpcId};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A group that admits everything both ways.
pub const EVERYTHING: &str = "sg-000000000000000ff";
/// Silence. Longer than the second after which TCP sends its first packet again, so that
/// one lost to a busy machine is not taken for a refusal.
const PATIENCE: Duration = Duration::from_millis(1500);
/// An answer that is sure to come: never waited out.
const CERTAINTY: Duration = Duration::from_secs(20);

pub struct Lab {
    pub settings: Settings,
    pub networks: Option<Networks>,
    pub network: Network,
    names: BTreeMap<String, (VpcId, NetworkInterfaceId)>,
}

impl Lab {
    /// None without root. `slice` is the third byte of the lab's public addresses.
    pub fn new(cloud: &str, slice: u8) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let state_dir = std::env::temp_dir().join(format!("{cloud}-network-test"));
        let settings = Settings {
            cloud: cloud.into(),
            state_dir,
            public_pool: Ipv4Net::new(Ipv4Addr::new(198, 18, slice, 0), 24).expect("pool"),
            offline: true,
        };
        // What an interrupted run left.
        let networks = Networks::open(settings.clone()).expect("opened");
        networks.remove_all().expect("removed");
        let networks = Some(Networks::open(settings.clone()).expect("opened"));
        Some(Self {
            settings,
            networks,
            network: Network::default(),
            names: BTreeMap::new(),
        })
    }

    pub fn cloud(&self) -> &str {
        &self.settings.cloud
    }

    pub fn pool(&self) -> Ipv4Net {
        self.settings.public_pool
    }

    fn nth(&self, n: u32) -> Ipv4Addr {
        nth(self.pool(), n)
    }

    /// All must be well.
    pub fn apply(&mut self) -> Applied {
        let networks = self.networks.as_mut().expect("open");
        let applied = networks.apply(&self.network).expect("applied");
        assert!(applied.failures.is_empty(), "{:#?}", applied.failures);
        applied
    }

    /// VPC 1: two public and two private subnets in two zones, a NAT gateway in each zone,
    /// and an isolated subnet. VPC 2: the same CIDR, one public instance.
    pub fn two_vpcs(&mut self) {
        self.network.internet_services = vec![self.nth(10)];
        for n in [1, 2] {
            let subnet = |third: u8, zone: &str, table: &str, number: u32| Subnet {
                cidr: Ipv4Net::new(Ipv4Addr::new(10, 0, third, 0), 24).expect("cidr"),
                zone: zone.into(),
                route_table: id(&format!("rtb-{n}000000000000000{table}")),
                network_acl: id(&format!("acl-{n}{number:016x}")),
            };
            let subnets = [
                ("public-a", subnet(0, "zone-a", "1", 1)),
                ("public-b", subnet(1, "zone-b", "2", 2)),
                ("private-a", subnet(10, "zone-a", "3", 3)),
                ("private-b", subnet(11, "zone-b", "4", 4)),
                ("isolated", subnet(20, "zone-b", "5", 5)),
            ];
            let acls = subnets
                .iter()
                .map(|(_, subnet)| (subnet.network_acl.clone(), self.open_acl()))
                .collect();
            let gateway = || {
                vec![Route {
                    destination: Ipv4Net::default(),
                    target: RouteTarget::InternetGateway,
                }]
            };
            let vpc = Vpc {
                cidrs: vec![id("10.0.0.0/16")],
                internet_gateway: Some(id(&format!("igw-{n:017x}"))),
                dns_support: true,
                route_tables: subnets
                    .iter()
                    .map(|(name, subnet)| {
                        let public = name.starts_with("public");
                        let routes = if public { gateway() } else { Vec::new() };
                        (subnet.route_table.clone(), routes)
                    })
                    .collect(),
                subnets: subnets
                    .into_iter()
                    .map(|(name, subnet)| (id(&subnet_id(n, name)), subnet))
                    .collect(),
                network_acls: acls,
                security_groups: BTreeMap::from([(
                    id(EVERYTHING),
                    SecurityGroup {
                        ingress: vec![allow("0.0.0.0/0", Traffic::All)],
                        egress: vec![allow("0.0.0.0/0", Traffic::All)],
                    },
                )]),
                interfaces: BTreeMap::new(),
                peerings: BTreeMap::new(),
            };
            self.network.vpcs.insert(id(&format!("vpc-{n:017x}")), vpc);
        }
        for (n, name, subnet, address, public, owner) in [
            (
                1,
                "nat-a",
                "public-a",
                "10.0.0.4",
                Some(20),
                Owner::NatGateway,
            ),
            (
                1,
                "nat-b",
                "public-b",
                "10.0.1.4",
                Some(21),
                Owner::NatGateway,
            ),
            (1, "web", "public-a", "10.0.0.5", Some(30), instance(1)),
            (
                1,
                "node",
                "public-a",
                "10.0.0.9",
                Some(40),
                Owner::LoadBalancerNode,
            ),
            (1, "app1", "private-a", "10.0.10.5", None, instance(2)),
            (1, "app3", "private-a", "10.0.10.6", None, instance(3)),
            (1, "app2", "private-b", "10.0.11.5", None, instance(4)),
            (1, "lonely", "isolated", "10.0.20.5", None, instance(5)),
            (2, "other", "public-a", "10.0.0.5", Some(50), instance(6)),
        ] {
            self.add(n, name, subnet, address, public, owner);
        }
        for (private, nat) in [("private-a", "nat-a"), ("private-b", "nat-b")] {
            let nat = self.id(nat);
            self.route(private, RouteTarget::Interface(nat));
        }
    }

    pub fn add_instance(&mut self, name: &str, subnet: &str, address: &str, number: u32) {
        self.add(1, name, subnet, address, None, instance(number));
    }

    fn add(
        &mut self,
        n: u32,
        name: &str,
        subnet: &str,
        address: &str,
        public: Option<u32>,
        owner: Owner,
    ) {
        let vpc: VpcId = id(&format!("vpc-{n:017x}"));
        let interface_id: NetworkInterfaceId = id(&format!("eni-{:017x}", self.names.len() + 1));
        let address: Ipv4Addr = id(address);
        let [_, b, c, d] = address.octets();
        let interface = Interface {
            subnet: id(&subnet_id(n, subnet)),
            mac: [0x0a, 0xff, 0, b, c, d],
            addresses: vec![address],
            public: public
                .map(|last| (address, self.nth(last)))
                .into_iter()
                .collect(),
            security_groups: match owner {
                Owner::NatGateway => Vec::new(),
                _ => vec![id(EVERYTHING)],
            },
            source_dest_check: owner != Owner::NatGateway,
            owner,
        };
        let network = self.network.vpcs.get_mut(&vpc).expect("vpc");
        network.interfaces.insert(interface_id.clone(), interface);
        self.names.insert(name.into(), (vpc, interface_id));
    }

    pub fn vpc(&mut self) -> &mut Vpc {
        self.network.vpcs.values_mut().next().expect("vpc 1")
    }

    pub fn router(&self) -> String {
        names::router(
            self.cloud(),
            self.network.vpcs.keys().next().expect("vpc 1"),
        )
    }

    pub fn id(&self, name: &str) -> NetworkInterfaceId {
        self.names[name].1.clone()
    }

    pub fn device(&self, name: &str) -> String {
        names::device(&self.names[name].1)
    }

    fn read(&self, name: &str) -> &Interface {
        let (vpc, interface) = &self.names[name];
        &self.network.vpcs[vpc].interfaces[interface]
    }

    pub fn interface(&mut self, name: &str) -> &mut Interface {
        let (vpc, interface) = &self.names[name];
        let vpc = self.network.vpcs.get_mut(vpc).expect("vpc");
        vpc.interfaces.get_mut(interface).expect("interface")
    }

    pub fn address(&self, name: &str) -> Ipv4Addr {
        match name {
            "internet" => self.nth(10),
            _ => self.read(name).addresses[0],
        }
    }

    pub fn public(&self, name: &str) -> Ipv4Addr {
        let interface = self.read(name);
        interface.public[&interface.addresses[0]]
    }

    pub fn subnet(&mut self, name: &str) -> &mut Subnet {
        self.vpc()
            .subnets
            .get_mut(subnet_id(1, name).as_str())
            .expect("subnet")
    }

    pub fn acl(&mut self, subnet: &str) -> &mut NetworkAcl {
        let acl = self.subnet(subnet).network_acl.clone();
        self.vpc().network_acls.get_mut(&acl).expect("acl")
    }

    pub fn open_acl(&self) -> NetworkAcl {
        let all = vec![acl(100, "0.0.0.0/0", Traffic::All)];
        NetworkAcl {
            ingress: all.clone(),
            egress: all,
        }
    }

    pub fn group(&self, text: &str) -> SecurityGroupId {
        id(text)
    }

    pub fn id_of_gateway_table(&mut self) -> RouteTableId {
        self.subnet("public-a").route_table.clone()
    }

    /// Sets the default route of a subnet's table.
    pub fn route(&mut self, subnet: &str, target: RouteTarget) {
        let table = self.subnet(subnet).route_table.clone();
        let routes = self.vpc().route_tables.get_mut(&table).expect("table");
        *routes = vec![Route {
            destination: Ipv4Net::default(),
            target,
        }];
    }

    /// The namespace of a part; the host's is empty.
    pub fn namespace(&self, name: &str) -> String {
        let cloud = self.cloud();
        match name {
            "host" => String::new(),
            "internet" => names::internet(cloud),
            _ => match &self.read(name).owner {
                Owner::Instance { instance, .. } => names::instance(cloud, instance),
                _ => names::interface(cloud, &self.names[name].1),
            },
        }
    }

    pub fn other_namespace(&self, name: &str) -> String {
        namespace::name(self.cloud(), name)
    }

    pub fn serve(&self, name: &str, says: &str, port: u16) -> Server {
        self.serve_in(&self.namespace(name), says, port)
    }

    pub fn serve_in(&self, namespace: &str, says: &str, port: u16) -> Server {
        // On the host only where this lab can be meant: its own address.
        let address = if namespace.is_empty() {
            host_address(self.pool())
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        self.serve_on(namespace, address, says, port)
    }

    pub fn serve_on(&self, namespace: &str, address: Ipv4Addr, says: &str, port: u16) -> Server {
        let listener = within(namespace, || TcpListener::bind((address, port))).expect("bound");
        Server::start(listener, says.to_owned())
    }

    /// For what has no event to wait on.
    pub fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !done() {
            assert!(start.elapsed() < CERTAINTY, "{what}");
            std::thread::yield_now();
        }
    }

    pub fn connect(&self, from: &str, to: &str, port: u16) -> Option<TcpStream> {
        let to = match to.strip_suffix(":public") {
            Some(name) => self.public(name),
            None => self.address(to),
        };
        let mut stream = connect_in(&self.namespace(from), None, (to, port))?;
        stream.write_all(b"ping\n").ok()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).ok()?;
        echoes(&mut stream).then_some(stream)
    }

    /// Who answers at an address, and which source it sees.
    pub fn ask(&self, from: &str, to: (Ipv4Addr, u16)) -> Option<(String, String)> {
        ask_in(&self.namespace(from), None, to)
    }

    pub fn ask_from(
        &self,
        from: &str,
        source: Ipv4Addr,
        to: (Ipv4Addr, u16),
    ) -> Option<(String, String)> {
        ask_in(&self.namespace(from), Some(source), to)
    }

    /// The source a target sees, `P.n` for the lab's public addresses, `-` for silence.
    pub fn seen_as(&self, from: &str, to: &str) -> String {
        let (name, address) = match to.strip_suffix(":public") {
            Some(name) => (name, self.public(name)),
            None => (to, self.address(to)),
        };
        match self.ask(from, (address, 8080)) {
            None => "-".into(),
            Some((answering, _)) if answering != name => format!("!{answering}"),
            Some((_, seen)) => {
                let pool = self.pool().network().to_string();
                let prefix = pool.strip_suffix('0').expect("a /24");
                seen.strip_prefix(prefix)
                    .map_or(seen.clone(), |last| format!("P.{last}"))
            }
        }
    }

    /// Counts packets at a hook of a namespace, beside what stands there.
    pub fn count(&self, namespace: &str, hook: &str, what: &str) {
        let text = format!(
            "table ip watch {{ chain watch {{ type filter hook {hook} priority -400; \
             {what} counter; }}; }}\n"
        );
        within(namespace, || program::run("nft", &["-f", "-"], &text)).expect("watching");
    }

    pub fn counted(&self, namespace: &str) -> u64 {
        let text = within(namespace, || {
            program::run("nft", &["list", "table", "ip", "watch"], "")
        });
        let text = text.expect("listed");
        let mut words = text
            .split_whitespace()
            .skip_while(|word| *word != "packets")
            .skip(1);
        words
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a counter")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(networks) = Networks::open(self.settings.clone()) {
            let removed = networks.remove_all();
            let _ = std::fs::remove_dir_all(&self.settings.state_dir);
            if !std::thread::panicking() {
                removed.expect("removed");
            }
        }
    }
}

/// Listens until dropped.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(listener: TcpListener, name: String) -> Self {
        listener.set_nonblocking(true).expect("nonblocking");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let mut ready = [nix::poll::PollFd::new(
                    listener.as_fd(),
                    nix::poll::PollFlags::POLLIN,
                )];
                let _ = nix::poll::poll(&mut ready, 20_u16);
                while let Ok((stream, peer)) = listener.accept() {
                    stream.set_nonblocking(false).expect("blocking");
                    open.push(stream.try_clone().expect("cloned"));
                    let name = name.clone();
                    std::thread::spawn(move || answer(stream, &name, peer));
                }
            }
            for stream in open {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, name: &str, peer: SocketAddr) {
    let mut byte = [0];
    let mut first = true;
    while matches!(stream.read(&mut byte), Ok(1)) {
        let sent = match byte {
            [b'\n'] if first => {
                first = false;
                stream.write_all(format!("{name} {}\n", peer.ip()).as_bytes())
            }
            _ if first => Ok(()),
            byte => stream.write_all(&byte),
        };
        if sent.is_err() {
            return;
        }
    }
}

pub fn ask_in(
    namespace: &str,
    source: Option<Ipv4Addr>,
    to: (Ipv4Addr, u16),
) -> Option<(String, String)> {
    let mut stream = connect_in(namespace, source, to)?;
    stream.write_all(b"ping\n").ok()?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).ok()?;
    let (name, seen) = line.trim().split_once(' ')?;
    Some((name.to_owned(), seen.to_owned()))
}

fn connect_in(namespace: &str, source: Option<Ipv4Addr>, to: (Ipv4Addr, u16)) -> Option<TcpStream> {
    let stream = within(namespace, || -> std::io::Result<TcpStream> {
        let Some(source) = source else {
            return TcpStream::connect_timeout(&to.into(), PATIENCE);
        };
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&SocketAddr::from(to).into(), PATIENCE)?;
        Ok(socket.into())
    });
    let stream = stream.ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    Some(stream)
}

/// Whether a byte comes back.
pub fn echoes(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(CERTAINTY)).expect("timeout");
    stream.write_all(b"x").is_ok() && matches!(stream.read(&mut [0]), Ok(1))
}

/// Whether a byte does not come back; TCP goes on sending it.
pub fn is_cut(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(b"x").is_err() || !matches!(stream.read(&mut [0]), Ok(1))
}

/// Whether what was sent while cut comes back, which takes until TCP's next try.
pub fn recovers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(CERTAINTY)).expect("timeout");
    matches!(stream.read(&mut [0; 16]), Ok(1..)) && echoes(stream)
}

pub fn program_in(namespace: &str, name: &'static str, arguments: &[&str]) {
    within(namespace, || program::run(name, arguments, "")).expect("run");
}

fn within<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    if name.is_empty() {
        work()
    } else {
        namespace::enter(name, work).expect("entered")
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("id")
}

fn subnet_id(n: u32, name: &str) -> String {
    let number = ["public-a", "public-b", "private-a", "private-b", "isolated"]
        .iter()
        .position(|known| *known == name)
        .expect("subnet");
    format!("subnet-{n}{number:016x}")
}

fn instance(number: u32) -> Owner {
    Owner::Instance {
        instance: id(&format!("i-{number:017x}")),
        device: 0,
        uid_base: 1 << 20,
    }
}

pub fn tcp(port: u16) -> Traffic {
    Traffic::Tcp {
        from: port,
        to: port,
    }
}

pub fn allow(cidr: &str, traffic: Traffic) -> SecurityGroupRule {
    SecurityGroupRule {
        traffic,
        peer: Peer::Cidr(id(cidr)),
    }
}

pub fn members(group: &SecurityGroupId, traffic: Traffic) -> SecurityGroupRule {
    SecurityGroupRule {
        traffic,
        peer: Peer::Group(group.clone()),
    }
}

pub fn acl(number: u16, cidr: &str, traffic: Traffic) -> AclRule {
    AclRule {
        number,
        allow: true,
        cidr: id(cidr),
        traffic,
    }
}
