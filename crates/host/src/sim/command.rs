//! Scripts in simulated instances: what a few commands would do, on the virtual clock.

use super::instance::after;
use crate::command::{CommandEnd, CommandSpec, CommandState, Ending};
use model::Timestamp;
use std::time::Duration;

pub struct SimCommand {
    pub spec: CommandSpec,
    begun: Timestamp,
    /// When it was cancelled, or its instance ended.
    cut: Option<(Timestamp, Ending)>,
}

impl SimCommand {
    pub fn begin(spec: CommandSpec, now: Timestamp) -> Self {
        Self {
            spec,
            begun: now,
            cut: None,
        }
    }

    /// It ends now unless it has ended.
    pub fn cut(&mut self, now: Timestamp, how: Ending) {
        if self.state(now) == CommandState::Running {
            self.cut = Some((now, how));
        }
    }

    pub fn state(&self, now: Timestamp) -> CommandState {
        let (takes, mut end) = read(&self.spec.script);
        let limit = self.spec.timeout;
        end.at = after(self.begun, takes.min(limit));
        if takes > limit {
            end.how = Ending::TimedOut;
        }
        if let Some((at, how)) = self.cut {
            (end.at, end.how) = (at, how);
        }
        match end.at <= now {
            true => CommandState::Ended(end),
            false => CommandState::Running,
        }
    }
}

/// How long a script of `echo`, `sleep` and `exit` takes, and how it ends.
fn read(script: &str) -> (Duration, CommandEnd) {
    let mut takes = Duration::ZERO;
    let mut end = CommandEnd {
        at: Timestamp::UNIX_EPOCH,
        how: Ending::Exited(0),
        stdout: String::new(),
        stderr: String::new(),
    };
    for line in script.lines() {
        match line.trim().split_once(' ') {
            Some(("echo", text)) => end.stdout += &format!("{text}\n"),
            Some(("sleep", seconds)) => {
                takes += Duration::from_secs(seconds.parse().unwrap_or_default());
            }
            Some(("exit", code)) => {
                end.how = Ending::Exited(code.parse().unwrap_or(2));
                break;
            }
            _ => {}
        }
    }
    (takes, end)
}
