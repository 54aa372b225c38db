//! A balancer on loopback, targets that say what they saw, and a client that speaks in bytes.
//!
//! Every test has a loopback address of its own, so that ports can be fixed and tests run side by
//! side. Nothing sleeps: tests wait for reports and for bytes, with a limit that only a failure meets.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod http2;
pub mod lab;
pub mod large;
pub mod tls;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use balancer::config::*;
use balancer::report::*;
use balancer::{Config, Report};
use tokio::sync::watch;

pub const LIMIT: Duration = Duration::from_secs(20);
pub const PORT: u16 = 8080;
pub const GROUP: &str = "targetgroup/web/1";

pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    Ipv4Addr::new(
        127,
        (process % 200) as u8 + 20,
        (process / 200) as u8,
        NEXT.fetch_add(1, Ordering::Relaxed),
    )
}

pub struct Balancer {
    pub config: Config,
    pub address: SocketAddr,
    sender: Option<watch::Sender<Option<Arc<Config>>>>,
    reports: mpsc::Receiver<Report>,
    thread: Option<JoinHandle<()>>,
    /// Everything heard so far: latest health by target, sums of metrics.
    pub health: BTreeMap<String, Health>,
    /// Every health report, in order.
    pub history: Vec<Health>,
    pub metrics: Vec<NodeMetrics>,
    pub flows: Vec<FlowMetrics>,
    pub problems: Vec<String>,
}

impl Balancer {
    /// One node, one listener that forwards to one group with these targets; `change` may alter it.
    pub fn start(targets: &[&Server], change: impl FnOnce(&mut Config)) -> Balancer {
        Balancer::start_with(1, targets, change)
    }

    pub fn start_with(
        workers: usize,
        targets: &[&Server],
        change: impl FnOnce(&mut Config),
    ) -> Balancer {
        let address = own_address();
        let mut config = plain_config(address, targets);
        change(&mut config);
        let (sender, receiver) = watch::channel(Some(Arc::new(config.clone())));
        let (report, reports) = mpsc::channel();
        let thread = thread::spawn(move || {
            balancer::run_with(workers, receiver, |message| _ = report.send(message)).unwrap();
        });
        let mut balancer = Balancer {
            config,
            address: SocketAddr::new(address.into(), PORT),
            sender: Some(sender),
            reports,
            thread: Some(thread),
            health: BTreeMap::new(),
            history: Vec::new(),
            metrics: Vec::new(),
            flows: Vec::new(),
            problems: Vec::new(),
        };
        balancer.wait_applied();
        balancer
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.config.revision += 1;
        self.sender
            .as_ref()
            .unwrap()
            .send(Some(Arc::new(self.config.clone())))
            .unwrap();
        self.wait_applied();
    }

    fn wait_applied(&mut self) {
        let expected = self.config.revision;
        self.wait(
            "the config to be applied",
            |_, report| matches!(report, Report::Applied { revision } if *revision == expected),
        );
    }

    /// Reads reports until `is_it` says so of one.
    pub fn wait(
        &mut self,
        what: &str,
        mut is_it: impl FnMut(&Balancer, &Report) -> bool,
    ) -> Report {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let report = self
                .reports
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("waited in vain for {what}"));
            match &report {
                Report::Health(health) => {
                    self.history.push(health.clone());
                    self.health.insert(health.target.clone(), health.clone());
                }
                Report::Metrics(metrics) => self.metrics.extend(metrics.nodes.iter().cloned()),
                Report::Flows(nodes) => self.flows.extend(nodes.iter().cloned()),
                Report::Problem { message, .. } => self.problems.push(message.clone()),
                Report::Solved { message, .. } => self.problems.retain(|known| known != message),
                Report::Applied { .. } | Report::Drained { .. } => {}
            }
            if is_it(self, &report) {
                return report;
            }
        }
    }

    pub fn wait_health(&mut self, target: &str, state: HealthState) -> Health {
        let known = self
            .health
            .get(target)
            .filter(|health| health.state == state);
        if let Some(known) = known {
            return known.clone();
        }
        self.wait(&format!("{target} to be {state:?}"), |_, report| {
            matches!(report, Report::Health(health) if health.target == target && health.state == state)
        });
        self.health[target].clone()
    }

    /// The sum of a counter over all reports, waiting until it has this value.
    pub fn wait_count(&mut self, what: &str, expected: u64, count: impl Fn(&NodeMetrics) -> u64) {
        let sum = |balancer: &Balancer| balancer.metrics.iter().map(&count).sum::<u64>();
        if sum(self) != expected {
            self.wait(&format!("{what} to be {expected}"), |balancer, _| {
                sum(balancer) == expected
            });
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    pub fn ask(&self, request: &str) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

pub fn plain_config(address: Ipv4Addr, targets: &[&Server]) -> Config {
    let targets = targets.iter().map(|server| server.as_target()).collect();
    // Checks are off unless a test is about them.
    let health_check = HealthCheck {
        enabled: false,
        interval: Duration::from_millis(20),
        ..HealthCheck::default()
    };
    let group = TargetGroup {
        key: GROUP.into(),
        targets,
        health_check,
        ..TargetGroup::default()
    };
    Config {
        revision: 1,
        load_balancers: vec![LoadBalancer {
            key: "app/test/1".into(),
            dns_name: "test-1.elb.example".into(),
            nodes: vec![Node {
                key: "a".into(),
                zone: "zone-a".into(),
                netns: None,
                address: address.into(),
            }],
            listeners: vec![Listener {
                key: "l".into(),
                port: PORT,
                protocol: Protocol::Http,
                tls: None,
                default_action: Action::forward_to(GROUP),
                rules: vec![],
                headers: Default::default(),
                relay: None,
            }],
            attributes: Attributes::default(),
        }],
        target_groups: BTreeMap::from([(GROUP.into(), group)]),
        ..Config::default()
    }
}

pub trait MetricsExt {
    /// The sum over all targets.
    fn total(&self, count: impl Fn(&TargetMetrics) -> u64) -> u64;
}

impl MetricsExt for NodeMetrics {
    fn total(&self, count: impl Fn(&TargetMetrics) -> u64) -> u64 {
        self.groups
            .iter()
            .flat_map(|group| &group.targets)
            .map(count)
            .sum()
    }
}

pub trait ConfigExt {
    fn balancer(&mut self) -> &mut LoadBalancer;
    fn group(&mut self) -> &mut TargetGroup;
}

impl ConfigExt for Config {
    fn balancer(&mut self) -> &mut LoadBalancer {
        &mut self.load_balancers[0]
    }

    fn group(&mut self) -> &mut TargetGroup {
        self.target_groups.get_mut(GROUP).unwrap()
    }
}

/// A target: one thread per connection, which runs `handle`.
pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// Heads and bodies as received.
    pub seen: Arc<Mutex<Vec<String>>>,
    /// For health checks: the status `/health` answers with.
    pub status: Arc<AtomicU16>,
    listener: TcpListener,
    thread: JoinHandle<()>,
}

impl Server {
    /// Answers every request with 200, its own name, keep-alive, and for `/health` the set status.
    pub fn start(name: &'static str) -> Server {
        Server::with(name, move |client, request, status| {
            if request.starts_with("GET /health ") {
                let status = status.load(Ordering::Relaxed);
                return client.send(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            }
            client.send(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
                name.len()
            ));
        })
    }

    /// Runs `answer` for every request; the connection stays open unless `answer` closes it.
    pub fn with(
        name: &'static str,
        answer: impl Fn(&mut Client, &str, &AtomicU16) + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = listener.try_clone().unwrap();
        let (total, requests) = (Arc::default(), Arc::default());
        let code = Arc::new(AtomicU16::new(200));
        let (connections, seen, status): (Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>, _) =
            (Arc::clone(&total), Arc::clone(&requests), code.clone());
        let answer = Arc::new(answer);
        let thread = thread::spawn(move || {
            let mut answering = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (seen, status, answer) = (seen.clone(), status.clone(), answer.clone());
                answering.push(thread::spawn(move || {
                    let mut client = Client {
                        stream,
                        buffer: Vec::new(),
                    };
                    while let Some(request) = client.message() {
                        seen.lock().unwrap().push(request.clone());
                        answer(&mut client, &request, &status);
                    }
                }));
            }
            answering.into_iter().for_each(|thread| _ = thread.join());
        });
        Server {
            name,
            address,
            connections: total,
            seen: requests,
            status: code,
            listener: own,
            thread,
        }
    }

    /// Waits for the connections to end and closes everything.
    pub fn stop(self) {
        // SAFETY: shutdown only reads the descriptor number, which is open until the end of this.
        unsafe { nix::libc::shutdown(self.listener.as_raw_fd(), nix::libc::SHUT_RDWR) };
        self.thread.join().unwrap();
    }

    pub fn as_target(&self) -> Target {
        Target {
            key: self.name.into(),
            address: self.address,
            zone: None,
            state: TargetState::Active,
        }
    }

    pub fn last(&self) -> String {
        self.seen
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The server's end of an accepted connection.
    pub fn connect_to(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn source(&self) -> IpAddr {
        self.stream.local_addr().unwrap().ip()
    }

    pub fn send(&mut self, bytes: &str) {
        // The other side may be gone already: what it said before is what the test looks at.
        let _ = self.stream.write_all(bytes.as_bytes());
    }

    pub fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(length) if length > 0 => {
                self.buffer.extend_from_slice(&piece[..length]);
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, length: usize) -> String {
        let rest = self.buffer.split_off(length);
        String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).into_owned()
    }

    /// The next head, its blank line included.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                return Some(self.take(at + 4));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Bytes that were read and not taken yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    pub fn exactly(&mut self, length: usize) -> String {
        while self.buffer.len() < length && self.fill() {}
        self.take(length.min(self.buffer.len()))
    }

    pub fn rest(&mut self) -> String {
        while self.fill() {}
        self.take(self.buffer.len())
    }

    /// Whether the other side closes before it says anything more.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// A whole message, as bytes: head and body, chunked ones as framed.
    pub fn message(&mut self) -> Option<String> {
        let head = self.head()?;
        let lower = head.to_ascii_lowercase();
        let mut message = head;
        if lower.contains("\r\ntransfer-encoding: chunked") {
            let body = message.len();
            // The last chunk, trailers, a blank line.
            let is_whole = |message: &str| {
                let body = &message[body..];
                let ends = body.starts_with("0\r\n") || body.contains("\r\n0\r\n");
                body.ends_with("\r\n\r\n") && ends
            };
            while !is_whole(&message) {
                if self.buffer.is_empty() && !self.fill() {
                    return None;
                }
                message += &self.take(1);
            }
        } else if let Some(at) = lower.find("\r\ncontent-length: ") {
            let value = lower[at + 18..].split("\r\n").next().unwrap();
            message += &self.exactly(value.parse().unwrap());
        }
        Some(message)
    }

    pub fn response(&mut self) -> Response {
        let message = self.message().expect("a response");
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response {
            status,
            head: head.into(),
            body: body.into(),
        }
    }
}
