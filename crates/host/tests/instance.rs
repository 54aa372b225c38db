//! Instances on this host. Needs root and `NINES_TEST_IMAGE`, the directory of a root file
//! system with systemd, Python and Docker; without them each test says so and passes.

use host::instance::{Bind, Cpu, Exit, InstanceSpec, ObservedInstance, RunState};
use host::linux::instance::{Instances, Settings, Watch, shim_main};
use host::linux::namespace;
use model::InstanceId;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Boots on a busy machine take longer than they should.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cloud with one instance, removed when dropped.
struct Cloud {
    name: String,
    instances: Instances,
    spec: InstanceSpec,
    bell: Receiver<()>,
    watch: Option<Watch>,
}

impl Cloud {
    /// `number` keeps tests that run at a time apart. None where this cannot run.
    fn new(number: u32) -> Option<Self> {
        Self::with_uids(number, 1_000_000_000 + number * 65_536)
    }

    fn with_uids(number: u32, uid_base: u32) -> Option<Self> {
        let image = std::env::var_os("NINES_TEST_IMAGE");
        let (Some(image), true) = (image, nix::unistd::geteuid().is_root()) else {
            println!("skipped: needs root and NINES_TEST_IMAGE");
            return None;
        };
        let name = format!("nines-test-{}-{number}", std::process::id());
        let instances = Instances::open(settings(&name)).expect("open");
        let (sender, bell) = channel();
        let sender = Mutex::new(sender);
        let ring = move || drop(sender.lock().map(|s| s.send(())));
        let watch = instances.watch(Arc::new(ring)).expect("doorbell");
        // There is no metadata service here for user data to come from.
        let disabled = settings(&name).state.join("disabled");
        std::fs::write(&disabled, "").expect("write");
        let spec = InstanceSpec {
            id: InstanceId::random(),
            image: image.into(),
            uid_base,
            hostname: "ip-10-0-1-5".into(),
            domain: "ec2.internal".into(),
            address: [10, 0, 1, 5].into(),
            resolver: [10, 0, 0, 2].into(),
            cpu: Cpu {
                vcpus: 2,
                millicores_per_vcpu: 500,
            },
            memory_bytes: 1 << 30,
            pids_max: 2048,
            root_bytes: None,
            binds: vec![Bind {
                source: disabled,
                target: "/etc/cloud/cloud-init.disabled".into(),
            }],
        };
        namespace::create_instance_namespaces(&name, spec.id.as_str(), spec.uid_base)
            .expect("namespaces");
        Some(Self {
            name,
            instances,
            spec,
            bell,
            watch: Some(watch),
        })
    }

    fn launch(&self) {
        self.instances.launch(&self.spec).expect("launch");
    }

    fn boot(&self) -> ObservedInstance {
        self.launch();
        self.until("ready", |i| i.ready)
    }

    fn observe(&self) -> ObservedInstance {
        let all = self.instances.list().expect("list");
        all.into_iter()
            .find(|i| i.id == self.spec.id)
            .expect("listed")
    }

    /// Waits by the doorbell, so that a bell that does not ring is found out.
    fn until(&self, what: &str, done: impl Fn(&ObservedInstance) -> bool) -> ObservedInstance {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.observe();
            if done(&seen) {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.bell.recv_timeout(left).is_err() {
                let console = self.instances.console(&self.spec.id).expect("console");
                panic!(
                    "not {what}: {seen:#?}\n{}",
                    String::from_utf8_lossy(&console)
                );
            }
        }
    }

    fn stopped(&self) -> Exit {
        let seen = self.until("stopped", |i| matches!(i.state, RunState::Stopped(_)));
        match seen.state {
            RunState::Stopped(exit) => exit,
            state => panic!("{state:?}"),
        }
    }

    /// Exit code and output of a shell script in the instance.
    fn sh(&self, script: &str) -> (Option<i32>, String) {
        let argv = ["sh", "-c", script].map(Into::into);
        let mut command = self.instances.enter(&self.spec.id, &argv).expect("enter");
        let done = command
            .stderr(std::process::Stdio::inherit())
            .output()
            .expect("run");
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).trim().to_owned(),
        )
    }

    fn say(&self, script: &str) -> String {
        let (code, output) = self.sh(script);
        assert_eq!(code, Some(0), "{script}: {output}");
        output
    }

    fn state(&self) -> PathBuf {
        settings(&self.name).state
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.watch.take();
        let removed = self.instances.remove_all();
        let unnamed = namespace::remove_instance_namespaces(&self.name, self.spec.id.as_str());
        let _ = std::fs::remove_dir_all(self.state());
        let _ = std::fs::remove_dir_all(Path::new("/run").join(&self.name));
        if !std::thread::panicking() {
            removed.expect("remove all");
            unnamed.expect("remove namespaces");
        }
    }
}

/// This program is also the shim: [`shim`] is the test it runs then.
fn settings(name: &str) -> Settings {
    let program = std::env::current_exe().expect("own path");
    let arguments = ["--exact", "shim", "--test-threads=1"];
    Settings {
        cloud: name.to_owned(),
        state: std::env::temp_dir().join(name),
        shim: std::iter::once(program.into())
            .chain(arguments.map(Into::into))
            .collect(),
    }
}

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
    // What only the host may do is refused.
    for script in [
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo h > /proc/sysrq-trigger",
        "mknod /root/disk b 8 0",
    ] {
        assert_ne!(
            cloud.sh(&format!("( {script} ) 2>/dev/null")).0,
            Some(0),
            "{script}"
        );
    }
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
    let write = "( echo 1 > /proc/sys/vm/drop_caches ) 2>/dev/null";
    assert_ne!(cloud.sh(write).0, Some(0));
    // Looked at, not tried: what failed to be dropped would harm this machine.
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
fn memory_ends_inside_only() {
    let Some(mut cloud) = Cloud::new(3) else {
        return;
    };
    cloud.spec.memory_bytes = 256 << 20;
    cloud.boot();
    assert_eq!(
        cloud.sh("tail /dev/zero").0,
        Some(137),
        "killed for its memory"
    );
    let seen = cloud.observe();
    assert_eq!(
        (seen.state, seen.ready, seen.boots),
        (RunState::Running, true, 1)
    );
    assert!(seen.usage.memory_bytes <= 256 << 20);
}

#[test]
fn a_cpu_is_a_share() {
    let Some(mut cloud) = Cloud::new(4) else {
        return;
    };
    cloud.spec.cpu = Cpu {
        vcpus: 2,
        millicores_per_vcpu: 150,
    };
    cloud.boot();
    let (before, begun) = (cloud.observe().usage.cpu_usec, Instant::now());
    cloud.sh("timeout 3 sh -c 'while :; do :; done & while :; do :; done'");
    let used =
        (cloud.observe().usage.cpu_usec - before) as f64 / begun.elapsed().as_micros() as f64;
    assert!(
        used < 0.35,
        "used {used:.2} of a core where 0.30 are allowed"
    );
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
    assert_ne!(cloud.boot().init_pid, before.init_pid);
}

#[test]
fn a_volume_has_a_size() {
    let Some(mut cloud) = Cloud::new(9) else {
        return;
    };
    cloud.spec.root_bytes = Some(256 << 20);
    cloud.boot();
    assert_ne!(
        cloud.sh("head -c 400M /dev/zero > /root/big 2>/dev/null").0,
        Some(0),
        "full"
    );
    assert_ne!(
        cloud
            .sh("head -c 4M /dev/zero > /var/lib/docker/more 2>/dev/null")
            .0,
        Some(0),
        "full here too"
    );
    cloud.say("rm /root/big /var/lib/docker/more; echo kept > /root/kept; sync");
    cloud
        .instances
        .stop(&cloud.spec.id, false, PATIENCE)
        .expect("stop");
    assert_eq!(cloud.stopped(), Exit::PowerOff);
    let attached = || {
        let loops = std::process::Command::new("losetup")
            .arg("-a")
            .output()
            .expect("losetup");
        String::from_utf8_lossy(&loops.stdout).contains(&cloud.name)
    };
    assert!(!attached(), "the loop device went with the mount");
    cloud.boot();
    assert_eq!(cloud.say("cat /root/kept"), "kept");
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
