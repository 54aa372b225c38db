//! A command in a running instance, as `nines shell` and Run Command need it.
//!
//! The command's process joins the instance's cgroup and all its namespaces, becomes its
//! root, and forks once more, since a PID namespace is for children only; the process that
//! the caller sees waits for that child and ends as it ended. It keeps the caller's terminal,
//! so job control, colours and window sizes work.

use super::boot::become_root;
use super::confine::{self, Filter};
use super::status::Process;
use crate::instance::{During, InstanceError};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, fork};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// bash if the image has it, as a login shell to read the profile. The caller's terminal has
/// no name in the instance, which tmux and gpg want: `script` gives one that has.
const LOGIN_SHELL: [&str; 3] = [
    "/bin/sh",
    "-c",
    "shell=$(command -v bash || echo sh)\n\
     if [ -t 0 ] && command -v script >/dev/null; then exec script -qec \"$shell -l\" /dev/null; fi\n\
     exec $shell -l",
];

/// A command that will run in the instance of `init`; `cgroups` are files to write `0` to.
pub fn command(
    init: Process,
    cgroups: &[PathBuf],
    argv: &[OsString],
) -> Result<Command, InstanceError> {
    let open = |path: &PathBuf| {
        OpenOptions::new()
            .write(true)
            .open(path)
            .during(|| format!("open {}", path.display()))
    };
    let cgroups = cgroups.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let during = || format!("find the init {}", init.pid);
    let user = |of: &str| fs::read_link(format!("/proc/{of}/ns/user")).during(during);
    let own_user = user(&init.pid.to_string())? != user("self")?;
    let init = init.open().during(during)?;
    let init = init.ok_or_else(|| InstanceError::refused(during(), "it has ended"))?;

    let mut command = match argv {
        [] => {
            let mut shell = Command::new(LOGIN_SHELL[0]);
            shell.args(&LOGIN_SHELL[1..]);
            shell
        }
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    let terminal = std::env::var_os("TERM").unwrap_or_else(|| "dumb".into());
    command.env_clear().envs([
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        ),
        ("HOME", "/root".into()),
        ("USER", "root".into()),
        ("LOGNAME", "root".into()),
        ("SHELL", "/bin/sh".into()),
        ("TERM", terminal),
    ]);
    let filter = confine::filter();
    // SAFETY: `enter` makes system calls only and allocates nothing, as must be between the
    // fork of a threaded program and exec.
    unsafe { command.pre_exec(move || enter(&cgroups, &init, own_user, &filter)) };
    Ok(command)
}

/// `own_user`: the instance has a user namespace; one cannot enter that one is in already.
fn enter(cgroups: &[File], init: &OwnedFd, own_user: bool, filter: &Filter) -> io::Result<()> {
    // The instance's root must not look into this process before the exec.
    prctl::set_dumpable(false)?;
    for mut procs in cgroups {
        procs.write_all(b"0")?;
    }
    let mut all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    all.set(CloneFlags::CLONE_NEWUSER, own_user);
    let time = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
    // A kernel without time namespaces refuses the flag.
    setns(init, all | time).or_else(|_| setns(init, all))?;
    become_root()?;
    // SAFETY: the child returns to exec, the parent waits and ends; neither allocates.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => wait_and_end(child),
        ForkResult::Child => {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            chdir("/root").or_else(|_| chdir("/"))?;
            confine::confine(filter)?;
            Ok(())
        }
    }
}

/// Ends this process as the child ends.
fn wait_and_end(child: Pid) -> ! {
    // SAFETY: plain numbers; ignoring runs no code. The descriptors closed are copies of
    // the caller's, among them the one that tells it of the exec.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        // The terminal sends these to the whole group; the child decides what they mean.
        let _ = signal(Signal::SIGINT, SigHandler::SigIgn);
        let _ = signal(Signal::SIGQUIT, SigHandler::SigIgn);
    }
    let code = loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => break code,
            Ok(WaitStatus::Signaled(_, signal, _)) => break 128 + signal as i32,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break 255,
        }
    };
    // SAFETY: ends the process; the caller's exit handlers are not ours to run.
    unsafe { libc::_exit(code) }
}
