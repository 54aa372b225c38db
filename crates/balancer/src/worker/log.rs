//! A node's log lines on their way to its files.
//!
//! They are appended in blocks, as they come, and what is left once a second. All of a second in one
//! block was tried first: at 20,000 requests a second that is some 10 MB, and a call of 10 to 40 ms in
//! which nobody is served (`docs/performance.md`).

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::node::Node;
use crate::access_log;

/// As much as nginx's configurations commonly have; about a hundred lines.
const BLOCK: usize = 64 * 1024;

/// Lines that are not yet in their file.
#[derive(Debug, Default)]
pub struct Log(RefCell<Vec<u8>>);

impl Log {
    /// Adds what `write` appends, one or more whole lines.
    pub fn add(&self, node: &Node, directory: &Path, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.0.borrow_mut();
        write(&mut lines);
        if lines.len() >= BLOCK {
            append(node, directory, &lines);
            lines.clear();
        }
    }

    /// Writes what is left, and keeps no memory: most nodes are quiet most of the time.
    pub fn flush(&self, node: &Node, directory: &Option<PathBuf>) {
        let lines = self.0.take();
        if let Some(directory) = directory
            && !lines.is_empty()
        {
            append(node, directory, &lines);
        }
    }
}

fn append(node: &Node, directory: &Path, lines: &[u8]) {
    // A process that leaves hears no more of who wants logs.
    let creates = !node.is_leaving.get();
    if let Err(error) = access_log::append(directory, &node.config.key, lines, creates) {
        tracing::warn!(load_balancer = node.load_balancer, %error, "append to a log");
    }
}
