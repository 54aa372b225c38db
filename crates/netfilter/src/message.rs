//! Netlink messages to netfilter: header, attributes, errors.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

const NESTED: u16 = 1 << 15;
const NETLINK_HEADER: usize = 16;
/// Family, version and resource id in front of the attributes.
pub const FAMILY_HEADER: usize = 4;

pub fn open() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    // The kernel answers at once; a lost answer must not stop the control plane.
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(5, 0))?;
    Ok(socket)
}

/// The first number of an error message is a negative errno, 0 for success.
pub fn answer(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().copied().map(i32::from_ne_bytes) {
        None | Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw(-code).into()),
    }
}

pub fn message(kind: u16, flags: i32, attributes: &[u8]) -> Vec<u8> {
    let length = NETLINK_HEADER + FAMILY_HEADER + attributes.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(u16::try_from(flags).unwrap_or_default().to_ne_bytes());
    // Sequence number and port: one question at a time needs neither.
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(libc::AF_INET).unwrap_or_default(), 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

pub fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend(u16::try_from(length).unwrap_or_default().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

pub fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(length) = bytes.first_chunk().copied().map(u32::from_ne_bytes) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (Some(kind), Some(payload)) = (bytes.get(4..6), bytes.get(NETLINK_HEADER..length))
        else {
            break;
        };
        found.push((u16::from_ne_bytes([kind[0], kind[1]]), payload));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The value of the first attribute of a kind.
pub fn value(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = attributes.get(2..4)?;
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([kind[0], kind[1]]) & !NESTED == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}
