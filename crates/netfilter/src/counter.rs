//! Named counters of an nftables table. Numbers: `linux/netfilter/nf_tables.h`.

use crate::message::{FAMILY_HEADER, answer, attribute, message, messages, open, value};
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;

const SUBSYSTEM: u16 = 10 << 8;
const GET_OBJECT: u16 = SUBSYSTEM | 19;
const TABLE: u16 = 1;
const NAME: u16 = 2;
const TYPE: u16 = 3;
const DATA: u16 = 4;
const TYPE_COUNTER: u32 = 1;
const BYTES: u16 = 1;
const PACKETS: u16 = 2;

/// What went through the rules that name a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// The counters of a table of the family `ip`, by name; none if there is no such table.
pub fn counters(table: &str) -> io::Result<BTreeMap<String, Count>> {
    let socket = open()?;
    let mut attributes = attribute(TABLE, &[table.as_bytes(), &[0]].concat());
    attributes.extend(attribute(TYPE, &TYPE_COUNTER.to_be_bytes()));
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
    send(
        socket.as_raw_fd(),
        &message(GET_OBJECT, flags, &attributes),
        MsgFlags::empty(),
    )?;
    let mut found = BTreeMap::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, payload) in messages(buffer.get(..length).unwrap_or_default()) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => answer(payload)?,
                _ => found.extend(payload.get(FAMILY_HEADER..).and_then(counter)),
            }
        }
    }
}

fn counter(attributes: &[u8]) -> Option<(String, Count)> {
    let name = value(attributes, NAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    let data = value(attributes, DATA)?;
    let number = |kind| Some(u64::from_be_bytes(*value(data, kind)?.first_chunk()?));
    let count = Count {
        packets: number(PACKETS)?,
        bytes: number(BYTES)?,
    };
    Some((String::from_utf8_lossy(name).into_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::nested;

    #[test]
    fn a_counter_is_read() {
        let data = [
            attribute(BYTES, &1500u64.to_be_bytes()),
            attribute(PACKETS, &2u64.to_be_bytes()),
        ];
        let bytes = [attribute(NAME, b"new_tcp\0"), nested(DATA, &data.concat())].concat();
        let count = Count {
            packets: 2,
            bytes: 1500,
        };
        assert_eq!(counter(&bytes), Some(("new_tcp".to_owned(), count)));
        // Cut anywhere it is no counter, and no panic.
        for end in 0..bytes.len() {
            assert_eq!(counter(&bytes[..end]), None);
        }
    }
}
