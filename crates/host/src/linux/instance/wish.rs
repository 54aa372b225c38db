//! What is asked of an instance, and what follows when its init ends.

use crate::instance::Exit;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Asked again until it works: an init does not hear signals before it has set up handlers.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// SIGRTMIN+3 and +5 as systemd's C library counts them (halt and reboot). The number must
/// not follow the C library this program is built with.
const SYSTEMD_HALT: i32 = 34 + 3;
const SYSTEMD_REBOOT: i32 = 34 + 5;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Power off; kill after the time, at once if it is nil.
    Stop {
        timeout_ms: u64,
    },
    Reboot {
        timeout_ms: u64,
    },
}

/// What was asked of the present boot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    Run,
    Stop(Deadline),
    Reboot(Deadline),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadline {
    kill: Instant,
    ask: Instant,
}

impl Deadline {
    fn after(timeout_ms: u64) -> Self {
        let now = Instant::now();
        Self {
            kill: now + Duration::from_millis(timeout_ms),
            ask: now,
        }
    }
}

#[derive(Debug, PartialEq)]
pub enum Next {
    Boot,
    Stopped(Exit),
}

impl Wish {
    /// The signal that is due now to an init, and how long until the next is; none if
    /// nothing is wished.
    pub fn press(&mut self, systemd: bool) -> Option<(i32, Duration)> {
        let (deadline, signal) = match self {
            Self::Run => return None,
            Self::Stop(deadline) => (deadline, SYSTEMD_HALT),
            Self::Reboot(deadline) => (deadline, SYSTEMD_REBOOT),
        };
        let now = Instant::now();
        let signal = if now >= deadline.kill {
            libc::SIGKILL
        } else if now < deadline.ask {
            0
        } else {
            deadline.ask = now + ASK_AGAIN;
            if systemd { signal } else { libc::SIGTERM }
        };
        let next = deadline.ask.min(deadline.kill);
        // What was killed may take a moment to end.
        Some((signal, (next - now).max(Duration::from_millis(10))))
    }
}

/// What holds after a request: a stop outlasts a reboot, and time limits only shrink.
pub fn wish(present: Wish, request: &Request) -> Wish {
    let earlier = |a: Deadline, b: Deadline| Deadline {
        kill: a.kill.min(b.kill),
        ask: b.ask,
    };
    match (present, request) {
        (Wish::Stop(old), Request::Stop { timeout_ms }) => {
            Wish::Stop(earlier(old, Deadline::after(*timeout_ms)))
        }
        (_, Request::Stop { timeout_ms }) => Wish::Stop(Deadline::after(*timeout_ms)),
        (Wish::Run, Request::Reboot { timeout_ms }) => Wish::Reboot(Deadline::after(*timeout_ms)),
        (other, Request::Reboot { .. }) => other,
    }
}

/// What follows from the end of an init. The kernel reports `reboot(2)` of a PID namespace
/// as death by SIGHUP (restart) or SIGINT (halt, power off).
pub fn next(end: WaitStatus, wish: Wish) -> Next {
    use Exit::{Crashed, Killed, PowerOff};
    match (end, wish) {
        (WaitStatus::Signaled(_, Signal::SIGINT, _), _) => Next::Stopped(PowerOff),
        (WaitStatus::Signaled(_, Signal::SIGHUP, _), Wish::Stop(_)) => Next::Stopped(PowerOff),
        (WaitStatus::Signaled(_, Signal::SIGHUP, _), _) | (_, Wish::Reboot(_)) => Next::Boot,
        (WaitStatus::Signaled(..), Wish::Stop(_)) => Next::Stopped(Killed),
        (WaitStatus::Exited(_, 0), _) | (_, Wish::Stop(_)) => Next::Stopped(PowerOff),
        (WaitStatus::Exited(_, code), _) => Next::Stopped(Crashed(code)),
        (WaitStatus::Signaled(_, signal, _), _) => Next::Stopped(Crashed(128 + signal as i32)),
        (_, _) => Next::Stopped(Crashed(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Pid;

    #[test]
    fn the_end_of_an_init_and_the_wish_decide_what_follows() {
        let pid = Pid::from_raw(1);
        let soon = Deadline::after(1);
        let died = |signal| WaitStatus::Signaled(pid, signal, false);
        let left = |code| WaitStatus::Exited(pid, code);
        let check = |end, wish, expected| assert_eq!(next(end, wish), expected, "{end:?} {wish:?}");
        let stopped = Next::Stopped;
        check(died(Signal::SIGHUP), Wish::Run, Next::Boot);
        check(died(Signal::SIGHUP), Wish::Reboot(soon), Next::Boot);
        check(
            died(Signal::SIGHUP),
            Wish::Stop(soon),
            stopped(Exit::PowerOff),
        );
        check(died(Signal::SIGINT), Wish::Run, stopped(Exit::PowerOff));
        check(
            died(Signal::SIGINT),
            Wish::Stop(soon),
            stopped(Exit::PowerOff),
        );
        check(
            died(Signal::SIGKILL),
            Wish::Stop(soon),
            stopped(Exit::Killed),
        );
        check(died(Signal::SIGKILL), Wish::Reboot(soon), Next::Boot);
        check(
            died(Signal::SIGKILL),
            Wish::Run,
            stopped(Exit::Crashed(137)),
        );
        check(left(0), Wish::Run, stopped(Exit::PowerOff));
        check(left(3), Wish::Run, stopped(Exit::Crashed(3)));
        check(left(3), Wish::Stop(soon), stopped(Exit::PowerOff));
        check(left(3), Wish::Reboot(soon), Next::Boot);
    }

    #[test]
    fn requests_sharpen_but_never_soften() {
        let stop = |timeout_ms| Request::Stop { timeout_ms };
        let reboot = Request::Reboot { timeout_ms: 1000 };
        let slow = wish(Wish::Run, &stop(100_000));
        let Wish::Stop(late) = slow else {
            panic!("{slow:?}")
        };
        let Wish::Stop(now) = wish(slow, &stop(0)) else {
            panic!("no stop")
        };
        assert!(now.kill < late.kill);
        let Wish::Stop(still) = wish(Wish::Stop(now), &stop(100_000)) else {
            panic!("no stop")
        };
        assert_eq!(still.kill, now.kill);
        assert_eq!(wish(Wish::Stop(now), &reboot), Wish::Stop(now));
        let Wish::Reboot(_) = wish(Wish::Run, &reboot) else {
            panic!("no reboot")
        };
        let Wish::Stop(_) = wish(wish(Wish::Run, &reboot), &stop(5)) else {
            panic!("no stop")
        };
    }
}
