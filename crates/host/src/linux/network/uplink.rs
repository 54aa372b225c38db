//! The way from the internet namespace to the real internet: a `slirp4netns` process.
//!
//! It opens ordinary sockets on the host for what comes out of a tap device, so the host
//! needs neither masquerading nor forwarding, and its loopback stays out of reach. The
//! price is throughput (1–3 Gbit/s), which a package download does not notice. The process
//! outlives the control plane and is found again by pid and start time.

use super::names::UPLINK;
use super::plan::MTU;
use crate::linux::namespace;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program's own defaults: its network is 10.0.2.0/24, it is the gateway in it.
pub const ADDRESS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 100), 24);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

const PROGRAM: &str = "slirp4netns";
const STOPPING: Duration = Duration::from_secs(5);

/// Starts the uplink of a namespace unless it runs. True if it was started.
pub fn ensure(state: &Path, name: &str) -> io::Result<bool> {
    if running(state).is_some() {
        return Ok(false);
    }
    let (mut ready, tell) = io::pipe()?;
    let log = File::create(state.join("uplink.log"))?;
    let mut command = Command::new(PROGRAM);
    command
        // Ready is told on descriptor 0, the only one besides the log that a child gets
        // without unsafe code; the program reads nothing.
        .args([
            "--disable-host-loopback",
            "--netns-type=path",
            "--ready-fd=0",
        ])
        .arg(format!("--mtu={MTU}"))
        .arg(namespace::path(name))
        .arg(UPLINK)
        .stdin(tell)
        .stdout(log.try_clone()?)
        .stderr(log)
        // Its own group: Ctrl-C on `nines up` must not end it.
        .process_group(0);
    let pid = command.spawn()?.id();
    // The command holds our copy of the pipe's writing end.
    drop(command);
    // It writes one byte once the tap device is there, or ends and so closes the pipe.
    let mut byte = [0];
    if ready.read(&mut byte)? == 0 {
        end(pid)?;
        let said = fs::read_to_string(state.join("uplink.log")).unwrap_or_default();
        let last = said
            .lines()
            .last()
            .unwrap_or("ended without a word")
            .to_owned();
        return Err(io::Error::other(last));
    }
    let started = start_time(pid).ok_or_else(|| io::Error::other("ended at once"))?;
    fs::write(state.join("uplink.pid"), format!("{pid} {started}\n"))?;
    Ok(true)
}

/// Ends the uplink, if it runs, and waits until it has.
pub fn stop(state: &Path) -> io::Result<()> {
    if let Some(pid) = running(state) {
        end(pid)?;
    }
    for file in ["uplink.pid", "uplink.log"] {
        match fs::remove_file(state.join(file)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Its process id. The start time tells it from another process that got its number.
fn running(state: &Path) -> Option<u32> {
    let text = fs::read_to_string(state.join("uplink.pid")).ok()?;
    let (pid, started) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    // One that died as our child stays visible until it is waited for.
    let _ = waitpid(process(pid), Some(WaitPidFlag::WNOHANG));
    (start_time(pid)? == started.parse::<u64>().ok()?).then_some(pid)
}

fn end(pid: u32) -> io::Result<()> {
    let process = process(pid);
    let gone = || {
        // Ours to wait for if this process started it; else init's.
        let _ = waitpid(process, Some(WaitPidFlag::WNOHANG));
        kill(process, None) == Err(Errno::ESRCH)
    };
    let deadline = Instant::now() + STOPPING;
    let mut signal = Signal::SIGTERM;
    while !gone() {
        if Instant::now() > deadline {
            signal = Signal::SIGKILL;
        }
        match kill(process, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(e) => return Err(e.into()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Field 22 of `/proc/<pid>/stat`: clock ticks from boot to the start of the process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}
