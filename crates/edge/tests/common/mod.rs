//! An edge in this process, fed as the control plane feeds it, and a plain HTTP client.
#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part of this"
)]

use edge::config::*;
use sidecar::Sidecar;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// An edge with its directory; both go when it is dropped.
pub struct Edge {
    pub dir: PathBuf,
    pub sidecar: Sidecar<Config, Report>,
    reports: Receiver<Report>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Edge {
    pub fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("edge-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let runtime = run(&dir);
        // The process that serves the directory is this one, so it is adopted.
        let (sender, reports) = channel();
        let on_report = Arc::new(move |report| {
            let _ = sender.send(report);
        });
        wait_for(&dir.join("socket"));
        let sidecar =
            Sidecar::start_or_adopt(&dir, &["false".into()], &dir.join("log"), on_report).unwrap();
        Self {
            dir,
            sidecar,
            reports,
            runtime: Some(runtime),
        }
    }

    /// Ends the edge and starts another on the same directory.
    pub fn restart(&mut self) {
        drop(self.runtime.take());
        self.runtime = Some(run(&self.dir));
        wait_for(&self.dir.join("socket"));
        self.adopt();
    }

    /// Finds the process that serves the directory now, and hears from it.
    pub fn adopt(&mut self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        // The connection is known to be lost once its end has been read.
        while std::time::Instant::now() < deadline {
            self.sidecar.ensure_alive().unwrap();
            if self.reports.try_recv().is_ok() {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the edge did not report after a restart");
    }

    pub fn push(&mut self, config: &Config) -> Vec<Failure> {
        self.sidecar.push(config).unwrap();
        self.applied(config.revision)
    }

    /// Waits until a revision is applied; answers its failures.
    pub fn applied(&self, wanted: u64) -> Vec<Failure> {
        loop {
            match self.reports.recv_timeout(PATIENCE) {
                Ok(Report::Applied { revision, failures }) if revision == wanted => {
                    return failures;
                }
                Ok(_) => {}
                Err(_) => panic!("revision {wanted} was not applied"),
            }
        }
    }

    /// Waits until a revision is applied without a failure. What was applied is
    /// told again after each connection, so that an earlier outcome may be seen twice.
    pub fn recovered(&self, wanted: u64) {
        while !self.applied(wanted).is_empty() {}
    }

    pub fn try_report(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    pub fn next_report(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }
}

pub fn run(dir: &Path) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let dir = dir.to_owned();
    let _ = std::fs::remove_file(dir.join("socket"));
    runtime.spawn(async move {
        edge::serve(&dir).await.unwrap();
    });
    runtime
}

fn wait_for(path: &Path) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "no {}",
            path.display()
        );
        std::thread::yield_now();
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.runtime.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// An instance with one address.
pub fn instance(id: &str, address: Ipv4Addr) -> Instance {
    Instance {
        id: id.into(),
        image_id: "ami-1".into(),
        instance_type: "t3.micro".into(),
        architecture: "x86_64".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        zone: "us-east-1a".into(),
        zone_id: "use1-az1".into(),
        reservation_id: "r-1".into(),
        launch_index: 0,
        pending_time: "2026-01-02T03:04:05Z".into(),
        hostname: "ip-10-0-1-5.ec2.internal".into(),
        public_hostname: None,
        interfaces: vec![Interface {
            id: "eni-1".into(),
            mac: "02:00:00:00:00:01".into(),
            device_number: 0,
            subnet_id: "subnet-1".into(),
            subnet_cidr: "10.0.1.0/24".into(),
            vpc_id: "vpc-1".into(),
            vpc_cidrs: vec!["10.0.0.0/16".into()],
            addresses: vec![address],
            ipv6: Default::default(),
            public: Default::default(),
            groups: vec![],
        }],
        key: None,
        sent_keys: Vec::new(),
        user_data: Some("aGVsbG8=".into()),
        profile: None,
        tags: Default::default(),
        options: MetadataOptions::default(),
        life_cycle: "on-demand".into(),
        placement_group: None,
        monitoring: false,
        hypervisor: "nitro".into(),
        spot: Default::default(),
        target_lifecycle_state: None,
        block_devices: Default::default(),
    }
}

pub fn vpc(netns: Option<PathBuf>) -> Vpc {
    Vpc {
        netns,
        region: "us-east-1".into(),
        cidrs: vec!["10.0.0.0/16".into()],
        metadata: None,
        resolvers: vec![],
        names: Default::default(),
        instances: vec![],
    }
}

/// Sends raw bytes and reads to the end; the status and everything behind the head.
pub fn exchange(stream: &mut TcpStream, request: &str) -> std::io::Result<(u16, String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(bytes.len() - 4);
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0);
    Ok((status, head, bytes[end + 4..].to_vec()))
}

/// `METHOD path`, with header lines below it.
pub fn http(server: SocketAddr, request: &str) -> (u16, String, Vec<u8>) {
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let headers: String = headers.lines().map(|h| format!("{h}\r\n")).collect();
    let text = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    exchange(&mut TcpStream::connect(server).unwrap(), &text).unwrap()
}

pub fn body(server: SocketAddr, request: &str) -> String {
    String::from_utf8_lossy(&http(server, request).2).into_owned()
}

/// Whether the peer has closed or reset the connection.
pub fn closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// The header of a query with id 4711, and a question for the A record of `name`.
pub fn dns_query(name: &str) -> Vec<u8> {
    let mut query = b"\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend(b"\x00\x00\x01\x00\x01");
    query
}

/// The code of an answer, and its addresses in order.
pub fn dns_answer(answer: &[u8]) -> (u8, Vec<Ipv4Addr>) {
    assert_eq!(answer[..2], [0x12, 0x67]);
    // Each record ends with its address, and is a pointer, type, class, TTL and length long.
    let count = usize::from(answer[7]);
    let records = &answer[answer.len() - 16 * count..];
    let address = |r: &[u8]| <[u8; 4]>::try_from(&r[12..]).unwrap().into();
    (answer[3] & 15, records.chunks(16).map(address).collect())
}

pub fn resolve(server: SocketAddr, name: &str) -> (u8, Vec<Ipv4Addr>) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(&dns_query(name)).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    dns_answer(&buffer[..length])
}
