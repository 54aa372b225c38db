//! A second process takes over from one that serves: nobody is refused, and what was begun goes on.

mod common;

use common::*;
use edge::config::*;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

fn address(last: u8, port: u16) -> SocketAddr {
    let pid = std::process::id().to_le_bytes();
    SocketAddr::from(([127, 140 + last, pid[1], pid[0]], port))
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// Whether some process served the directory and has not ended.
fn is_leaving(directory: &Path) -> bool {
    let mut entries = std::fs::read_dir(directory).unwrap();
    entries.any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with("leaving.")
    })
}

/// Starts a second process, and returns once it serves the directory.
fn take_over(directory: &Path) -> tokio::runtime::Runtime {
    // A file that follows another may well have its inode.
    let socket = || {
        let found = std::fs::metadata(directory.join("socket"))?;
        Ok::<_, std::io::Error>((found.ino(), found.ctime(), found.ctime_nsec()))
    };
    let before = socket().unwrap();
    let second = run(directory);
    wait_for("the second to serve", || {
        socket().is_ok_and(|now| now != before)
    });
    assert!(is_leaving(directory));
    second
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection that stays; the answer's last line.
fn ask(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: checkip\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    // Its body is a line.
    while !(answer.ends_with(b"\n")
        && answer.windows(4).any(|w| w == b"\r\n\r\n")
        && !answer.ends_with(b"\r\n"))
    {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "an answer");
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    answer.lines().last().unwrap_or_default().to_owned()
}

/// A query for the address of `router.test`, and whether the answer is one.
fn look_up(server: SocketAddr) -> bool {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06nobody\x04test\0\0\x01\0\x01";
    socket.send_to(query, server).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).unwrap();
    length > 12 && answer[..2] == query[..2]
}

#[test]
fn nobody_notices() {
    let mut edge = Edge::start("takeover");
    let (web, names) = (address(1, 18080), address(2, 15353));
    let mut config = Config {
        revision: 1,
        offline: true,
        ..Config::default()
    };
    config.checkip = Some(Checkip {
        netns: None,
        address: web,
    });
    let mut vpc = vpc(None);
    vpc.resolvers = vec![names];
    config.vpcs.insert("vpc-1".into(), vpc);
    assert_eq!(edge.push(&config), []);

    let mut begun = connect(web);
    assert_eq!(ask(&mut begun), "127.0.0.1");
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let asking = [(); 2].map(|()| {
        let (stop, asked) = (stop.clone(), asked.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(ask(&mut connect(web)), "127.0.0.1");
                assert!(look_up(names));
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let more = |than: usize| wait_for("requests", || asked.load(Ordering::Relaxed) > than + 20);
    more(0);
    let second = take_over(&edge.dir);
    more(asked.load(Ordering::Relaxed));
    // Its connection goes on, and what the second one serves is what it is told.
    assert_eq!(ask(&mut begun), "127.0.0.1");
    stop.store(true, Ordering::Relaxed);
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    edge.adopt();
    config.revision = 2;
    config.vpcs.clear();
    assert_eq!(edge.push(&config), []);
    assert_eq!(ask(&mut begun), "127.0.0.1");
    assert_eq!(ask(&mut connect(web)), "127.0.0.1");
    assert!(is_leaving(&edge.dir));
    drop(begun);
    wait_for("the first to end", || !is_leaving(&edge.dir));
    drop(edge);
    drop(second);
}

/// What an old connection is for may go: then it does not outlive that.
#[test]
fn connections_end_with_what_they_are_for() {
    let mut edge = Edge::start("leaving");
    let web = address(3, 18080);
    let mut config = Config {
        revision: 1,
        ..Config::default()
    };
    config.checkip = Some(Checkip {
        netns: None,
        address: web,
    });
    assert_eq!(edge.push(&config), []);
    let mut begun = connect(web);
    assert_eq!(ask(&mut begun), "127.0.0.1");
    let second = take_over(&edge.dir);
    edge.adopt();
    config.revision = 2;
    config.checkip = None;
    assert_eq!(edge.push(&config), []);
    assert_eq!(begun.read(&mut [0]).unwrap(), 0);
    wait_for("the first to end", || !is_leaving(&edge.dir));
    drop(edge);
    drop(second);
}

/// What was counted and not yet told is told by whoever comes next.
#[test]
fn counts_are_handed_over() {
    let mut edge = Edge::start("counts");
    let server = address(4, 18080);
    let mut config = Config {
        revision: 1,
        ..Config::default()
    };
    let mut vpc = vpc(None);
    vpc.metadata = Some(server);
    vpc.instances = vec![instance("i-1", Ipv4Addr::LOCALHOST)];
    config.vpcs.insert("vpc-1".into(), vpc);
    assert_eq!(edge.push(&config), []);
    // For the first not to end at once.
    let begun = connect(server);
    const ASKED: u64 = 5;
    for _ in 0..ASKED {
        assert_eq!(http(server, "GET /latest/meta-data/instance-id").0, 200);
    }
    let second = take_over(&edge.dir);
    // Some may have been told in time.
    let mut told = 0;
    let deadline = Instant::now() + PATIENCE;
    while told < ASKED {
        edge.sidecar.ensure_alive().unwrap();
        if let Some(Report::MetadataNoToken(counts)) = edge.try_report() {
            told += counts["i-1"];
        }
        assert!(Instant::now() < deadline, "told of {told}");
        thread::yield_now();
    }
    assert_eq!(told, ASKED);
    drop(begun);
    drop(edge);
    drop(second);
}
