//! The cloud's instances on this host: launched, asked, listed and removed.

use super::command::{self, Commands};
use super::doorbell::{self, Waker, Watch};
use super::shim::{self, Order};
use super::status::{Process, Status};
use super::wish::Request;
use super::{SPEC, console, enter, snapshot, usage};
use crate::command::CommandSpec;
use crate::instance::{
    During, Exit, InstanceError, InstanceSpec, ObservedInstance, RunState, SnapshotOutcome, Usage,
};
use crate::linux::cgroup::Cgroups;
use crate::linux::namespace;
use model::{InstanceId, SnapshotId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

type Result<T> = std::result::Result<T, InstanceError>;

/// EC2 resets an instance that does not come down by itself "within a few minutes".
/// `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-reboot.html`
const REBOOT: Duration = Duration::from_secs(240);

#[derive(Debug, Clone)]
pub struct Settings {
    /// Names cgroups and namespaces.
    pub cloud: String,
    pub state: PathBuf,
    /// Program and arguments that call [`shim_main`] with the last argument, such as
    /// `/proc/self/exe instance-shim`.
    pub shim: Vec<OsString>,
}

pub struct Instances {
    settings: Settings,
    cgroups: Cgroups,
    pub(in crate::linux) commands: Commands,
}

impl Instances {
    pub fn open(settings: Settings) -> Result<Self> {
        let cgroups = Cgroups::detect(&settings.cloud)?;
        let instances = Self {
            settings,
            cgroups,
            commands: Commands::default(),
        };
        for directory in [
            instances.settings.state.join("instances"),
            instances.settings.state.join(snapshot::DIRECTORY),
            instances.trash(),
        ] {
            DirBuilder::new()
                .recursive(true)
                // Set-user-id files of instances are not for the host's users.
                .mode(0o700)
                .create(&directory)
                .during(|| format!("create {}", directory.display()))?;
        }
        instances.empty_trash();
        Ok(instances)
    }

    /// Starts the instance, on the root volume of an earlier run if there is one, and returns
    /// before it has booted. Does nothing if it runs.
    pub fn launch(&self, spec: &InstanceSpec) -> Result<()> {
        let id = spec.id.as_str();
        let directory = self.directory(&spec.id);
        if self
            .status(&spec.id)?
            .is_some_and(|s| !matches!(s.state, RunState::Stopped(_)))
        {
            return Ok(());
        }
        if !namespace::exists(&namespace::name(&self.settings.cloud, id)) {
            return Err(InstanceError::refused(
                format!("launch {id}"),
                "it has no network namespace yet",
            ));
        }
        let order = Order {
            cloud: self.settings.cloud.clone(),
            instance: self.as_begun(spec, &directory)?,
        };
        let image = &order.instance.image;
        let init = image.join("sbin/init").symlink_metadata();
        if !init.is_ok_and(|m| !m.is_dir()) {
            return Err(InstanceError::refused(
                format!("launch {id} from {}", image.display()),
                "no /sbin/init there",
            ));
        }
        let prepare = || {
            // Until the shim writes its own, for whoever looks meanwhile.
            let status = Status::starting(spec, Process::own()?);
            fs::create_dir_all(&directory)?;
            fs::write(directory.join(SPEC), serde_json::to_vec(&order)?)?;
            status.write(&directory).map(|()| status)
        };
        let mut status = prepare().during(|| format!("prepare {}", directory.display()))?;
        self.run_shim(&directory).inspect_err(|error| {
            status.stopped(Exit::Crashed(-1));
            status.failure = Some(error.to_string());
            if let Err(error) = status.write(&directory) {
                tracing::warn!(id, %error, "failed to note that a launch failed");
            }
        })
    }

    fn run_shim(&self, directory: &Path) -> Result<()> {
        let Some((program, arguments)) = self.settings.shim.split_first() else {
            return Err(InstanceError::refused("start a shim", "no command is set"));
        };
        let done = Command::new(program)
            .args(arguments)
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .during(|| format!("run {}", program.display()))?;
        if done.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(InstanceError::refused(
            format!("start the shim of {}", directory.display()),
            reason,
        ))
    }

    /// Asks the instance to power off; its shim kills it after `timeout`, or at once if
    /// `force`. One that does not run is fine; what a killed shim left running of it ends.
    pub fn stop(&self, id: &InstanceId, force: bool, timeout: Duration) -> Result<()> {
        let status = self.status(id)?;
        if force && status.is_some_and(|s| matches!(s.state, RunState::Stopped(_))) {
            return self.cgroups.remove(id.as_str());
        }
        let timeout = if force { Duration::ZERO } else { timeout };
        self.ask(
            id,
            &Request::Stop {
                timeout_ms: timeout.as_millis() as u64,
            },
        )
    }

    /// Asks the instance to restart; its shim resets it if that takes too long.
    pub fn reboot(&self, id: &InstanceId) -> Result<()> {
        self.ask(
            id,
            &Request::Reboot {
                timeout_ms: REBOOT.as_millis() as u64,
            },
        )
    }

    fn ask(&self, id: &InstanceId, request: &Request) -> Result<()> {
        let status = self
            .status(id)?
            .ok_or_else(|| InstanceError::Missing(id.clone()))?;
        if matches!(status.state, RunState::Stopped(_)) {
            return Ok(());
        }
        let send = || {
            // Through the descriptor, since a socket's path must be short.
            let directory = File::open(self.directory(id))?;
            let socket = format!("/proc/self/fd/{}/{}", directory.as_raw_fd(), shim::CONTROL);
            UnixDatagram::unbound()?.send_to(&serde_json::to_vec(request)?, socket)
        };
        match send() {
            // It stopped by itself meanwhile.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(drop),
        }
        .during(|| format!("send {request:?} to {id}"))
    }

    /// Ends the instance if it runs and removes everything of it but its namespaces. Idempotent.
    pub fn terminate(&self, id: &InstanceId) -> Result<()> {
        let own = std::process::id() as i32;
        // One that is being launched right now is still in this process's hands.
        if let Some(status) = self.status(id)?.filter(|s| s.shim.pid != own) {
            // The shim should reap its init; where it does not get to it, the host's will.
            self.stop(id, true, Duration::ZERO)?;
            end(status.shim).during(|| format!("end the shim of {id}"))?;
        }
        self.cgroups.remove(id.as_str())?;
        let directory = self.directory(id);
        // Out of sight now, deleted in the background: a volume may hold 100,000 files.
        let trash = self.trash().join(format!("{id}.{}", model::random_hex(8)));
        match fs::rename(&directory, trash) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
        .during(|| format!("remove {}", directory.display()))?;
        self.empty_trash();
        Ok(())
    }

    /// All instances that left a trace, as they are now. One that cannot be looked at fails the whole:
    /// left out, it would pass for gone.
    pub fn list(&self) -> Result<Vec<ObservedInstance>> {
        let directory = self.settings.state.join("instances");
        let during = || format!("list {}", directory.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).during(during)? {
            let name = entry.during(during)?.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.parse::<InstanceId>().ok());
            if let Some(id) = id {
                found.push(self.observe(id)?);
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn observe(&self, id: InstanceId) -> Result<ObservedInstance> {
        let Some(status) = self.status(&id)? else {
            return Ok(ObservedInstance {
                id,
                // None that can be told: whichever is wanted now is another one.
                run: u32::MAX,
                state: RunState::Stopped(Exit::Crashed(-1)),
                init_pid: None,
                ready: false,
                started: model::Timestamp::UNIX_EPOCH,
                ready_at: None,
                boots: 0,
                usage: Usage::default(),
                cpu_quota_usec_per_sec: 0,
                failure: Some("its launch was interrupted".into()),
                reachable: None,
                user_data_failure: None,
            });
        };
        let usage = status
            .init
            .map(|init| usage::of(&self.cgroups, id.as_str(), init.pid));
        Ok(ObservedInstance {
            id,
            run: status.run,
            state: status.state,
            init_pid: status.init.map(|p| p.pid),
            ready: status.ready,
            started: status.started,
            ready_at: status.ready_at,
            boots: status.boots,
            usage: usage.unwrap_or_default(),
            cpu_quota_usec_per_sec: status.cpu_quota_usec_per_sec,
            failure: status.failure,
            reachable: None,
            user_data_failure: status.user_data_failure,
        })
    }

    /// Changes the CPU time that the running instance may use per second.
    pub fn limit_cpu(&self, id: &InstanceId, usec_per_sec: u64) -> Result<()> {
        self.cgroups.limit_cpu(id.as_str(), usec_per_sec)
    }

    /// Begins to keep what the instance has changed on top of its image.
    pub fn snapshot(&self, id: &InstanceId, snapshot: &SnapshotId) -> Result<()> {
        let status = self
            .status(id)?
            .ok_or_else(|| InstanceError::Missing(id.clone()))?;
        let runs = !matches!(status.state, RunState::Stopped(_));
        let cgroups = runs.then(|| self.cgroups.clone());
        snapshot::begin(&self.settings.state, id, snapshot, cgroups)
    }

    pub fn snapshots(&self) -> BTreeMap<SnapshotId, SnapshotOutcome> {
        snapshot::list(&self.settings.state)
    }

    pub fn remove_snapshot(&self, id: &SnapshotId) -> Result<()> {
        snapshot::remove(&self.settings.state, id, &self.trash())?;
        self.empty_trash();
        Ok(())
    }

    /// The last 64 KiB of console output.
    pub fn console(&self, id: &InstanceId) -> Result<Vec<u8>> {
        let directory = self.directory(id);
        if !directory.exists() {
            return Err(InstanceError::Missing(id.clone()));
        }
        console::tail(&directory).during(|| format!("read the console of {id}"))
    }

    /// The growing console file; a follower opens it anew when its inode changes.
    pub fn console_path(&self, id: &InstanceId) -> PathBuf {
        self.directory(id).join(console::FILE)
    }

    /// A command that runs in the instance as its root, a login shell if `argv` is empty.
    pub fn enter(&self, id: &InstanceId, argv: &[OsString]) -> Result<Command> {
        let init = self.status(id)?.and_then(|s| s.init);
        let init = init.ok_or_else(|| InstanceError::Missing(id.clone()))?;
        enter::command(init, &self.cgroups.entrances(id.as_str())?, argv)
    }

    /// Begins a script in the instance as its root.
    pub fn run_command(&self, spec: &CommandSpec) -> Result<()> {
        let command = self.enter(&spec.instance, &command::argv(spec))?;
        let state = self.settings.state.clone();
        let waker: Waker = Arc::new(move || doorbell::ring(&state));
        self.commands
            .begin(spec, command, waker)
            .during(|| format!("run a command in {}", spec.instance))
    }

    /// Calls `waker` whenever an instance's state changes, until the guard is dropped. Only
    /// a control plane watches, so what its predecessor had in the making ends here; any other
    /// user of the host layer, such as a shell, must leave that alone.
    pub fn watch(&self, waker: Waker) -> Result<Watch> {
        snapshot::forget_interrupted(&self.settings.state);
        Watch::new(&self.settings.state, waker)
    }

    /// Ends and removes all instances and the cloud's cgroups.
    pub fn remove_all(&self) -> Result<()> {
        for instance in self.list()? {
            self.terminate(&instance.id)?;
        }
        self.remove_cgroups()
    }

    /// Removes the cloud's cgroups once no instance runs; a launch makes them anew.
    pub fn remove_cgroups(&self) -> Result<()> {
        self.cgroups.remove_all()
    }

    fn directory(&self, id: &InstanceId) -> PathBuf {
        self.settings.state.join("instances").join(id.as_str())
    }

    fn status(&self, id: &InstanceId) -> Result<Option<Status>> {
        Status::read(&self.directory(id))
            .and_then(|status| status.map(Status::seen).transpose())
            .during(|| format!("read the status of {id}"))
    }

    /// With the directory behind the image's name. A volume stays with the image it began on, even
    /// if the name leads to a newer one now (an overlay's lower directory must never change), and
    /// with the form it began in. What was made of a snapshot begins on the snapshot's.
    fn as_begun(&self, spec: &InstanceSpec, directory: &Path) -> Result<InstanceSpec> {
        let before = fs::read(directory.join(SPEC)).ok();
        let before = before.and_then(|order| serde_json::from_slice::<Order>(&order).ok());
        let (image, root_bytes, layers) = match before {
            Some(Order { instance, .. }) => (instance.image, instance.root_bytes, instance.layers),
            None => {
                let newest = spec.layers.first().map(|layer| &layer.snapshot);
                let image = newest
                    .and_then(|snapshot| snapshot::base(&self.settings.state, snapshot))
                    .unwrap_or_else(|| spec.image.clone());
                let image = fs::canonicalize(&image)
                    .during(|| format!("find image {}", image.display()))?;
                (image, spec.root_bytes, spec.layers.clone())
            }
        };
        Ok(InstanceSpec {
            image,
            root_bytes,
            layers,
            ..spec.clone()
        })
    }

    fn trash(&self) -> PathBuf {
        self.settings.state.join("trash")
    }

    fn empty_trash(&self) {
        let trash = self.trash();
        let empty = move || {
            for entry in fs::read_dir(trash).into_iter().flatten().flatten() {
                // Another may be at it; what is left is tried again at the next start.
                let _ = fs::remove_dir_all(entry.path());
            }
        };
        // Without a thread, now; it is only slower.
        if let Err(e) = std::thread::Builder::new()
            .name("trash".into())
            .spawn(empty.clone())
        {
            tracing::warn!("failed to start a thread to empty the trash: {e}");
            empty();
        }
    }
}

/// Waits until a shim that was asked to stop is gone, and kills it if that takes too long.
fn end(shim: Process) -> io::Result<()> {
    let Some(open) = shim.open()? else {
        return Ok(());
    };
    for patience in [PollTimeout::from(5000u16), PollTimeout::NONE] {
        let mut watched = [PollFd::new(open.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, patience) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => shim.signal(Signal::SIGKILL)?,
            Ok(_) => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
