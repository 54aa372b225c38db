//! What went through a NAT gateway, counted where it translates.
//!
//! The rules of [`super::gateway::nat`] count by name; connections that are open are those that
//! the kernel tracks, and ports that could not be had are entries that it could not insert.

use super::names;
use crate::linux::namespace;
use crate::network::{Connection, NatUsage, Passed};
use model::NetworkInterfaceId;
use netfilter::conntrack::{self, Flow};
use netfilter::counter::{Count, counters};
use std::io;
use std::net::SocketAddrV4;

const TABLE: &str = "nines";
/// One line per processor after one with the columns' names, all in hexadecimal.
const STATISTICS: &str = "/proc/thread-self/net/stat/nf_conntrack";

pub fn read(cloud: &str, interface: &NetworkInterfaceId) -> io::Result<NatUsage> {
    namespace::enter(&names::interface(cloud, interface), measure).flatten()
}

fn measure() -> io::Result<NatUsage> {
    let counts = counters(TABLE)?;
    let count = |name: &str| {
        let Count { packets, bytes } = counts.get(name).copied().unwrap_or_default();
        Passed { packets, bytes }
    };
    let open = conntrack::flows()?;
    Ok(NatUsage {
        in_from_source: count("in_from_source"),
        out_to_destination: count("out_to_destination"),
        in_from_destination: count("in_from_destination"),
        out_to_source: count("out_to_source"),
        attempts: count("attempts").packets,
        established: count("established").packets,
        dropped: count("dropped").packets,
        open: open.iter().filter(|f| !f.is_closed).count() as u64,
        // Some kernels do not tell.
        no_port: std::fs::read_to_string(STATISTICS)
            .ok()
            .and_then(|t| failed(&t)),
        standing: open.iter().filter_map(standing).collect(),
    })
}

fn standing(flow: &Flow) -> Option<(Connection, u32)> {
    let of = flow.original;
    let source = SocketAddrV4::new(of.source, of.source_port);
    let destination = SocketAddrV4::new(of.destination, of.destination_port);
    Some(((of.protocol, source, destination), flow.idle_left?))
}

/// The sum of the column `insert_failed`.
fn failed(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let mut names = lines.next()?.split_whitespace();
    let column = names.position(|name| name == "insert_failed")?;
    let number = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    Some(lines.filter_map(number).sum())
}

#[cfg(test)]
mod tests {
    #[test]
    fn failed_insertions_are_summed_over_processors() {
        let text = "entries  searched insert insert_failed drop\n00000004  0 0 0000000a 0\n00000004  0 0 00000001 0\n";
        assert_eq!(super::failed(text), Some(11));
        assert_eq!(super::failed("entries drop\n0 0\n"), None);
        assert_eq!(super::failed(""), None);
    }
}
