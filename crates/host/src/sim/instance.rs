//! One simulated instance: its times, from which its state at any moment follows.

use super::host::Timing;
use crate::instance::{Exit, InstanceSpec, ObservedInstance, RunState, Usage};
use model::Timestamp;
use std::time::Duration;

/// Bytes of console output that are kept, as on the other host.
const CONSOLE: usize = 64 * 1024;

pub struct SimInstance {
    pub spec: InstanceSpec,
    started: Timestamp,
    boots: u32,
    /// When the present boot executes init, and when it is ready (never, if it hangs).
    init: Timestamp,
    ready: Option<Timestamp>,
    stopping: bool,
    /// Does not answer the status check.
    pub deaf: bool,
    end: Option<End>,
    /// Share of its CPU that it would use while it runs, and CPU time a second that it may.
    load: f64,
    limit: u64,
    cpu_usec: f64,
    counted: Timestamp,
    console: Vec<u8>,
}

struct End {
    at: Timestamp,
    exit: Exit,
    why: Option<String>,
}

impl SimInstance {
    pub fn new(spec: InstanceSpec, timing: Timing, hangs: bool, now: Timestamp) -> Self {
        let mut instance = Self {
            limit: spec.cpu.quota_usec_per_sec(),
            spec,
            started: now,
            boots: 0,
            init: now,
            ready: None,
            stopping: false,
            deaf: false,
            end: None,
            load: 0.0,
            cpu_usec: 0.0,
            counted: now,
            console: Vec::new(),
        };
        instance.boot(timing, hangs, now);
        instance
    }

    /// A new run on the same root volume.
    pub fn start(&mut self, spec: InstanceSpec, timing: Timing, hangs: bool, now: Timestamp) {
        let console = std::mem::take(&mut self.console);
        *self = Self {
            console,
            ..Self::new(spec, timing, hangs, now)
        };
    }

    /// The present run boots, for the first time or again.
    pub fn boot(&mut self, timing: Timing, hangs: bool, now: Timestamp) {
        self.boots += 1;
        self.deaf = false;
        self.init = after(now, timing.start);
        self.ready = (!hangs).then(|| after(now, timing.start + timing.boot));
        let line = format!("{now} boot {} of {}\n", self.boots, self.spec.hostname);
        self.write(&line);
    }

    /// Ends now or later; an end that comes sooner stays.
    pub fn end(&mut self, at: Timestamp, exit: Exit, why: Option<&str>) {
        if self.end.as_ref().is_none_or(|end| at < end.at) {
            self.end = Some(End {
                at,
                exit,
                why: why.map(str::to_owned),
            });
        }
    }

    pub fn begin_to_stop(&mut self) {
        self.stopping = true;
    }

    pub fn state(&self, now: Timestamp) -> RunState {
        match &self.end {
            Some(end) if now >= end.at => RunState::Stopped(end.exit),
            _ if self.stopping => RunState::Stopping,
            _ if now < self.init => RunState::Starting,
            _ => RunState::Running,
        }
    }

    pub fn ready_at(&self, now: Timestamp) -> Option<Timestamp> {
        let lives = !matches!(self.state(now), RunState::Stopped(_));
        self.ready.filter(|at| lives && *at <= now)
    }

    /// When it executes its init, is ready or ends, whichever comes next.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.end.as_ref().map(|end| end.at);
        let moments = [Some(self.init), self.ready, end];
        moments.into_iter().flatten().filter(|at| *at > now).min()
    }

    pub fn set_load(&mut self, load: f64, now: Timestamp) {
        self.count(now);
        self.load = load.clamp(0.0, 1.0);
    }

    pub fn limit_cpu(&mut self, usec_per_sec: u64, now: Timestamp) {
        self.count(now);
        self.limit = usec_per_sec;
    }

    pub fn write(&mut self, text: &str) {
        self.console.extend_from_slice(text.as_bytes());
        let surplus = self.console.len().saturating_sub(CONSOLE);
        self.console.drain(..surplus);
    }

    pub fn console(&self) -> &[u8] {
        &self.console
    }

    pub fn observe(&mut self, now: Timestamp) -> ObservedInstance {
        self.count(now);
        let state = self.state(now);
        let stopped = matches!(state, RunState::Stopped(_));
        let ready_at = self.ready_at(now);
        let usage = Usage {
            cpu_usec: self.cpu_usec as u64,
            memory_bytes: self.spec.memory_bytes / 4,
            ..Usage::default()
        };
        ObservedInstance {
            id: self.spec.id.clone(),
            run: self.spec.run,
            state,
            init_pid: (state == RunState::Running).then_some(1),
            ready: ready_at.is_some(),
            started: self.started,
            ready_at,
            boots: self.boots,
            usage: if stopped { Usage::default() } else { usage },
            cpu_quota_usec_per_sec: self.spec.cpu.quota_usec_per_sec(),
            failure: self
                .end
                .as_ref()
                .filter(|_| stopped)
                .and_then(|end| end.why.clone()),
            reachable: (state == RunState::Running).then_some(!self.deaf),
            user_data_failure: None,
        }
    }

    /// Adds what was used since the last count.
    fn count(&mut self, now: Timestamp) {
        let until = self.end.as_ref().map_or(now, |end| end.at.min(now));
        let from = self.counted.max(self.init);
        if until > from {
            let seconds = until.duration_since(from).as_secs_f64();
            let wanted = self.load * self.spec.cpu.quota_usec_per_sec() as f64;
            self.cpu_usec += wanted.min(self.limit as f64) * seconds;
        }
        self.counted = self.counted.max(now);
    }
}

/// `wait` after `at`, at the clock's own resolution.
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(at.as_microsecond().saturating_add(wait)).unwrap_or(Timestamp::MAX)
}
