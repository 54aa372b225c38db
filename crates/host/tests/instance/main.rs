//! Instances on this host. Needs root and `NINES_TEST_IMAGE`, the directory of a root file
//! system with systemd, Python and Docker; without them each test says so and passes.

mod cloud;
mod isolation;
mod size;
mod snapshot;

use cloud::{Cloud, PATIENCE, settings};
use host::instance::{Exit, RunState};
use host::linux::instance::{Instances, shim_main};
use host::linux::namespace;
use model::InstanceId;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn shim() {
    let last = std::env::args().next_back().unwrap_or_default();
    if last.contains("/instances/i-") {
        shim_main(Path::new(&last)).expect("shim");
    }
}

#[test]
fn boots_a_machine_of_its_own() {
    let Some(cloud) = Cloud::new(1) else { return };
    let seen = cloud.boot();
    assert_eq!(
        (seen.state, seen.boots, seen.failure),
        (RunState::Running, 1, None)
    );
    assert!(seen.ready_at.is_some_and(|at| at > seen.started));
    assert!(seen.usage.cpu_usec > 0 && seen.usage.memory_bytes > 0);
    assert_eq!(seen.cpu_quota_usec_per_sec, 1_000_000);

    let base = cloud.spec.uid_base;
    let map: Vec<_> = cloud
        .say("cat /proc/self/uid_map")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(map, ["0".to_owned(), base.to_string(), "65536".to_owned()]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", seen.init_pid.expect("init")))
        .expect("init");
    assert!(
        status.contains(&format!("Uid:\t{base}\t{base}")),
        "{status}"
    );

    assert_eq!(cloud.say("hostname"), "ip-10-0-1-5");
    assert_eq!(cloud.say("hostname -f"), "ip-10-0-1-5.ec2.internal");
    assert_eq!(
        cloud.say("grep -v options /etc/resolv.conf"),
        "nameserver 10.0.0.2\nsearch ec2.internal"
    );
    assert_eq!(
        cloud.say("id -u; ps -o comm= -p 1; stat -fc %T /sys/fs/cgroup"),
        "0\nsystemd\ncgroup2fs"
    );
    assert_eq!(
        cloud.say("cat /sys/class/net/lo/operstate; stat -c %u /etc/passwd"),
        "unknown\n0"
    );
    assert_eq!(
        cloud.say("systemctl is-system-running; systemctl --failed --no-legend"),
        "running"
    );
    let (code, _) = cloud.sh("exit 7");
    assert_eq!(code, Some(7), "a command's exit code comes back");
    cloud.say("echo hello > /dev/console");
    let console =
        String::from_utf8_lossy(&cloud.instances.console(&cloud.spec.id).expect("console"))
            .into_owned();
    assert!(
        console.contains("systemd") && !console.contains('\r'),
        "{console}"
    );
}

/// On a host without user namespaces, by an explicit choice: systemd, commands and containers
/// work all the same, and the host's clock, modules and sysctls are out of reach.
#[test]
fn boots_without_a_user_namespace() {
    let Some(cloud) = Cloud::with_uids(20, namespace::PRIVILEGED) else {
        return;
    };
    cloud.boot();
    assert_eq!(
        cloud
            .say("cat /proc/self/uid_map")
            .split_whitespace()
            .next_back(),
        Some("4294967295")
    );
    assert_eq!(
        cloud.say("systemctl is-system-running; hostname; stat -c %u /etc/passwd"),
        "running\nip-10-0-1-5\n0"
    );
    // Looked at, not tried: what failed to be confined would harm this machine.
    let writable = |mount: &str| {
        let options = cloud.say(&format!(
            "awk '$5 == \"{mount}\" {{print $6}}' /proc/self/mountinfo"
        ));
        options
            .lines()
            .next_back()
            .map(|last| last.starts_with("rw"))
    };
    assert_eq!(writable("/proc/sys"), Some(false));
    // Not every kernel has it.
    assert_ne!(writable("/proc/sysrq-trigger"), Some(true));
    assert_eq!(writable("/proc/sys/net"), Some(true));
    for of in ["1", "self"] {
        let bounding = cloud.say(&format!("sed -n 's/CapBnd:\\s*//p' /proc/{of}/status"));
        let bounding = u64::from_str_radix(&bounding, 16).expect("a set");
        let (module, time, syslog) = (1 << 16, 1 << 25, 1 << 34);
        assert_eq!(bounding & (module | time | syslog), 0, "{of}: {bounding:x}");
    }
    cloud.say("echo 1 > /proc/sys/net/ipv4/ip_forward");
    containers(&cloud);
    cloud.say("systemctl reboot");
    cloud.until("rebooted", |i| i.boots == 2 && i.ready);
}

#[test]
fn runs_containers() {
    let Some(cloud) = Cloud::new(2) else { return };
    cloud.boot();
    containers(&cloud);
}

fn containers(cloud: &Cloud) {
    if !cloud.spec.image.join("usr/sbin/dockerd").exists() {
        println!("skipped: needs an image with Docker");
        return;
    }
    cloud.say("systemctl start docker");
    // An image of the shell and what it links to, from the instance's own files.
    cloud.say(
        "tar -C / -ch bin/sh bin/cat $(ldd /bin/sh /bin/cat | grep -o '/lib[^ ]*' | sort -u | sed 's|^/||') | docker import - tiny",
    );
    assert_eq!(cloud.say("docker info -f '{{.Driver}}'"), "overlay2");
    assert_eq!(
        cloud.say("docker run --rm tiny /bin/sh -c 'echo from $$'"),
        "from 1"
    );
    // The instance's size, and all rights that the instance itself has.
    let memory = cloud.say("docker run --rm --privileged tiny /bin/cat /proc/meminfo");
    assert!(
        memory.starts_with("MemTotal:        1048576 kB"),
        "{memory}"
    );
    let cpus = "docker run --rm tiny /bin/cat /sys/devices/system/cpu/online";
    assert_eq!(cloud.say(cpus), "0-1");
    // A hybrid host keeps its controllers to itself, a pure v2 host shares them.
    if cloud
        .sh("grep -q memory /sys/fs/cgroup/cgroup.controllers")
        .0
        == Some(0)
    {
        let limited =
            "docker run --rm --memory 64m --cpus 0.5 tiny /bin/cat /sys/fs/cgroup/memory.max";
        assert_eq!(cloud.say(limited), "67108864");
    }
    // A bridge, a published port and NAT rules of its own.
    cloud.say("docker run -d --name web -p 8080:80 tiny /bin/cat /dev/zero");
    assert!(cloud.say("iptables -t nat -S").contains("--dport 8080"));
}

#[test]
fn reboots_and_keeps_its_volume() {
    let Some(cloud) = Cloud::new(5) else { return };
    let first = cloud.boot();
    cloud.say("echo kept > /root/kept; touch /run/gone; echo renamed > /etc/hostname");
    cloud.instances.reboot(&cloud.spec.id).expect("reboot");
    let second = cloud.until("rebooted", |i| i.boots == 2 && i.ready);
    assert_eq!(second.started, first.started, "the same run");
    assert_ne!(second.init_pid, first.init_pid);
    assert_eq!(
        cloud.say("cat /root/kept; test ! -e /run/gone && hostname"),
        "kept\nrenamed"
    );
    cloud.sh("systemctl reboot");
    cloud.until("rebooted from within", |i| i.boots == 3 && i.ready);
}

#[test]
fn powers_off_and_starts_again() {
    let Some(cloud) = Cloud::new(6) else { return };
    cloud.boot();
    cloud.say("echo kept > /root/kept");
    cloud.sh("systemctl poweroff");
    assert_eq!(cloud.stopped(), Exit::PowerOff);
    assert!(
        cloud.instances.enter(&cloud.spec.id, &[]).is_err(),
        "nothing to enter"
    );
    cloud
        .instances
        .stop(&cloud.spec.id, false, PATIENCE)
        .expect("stopping what is stopped");
    let again = cloud.boot();
    assert_eq!(again.boots, 1, "a new run");
    assert_eq!(cloud.say("cat /root/kept"), "kept");
    // A stop that comes before systemd listens is not lost.
    cloud
        .instances
        .stop(&cloud.spec.id, true, PATIENCE)
        .expect("force");
    assert_eq!(cloud.stopped(), Exit::Killed);
    cloud.launch();
    cloud
        .instances
        .stop(&cloud.spec.id, false, PATIENCE)
        .expect("stop");
    assert_eq!(cloud.stopped(), Exit::PowerOff);
}

#[test]
fn a_stop_has_a_time_limit() {
    let Some(cloud) = Cloud::new(7) else { return };
    cloud.boot();
    cloud.say(
        "systemd-run -q -p KillSignal=SIGCONT -p SendSIGKILL=no -p TimeoutStopSec=1000 sleep 1000",
    );
    let begun = Instant::now();
    cloud
        .instances
        .stop(&cloud.spec.id, false, Duration::from_secs(3))
        .expect("stop");
    cloud.until("stopping", |i| i.state != RunState::Running);
    assert_eq!(cloud.stopped(), Exit::Killed);
    assert!(begun.elapsed() >= Duration::from_secs(3));
}

#[test]
fn outlives_the_control_plane() {
    let Some(cloud) = Cloud::new(8) else { return };
    let before = cloud.boot();
    let later = Instances::open(settings(&cloud.name)).expect("open again");
    let adopted = later.list().expect("list");
    assert_eq!(adopted.len(), 1);
    assert_eq!(
        (adopted[0].init_pid, adopted[0].ready),
        (before.init_pid, true)
    );
    later
        .launch(&cloud.spec)
        .expect("launching what runs does nothing");
    assert_eq!(cloud.observe().init_pid, before.init_pid);

    // Without its shim it counts as crashed, and a launch begins anew.
    let shim = std::fs::read_to_string(
        cloud
            .state()
            .join(format!("instances/{}/status.json", cloud.spec.id)),
    );
    let shim: serde_json::Value = serde_json::from_str(&shim.expect("status")).expect("JSON");
    let shim = nix::unistd::Pid::from_raw(shim["shim"]["pid"].as_i64().expect("pid") as i32);
    nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).expect("kill");
    let deadline = Instant::now() + PATIENCE;
    while cloud.observe().state != RunState::Stopped(Exit::Crashed(-1)) {
        assert!(Instant::now() < deadline, "{:?}", cloud.observe());
        std::thread::yield_now();
    }
    // What ran in it is still there until somebody says that it shall end.
    let stat = format!("/proc/{}/stat", before.init_pid.expect("an init"));
    // Whoever inherited it may not have looked after it yet.
    let lives = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
    assert!(lives());
    let stopped = cloud.instances.stop(&cloud.spec.id, true, PATIENCE);
    stopped.expect("its processes end");
    // Its group is empty a moment before the kernel calls it a zombie.
    while lives() {
        assert!(Instant::now() < deadline, "its init lives on");
        std::thread::yield_now();
    }
    assert_ne!(cloud.boot().init_pid, before.init_pid);
}

#[test]
fn impossible_launches_are_refused() {
    let Some(mut cloud) = Cloud::new(10) else {
        return;
    };
    let check = |cloud: &Cloud, expected: &str| {
        let error = cloud
            .instances
            .launch(&cloud.spec)
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(
            cloud.instances.list().expect("list"),
            [],
            "nothing was begun"
        );
    };
    let image = std::mem::replace(&mut cloud.spec.image, "/proc".into());
    check(&cloud, "no /sbin/init there");
    cloud.spec.image = image;
    namespace::remove_instance_namespaces(&cloud.name, cloud.spec.id.as_str()).expect("removed");
    check(&cloud, "no network namespace");
    let unknown = InstanceId::random();
    assert!(cloud.instances.stop(&unknown, false, PATIENCE).is_err());
    assert!(cloud.instances.console(&unknown).is_err());
    cloud
        .instances
        .terminate(&unknown)
        .expect("nothing to remove is fine");
}

#[test]
fn leaves_nothing_behind() {
    let Some(cloud) = Cloud::new(11) else { return };
    let seen = cloud.boot();
    let init = seen.init_pid.expect("init");
    cloud
        .instances
        .terminate(&cloud.spec.id)
        .expect("terminate");
    cloud.instances.terminate(&cloud.spec.id).expect("twice");
    assert_eq!(cloud.instances.list().expect("list"), []);
    assert!(
        !Path::new(&format!("/proc/{init}")).exists(),
        "the init is gone"
    );
    let (state, name) = (cloud.state(), cloud.name.clone());
    cloud
        .instances
        .remove_all()
        .expect("the cloud's cgroups too");
    drop(cloud);
    assert!(!state.exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(&name), "{mounts}");
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")
        .expect("cgroups")
        .flatten()
    {
        assert!(
            !hierarchy.path().join(&name).exists(),
            "{:?}",
            hierarchy.path()
        );
    }
    assert!(!Path::new("/sys/fs/cgroup").join(&name).exists());
}
