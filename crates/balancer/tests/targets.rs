//! Health, selection, draining and changes of the config, with real sockets.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use balancer::Report;
use balancer::config::*;
use balancer::report::HealthState::{Healthy, Initial, Unhealthy};
use common::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn checked(config: &mut balancer::Config) {
    let check = &mut config.group().health_check;
    *check = HealthCheck {
        path: "/health".into(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        healthy_threshold: 3,
        unhealthy_threshold: 2,
        ..HealthCheck::default()
    };
}

/// Names of the targets that answer `count` requests.
fn names(balancer: &Balancer, count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|_| balancer.get("/").body).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn health_decides_who_serves() {
    let (one, two) = (Server::start("one"), Server::start("two"));
    let mut balancer = Balancer::start(&[&one, &two], checked);
    balancer.wait_health("one", Healthy);
    balancer.wait_health("two", Healthy);
    let mut history = balancer
        .history
        .iter()
        .filter(|health| health.target == "one");
    let (first, second) = (history.next().unwrap(), history.next().unwrap());
    assert_eq!(
        (first.state, second.state),
        (Initial, Healthy),
        "one pass suffices"
    );
    assert_eq!(first.reason.as_deref(), Some("Elb.InitialHealthChecking"));
    assert_eq!(names(&balancer, 4), ["one", "two"]);

    two.status.store(503, Ordering::Relaxed);
    let health = balancer.wait_health("two", Unhealthy);
    assert_eq!(
        health.reason.as_deref(),
        Some("Target.ResponseCodeMismatch")
    );
    assert_eq!(
        health.description.as_deref(),
        Some("Health checks failed with these codes: [503]")
    );
    assert_eq!(names(&balancer, 4), ["one"]);

    // None healthy: everybody serves.
    one.status.store(500, Ordering::Relaxed);
    balancer.wait_health("one", Unhealthy);
    assert_eq!(names(&balancer, 4), ["one", "two"]);
    balancer.wait_count("unhealthy routing", 4, |node| {
        node.groups[0].unhealthy_routing_request_count
    });

    one.status.store(200, Ordering::Relaxed);
    let recovered = balancer.wait_health("one", Healthy);
    assert_eq!((recovered.reason, recovered.description), (None, None));
    assert_eq!(names(&balancer, 4), ["one"]);
    let check = one
        .seen
        .lock()
        .unwrap()
        .iter()
        .find(|request| request.starts_with("GET /health"))
        .cloned()
        .unwrap();
    assert!(
        check.contains(&format!("Host: {}\r\n", one.address)),
        "{check}"
    );
    assert!(check.contains("User-Agent: ELB-HealthChecker/2.0\r\n"));
}

#[test]
fn reasons_of_failed_checks() {
    let refusing = std::net::TcpListener::bind((own_address(), 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = std::net::TcpListener::bind((own_address(), 0)).unwrap();
    let garbled = Server::with("garbled", |client, _, _| {
        client.send("hello\r\n\r\n");
        client.close();
    });
    let mut balancer = Balancer::start(&[&garbled], |config| {
        checked(config);
        config.group().health_check.timeout = Duration::from_millis(50);
        let target = |key: &str, address| Target {
            key: key.into(),
            address,
            zone: None,
            state: TargetState::Active,
        };
        config.group().targets.push(target("refusing", refusing));
        config
            .group()
            .targets
            .push(target("silent", silent.local_addr().unwrap()));
    });
    let mut check = |target: &str, reason: &str, description: &str| {
        let health = balancer.wait_health(target, Unhealthy);
        assert_eq!(
            (health.reason.as_deref(), health.description.as_deref()),
            (Some(reason), Some(description))
        );
    };
    check(
        "refusing",
        "Target.FailedHealthChecks",
        "Health checks failed",
    );
    check(
        "garbled",
        "Target.FailedHealthChecks",
        "Health checks failed",
    );
    check("silent", "Target.Timeout", "Request timed out");
}

#[test]
fn draining_lets_requests_finish() {
    let gate = std::sync::Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
    let opened = gate.clone();
    let slow = Server::with("slow", move |client, _, _| {
        let open = opened.0.lock().unwrap();
        drop(opened.1.wait_while(open, |open| !*open).unwrap());
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    let other = Server::start("other");
    let mut balancer = Balancer::start(&[&slow], |_| {});
    let mut client = balancer.connect();
    client.send(GET);
    while slow.count() == 0 {
        std::thread::yield_now();
    }
    let far = jiff::Timestamp::now() + Duration::from_secs(3600);
    balancer.change(|config| {
        config.group().targets[0].state = TargetState::Draining { until: far };
        config.group().targets.push(other.as_target());
    });
    assert_eq!(names(&balancer, 3), ["other"]);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(client.response().body, "slow");
    balancer.wait(
        "the target to be drained",
        |_, report| matches!(report, Report::Drained { target, .. } if target == "slow"),
    );
}

#[test]
fn the_deregistration_delay_ends_requests() {
    let stuck = Server::with("stuck", |_, _, _| {});
    let mut balancer = Balancer::start(&[&stuck], |_| {});
    let mut check = |change: fn(&mut balancer::Config), start: fn(&mut balancer::Config)| {
        balancer.change(start);
        let before = stuck.count();
        let mut client = balancer.connect();
        client.send(GET);
        while stuck.count() == before {
            std::thread::yield_now();
        }
        balancer.change(change);
        assert_eq!(client.response().status, 502);
    };
    let active: fn(&mut balancer::Config) =
        |config| config.group().targets[0].state = TargetState::Active;
    check(
        |config| {
            config.group().targets[0].state = TargetState::Draining {
                until: jiff::Timestamp::now(),
            }
        },
        active,
    );
    check(|config| config.group().targets.clear(), active);
}

#[test]
fn connections_survive_changes_that_do_not_concern_them() {
    let (one, two) = (Server::start("one"), Server::start("two"));
    let mut balancer = Balancer::start(&[&one], |_| {});
    let mut client = balancer.connect();
    client.send(GET);
    assert_eq!(client.response().body, "one");
    balancer.change(|config| {
        config.group().targets = vec![two.as_target()];
        let mut second = config.balancer().listeners[0].clone();
        (second.key, second.port) = ("second".into(), PORT + 1);
        config.balancer().listeners.push(second);
    });
    client.send(GET);
    assert_eq!(client.response().body, "two");

    // The listener goes: no new connections, and old ones end with their next request.
    balancer.change(|config| _ = config.balancer().listeners.remove(0));
    assert!(std::net::TcpStream::connect(balancer.address).is_err());
    client.send(GET);
    assert!(client.is_closed());

    // The node goes: nothing of it is left when the config is in force.
    let mut address = balancer.address;
    address.set_port(PORT + 1);
    let mut client = Client::connect(address);
    client.send(GET);
    assert_eq!(client.response().body, "two");
    balancer.change(|config| config.balancer().nodes.clear());
    assert!(client.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn problems_are_told_and_tried_again() {
    let server = Server::start("one");
    let taken = std::net::TcpListener::bind((own_address(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let mut balancer = Balancer::start(&[&server], |config| {
        config.balancer().nodes[0].address = address.ip();
        config.balancer().listeners[0].port = address.port();
    });
    assert!(
        balancer.problems[0].starts_with(&format!("listen on {address}: ")),
        "{:?}",
        balancer.problems
    );
    drop(taken);
    balancer.address = address;
    balancer.wait("a second try", |balancer, report| {
        matches!(report, Report::Metrics(_))
            && std::net::TcpStream::connect(balancer.address).is_ok()
    });
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn weights_share_between_groups() {
    let (blue, green) = (Server::start("blue"), Server::start("green"));
    let balancer = Balancer::start(&[&blue], |config| {
        let mut second = config.group().clone();
        second.key = "targetgroup/green/2".into();
        second.targets = vec![green.as_target()];
        config.target_groups.insert(second.key.clone(), second);
        let weighted = |key: &str, weight| WeightedGroup {
            target_group: key.into(),
            weight,
        };
        config.balancer().listeners[0].default_action = Action::Forward(Forward {
            groups: vec![weighted(GROUP, 1), weighted("targetgroup/green/2", 3)],
            stickiness: None,
        });
    });
    let mut client = balancer.connect();
    for _ in 0..400 {
        client.send(GET);
        client.response();
    }
    // Six standard deviations around 100.
    assert!((48..152).contains(&blue.count()), "{}", blue.count());
}

#[test]
fn sessions_stay_with_their_group() {
    let (blue, green) = (Server::start("blue"), Server::start("green"));
    let mut balancer = Balancer::start(&[&blue], |config| {
        let mut second = config.group().clone();
        second.key = "targetgroup/green/2".into();
        second.targets = vec![green.as_target()];
        config.target_groups.insert(second.key.clone(), second);
        let weighted = |key: &str| WeightedGroup {
            target_group: key.into(),
            weight: 1,
        };
        config.balancer().listeners[0].default_action = Action::Forward(Forward {
            groups: vec![weighted(GROUP), weighted("targetgroup/green/2")],
            stickiness: Some(Duration::from_secs(60)),
        });
    });
    let first = balancer.get("/");
    assert!(first.head.contains("Set-Cookie: AWSALBTGCORS="));
    let cookie = first
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    assert!(cookie.starts_with("AWSALBTG="), "{cookie}");
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\n\r\n");
    for _ in 0..20 {
        assert_eq!(balancer.ask(&request).body, first.body);
    }
    // No other group stands in for it.
    let key = match first.body.as_str() {
        "blue" => GROUP,
        _ => "targetgroup/green/2",
    };
    balancer.change(|config| config.target_groups.get_mut(key).unwrap().targets.clear());
    assert_eq!(balancer.ask(&request).status, 503);
}

#[test]
fn zones_with_and_without_cross_zone() {
    let (near, far) = (Server::start("near"), Server::start("far"));
    let mut balancer = Balancer::start(&[&near, &far], |config| {
        config.group().targets[0].zone = Some("zone-a".into());
        config.group().targets[1].zone = Some("zone-b".into());
        let node = Node {
            key: "b".into(),
            zone: "zone-b".into(),
            netns: None,
            address: own_address().into(),
        };
        config.balancer().nodes.push(node);
    });
    assert_eq!(names(&balancer, 4), ["far", "near"]);
    balancer.change(|config| config.group().cross_zone = false);
    assert_eq!(names(&balancer, 4), ["near"]);
    balancer.change(|config| config.group().targets[0].zone = Some("zone-b".into()));
    assert_eq!(balancer.get("/").status, 503);
}

#[test]
fn sessions_stick() {
    let servers = [
        Server::start("one"),
        Server::start("two"),
        Server::start("three"),
    ];
    let mut balancer = Balancer::start(&[&servers[0], &servers[1], &servers[2]], |config| {
        config.group().stickiness = Some(Stickiness::LbCookie {
            duration: Duration::from_secs(60),
        });
    });
    let first = balancer.get("/");
    let cookie = first
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(cookie.starts_with("AWSALB="), "{cookie}");
    assert!(first.head.contains("Set-Cookie: AWSALBCORS="));
    let with_cookie = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b; {cookie}\r\n\r\n");
    for _ in 0..6 {
        assert_eq!(balancer.ask(&with_cookie).body, first.body);
    }
    // Its target goes: the session moves.
    balancer.change(|config| {
        config
            .group()
            .targets
            .retain(|target| target.key != first.body)
    });
    assert_ne!(balancer.ask(&with_cookie).body, first.body);
}

#[test]
fn application_sessions_stick() {
    let answer = |name: &'static str| {
        Server::with(name, move |client, request, _| {
            let cookie = if request.contains("GET /login ") {
                "Set-Cookie: sid=1; Path=/\r\n"
            } else {
                ""
            };
            client.send(&format!(
                "HTTP/1.1 200 OK\r\n{cookie}Content-Length: {}\r\n\r\n{name}",
                name.len()
            ));
        })
    };
    let (one, two) = (answer("one"), answer("two"));
    let balancer = Balancer::start(&[&one, &two], |config| {
        config.group().stickiness = Some(Stickiness::AppCookie {
            cookie_name: "sid".into(),
            duration: Duration::from_secs(60),
        });
    });
    assert!(!balancer.get("/").head.contains("AWSALBAPP"));
    let login = balancer.get("/login");
    let line = login
        .head
        .split("\r\n")
        .find(|line| line.contains("AWSALBAPP-0="))
        .unwrap();
    let cookie = line
        .trim_start_matches("Set-Cookie: ")
        .split(';')
        .next()
        .unwrap();
    for _ in 0..4 {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: sid=1; {cookie}\r\n\r\n");
        assert_eq!(balancer.ask(&request).body, login.body);
    }
}

#[test]
fn least_outstanding_goes_to_the_idle_one() {
    let stuck = Server::with("stuck", |_, _, _| {});
    let free = Server::start("free");
    let mut balancer = Balancer::start(&[&stuck], |config| {
        config.group().algorithm = Algorithm::LeastOutstandingRequests;
    });
    let mut waiting = balancer.connect();
    waiting.send(GET);
    while stuck.count() == 0 {
        std::thread::yield_now();
    }
    balancer.change(|config| config.group().targets.push(free.as_target()));
    assert_eq!(names(&balancer, 5), ["free"]);
}

#[test]
fn health_checks_are_logged() {
    let directory = std::env::temp_dir().join(format!("balancer-checks-{}", std::process::id()));
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |config| {
        checked(config);
        config.balancer().attributes.health_check_log = Some(directory.clone());
    });
    balancer.wait_health("one", Healthy);
    server.status.store(503, Ordering::Relaxed);
    balancer.wait_health("one", Unhealthy);
    drop(balancer);
    let log = std::fs::read_to_string(directory.join("a.log")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let address = server.as_target().address;
    let first = log.lines().next().unwrap();
    assert!(first.starts_with("http 20"), "{log}");
    assert!(
        first.ends_with(&format!(" {address} web PASS 200 -")),
        "{log}"
    );
    assert!(log.contains(" web FAIL 503 TargetError\n"), "{log}");
}

#[test]
fn access_logs_have_a_line_per_request() {
    let directory = std::env::temp_dir().join(format!("balancer-access-{}", std::process::id()));
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |config| {
        config.balancer().attributes.access_log = Some(directory.clone());
    });
    balancer.ask("GET /a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: \"me\"\r\n\r\n");
    balancer.ask("nonsense\r\n\r\n");
    balancer.wait_count("requests", 1, |node| {
        node.total(|target| target.request_count)
    });
    drop(balancer);
    let log = std::fs::read_to_string(directory.join("a.log")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(
        lines[0].starts_with("http 20") && lines[0].contains(" app/test/1 127."),
        "{log}"
    );
    assert!(lines[0].contains(" 200 200 "), "{log}");
    assert!(
        lines[0].contains(
            " \"GET http://h:8080/a?b HTTP/1.1\" \"\\\"me\\\"\" - - targetgroup/web/1 \"Root=1-"
        ),
        "{log}"
    );
    assert!(lines[1].contains(" 400 - "), "{log}");
}
