//! The kernel's table of tracked flows: listed and deleted over netlink.
//!
//! Netlink here, unlike for routes and filters: the `conntrack` program walks the whole
//! table once for every flow it deletes, and a busy balancer's interface has thousands.
//! Only TCP and UDP over IPv4 are looked at; what ICMP leaves is gone in 30 seconds.
//! Attribute numbers: `linux/netfilter/nfnetlink_conntrack.h`.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

/// A flow by its first packet, and where its answers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub original: Tuple,
    pub reply: Tuple,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// 6 or 17.
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub source_port: u16,
    pub destination_port: u16,
}

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTOCOL: u16 = 1;
const PORT_SOURCE: u16 = 2;
const PORT_DESTINATION: u16 = 3;
const NESTED: u16 = 1 << 15;

const NETLINK_HEADER: usize = 16;
/// Family, version and resource id in front of the attributes.
const FAMILY_HEADER: usize = 4;

/// TCP and UDP flows of the calling thread's network namespace.
pub fn flows() -> io::Result<Vec<Flow>> {
    let socket = open()?;
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
    send(
        socket.as_raw_fd(),
        &message(GET, flags, &[]),
        MsgFlags::empty(),
    )?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, payload) in messages(buffer.get(..length).unwrap_or_default()) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(found),
                libc::NLMSG_ERROR => answer(payload)?,
                _ => found.extend(payload.get(FAMILY_HEADER..).and_then(flow)),
            }
        }
    }
}

/// Deletes flows of the calling thread's network namespace; one that is gone is fine.
pub fn delete(flows: &[Flow]) -> io::Result<()> {
    let socket = open()?;
    let mut buffer = [0; 4096];
    for flow in flows {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let tuple = nested(ORIGINAL, &tuple_attributes(&flow.original));
        send(
            socket.as_raw_fd(),
            &message(DELETE, flags, &tuple),
            MsgFlags::empty(),
        )?;
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (_, payload) in messages(buffer.get(..length).unwrap_or_default()) {
            match answer(payload) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                answered => answered?,
            }
        }
    }
    Ok(())
}

fn open() -> io::Result<OwnedFd> {
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
fn answer(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().copied().map(i32::from_ne_bytes) {
        None | Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw(-code).into()),
    }
}

fn message(kind: u16, flags: i32, attributes: &[u8]) -> Vec<u8> {
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

fn tuple_attributes(tuple: &Tuple) -> Vec<u8> {
    let ip = [
        attribute(IP_SOURCE, &tuple.source.octets()),
        attribute(IP_DESTINATION, &tuple.destination.octets()),
    ];
    let protocol = [
        attribute(PROTOCOL, &[tuple.protocol]),
        attribute(PORT_SOURCE, &tuple.source_port.to_be_bytes()),
        attribute(PORT_DESTINATION, &tuple.destination_port.to_be_bytes()),
    ];
    [
        nested(TUPLE_IP, &ip.concat()),
        nested(TUPLE_PROTOCOL, &protocol.concat()),
    ]
    .concat()
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend(u16::try_from(length).unwrap_or_default().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
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

fn flow(attributes: &[u8]) -> Option<Flow> {
    Some(Flow {
        original: tuple(value(attributes, ORIGINAL)?)?,
        reply: tuple(value(attributes, REPLY)?)?,
    })
}

/// None for anything but TCP and UDP.
fn tuple(attributes: &[u8]) -> Option<Tuple> {
    let ip = value(attributes, TUPLE_IP)?;
    let protocol = value(attributes, TUPLE_PROTOCOL)?;
    let address = |kind| Some(Ipv4Addr::from(*value(ip, kind)?.first_chunk::<4>()?));
    let port = |kind| Some(u16::from_be_bytes(*value(protocol, kind)?.first_chunk()?));
    let number = *value(protocol, PROTOCOL)?.first()?;
    matches!(number, 6 | 17).then_some(())?;
    Some(Tuple {
        protocol: number,
        source: address(IP_SOURCE)?,
        destination: address(IP_DESTINATION)?,
        source_port: port(PORT_SOURCE)?,
        destination_port: port(PORT_DESTINATION)?,
    })
}

/// The value of the first attribute of a kind.
fn value(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(protocol: u8) -> Tuple {
        Tuple {
            protocol,
            source: Ipv4Addr::new(10, 0, 0, 4),
            destination: Ipv4Addr::new(10, 0, 1, 5),
            source_port: 40_000,
            destination_port: 80,
        }
    }

    #[test]
    fn a_flow_survives_the_wire() {
        let back = |t: Tuple| Tuple {
            source: t.destination,
            destination: t.source,
            source_port: t.destination_port,
            destination_port: t.source_port,
            ..t
        };
        for protocol in [6, 17] {
            let (original, reply) = (sample(protocol), back(sample(protocol)));
            let bytes = [
                nested(ORIGINAL, &tuple_attributes(&original)),
                nested(REPLY, &tuple_attributes(&reply)),
            ]
            .concat();
            let message = message(GET, libc::NLM_F_REQUEST, &bytes);
            let twice = [message.clone(), message].concat();
            let found: Vec<_> = messages(&twice)
                .into_iter()
                .filter_map(|(_, payload)| flow(&payload[FAMILY_HEADER..]))
                .collect();
            assert_eq!(found, [Flow { original, reply }; 2]);
            // Cut anywhere it is no flow, and no panic.
            for end in 0..bytes.len() {
                let _ = flow(&bytes[..end]);
                let _ = messages(&twice[..end]);
            }
        }
        assert_eq!(tuple(&tuple_attributes(&sample(1))), None);
    }
}
