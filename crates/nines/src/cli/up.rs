//! `nines up`: checks the host, then runs the control plane here or detached.

use crate::Up;
use crate::daemon;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A detached cloud that is not ready by then has failed.
const READY: Duration = Duration::from_secs(20);

pub fn run(state: &Path, port: u16, up: &Up) -> Result<()> {
    if !up.simulated && !up.checked {
        check_host(state, port, up)?;
    }
    std::fs::create_dir_all(state.join("log"))
        .with_context(|| format!("failed to create {}", state.display()))?;
    let state = state.canonicalize()?;
    if up.privileged_instances {
        eprintln!("instances have no user namespace: their root is this host's root");
    }
    if up.detach {
        return detached(&state, port);
    }
    let images_dir = up.images.clone().unwrap_or_else(|| state.join("images"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    daemon::run(&daemon::Up {
        state,
        name: up.name.clone(),
        images_dir: std::path::absolute(images_dir)?,
        port,
        speed: up.speed,
        offline: up.offline,
        strict: up.strict,
        public_pool: up.public_pool,
        hosts_file: (!up.no_hosts).then(|| PathBuf::from("/etc/hosts")),
        millicores_per_vcpu: up.vcpu.map_or_else(
            || default_millicores(cores),
            |cores| (cores * 1000.0).clamp(1.0, 64_000.0) as u32,
        ),
        privileged_instances: up.privileged_instances,
        simulated: up.simulated,
    })
}

fn check_host(state: &Path, port: u16, up: &Up) -> Result<()> {
    let plan = host::linux::doctor::Plan {
        state,
        port,
        public_pool: up.public_pool,
        privileged_instances: up.privileged_instances,
    };
    let missing: Vec<_> = host::linux::doctor::checks(&plan)
        .into_iter()
        .filter(|c| !c.ok && c.required)
        .collect();
    if !missing.is_empty() {
        for check in &missing {
            eprintln!("{}: {}\n    fix: {}", check.name, check.found, check.fix);
        }
        bail!("this host cannot run a cloud yet; `nines doctor` tells all");
    }
    Ok(())
}

/// Puts this process into the cloud's cgroup of higher weight, so that busy instances do
/// not starve what serves them all. Without one it runs as any other.
pub fn favour(state: Option<&Path>) {
    let cloud = state.and_then(|dir| crate::layout::State(dir.to_owned()).read_cloud());
    let joined = cloud.map(|cloud| {
        host::linux::cgroup::Cgroups::detect(&cloud.name).and_then(|groups| groups.join_system())
    });
    if let Some(Err(error)) = joined {
        tracing::warn!(%error, "failed to join the cgroup of the cloud's own processes");
    }
}

/// One vCPU is an eighth of the host, so that four instances of two vCPUs can each
/// reach 100 % CPUUtilization at the same time; never more than a core.
fn default_millicores(cores: usize) -> u32 {
    ((cores * 1000 / 8) as u32).clamp(50, 1000)
}

fn detached(state: &Path, port: u16) -> Result<()> {
    let begun = Instant::now();
    let log = state.join("log/control.log");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("failed to open {}", log.display()))?;
    let arguments = std::env::args_os()
        .skip(1)
        .filter(|a| a != "-d" && a != "--detach");
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .arg("--checked")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    // SAFETY: setsid is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into));
    }
    let mut child = command
        .spawn()
        .context("failed to start the control plane")?;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!(
                "the control plane ended at once ({status}); see {}",
                log.display()
            );
        }
        let answered = super::ask(port, "GET", "status");
        if answered.is_ok_and(|s| s["pid"] == child.id()) {
            println!(
                "nines is up on http://127.0.0.1:{port} after {:.0?}; `eval \"$(nines env)\"` points your tools at it",
                begun.elapsed()
            );
            return Ok(());
        }
        if begun.elapsed() > READY {
            bail!(
                "the control plane is not ready after {READY:?}; see {}",
                log.display()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
