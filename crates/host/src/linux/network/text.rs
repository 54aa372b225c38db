//! Pieces of nftables text that several tables share.

use crate::network::Traffic;
use std::fmt::Display;

/// ` elements = { a, b };`, or nothing: nft has no empty list.
pub fn elements<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let joined = join(items);
    if joined.is_empty() {
        String::new()
    } else {
        format!(" elements = {{ {joined} }};")
    }
}

/// `{ a, b }`, an anonymous set.
pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("{{ {} }}", join(items))
}

/// The match on protocol, ports and types, with a space before it; nothing for all traffic.
/// None if no packet can match.
pub fn traffic(traffic: Traffic) -> Option<String> {
    let ports = |protocol: &str, from: u16, to: u16| match (from, to) {
        (0, u16::MAX) => Some(format!(" meta l4proto {protocol}")),
        _ if from == to => Some(format!(" {protocol} dport {from}")),
        _ if from < to => Some(format!(" {protocol} dport {from}-{to}")),
        _ => None,
    };
    match traffic {
        Traffic::All => Some(String::new()),
        Traffic::Tcp { from, to } => ports("tcp", from, to),
        Traffic::Udp { from, to } => ports("udp", from, to),
        Traffic::Icmp { kind: None, .. } => Some(" meta l4proto icmp".into()),
        Traffic::Icmp {
            kind: Some(kind),
            code: None,
        } => Some(format!(" icmp type {kind}")),
        Traffic::Icmp {
            kind: Some(kind),
            code: Some(code),
        } => Some(format!(" icmp type {kind} icmp code {code}")),
        Traffic::Protocol(number) => Some(format!(" meta l4proto {number}")),
    }
}

fn join<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_in_nftables_words() {
        let check = |t, expected: Option<&str>| assert_eq!(traffic(t).as_deref(), expected);
        check(Traffic::All, Some(""));
        check(
            Traffic::Tcp { from: 0, to: 65535 },
            Some(" meta l4proto tcp"),
        );
        check(Traffic::Tcp { from: 80, to: 80 }, Some(" tcp dport 80"));
        check(
            Traffic::Udp {
                from: 1024,
                to: 65535,
            },
            Some(" udp dport 1024-65535"),
        );
        check(Traffic::Tcp { from: 2, to: 1 }, None);
        check(
            Traffic::Icmp {
                kind: None,
                code: None,
            },
            Some(" meta l4proto icmp"),
        );
        check(
            Traffic::Icmp {
                kind: Some(8),
                code: None,
            },
            Some(" icmp type 8"),
        );
        check(
            Traffic::Icmp {
                kind: Some(3),
                code: Some(4),
            },
            Some(" icmp type 3 icmp code 4"),
        );
        check(Traffic::Protocol(47), Some(" meta l4proto 47"));
    }
}
