//! How a shim becomes a process of its own, apart from the control plane that starts it.

use super::shim::Shim;
use crate::instance::{During, InstanceError};
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, fork, pipe2, setsid};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

/// Entry of the re-executed program, before it has any threads: `directory` is the instance's.
///
/// Returns in the parent as soon as the shim itself is on its way, detached.
pub fn shim_main(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory).during(|| format!("enter {}", directory.display()))?;
    let (started, starting) = pipe2(OFlag::O_CLOEXEC).during(|| "make a pipe".into())?;
    // SAFETY: the caller has no other threads.
    match unsafe { fork() }.during(|| "fork the shim".into())? {
        ForkResult::Parent { .. } => {
            drop(starting);
            let mut word = String::new();
            File::from(started)
                .read_to_string(&mut word)
                .during(|| "wait for the shim".into())?;
            if word == "started" {
                Ok(())
            } else {
                Err(InstanceError::refused("start the shim", word))
            }
        }
        ForkResult::Child => {
            drop(started);
            let mut starting = File::from(starting);
            let code = match detach().and_then(|()| Shim::new()) {
                Ok(mut shim) => {
                    // A parent that went away meanwhile does not matter.
                    let _ = starting.write_all(b"started");
                    drop(starting);
                    shim.run();
                    0
                }
                Err(e) => {
                    let _ = starting.write_all(e.to_string().as_bytes());
                    1
                }
            };
            std::process::exit(code)
        }
    }
}

/// A daemon of its own, with what its errors are written to, safe from the OOM killer.
fn detach() -> Result<()> {
    setsid().during(|| "start a session".into())?;
    nix::sys::prctl::set_name(c"instance-shim").during(|| "name the shim".into())?;
    nix::sys::prctl::set_child_subreaper(true).during(|| "adopt orphans".into())?;
    // A favour that needs CAP_SYS_RESOURCE, which root lacks on some hosts.
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
    let during = || "redirect the shim's output".to_owned();
    let log = File::options()
        .create(true)
        .append(true)
        .open("shim.log")
        .during(during)?;
    let null = File::open("/dev/null").during(during)?;
    nix::unistd::dup2_stdin(&null)
        .and_then(|()| nix::unistd::dup2_stdout(&log))
        .and_then(|()| nix::unistd::dup2_stderr(&log))
        .during(during)
}
