//! A cloud with one instance to ask and to try things in.

use host::instance::{Bind, Cpu, Exit, InstanceSpec, ObservedInstance, RunState};
use host::linux::instance::{Instances, Settings, Watch};
use host::linux::namespace;
use model::InstanceId;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Boots on a busy machine take longer than they should.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A cloud with one instance, removed when dropped.
pub struct Cloud {
    pub name: String,
    pub instances: Instances,
    pub spec: InstanceSpec,
    bell: Receiver<()>,
    watch: Option<Watch>,
}

impl Cloud {
    /// `number` keeps tests that run at a time apart. None where this cannot run.
    pub fn new(number: u32) -> Option<Self> {
        Self::with_uids(number, 1_000_000_000 + number * 65_536)
    }

    pub fn with_uids(number: u32, uid_base: u32) -> Option<Self> {
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
            run: 0,
            image: image.into(),
            uid_base,
            hostname: "ip-10-0-1-5".into(),
            domain: "ec2.internal".into(),
            default_user: None,
            address: [10, 0, 1, 5].into(),
            name_servers: vec![[10, 0, 0, 2].into()],
            search: "ec2.internal".into(),
            cpu: Cpu {
                vcpus: 2,
                millicores_per_vcpu: 500,
            },
            memory_bytes: 1 << 30,
            pids_max: 2048,
            root_bytes: None,
            trust: None,
            layers: Vec::new(),
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

    pub fn launch(&self) {
        self.instances.launch(&self.spec).expect("launch");
    }

    pub fn boot(&self) -> ObservedInstance {
        self.launch();
        self.until("ready", |i| i.ready)
    }

    pub fn observe(&self) -> ObservedInstance {
        let all = self.instances.list().expect("list");
        all.into_iter()
            .find(|i| i.id == self.spec.id)
            .expect("listed")
    }

    /// Waits by the doorbell, so that a bell that does not ring is found out.
    pub fn until(&self, what: &str, done: impl Fn(&ObservedInstance) -> bool) -> ObservedInstance {
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

    pub fn stopped(&self) -> Exit {
        let seen = self.until("stopped", |i| matches!(i.state, RunState::Stopped(_)));
        match seen.state {
            RunState::Stopped(exit) => exit,
            state => panic!("{state:?}"),
        }
    }

    /// Exit code and output of a shell script in the instance.
    pub fn sh(&self, script: &str) -> (Option<i32>, String) {
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

    pub fn say(&self, script: &str) -> String {
        let (code, output) = self.sh(script);
        assert_eq!(code, Some(0), "{script}: {output}");
        output
    }

    pub fn state(&self) -> PathBuf {
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
pub fn settings(name: &str) -> Settings {
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
