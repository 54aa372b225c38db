//! Scripts in instances, by the way that `nines shell` goes: begun, watched, ended.
//!
//! Each has threads that enter, wait, write and read for it. They live with the control
//! plane; one that ends leaves scripts running whose output nobody reads.

use super::doorbell::Waker;
use crate::command::{CommandEnd, CommandSpec, CommandState, ERRORS, Ending, OUTPUT};
use model::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The script comes by standard input and is run as a file, so that its first line may name what
/// runs it. Without one, `sh` does.
const RUN: &str = r#"umask 077
mkdir -p "$1" && cat >"$1/_script.sh" && chmod 700 "$1/_script.sh" || exit 1
cd "${2:-/usr/bin}" || exit 1
umask 022
sh -c "$1/_script.sh" </dev/null
code=$?
rm -rf "$1"
exit $code
"#;

/// What something that a script left behind may still write once the script has ended.
const LATE: Duration = Duration::from_millis(500);

pub fn argv(spec: &CommandSpec) -> [OsString; 6] {
    [
        "/bin/sh".into(),
        "-c".into(),
        RUN.into(),
        "sh".into(),
        spec.directory.clone().into(),
        spec.working_directory.clone().unwrap_or_default().into(),
    ]
}

struct Entry {
    state: CommandState,
    /// While it may be killed.
    group: Option<Pid>,
    cancelled: bool,
}

#[derive(Default, Clone)]
pub struct Commands(Arc<Mutex<BTreeMap<String, Entry>>>);

impl Commands {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn list(&self) -> BTreeMap<String, CommandState> {
        let entries = self.entries();
        let state = |(key, entry): (&String, &Entry)| (key.clone(), entry.state.clone());
        entries.iter().map(state).collect()
    }

    /// Kills one that runs; its end comes as any other's.
    pub fn cancel(&self, key: &str) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.cancelled = true;
            entry.group.into_iter().for_each(kill);
        }
    }

    /// Drops what is known of one that has ended.
    pub fn forget(&self, key: &str) {
        self.entries()
            .retain(|k, entry| k != key || entry.state == CommandState::Running);
    }

    /// Begins what `command`, made of [`argv`], does.
    pub fn begin(&self, spec: &CommandSpec, mut command: Command, waker: Waker) -> io::Result<()> {
        if self.entries().contains_key(&spec.key) {
            return Ok(());
        }
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let entry = Entry {
            state: CommandState::Running,
            group: None,
            cancelled: false,
        };
        self.entries().insert(spec.key.clone(), entry);
        let (commands, followed) = (self.clone(), spec.clone());
        let name = thread::Builder::new().name("run-command".into());
        let begun = name.spawn(move || {
            let end = commands.run(&followed, command);
            if let Some(entry) = commands.entries().get_mut(&followed.key) {
                entry.state = CommandState::Ended(end);
            }
            waker();
        });
        if begun.is_err() {
            self.entries().remove(&spec.key);
        }
        begun.map(drop)
    }

    /// Who enters an instance waits while it is frozen, be it for a snapshot or by its own root,
    /// and for CPU time that it may not have: that holds up nobody but this script, and counts.
    fn run(&self, spec: &CommandSpec, mut command: Command) -> CommandEnd {
        let deadline = Instant::now() + spec.timeout;
        let (entered, inside) = mpsc::channel();
        let (commands, key) = (self.clone(), spec.key.clone());
        thread::spawn(move || {
            let spawned = command.spawn();
            let mut entries = commands.entries();
            let wanted = entries.get_mut(&key).filter(|entry| !entry.cancelled);
            match (spawned, wanted) {
                (Ok(child), Some(entry)) => {
                    entry.group = Some(Pid::from_raw(child.id() as i32));
                    let _ = entered.send(Ok(child));
                }
                (Ok(mut child), None) => {
                    drop(entries);
                    kill(Pid::from_raw(child.id() as i32));
                    let _ = child.wait();
                }
                (Err(error), _) => drop(entered.send(Err(error))),
            }
        });
        let mut child = inside.recv_timeout(spec.timeout);
        let timed_out = child.is_err() && Instant::now() >= deadline;
        if child.is_err() {
            // Either it has been sent by now, or it ends with nobody waiting for it.
            let mut entries = self.entries();
            child = inside.try_recv().map_err(|_| RecvTimeoutError::Timeout);
            if let Some(entry) = entries.get_mut(&spec.key).filter(|_| child.is_err()) {
                entry.cancelled = true;
            }
        }
        let over = |how, stderr| CommandEnd {
            at: Timestamp::now(),
            how,
            stdout: String::new(),
            stderr,
        };
        match child {
            Ok(Ok(mut child)) => follow(self, spec, &mut child, deadline),
            Ok(Err(error)) => {
                let why = format!("failed to enter {}: {error}", spec.instance);
                over(Ending::Exited(-1), why)
            }
            Err(_) if timed_out => over(Ending::TimedOut, String::new()),
            Err(_) => over(Ending::Cancelled, String::new()),
        }
    }
}

/// Everything of the group; what has ended already is fine.
fn kill(group: Pid) {
    let _ = killpg(group, Signal::SIGKILL);
}

fn follow(
    commands: &Commands,
    spec: &CommandSpec,
    child: &mut Child,
    deadline: Instant,
) -> CommandEnd {
    let group = Pid::from_raw(child.id() as i32);
    let (stdout, told) = mpsc::channel();
    let stderr = stdout.clone();
    let stdout = read(child.stdout.take(), OUTPUT, stdout);
    let stderr = read(child.stderr.take(), ERRORS, stderr);
    if let Some(mut stdin) = child.stdin.take() {
        let script = spec.script.clone();
        // It may end before it has read everything, or read nothing.
        thread::spawn(move || stdin.write_all(script.as_bytes()));
    }
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // Not reaped yet: its number stays its own until nobody kills it any more.
        while waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            == Err(nix::errno::Errno::EINTR)
        {}
        let _ = ended.send(());
    });
    let timed_out = end.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        == Err(RecvTimeoutError::Timeout);
    if timed_out {
        kill(group);
        let _ = end.recv();
    }
    let cancelled = commands.entries().get_mut(&spec.key).is_some_and(|entry| {
        entry.group = None;
        entry.cancelled
    });
    let status = child.wait();
    let at = Timestamp::now();
    wait_for_readers(&told);
    let how = match status {
        _ if cancelled => Ending::Cancelled,
        _ if timed_out => Ending::TimedOut,
        Ok(status) => {
            let signal = status.signal().map(|signal| 128 + signal);
            Ending::Exited(status.code().or(signal).unwrap_or(-1))
        }
        Err(_) => Ending::Exited(-1),
    };
    CommandEnd {
        at,
        how,
        stdout: text(&stdout, OUTPUT),
        stderr: text(&stderr, ERRORS),
    }
}

type Kept = Arc<Mutex<Vec<u8>>>;

/// Reads to the end and keeps the beginning; says when it is through.
fn read(pipe: Option<impl Read + Send + 'static>, characters: usize, through: Sender<()>) -> Kept {
    let kept = Kept::default();
    let (Some(mut pipe), to) = (pipe, kept.clone()) else {
        return kept;
    };
    thread::spawn(move || {
        let mut piece = [0; 8192];
        // Of four bytes each at the most.
        let limit = 4 * characters;
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
            let room = limit.saturating_sub(kept.len()).min(read);
            kept.extend(piece.iter().take(room));
        }
        let _ = through.send(());
    });
    kept
}

fn wait_for_readers(told: &Receiver<()>) {
    for _ in 0..2 {
        if told.recv_timeout(LATE).is_err() {
            return;
        }
    }
}

fn text(kept: &Kept, characters: usize) -> String {
    let bytes = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&bytes);
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On this host instead of in an instance; what became of it.
    fn run(script: &str, timeout: Duration, cancel: bool) -> CommandEnd {
        let directory = std::env::temp_dir().join(format!(
            "run-command-{}-{}",
            std::process::id(),
            model::random_hex(8)
        ));
        let spec = CommandSpec {
            key: "one".into(),
            instance: "i-0123456789abcdef0".parse().unwrap(),
            script: script.into(),
            directory: directory.clone(),
            working_directory: Some("/".into()),
            timeout,
        };
        let commands = Commands::default();
        let (rung, bell) = mpsc::channel();
        let rung = Mutex::new(rung);
        let waker: Waker = Arc::new(move || {
            let _ = rung.lock().unwrap().send(());
        });
        let [program, arguments @ ..] = argv(&spec);
        let mut command = Command::new(program);
        command.args(arguments);
        commands.begin(&spec, command, waker).unwrap();
        if cancel {
            commands.cancel("one");
        }
        bell.recv_timeout(Duration::from_secs(20)).unwrap();
        let CommandState::Ended(end) = commands.list().remove("one").unwrap() else {
            panic!("it has not ended");
        };
        commands.forget("one");
        assert!(commands.list().is_empty());
        let _ = std::fs::remove_dir_all(directory);
        end
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn output_and_exit_code() {
        let end = run("pwd; echo no >&2; exit 3", LONG, false);
        assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("/\n", "no\n"));
        assert_eq!(end.how, Ending::Exited(3));
        let end = run("#!/bin/cat\nread by cat", LONG, false);
        assert_eq!(end.stdout, "#!/bin/cat\nread by cat");
        let end = run("head -c 100000 /dev/zero | tr '\\0' x", LONG, false);
        assert_eq!(end.stdout.len(), OUTPUT);
    }

    #[test]
    fn whatever_runs_too_long_is_killed_with_its_children() {
        let begun = Instant::now();
        let end = run(
            "echo begun; sleep 60 & sleep 61",
            Duration::from_millis(300),
            false,
        );
        assert_eq!(end.how, Ending::TimedOut);
        assert_eq!(end.stdout, "begun\n");
        let end = run("sleep 60", LONG, true);
        assert_eq!(end.how, Ending::Cancelled);
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn what_a_script_leaves_behind_is_not_waited_for() {
        let begun = Instant::now();
        let end = run("sleep 30 & echo $!", LONG, false);
        assert_eq!(end.how, Ending::Exited(0));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let left: i32 = end.stdout.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }
}
