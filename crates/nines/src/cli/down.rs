//! `nines down`: ends the control plane, then everything it left on the host.

use crate::daemon::open_host;
use crate::layout::{Cloud, State};
use anyhow::{Context, Result, bail};
use host::instance::{ObservedInstance, RunState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn run(directory: &Path, purge: bool) -> Result<()> {
    let state = State(directory.to_owned());
    let Some(cloud) = state.read_cloud() else {
        println!("no cloud has been up with --state {}", directory.display());
        return Ok(());
    };
    end_control_plane(&cloud)?;
    if cloud.simulated {
        if purge {
            remove_state(&state.0)?;
        }
        println!("nines is down; its machine was in memory");
        return Ok(());
    }
    sidecar::stop(&state.balancer())?;
    sidecar::stop(&state.edge())?;
    let host = open_host(&state, &cloud.name, cloud.public_pool, cloud.offline)?;
    if purge {
        host.instances
            .remove_all()
            .context("failed to remove instances")?;
    } else {
        host.halt().context("failed to stop the instances")?;
        await_halt(&host)?;
        host.instances
            .remove_cgroups()
            .context("failed to remove cgroups")?;
        // What the processes served is gone from the host; they shall not begin with it.
        for dir in [state.balancer(), state.edge()] {
            let _ = std::fs::remove_file(dir.join("config.json"));
        }
        state.write_cloud(&Cloud {
            halted: true,
            ..cloud.clone()
        })?;
    }
    let host = Arc::into_inner(host).context("failed to take the host layer apart")?;
    host.remove_networks()
        .map_err(|why| anyhow::anyhow!("failed to remove networks: {why}"))?;
    if let Some(path) = &cloud.hosts_file {
        host::linux::hosts_file::remove_block(path, &cloud.name)
            .with_context(|| format!("failed to clean {}", path.display()))?;
        let certificates = Path::new(host::linux::registry_trust::DIRECTORY);
        host::linux::registry_trust::write(certificates, &cloud.name, "", &Default::default())
            .with_context(|| format!("failed to clean {}", certificates.display()))?;
    }
    if purge {
        for (name, value) in &cloud.sysctls {
            let path = Path::new("/proc/sys").join(name);
            std::fs::write(&path, value)
                .with_context(|| format!("failed to restore {}", path.display()))?;
        }
        remove_state(&state.0)?;
    }
    println!(
        "nines is down{}",
        if purge {
            "; the host is as it was"
        } else {
            "; records and root volumes are kept (`--purge` removes them)"
        }
    );
    Ok(())
}

/// Asks the recorded process to end, if it is still that process.
fn end_control_plane(cloud: &Cloud) -> Result<()> {
    let pid = Pid::from_raw(cloud.pid as i32);
    let is_ours = || {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|b| *b == 0).any(|word| word == b"up"))
    };
    if !is_ours() {
        return Ok(());
    }
    kill(pid, Signal::SIGTERM)
        .with_context(|| format!("failed to end the control plane, process {pid}"))?;
    let begun = Instant::now();
    let mut killed = false;
    while is_ours() {
        // Nothing that it acknowledged is lost: what is written outlives a crash.
        if begun.elapsed() > Duration::from_secs(20) && !killed {
            eprintln!(
                "nines: the control plane, process {pid}, does not end by itself; killing it"
            );
            killed = true;
            let _ = kill(pid, Signal::SIGKILL);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            bail!("the control plane, process {pid}, does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn await_halt(host: &Arc<host::linux::host::LinuxHost>) -> Result<()> {
    let running = || {
        let seen = host::Host::instances(&**host).context("failed to see what still runs")?;
        let stopped = |i: &ObservedInstance| matches!(i.state, RunState::Stopped(_));
        anyhow::Ok(seen.iter().filter(|i| !stopped(i)).count())
    };
    // Hundreds take their time on a few cores, but each second some are through.
    let (mut least, mut since) = (running()?, Instant::now());
    while least > 0 {
        let left = running()?;
        if left < least {
            (least, since) = (left, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(30) {
            bail!("{left} instances do not end; see `nines ps` and try again");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Removes what a cloud keeps, but never images that a user put below the state directory.
fn remove_state(dir: &Path) -> Result<()> {
    for name in [
        "nines.db",
        "nines.db-wal",
        "nines.db-shm",
        "metrics.db",
        "metrics.db-wal",
        "metrics.db-shm",
        "cloud.json",
        "doorbell",
        "terraform.rc",
        "api.sock",
    ] {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to remove {name}"));
            }
            _ => {}
        }
    }
    for name in [
        "balancer",
        "edge",
        "registry",
        "instances",
        "trash",
        "volumes",
        "snapshots",
        "certificates",
        "s3",
        "ecr",
        "log",
        "namespaces",
    ] {
        match std::fs::remove_dir_all(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to remove {name}"));
            }
            _ => {}
        }
    }
    // Gone if it is empty now.
    let _ = std::fs::remove_dir(dir);
    Ok(())
}
