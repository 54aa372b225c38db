//! HTTP/2 clients and targets, gRPC.

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use balancer::config::*;
use balancer::report::HealthState;
use bytes::Bytes;
use common::http2::*;
use common::tls::*;
use common::*;
use http::{HeaderMap, Request};
use tokio::net::TcpListener;

#[test]
fn streams_reach_http1_targets() {
    let target = Server::with("one", |client, request, _| {
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: 5\r\nX-Own: 1\r\n\r\n{body}",
            body.len()
        ));
    });
    let logs = logs("streams");
    let (balancer, made) = start(&[&target], |config| {
        config.balancer().attributes.access_log = Some(logs.clone());
    });
    block_on(async {
        let sender = connect(&balancer, &made).await;
        let request = Request::post("https://a.example/p?q")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("content-length", "5")
            .body(());
        let answer = ask(
            &sender,
            request.unwrap(),
            &[Bytes::from("he"), Bytes::from("llo")],
        )
        .await;
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b"hello"[..])
        );
        assert_eq!(answer.headers["x-own"], "1");
        assert!(!answer.headers.contains_key("keep-alive"));
        let seen = target.last();
        assert!(seen.starts_with("POST /p?q HTTP/1.1\r\n"), "{seen}");
        for line in [
            "cookie: a=1; b=2",
            "Content-Length: 5",
            "X-Forwarded-Proto: https",
            "Host: a.example:8443",
        ] {
            assert!(
                seen.contains(&format!("\r\n{line}\r\n")),
                "{line} in {seen}"
            );
        }
        // Without a length the body goes out in chunks.
        let answer = ask(
            &sender,
            Request::post("https://a.example/").body(()).unwrap(),
            &[Bytes::from("abc")],
        )
        .await;
        assert_eq!(answer.body, b"3\r\nabc\r\n0\r\n\r\n");
    });
    drop(balancer);
    target.stop();
    let lines = lines(&logs);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let request = "\"POST https://a.example:8443/p?q HTTP/2.0\"";
    // The head as lines of HTTP/1.1, and the body.
    let sent = "content-length: 5\r\nx-own: 1\r\n".len() + "hello".len();
    let bytes = format!(" {sent} {request} ");
    assert!(lines[0].contains(&bytes), "{lines:?}");
    assert!(
        lines[0].starts_with("h2 ") && lines[0].contains(request),
        "{lines:?}"
    );
}

fn logs(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("balancer-h2-{name}-{}", std::process::id()))
}

fn lines(logs: &PathBuf) -> Vec<String> {
    let log = std::fs::read_to_string(logs.join("a.log")).unwrap();
    std::fs::remove_dir_all(logs).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn many_streams_share_a_connection() {
    let target = Server::with("big", |client, _, _| {
        let body = "x".repeat(300_000);
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    });
    let (mut balancer, made) = start(&[&target], |_| {});
    block_on(async {
        let sender = connect(&balancer, &made).await;
        // Before the first answer a client does not know how many streams it may open at once.
        ask(&sender, get("/first"), &[]).await;
        let asking: Vec<_> = (0..199)
            .map(|number| {
                let sender = sender.clone();
                tokio::task::spawn_local(async move {
                    ask(&sender, get(&format!("/{number}")), &[]).await
                })
            })
            .collect();
        for asked in asking {
            let answer = asked.await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, 300_000));
        }
    });
    balancer.wait_count("requests", 200, |node| {
        node.total(|target| target.request_count)
    });
    drop(balancer);
    target.stop();
}

#[test]
fn a_connection_ends_when_it_is_old() {
    let target = Server::start("one");
    let (balancer, made) = start(&[&target], |config| {
        config.balancer().attributes.client_keep_alive = Duration::ZERO;
    });
    block_on(async {
        let sender = connect(&balancer, &made).await;
        assert_eq!(ask(&sender, get("/"), &[]).await.status, 200);
        // Told to go away, it takes no more.
        let told = async {
            while sender.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, told).await.expect("GOAWAY");
    });
}

#[test]
fn http2_can_be_off() {
    let target = Server::start("one");
    let (balancer, made) = start(&[&target], |config| {
        config.balancer().attributes.http2 = false
    });
    let address = SocketAddr::new(balancer.address.ip(), SECURE_PORT);
    let config = client_config(&[&made], &[b"h2", b"http/1.1"]);
    let mut client = SecureClient::connect(address, "a.example", config);
    assert_eq!(client.get("/").1, "one");
    assert_eq!(client.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    drop(client);
    drop(balancer);
    target.stop();
}

/// A target that speaks HTTP/2 in the clear: answers with what it got, and `grpc-status` in trailers.
async fn http2_target(status: &'static str) -> Target {
    let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else {
                    return;
                };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::task::spawn_local(async move {
                        let (parts, mut body) = request.into_parts();
                        let te = parts
                            .headers
                            .get("te")
                            .map_or("", |te| te.to_str().unwrap());
                        let response = http::Response::builder()
                            .header("x-seen", format!("{} {} {te}", parts.method, parts.uri))
                            .header("content-type", "application/grpc");
                        let mut stream = respond
                            .send_response(response.body(()).unwrap(), false)
                            .unwrap();
                        while let Some(Ok(data)) = body.data().await {
                            body.flow_control().release_capacity(data.len()).unwrap();
                            stream.send_data(data, false).unwrap();
                        }
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", status.parse().unwrap());
                        stream.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    Target {
        key: "h2".into(),
        address,
        zone: None,
        state: TargetState::Active,
    }
}

#[test]
fn http2_targets_get_streams_and_trailers_come_back() {
    let logs = logs("grpc");
    let access_log = logs.clone();
    block_on(async move {
        let target = http2_target("0").await;
        let (balancer, made) = tokio::task::spawn_blocking(move || {
            start(&[], |config| {
                config.balancer().attributes.access_log = Some(access_log);
                config.group().targets = vec![target];
                config.group().protocol_version = ProtocolVersion::Grpc;
            })
        })
        .await
        .unwrap();
        let sender = connect(&balancer, &made).await;
        for _ in 0..3 {
            let request = Request::post("https://a.example/pkg.Service/Call")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(());
            let answer = ask(
                &sender,
                request.unwrap(),
                &[Bytes::from("one"), Bytes::from("two")],
            )
            .await;
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, &b"onetwo"[..])
            );
            assert_eq!(
                answer.headers["x-seen"],
                "POST http://a.example:8443/pkg.Service/Call trailers"
            );
            assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
        }
        // What a group for gRPC cannot serve.
        assert_eq!(ask(&sender, get("/"), &[]).await.status, 464);
        let balancer = tokio::task::spawn_blocking(move || {
            assert_eq!(balancer.get("/").status, 464);
            balancer
        });
        let balancer = balancer.await.unwrap();
        tokio::task::spawn_blocking(move || drop(balancer))
            .await
            .unwrap();
    });
    let lines = lines(&logs);
    let kinds: Vec<_> = lines.iter().map(|line| line.split(' ').next()).collect();
    let grpc = Some("grpcs");
    assert_eq!(kinds, [grpc, grpc, grpc, grpc, Some("http")]);
    assert!(
        lines[0].contains(" 200 200 ") && lines[3].contains(" 464 - "),
        "{lines:?}"
    );
}

#[test]
fn grpc_does_not_go_to_http1_groups() {
    let target = Server::start("one");
    let (balancer, made) = start(&[&target], |_| {});
    block_on(async {
        let sender = connect(&balancer, &made).await;
        let request =
            Request::post("https://a.example/s/m").header("content-type", "application/grpc+proto");
        assert_eq!(
            ask(&sender, request.body(()).unwrap(), &[]).await.status,
            464
        );
    });
    drop(balancer);
    target.stop();
}

#[test]
fn grpc_health_checks_match_the_status() {
    block_on(async {
        let target = http2_target("12").await;
        let checked = tokio::task::spawn_blocking(move || {
            let mut balancer = Balancer::start(&[], |config| {
                let group = config.group();
                group.targets = vec![target];
                group.protocol_version = ProtocolVersion::Grpc;
                group.health_check.enabled = true;
                group.health_check.path = "/AWS.ALB/healthcheck".into();
                group.health_check.matcher = "12".into();
            });
            balancer.wait_health("h2", HealthState::Healthy);
            balancer.change(|config| config.group().health_check.matcher = "0".into());
            let health = balancer.wait_health("h2", HealthState::Unhealthy);
            assert_eq!(
                health.reason.as_deref(),
                Some("Target.ResponseCodeMismatch")
            );
        });
        checked.await.unwrap();
    });
}

#[test]
fn pseudo_headers_have_one_meaning() {
    let target = Server::start("one");
    let (balancer, made) = start(&[&target], |_| {});
    block_on(async {
        let sender = connect(&balancer, &made).await;
        let lying = Request::get("https://a.example/").header("host", "b.example");
        assert_eq!(ask(&sender, lying.body(()).unwrap(), &[]).await.status, 400);
        let trace = Request::builder().method("TRACE").uri("https://a.example/");
        assert_eq!(ask(&sender, trace.body(()).unwrap(), &[]).await.status, 405);
        assert_eq!(ask(&sender, get("/"), &[]).await.status, 200);
    });
    assert_eq!(target.count(), 1);
    drop(balancer);
    target.stop();
}

#[test]
fn rapid_resets_end_the_connection_and_harm_nobody() {
    let target = Server::start("one");
    let (balancer, made) = start(&[&target], |_| {});
    block_on(async {
        let other = connect(&balancer, &made).await;
        let sender = connect(&balancer, &made).await;
        let mut is_ended = false;
        for _ in 0..20_000 {
            let Ok(mut ready) = sender.clone().ready().await else {
                is_ended = true;
                break;
            };
            match ready.send_request(get("/"), true) {
                Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
                Err(_) => is_ended = true,
            }
            tokio::task::yield_now().await;
        }
        assert!(is_ended, "20,000 resets and still welcome");
        assert_eq!(ask(&other, get("/"), &[]).await.status, 200);
    });
    drop(balancer);
    target.stop();
}

#[test]
fn targets_that_fail_are_answered_for() {
    let silent = Server::with("silent", |client, _, _| client.close());
    let (balancer, made) = start(&[&silent], |_| {});
    block_on(async {
        let sender = connect(&balancer, &made).await;
        let answer = ask(&sender, get("/"), &[]).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.headers["server"], "awselb/2.0");
        assert_eq!(answer.body.len(), 122);
    });
    drop(balancer);
    silent.stop();
}
