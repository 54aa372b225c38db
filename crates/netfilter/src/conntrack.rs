//! Tracked flows: listed and deleted.
//!
//! Only TCP and UDP over IPv4 are looked at; what ICMP leaves is gone in 30 seconds.
//! Attribute numbers: `linux/netfilter/nfnetlink_conntrack.h`.

use crate::message::{FAMILY_HEADER, answer, attribute, message, messages, nested, open, value};
use nix::sys::socket::{MsgFlags, recv, send};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// A flow by its first packet, and where its answers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub original: Tuple,
    pub reply: Tuple,
    /// The connection is over; the entry only waits for late packets.
    pub is_closed: bool,
    /// Of an established TCP connection, and of what UDP left: seconds until it is forgotten,
    /// unless another packet comes.
    pub idle_left: Option<u32>,
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
const PROTOCOL_STATE: u16 = 4;
const PROTOCOL_STATE_TCP: u16 = 1;
const TIMEOUT: u16 = 7;
const TCP_STATE: u16 = 1;
const TCP_ESTABLISHED: u8 = 3;
/// `TIME_WAIT`, and what comes after it (`linux/netfilter/nf_conntrack_tcp.h`).
const TCP_OVER: u8 = 7;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTOCOL: u16 = 1;
const PORT_SOURCE: u16 = 2;
const PORT_DESTINATION: u16 = 3;

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

fn flow(attributes: &[u8]) -> Option<Flow> {
    let state = tcp_state(attributes);
    let left = value(attributes, TIMEOUT).and_then(|v| v.first_chunk().copied());
    Some(Flow {
        original: tuple(value(attributes, ORIGINAL)?)?,
        reply: tuple(value(attributes, REPLY)?)?,
        is_closed: state.is_some_and(|state| state >= TCP_OVER),
        idle_left: left
            .filter(|_| state.is_none_or(|state| state == TCP_ESTABLISHED))
            .map(u32::from_be_bytes),
    })
}

fn tcp_state(attributes: &[u8]) -> Option<u8> {
    let tcp = value(value(attributes, PROTOCOL_STATE)?, PROTOCOL_STATE_TCP)?;
    value(tcp, TCP_STATE)?.first().copied()
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
        for (protocol, state) in [(6, TCP_OVER), (17, TCP_ESTABLISHED)] {
            let (original, reply) = (sample(protocol), back(sample(protocol)));
            let bytes = [
                nested(ORIGINAL, &tuple_attributes(&original)),
                nested(REPLY, &tuple_attributes(&reply)),
                nested(
                    PROTOCOL_STATE,
                    &nested(PROTOCOL_STATE_TCP, &attribute(TCP_STATE, &[state])),
                ),
                attribute(TIMEOUT, &350u32.to_be_bytes()),
            ]
            .concat();
            let message = message(GET, libc::NLM_F_REQUEST, &bytes);
            let twice = [message.clone(), message].concat();
            let found: Vec<_> = messages(&twice)
                .into_iter()
                .filter_map(|(_, payload)| flow(&payload[FAMILY_HEADER..]))
                .collect();
            let is_closed = state == TCP_OVER;
            assert_eq!(
                found,
                [Flow {
                    original,
                    reply,
                    is_closed,
                    idle_left: (!is_closed).then_some(350),
                }; 2]
            );
            // Cut anywhere it is no flow, and no panic.
            for end in 0..bytes.len() {
                let _ = flow(&bytes[..end]);
                let _ = messages(&twice[..end]);
            }
        }
        assert_eq!(tuple(&tuple_attributes(&sample(1))), None);
    }
}
