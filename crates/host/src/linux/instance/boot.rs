//! One boot of an instance: from the shim's fork to the exec of its init.
//!
//! The order is dictated by who may do what, and each step is possible only after the last:
//!
//! 1. A child of the shim, with the host's rights, joins the instance's cgroup (the shim
//!    must not: cgroup2 wants no processes beside the instance's own) and, in a scratch
//!    mount namespace, makes the root file system, device nodes and the rest as *detached*
//!    mounts ([`super::root`]).
//! 2. It enters the instance's user and network namespaces, becomes root there, and makes
//!    the remaining namespaces, which the user namespace thereby owns.
//! 3. Its own child is PID 1: it attaches the mounts, adds those that belong to the
//!    namespaces (proc, sysfs, cgroup2, …), pivots and executes the init ([`super::inside`]).
//!
//! The middle process ends, PID 1 falls to the shim, which is a child subreaper. Failures
//! come back as text through a pipe that the exec closes.

use super::console::Console;
use super::{inside, root};
use crate::instance::{During, InstanceError, InstanceSpec};
use crate::linux::cgroup::Cgroups;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Gid, Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

pub struct Boot<'a> {
    pub spec: &'a InstanceSpec,
    pub cgroups: &'a Cgroups,
    pub user_namespace: &'a Path,
    pub network_namespace: &'a Path,
    pub console: &'a Console,
}

/// Starts the init and returns its process id once it was executed.
///
/// The working directory must be the instance's, and the caller single-threaded.
pub fn start(boot: &Boot<'_>) -> Result<Pid> {
    let during = || "make a pipe".to_owned();
    let (errors, errors_in) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).during(during)?;
    let (pid, pid_in) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).during(during)?;
    // SAFETY: the shim is single-threaded, so the child may do what it likes.
    match unsafe { fork() }.during(|| "fork".into())? {
        ForkResult::Child => {
            drop((errors, pid));
            finish(middle(boot, &errors_in, pid_in), errors_in)
        }
        ForkResult::Parent { child } => {
            drop((errors_in, pid_in));
            collect(child, errors, pid)
        }
    }
}

fn collect(middle: Pid, errors: OwnedFd, pid: OwnedFd) -> Result<Pid> {
    let read = |fd: OwnedFd| io::read_to_string(File::from(fd));
    let init = read(pid).during(|| "read the init's process id".into())?;
    let error = read(errors).during(|| "read the init's errors".into())?;
    reap(middle)?;
    let init = init.parse().ok().map(Pid::from_raw);
    match init {
        Some(init) if error.is_empty() => Ok(init),
        _ => {
            if let Some(init) = init {
                // It ends by itself after reporting.
                reap(init)?;
            }
            let reason = if error.is_empty() {
                "it ended without a word"
            } else {
                &error
            };
            Err(InstanceError::refused("start the init", reason))
        }
    }
}

fn reap(pid: Pid) -> Result<()> {
    loop {
        match nix::sys::wait::waitpid(pid, None) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::ECHILD) | Ok(_) => return Ok(()),
            Err(e) => return Err(e).during(|| format!("wait for process {pid}")),
        }
    }
}

/// Ends a forked child: with its error in the pipe, if it has one.
fn finish(result: Result<()>, errors: OwnedFd) -> ! {
    let code = match result {
        Ok(()) => 0,
        Err(e) => {
            // Nobody is left to tell of a failure to tell.
            let _ = File::from(errors).write_all(e.to_string().as_bytes());
            1
        }
    };
    // SAFETY: ends the process; skipping exit handlers is what a forked child should do.
    unsafe { libc::_exit(code) }
}

fn middle(boot: &Boot<'_>, errors: &OwnedFd, pid: OwnedFd) -> Result<()> {
    let id = boot.spec.id.as_str();
    die_with_the_shim()?;
    boot.cgroups.join(id)?;
    ordinary_process_limits()?;
    let open =
        |path: &Path| File::open(path).during(|| format!("open namespace {}", path.display()));
    let clock = OpenOptions::new()
        .write(true)
        .open("/proc/self/timens_offsets");
    let user = open(boot.user_namespace)?;
    let network = open(boot.network_namespace)?;
    take_console(boot.console)?;

    unshare(CloneFlags::CLONE_NEWNS).during(|| "make a mount namespace".into())?;
    let parts = root::prepare(boot.spec, &user, boot.console.slave_path())?;

    if !boot.spec.privileged() {
        setns(&user, CloneFlags::CLONE_NEWUSER).during(|| "enter the user namespace".into())?;
    }
    setns(&network, CloneFlags::CLONE_NEWNET).during(|| "enter the network namespace".into())?;
    become_root().during(|| "become root of the instance".into())?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .during(|| "make the instance's namespaces".into())?;
    own_clock(clock)?;
    inside::raise_loopback()?;
    // SAFETY: still single-threaded.
    match unsafe { fork() }.during(|| "fork the init".into())? {
        ForkResult::Child => {
            drop(pid);
            let errors = errors.try_clone().during(|| "keep the error pipe".into())?;
            finish(
                inside::run(boot.spec, &parts).map(|never| match never {}),
                errors,
            )
        }
        ForkResult::Parent { child } => File::from(pid)
            .write_all(child.to_string().as_bytes())
            .during(|| "report the init".into()),
    }
}

/// The time since boot begins with the instance: uptime, start times of processes, systemd's
/// own measures. `offsets` was opened as the host's root. Kernels without it show the host's.
fn own_clock(offsets: io::Result<File>) -> Result<()> {
    /// `nix` does not name it.
    const NEW_TIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
    let Ok(mut offsets) = offsets else {
        return Ok(());
    };
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .during(|| "read the clock".into())?;
    let monotonic = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .during(|| "read the clock".into())?;
    unshare(NEW_TIME).during(|| "make a time namespace".into())?;
    // To the nanosecond: whoever began before the uptime that its file tells would be of an age
    // below nil, which `ps` prints as 131 years.
    let back = |at: nix::sys::time::TimeSpec| match at.tv_nsec() {
        0 => format!("-{} 0", at.tv_sec()),
        part => format!("-{} {}", at.tv_sec() + 1, 1_000_000_000 - part),
    };
    let text = format!("boottime {}\nmonotonic {}\n", back(now), back(monotonic));
    offsets
        .write_all(text.as_bytes())
        .during(|| "set the clock of the boot".into())
}

/// Until it is in the cgroup, through which it can be killed.
fn die_with_the_shim() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).during(|| "tie a boot to its shim".into())
}

/// What the shim has for itself must not pass on: favour with the out-of-memory killer,
/// blocked and ignored signals, and the host's limit of open files.
fn ordinary_process_limits() -> Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "0").during(|| "reset the OOM score".into())?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .during(|| "unblock signals".into())?;
    // SAFETY: the default action runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }
        .during(|| "reset SIGPIPE".into())?;
    limit_open_files().during(|| "limit open files".into())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    Ok(())
}

/// systemd's own defaults, or as near as the host lets us come.
fn limit_open_files() -> nix::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = (1024, 512 * 1024);
    match setrlimit(Resource::RLIMIT_NOFILE, soft, hard) {
        // Raising it needs CAP_SYS_RESOURCE, which root lacks on some hosts.
        Err(nix::errno::Errno::EPERM) => {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)
        }
        other => other,
    }
}

fn take_console(console: &Console) -> Result<()> {
    let slave = console.slave();
    dup2_stdin(slave)
        .and_then(|()| dup2_stdout(slave))
        .and_then(|()| dup2_stderr(slave))
        .during(|| "take the console".into())
}

/// Root of the user namespace just entered: so far this is still the host's root, a stranger there.
pub fn become_root() -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    nix::unistd::setgroups(&[])?;
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)
}
