//! What becomes of the flows of a target that turns unhealthy: TCP and UDP as the kernel passes them on,
//! TLS as a worker relays it, with and without connection termination and a draining interval
//! (`target_health_state.unhealthy.*`; Network Load Balancer guide, `edit-target-group-attributes.html`).
//!
//! Intervals are an hour or a blink, so that no test depends on how fast it runs.

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use balancer::config::Tls;
use balancer::config::network::{Protocol, TargetGroup};
use balancer::report::HealthState;
use common::LIMIT;
use common::lab::*;
use common::tls::{SecureClient, certificate, client_config};
use nix::sys::socket::{Backlog, Shutdown, listen, shutdown};

const CHECKED: u16 = 9090;
const HOUR: Duration = Duration::from_secs(3600);
const BLINK: Duration = Duration::from_millis(1);

/// Targets that pass checks as long as these listen.
struct Checked(Vec<TcpListener>);

fn checked(group: &mut TargetGroup) {
    group.health_check.enabled = true;
    group.health_check.port = Some(CHECKED);
}

/// Until the listener is shut down, or with the process.
fn accept(listener: &TcpListener) {
    let closing = listener.try_clone().unwrap();
    thread::spawn(move || while closing.accept().is_ok() {});
}

impl Checked {
    fn all(lab: &mut Lab) -> Checked {
        let open = |address| {
            lab.targets.run(move || {
                let listener = TcpListener::bind((address, CHECKED)).unwrap();
                accept(&listener);
                listener
            })
        };
        let all = TARGETS.map(open).into();
        for target in TARGETS {
            lab.balancer
                .wait_health(&target.to_string(), HealthState::Healthy);
        }
        lab.wait_in_force();
        Checked(all)
    }

    /// The last one passes again.
    fn recover(&self, lab: &mut Lab) {
        listen(&self.0[1], Backlog::new(16).unwrap()).unwrap();
        accept(&self.0[1]);
        lab.balancer
            .wait_health(&TARGETS[1].to_string(), HealthState::Healthy);
        lab.wait_in_force();
    }

    /// The last one fails, and the rules know it.
    fn fail(&self, lab: &mut Lab) -> String {
        // Its end is the end of accepting; the accepting thread goes with the process.
        shutdown(self.0[1].as_raw_fd(), Shutdown::Both).unwrap();
        let failing = TARGETS[1].to_string();
        lab.balancer.wait_health(&failing, HealthState::Unhealthy);
        lab.wait_in_force();
        failing
    }
}

fn ends_with(termination: bool, draining: Duration) -> impl FnOnce(&mut TargetGroup) {
    move |group| {
        checked(group);
        group.unhealthy_connection_termination = termination;
        group.unhealthy_draining = draining;
    }
}

/// In each setting at once, whether flows end: connection termination, draining interval, end.
fn in_every_setting(check: fn(bool, Duration, bool)) {
    let settings = [
        (true, Duration::ZERO, true),
        (false, Duration::ZERO, false),
        (false, HOUR, false),
        (false, BLINK, true),
    ];
    thread::scope(|scope| {
        for (termination, draining, ends) in settings {
            scope.spawn(move || check(termination, draining, ends));
        }
    });
}

#[test]
fn flows_end_or_run_on_as_the_group_says() {
    in_every_setting(|termination, draining, ends| {
        let what = format!("termination {termination}, draining {draining:?}");
        let Some(mut lab) = lab(ends_with(termination, draining)) else {
            return;
        };
        let checked = Checked::all(&mut lab);
        let mut streams: Vec<TcpStream> = (0..16).map(|_| lab.connect()).collect();
        let before: Vec<String> = streams
            .iter_mut()
            .map(|stream| ask(stream).unwrap().1)
            .collect();
        let failing = checked.fail(&mut lab);
        assert!(before.contains(&failing));
        if ends && !termination {
            // The interval is over by one tick or the next.
            lab.wait_in_force();
        }
        for (stream, target) in streams.iter_mut().zip(&before) {
            let is_cut = ends && *target == failing;
            assert_eq!(ask(stream).is_err(), is_cut, "{what}: {target}");
        }
        for _ in 0..8 {
            assert_eq!(ask(&mut lab.connect()).unwrap().1, TARGETS[0].to_string());
        }
    });
}

/// A draining target that recovers keeps its flows.
#[test]
fn flows_of_a_target_that_recovers_run_on() {
    let Some(mut lab) = lab(ends_with(false, HOUR)) else {
        return;
    };
    let checked = Checked::all(&mut lab);
    let mut streams: Vec<TcpStream> = (0..16).map(|_| lab.connect()).collect();
    let failing = checked.fail(&mut lab);
    checked.recover(&mut lab);
    let seen = streams.iter_mut().map(|stream| ask(stream).unwrap().1);
    assert!(seen.collect::<Vec<_>>().contains(&failing));
}

/// Nothing but their end leads datagrams elsewhere: they go to another target at once, whatever is set.
#[test]
fn datagrams_go_to_another_target() {
    let Some(mut lab) = lab(ends_with(false, HOUR)) else {
        return;
    };
    let checked = Checked::all(&mut lab);
    let sockets: Vec<UdpSocket> = lab.client.run(|| {
        let sockets = (0..16).map(|_| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            socket.connect((NODE, SERVED)).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket
        });
        sockets.collect()
    });
    let ask = |socket: &UdpSocket| {
        let mut buffer = [0; 100];
        socket.send(b"?").unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        line.split_once(' ').unwrap().1.to_owned()
    };
    let before: Vec<String> = sockets.iter().map(ask).collect();
    let failing = checked.fail(&mut lab);
    assert!(before.contains(&failing), "{before:?}");
    for socket in &sockets {
        assert_eq!(ask(socket), TARGETS[0].to_string());
    }
}

#[test]
fn flows_over_tls_end_or_run_on_as_the_group_says() {
    in_every_setting(|termination, draining, ends| {
        let what = format!("termination {termination}, draining {draining:?}");
        let made = certificate(&["a.example"]);
        let own = made.clone();
        let Some(mut lab) = lab_with(|config| {
            config.certificates.insert("c".into(), own);
            let listener = &mut config.network_load_balancers[0].listeners[0];
            listener.protocol = Protocol::Tls;
            listener.tls = Some(Tls {
                protocols: vec!["TLSv1.3".into()],
                ciphers: vec!["TLS_AES_128_GCM_SHA256".into()],
                certificates: vec!["c".into()],
                ..Tls::default()
            });
            let group = config.network_target_groups.get_mut(NETWORK_GROUP).unwrap();
            ends_with(termination, draining)(group);
        }) else {
            return;
        };
        let checked = Checked::all(&mut lab);
        let connect = || {
            let trusted = made.clone();
            lab.client.run(move || {
                let config = client_config(&[&trusted], &[]);
                SecureClient::connect(SocketAddr::from((NODE, SERVED)), "a.example", config)
            })
        };
        let mut clients: Vec<SecureClient> = (0..16).map(|_| connect()).collect();
        let before: Vec<String> = clients
            .iter_mut()
            .map(|client| ask(&mut client.0).unwrap().1)
            .collect();
        let failing = checked.fail(&mut lab);
        assert!(before.contains(&failing), "{before:?}");
        if ends && !termination {
            lab.wait_in_force();
        }
        for (client, target) in clients.iter_mut().zip(&before) {
            let is_cut = ends && *target == failing;
            assert_eq!(ask(&mut client.0).is_err(), is_cut, "{what}: {target}");
        }
    });
}
