//! What all connections of a worker share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::answer::http_date;

/// A read takes at most this much at first; heads and bodies that need more make it grow.
const BUFFER: usize = 32 * 1024;
/// Buffers kept for the next request; more were in use at once only for a moment.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub struct Core {
    buffers: RefCell<Vec<Vec<u8>>>,
    /// The second it was made for, and the text.
    date: RefCell<(u64, Rc<str>)>,
    /// Makes trace ids distinct without asking the system for randomness.
    serial: Cell<u64>,
}

impl Core {
    /// An empty buffer. Connections hold one only while bytes are in flight.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < KEPT && (BUFFER..=4 * BUFFER).contains(&buffer.capacity()) {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// The `Date` field of now.
    pub fn date(&self) -> Rc<str> {
        let now = SystemTime::now();
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            *date = (second, http_date(now).into());
        }
        date.1.clone()
    }

    /// A new trace id: `1-<seconds>-<24 hex digits>`.
    pub fn trace_id(&self) -> String {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.serial.get() == 0 {
            self.serial.set(rand::random());
        }
        self.serial.set(self.serial.get().wrapping_add(1));
        format!(
            "1-{:08x}-{:08x}{:016x}",
            seconds as u32,
            rand::random::<u32>(),
            self.serial.get()
        )
    }
}
