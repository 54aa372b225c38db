//! The whole edge on loopback, without namespaces or privileges.

mod common;

use common::*;
use edge::config::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An address that no other test and hardly any other process uses.
fn address(test: u8, port: u16) -> SocketAddr {
    let pid = std::process::id().to_le_bytes();
    SocketAddr::from(([127, 100 + test, pid[1], pid[0]], port))
}

#[test]
fn metadata_survives_a_restart_and_changes_are_seen() {
    let mut edge = Edge::start("metadata");
    let server = address(1, 18080);
    let mut config = Config {
        revision: 1,
        ..Config::default()
    };
    let mut vpc = vpc(None);
    vpc.metadata = Some(server);
    // Over loopback the caller has the address it calls.
    let caller = [127, 0, 0, 1].into();
    let std::net::IpAddr::V4(to) = server.ip() else {
        unreachable!()
    };
    vpc.instances = vec![instance("i-1", to), instance("i-2", caller)];
    config.vpcs.insert("vpc-1".into(), vpc);
    assert_eq!(edge.push(&config), []);

    // The kernel chooses 127.0.0.1 as the source, whatever is called in 127/8.
    assert_eq!(body(server, "GET /latest/meta-data/instance-id"), "i-2");
    assert_eq!(body(server, "GET /latest/user-data"), "hello");
    let put = "PUT /latest/api/token\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let token = body(server, put);
    let with_token =
        format!("GET /latest/meta-data/instance-id\nX-aws-ec2-metadata-token: {token}");
    assert_eq!(body(server, &with_token), "i-2");
    let (status, head, content) = http(server, "HEAD /latest/meta-data/instance-id");
    assert_eq!((status, content.len()), (200, 0));
    assert!(head.contains("content-length: 3"), "{head}");

    // A new process, no control plane needed: same answers, and the token holds.
    edge.restart();
    assert_eq!(body(server, &with_token), "i-2");

    config.revision = 2;
    let vpc = config.vpcs.get_mut("vpc-1").unwrap();
    vpc.instances[1].options.tokens_required = true;
    assert_eq!(edge.push(&config), []);
    assert_eq!(http(server, "GET /latest/meta-data/").0, 401);
    assert_eq!(body(server, &with_token), "i-2");

    config.revision = 3;
    config.vpcs.get_mut("vpc-1").unwrap().instances.clear();
    assert_eq!(edge.push(&config), []);
    assert_eq!(http(server, &with_token).0, 404);

    // Versions without a token were counted.
    let counted = loop {
        if let Report::MetadataNoToken(counts) = edge.next_report() {
            break counts;
        }
    };
    assert!(counted["i-2"] > 0, "{counted:?}");
}

#[test]
fn names_over_udp_and_tcp() {
    let mut edge = Edge::start("names");
    let server = address(2, 15353);
    let mut config = Config {
        revision: 1,
        offline: true,
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=3).map(|n| [198, 18, 0, n].into()).collect();
    config
        .names
        .insert("web.elb.amazonaws.com".into(), Name::new(nodes.clone()));
    let mut vpc = vpc(None);
    vpc.resolvers = vec![server];
    config.vpcs.insert("vpc-1".into(), vpc);
    assert_eq!(edge.push(&config), []);

    assert_eq!(
        resolve(server, "ip-10-0-1-5.ec2.internal"),
        (0, vec![[10, 0, 1, 5].into()])
    );
    let (code, mut addresses) = resolve(server, "web.elb.amazonaws.com");
    addresses.sort();
    assert_eq!((code, addresses), (0, nodes));
    assert_eq!(resolve(server, "deb.debian.org"), (3, vec![]), "offline");

    // Two queries on one connection.
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        let query = dns_query("ip-10-0-1-5.ec2.internal");
        stream
            .write_all(&(query.len() as u16).to_be_bytes())
            .unwrap();
        stream.write_all(&query).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(dns_answer(&answer), (0, vec![[10, 0, 1, 5].into()]));
    }

    // The VPC goes: its port is free and its connection closed when that is reported.
    config.revision = 2;
    config.vpcs.clear();
    assert_eq!(edge.push(&config), []);
    std::net::UdpSocket::bind(server).unwrap();
    std::net::TcpListener::bind(server).unwrap();
    assert!(closed(&mut stream));
}

#[test]
fn a_socket_that_cannot_be_opened_is_reported_and_tried_again() {
    let mut edge = Edge::start("taken");
    let server = address(3, 18081);
    let holder = std::net::TcpListener::bind(server).unwrap();
    let config = Config {
        revision: 1,
        checkip: Some(Checkip {
            netns: None,
            address: server,
        }),
        ..Config::default()
    };
    let failures = edge.push(&config);
    assert_eq!(failures.len(), 1);
    assert!(failures[0].listener.contains("checkip"), "{failures:?}");
    drop(holder);
    edge.recovered(1);
    assert_eq!(body(server, "GET /"), "127.0.0.1\n");

    let gone = Config {
        revision: 2,
        checkip: Some(Checkip {
            netns: Some("/run/netns/edge-test-nowhere".into()),
            address: server,
        }),
        ..Config::default()
    };
    assert_eq!(edge.push(&gone).len(), 1);
}

#[test]
fn images_are_pulled() {
    let mut edge = Edge::start("images");
    let server = address(4, 15000);
    let root = edge.dir.join("images");
    let blobs = root.join("library/app/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let manifest = r#"{"schemaVersion":2,"layers":[]}"#;
    let layer = vec![7; 300_000];
    for (n, content) in [
        (1, manifest.as_bytes()),
        (2, manifest.as_bytes()),
        (3, &layer),
    ] {
        std::fs::write(blobs.join(&digest(n)[7..]), content).unwrap();
    }
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "digest":"{}","size":1,"annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#,
        digest(1)
    );
    std::fs::write(root.join("library/app/index.json"), index).unwrap();
    std::fs::write(root.join("secret"), "secret").unwrap();
    let config = Config {
        revision: 1,
        registry: Some(Registry {
            netns: None,
            address: server,
            root,
            tls: None,
            private: None,
        }),
        ..Config::default()
    };
    assert_eq!(edge.push(&config), []);

    let app = "/v2/library/app";
    for (request, status, wanted) in [
        ("GET /v2/".to_owned(), 200, "registry/2.0"),
        (
            format!("GET {app}/manifests/v1"),
            200,
            "oci.image.manifest.v1+json",
        ),
        (format!("GET {app}/manifests/v1"), 200, &digest(1)),
        (
            format!("GET {app}/manifests/{}", digest(1)),
            200,
            "oci.image.manifest.v1+json",
        ),
        (
            format!("HEAD {app}/manifests/v1"),
            200,
            "content-length: 31",
        ),
        // Not listed, so what it is follows from what is in it.
        (
            format!("GET {app}/manifests/{}", digest(2)),
            200,
            "oci.image.manifest.v1+json",
        ),
        // A layer is no manifest.
        (format!("GET {app}/manifests/{}", digest(3)), 404, "json"),
        (format!("GET {app}/manifests/v2"), 404, "json"),
        (format!("GET {app}/tags/list"), 200, "json"),
        (
            format!("HEAD {app}/blobs/{}", digest(3)),
            200,
            "content-length: 300000",
        ),
        (
            format!("GET {app}/blobs/{}\nRange: bytes=10-19", digest(3)),
            206,
            "content-range: bytes 10-19/300000",
        ),
        (
            format!("GET {app}/blobs/{}\nRange: bytes=300000-", digest(3)),
            416,
            "content-range: bytes */300000",
        ),
        (format!("GET {app}/blobs/{}", digest(4)), 404, "json"),
        ("GET /v2/other/manifests/v1".to_owned(), 404, "json"),
        (format!("GET {app}/../../secret"), 400, "json"),
        (format!("POST {app}/blobs/uploads"), 405, "json"),
    ] {
        let (got, head, _) = http(server, &request);
        assert_eq!(got, status, "{request}");
        assert!(head.contains(wanted), "{request}: {head}");
    }
    let (_, _, content) = http(server, &format!("GET {app}/blobs/{}", digest(3)));
    assert_eq!(content, layer);
    let part = http(
        server,
        &format!("GET {app}/blobs/{}\nRange: bytes=-5", digest(3)),
    );
    assert_eq!(part.2, [7; 5]);
    assert_eq!(body(server, &format!("GET {app}/manifests/v1")), manifest);
    assert_eq!(
        body(server, &format!("GET {app}/tags/list")),
        r#"{"name":"library/app","tags":["v1"]}"#
    );
    let errors = body(server, &format!("GET {app}/manifests/v2"));
    assert!(errors.contains("MANIFEST_UNKNOWN"), "{errors}");
}

#[test]
fn broken_requests_are_survived() {
    let mut edge = Edge::start("broken");
    let server = address(5, 18082);
    let resolver = address(5, 15354);
    let mut vpc = vpc(None);
    vpc.metadata = Some(server);
    vpc.resolvers = vec![resolver];
    vpc.instances = vec![instance("i-1", [127, 0, 0, 1].into())];
    let mut config = Config {
        revision: 1,
        offline: true,
        ..Config::default()
    };
    config.vpcs.insert("vpc-1".into(), vpc);
    assert_eq!(edge.push(&config), []);
    for bytes in [
        &b"\0\0\0\0"[..],
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xff",
        b"PUT /latest/api/token HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        for address in [server, resolver] {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(bytes);
        }
        std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(bytes, resolver)
            .unwrap();
    }
    assert_eq!(body(server, "GET /latest/meta-data/instance-id"), "i-1");
    assert_eq!(resolve(resolver, "ip-10-0-1-5.ec2.internal").0, 0);
}
