//! `nines console` and `nines shell`.

use crate::daemon::open_host;
use crate::layout::State;
use anyhow::{Context, Result};
use host::linux::host::LinuxHost;
use model::InstanceId;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn open(state: &Path, instance: &str) -> Result<(Arc<LinuxHost>, InstanceId)> {
    let state = State(state.to_owned());
    let cloud = state
        .read_cloud()
        .with_context(|| format!("no cloud has been up with --state {}", state.0.display()))?;
    let id = instance.parse::<InstanceId>()?;
    Ok((
        open_host(&state, &cloud.name, cloud.public_pool, cloud.offline)?,
        id,
    ))
}

pub fn console(state: &Path, instance: &str, follow: bool) -> Result<()> {
    let (host, id) = open(state, instance)?;
    let mut out = std::io::stdout();
    if !follow {
        out.write_all(&host.instances.console(&id)?)?;
        return Ok(());
    }
    let path = host.instances.console_path(&id);
    let mut file = std::fs::File::open(&path)
        .with_context(|| format!("failed to read the console of {id}"))?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read > 0 {
            out.write_all(&buffer[..read])?;
            out.flush()?;
            continue;
        }
        match std::fs::metadata(&path) {
            // The log is begun anew when it grows too long.
            Ok(fresh) if fresh.ino() != file.metadata()?.ino() => {
                file = std::fs::File::open(&path)?;
                continue;
            }
            // It was terminated.
            Err(error) if !path.parent().is_some_and(Path::exists) => {
                tracing::debug!(%error, "the console is gone");
                return Ok(());
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn shell(state: &Path, instance: &str, command: &[OsString]) -> Result<()> {
    let (host, id) = open(state, instance)?;
    let mut command = host.instances.enter(&id, command)?;
    // In a child: only a process of one thread may enter a user namespace.
    let status = command
        .status()
        .with_context(|| format!("failed to enter {id}"))?;
    std::process::exit(status.code().unwrap_or(1));
}
