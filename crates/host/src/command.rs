//! Commands in instances: what is asked of the host, and what became of it.

use model::{InstanceId, Timestamp};
use std::path::PathBuf;
use std::time::Duration;

/// Characters of output that are kept; the rest is read and dropped.
pub const OUTPUT: usize = 24_000;
pub const ERRORS: usize = 8_000;

#[derive(Debug, Clone, PartialEq)]
pub struct CommandSpec {
    /// Tells it from all others.
    pub key: String,
    pub instance: InstanceId,
    /// Run by what its first line names, or by `sh`.
    pub script: String,
    /// Where the script lies in the instance while it runs.
    pub directory: PathBuf,
    pub working_directory: Option<String>,
    /// It is killed after that, with its process group.
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CommandState {
    Running,
    Ended(CommandEnd),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommandEnd {
    pub at: Timestamp,
    pub how: Ending,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    TimedOut,
    Cancelled,
}
