//! What all connections of a worker share.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit};

use crate::http::answer::http_date;
use crate::text::write_hex;

/// What a read takes at most at first; heads and bodies that need more make it grow. A 64 KB body and its
/// head in one read cost a fifth less CPU than in two or three.
const BUFFER: usize = 68 * 1024;
/// Buffers kept for the next request; more were in use at once only for a moment.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub struct Core {
    buffers: RefCell<Vec<Vec<u8>>>,
    /// The second it was made for, and the text.
    date: RefCell<(u64, Rc<str>)>,
    /// Makes trace ids distinct without asking the system for randomness.
    serial: Cell<u64>,
    /// Another process accepts; connections end with their next answer.
    pub is_leaving: Cell<bool>,
    /// Descriptors from here on are kept for connections to targets and for checks.
    reserved_from: Option<RawFd>,
}

impl Core {
    pub fn new() -> Core {
        Core {
            reserved_from: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .and_then(|(limit, _)| RawFd::try_from(limit - limit / 8).ok()),
            ..Core::default()
        }
    }

    /// Whether so many connections are open that this client's is one too many. Those who are in could
    /// not be served otherwise: requests need connections to targets. A new descriptor is the lowest
    /// free number, so that the number tells how many are open, without counting them.
    pub fn is_one_too_many(&self, client: &impl AsRawFd) -> bool {
        let number = client.as_raw_fd();
        self.reserved_from.is_some_and(|first| first <= number)
    }

    /// An empty buffer. Connections hold one only while bytes are in flight.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < KEPT && (BUFFER..=2 * BUFFER).contains(&buffer.capacity()) {
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
    pub fn trace_id(&self, now: SystemTime) -> [u8; 35] {
        let seconds = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.serial.get() == 0 {
            self.serial.set(rand::random());
        }
        self.serial.set(self.serial.get().wrapping_add(1));
        let mut id = *b"1-00000000-000000000000000000000000";
        write_hex(&mut id[2..10], seconds);
        write_hex(&mut id[11..19], rand::random::<u32>().into());
        write_hex(&mut id[19..], self.serial.get());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_distinct_and_well_formed() {
        let core = Core::default();
        let now = SystemTime::now();
        let (one, two) = (core.trace_id(now), core.trace_id(now));
        assert_ne!(one, two);
        assert!(one.starts_with(b"1-") && one[10] == b'-');
    }
}
