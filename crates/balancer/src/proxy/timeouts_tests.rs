//! Time-outs and what logs say of them, on a clock that runs ahead when nothing else is to be done:
//! sockets are real, minutes are not.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as Blocking};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, advance};

use crate::config::{
    Action, Attributes, Config, HealthCheck, Listener, LoadBalancer, Node as Wanted, Protocol,
    Target, TargetGroup, TargetState,
};
use crate::handover::Inherited;
use crate::worker::Core;
use crate::worker::node::{Node, compile};

const PORT: u16 = 8080;
const GROUP: &str = "targetgroup/web/1";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Of a test's own, so that ports can be fixed.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(
        127,
        240 ^ (high & 7),
        low,
        NEXT.fetch_add(1, Ordering::Relaxed),
    )
}

struct Lab {
    node: Rc<Node>,
    address: SocketAddr,
    log: PathBuf,
}

impl Lab {
    async fn start(target: SocketAddr, change: impl FnOnce(&mut Config)) -> Lab {
        let address = own_address();
        let log = format!(
            "balancer-time-{}-{}",
            std::process::id(),
            address.octets()[3]
        );
        let log = std::env::temp_dir().join(log);
        let balancer = LoadBalancer {
            key: "app/test/1".into(),
            nodes: vec![Wanted {
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
            attributes: Attributes {
                access_log: Some(log.clone()),
                ..Attributes::default()
            },
            ..LoadBalancer::default()
        };
        let group = TargetGroup {
            key: GROUP.into(),
            targets: vec![Target {
                key: "t".into(),
                address: target,
                zone: None,
                state: TargetState::Active,
            }],
            health_check: HealthCheck {
                enabled: false,
                ..HealthCheck::default()
            },
            ..TargetGroup::default()
        };
        let mut config = Config {
            load_balancers: vec![balancer],
            target_groups: [(GROUP.to_owned(), group)].into(),
            ..Config::default()
        };
        change(&mut config);
        let balancer = &config.load_balancers[0];
        let node = Rc::new(Node::open(&balancer.nodes[0], &balancer.key).unwrap());
        let mut problems = Vec::new();
        let listeners = compile(balancer, None, &Default::default(), &mut problems);
        let (core, inherited) = (Rc::new(Core::new()), Inherited::default());
        node.update(
            &core,
            &config,
            balancer,
            listeners,
            &inherited,
            &mut problems,
        )
        .await;
        assert_eq!(problems, Vec::<String>::new());
        Lab {
            node,
            address: (address, PORT).into(),
            log,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Fields 5 to 10 of the last line (target, three times, two codes).
    async fn logged(self) -> String {
        self.node.close().await;
        let text = std::fs::read_to_string(self.log.join("a.log")).unwrap();
        std::fs::remove_dir_all(&self.log).unwrap();
        let last = text.lines().last().unwrap();
        last.split(' ')
            .skip(4)
            .take(6)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What comes up to the end of a head, or of the connection.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn status(stream: &mut TcpStream) -> String {
    let head = head(stream).await;
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn silent() -> (Blocking, SocketAddr) {
    let listener = Blocking::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A listener whose queue is full: the kernel drops what wants to connect.
fn full() -> (socket2::Socket, Vec<std::net::TcpStream>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((own_address(), 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let brief = Duration::from_millis(50);
    let queued = std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, brief).ok());
    let queued = queued.take(100).collect();
    (socket, queued, address)
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, work);
}

#[test]
fn a_target_that_nothing_is_heard_of_is_waited_for_ten_seconds() {
    let (_listener, _queued, target) = full();
    run(async {
        let lab = Lab::start(target, |_| {}).await;
        let mut client = lab.connect().await;
        let began = Instant::now();
        client.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "504");
        assert_eq!(began.elapsed().as_secs(), 10);
        let metrics = lab.node.take_metrics();
        assert_eq!((metrics.elb_504, metrics.elb_5xx), (1, 1));
        let failed = metrics.groups[0].targets[0].target_connection_error_count;
        assert_eq!(failed, 1);
        assert_eq!(lab.logged().await, format!("{target} -1 -1 -1 504 -"));
    });
}

#[test]
fn a_target_that_does_not_shake_hands_is_waited_for_ten_seconds() {
    let (_listener, target) = silent();
    run(async {
        let https = |config: &mut Config| {
            config
                .target_groups
                .values_mut()
                .for_each(|group| group.protocol = Protocol::Https);
        };
        let lab = Lab::start(target, https).await;
        let mut client = lab.connect().await;
        let began = Instant::now();
        client.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "504");
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(lab.logged().await, format!("{target} -1 -1 -1 504 -"));
    });
}

#[test]
fn a_target_that_does_not_answer_has_the_idle_timeout() {
    let (_listener, target) = silent();
    run(async {
        let lab = Lab::start(target, |_| {}).await;
        let mut client = lab.connect().await;
        // A body that still comes puts it off.
        let began = Instant::now();
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
        client.write_all(post.as_bytes()).await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.write_all(b"x").await.unwrap();
        }
        assert_eq!(status(&mut client).await, "504");
        assert_eq!(began.elapsed().as_secs(), 150 + 60);
        assert_eq!(lab.logged().await, format!("{target} 150.000 -1 -1 504 -"));
    });
}

#[test]
fn a_silent_client_has_the_idle_timeout() {
    let (_listener, target) = silent();
    run(async {
        for (begun, expected) in [
            ("", "408"),
            ("GET / HTT", "408"),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nx",
                "408",
            ),
        ] {
            let lab = Lab::start(target, |_| {}).await;
            let mut client = lab.connect().await;
            let began = Instant::now();
            client.write_all(begun.as_bytes()).await.unwrap();
            assert_eq!(status(&mut client).await, expected, "{begun:?}");
            assert_eq!(began.elapsed().as_secs(), 60, "{begun:?}");
            assert!(lab.logged().await.ends_with(" 408 -"), "{begun:?}");
        }
    });
}

/// Requests put it off; whoever has been served once is not told why it ends.
#[test]
fn a_connection_between_requests_has_the_idle_timeout() {
    run(async {
        let lab = Lab::start(silent().1, answer_ourselves).await;
        let mut client = lab.connect().await;
        for _ in 0..3 {
            client.write_all(GET.as_bytes()).await.unwrap();
            assert!(
                head(&mut client)
                    .await
                    .contains("Connection: keep-alive\r\n")
            );
            advance(Duration::from_secs(59)).await;
        }
        client.write_all(GET.as_bytes()).await.unwrap();
        head(&mut client).await;
        let began = Instant::now();
        assert_eq!(head(&mut client).await, "");
        assert_eq!(began.elapsed().as_secs(), 60);
        lab.logged().await;
    });
}

/// From the connect on, whatever is asked meanwhile: the first request after it is the last.
#[test]
fn a_client_is_kept_for_an_hour() {
    run(async {
        let lab = Lab::start(silent().1, answer_ourselves).await;
        let mut client = lab.connect().await;
        for seconds in (0..3600).step_by(50) {
            client.write_all(GET.as_bytes()).await.unwrap();
            let got = head(&mut client).await;
            assert!(
                got.contains("Connection: keep-alive\r\n"),
                "{seconds}: {got}"
            );
            advance(Duration::from_secs(50)).await;
        }
        client.write_all(GET.as_bytes()).await.unwrap();
        assert!(head(&mut client).await.contains("Connection: close\r\n"));
        assert_eq!(head(&mut client).await, "");
        lab.logged().await;
    });
}

fn answer_ourselves(config: &mut Config) {
    let fixed = crate::config::FixedResponse {
        status: 204,
        ..Default::default()
    };
    config.load_balancers[0].listeners[0].default_action = Action::FixedResponse(fixed);
}
