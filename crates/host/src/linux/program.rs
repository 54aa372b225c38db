//! Programs of the host (`ip`, `nft`, `conntrack`), run with their input on a pipe.
//!
//! Programs rather than netlink messages: what was applied can be read, pasted into a
//! shell and kept as a snapshot, and `nft -f` swaps a whole table in one transaction.
//! A spawn costs 1–2 ms, so callers send one batch per namespace and none without a change.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// What a program that failed had to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program}: {message}")]
pub struct Failed {
    pub program: &'static str,
    pub message: String,
}

/// Runs to the end, feeding `input`; the exit status is the caller's to judge.
pub fn output(program: &'static str, arguments: &[&str], input: &str) -> Result<Output, Failed> {
    let run = || -> io::Result<Output> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Written from a second thread: a program that talks before it has read all
        // its input would otherwise fill both pipes and stop.
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            let writer =
                scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
            let output = child.wait_with_output();
            // A write that failed shows in the program's own complaint.
            drop(writer.join());
            output
        })
    };
    run().map_err(|e| Failed {
        program,
        message: e.to_string(),
    })
}

/// Runs and takes anything but success for a failure.
pub fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, Failed> {
    let output = output(program, arguments, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failed {
        program,
        message: if message.is_empty() {
            output.status.to_string()
        } else {
            message
        },
    })
}
