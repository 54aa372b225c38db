//! A node's nftables rules, as text, from what it serves.
//!
//! A new flow meets one chain: the rule of its listener (and of the group its hash falls to)
//! translates the destination to the target that the hash of its ends picks; connection tracking
//! keeps it there for life. Established packets meet one rule. Counters live in the same table and
//! survive a change, since the table is flushed, not made anew.
//!
//! A chain and a verdict map per listener were tried: no faster for the 50 listeners that a load
//! balancer may have, and what becomes of removed ones has to be cleaned up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The table's name; `nines` beside it is the host's.
pub const TABLE: &str = "balancer";

/// What a node does with new flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub address: Ipv4Addr,
    pub ways: Vec<Way>,
    /// Workers connect to targets under clients' addresses.
    pub leads_back: bool,
}

/// What happens at one port and transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// `tcp` or `udp`.
    pub transport: &'static str,
    pub port: u16,
    pub idle_timeout: Duration,
    pub shares: Vec<Share>,
}

/// The targets of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub weight: u32,
    pub targets: Vec<SocketAddrV4>,
    pub preserve_client_ip: bool,
    /// The hash knows the client's address only.
    pub by_source: bool,
    /// Too few are healthy: flows are tried on all.
    pub fail_open: bool,
}

/// In force unless a listener says otherwise: the namespace's own setting.
const USUAL_IDLE_TIMEOUT: Duration = Duration::from_secs(350);
/// So that the choice of a group says nothing about the choice of a target in it.
const GROUP_SEED: &str = "seed 0x67726f75";
const TARGET_SEED: &str = "seed 0x74617267";

/// Marks: of the sockets that workers connect with under a client's address and of their flows; and
/// of the answers to those, which routing keeps here.
pub const RELAYED: u32 = 0x72;
pub const ANSWERS: u32 = 0x73;

/// `packets` and `bytes` of these are what reports are made of.
pub const COUNTERS: [&str; 8] = [
    "new_tcp",
    "new_udp",
    "processed_tcp",
    "processed_udp",
    "client_reset",
    "target_reset",
    "elb_reset",
    "unhealthy_routing",
];

impl Rules {
    pub fn render(&self) -> String {
        let address = self.address;
        let mut text = format!("add table ip {TABLE}\n");
        for counter in COUNTERS {
            let _ = writeln!(text, "add counter ip {TABLE} {counter}");
        }
        for seconds in self.idle_timeouts() {
            let _ = writeln!(
                text,
                "add ct timeout ip {TABLE} idle_{seconds} {{ protocol tcp; l3proto ip; policy = {{ established : {seconds} }}; }}"
            );
        }
        let timeouts = self.timeout_rules();
        let listeners: String = self.ways.iter().map(|way| way.render(address)).collect();
        let translated = self.source_translation();
        let resets = self.reset_rules();
        let (noted, led_back) = match self.leads_back {
            true => (
                format!("\t\tmeta mark {RELAYED} ct mark set {RELAYED}\n"),
                format!("\t\tct direction reply ct mark {RELAYED} meta mark set {ANSWERS}\n"),
            ),
            false => (String::new(), String::new()),
        };
        let _ = write!(
            text,
            "flush table ip {TABLE}
table ip {TABLE} {{
	chain timeouts {{
		type filter hook prerouting priority -120; policy accept;
{timeouts}	}}
	chain answers {{
		type filter hook prerouting priority -150; policy accept;
{led_back}	}}
	chain relayed {{
		type filter hook output priority -150; policy accept;
{noted}	}}
	chain listeners {{
		type nat hook prerouting priority -100; policy accept;
{listeners}	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ct state invalid meta l4proto tcp counter name elb_reset reject with tcp reset
		ct status dnat meta l4proto tcp tcp flags & rst == rst ct direction original counter name client_reset
		ct status dnat meta l4proto tcp tcp flags & rst == rst ct direction reply counter name target_reset
		ct status dnat meta l4proto tcp counter name processed_tcp accept
		ct status dnat meta l4proto udp counter name processed_udp accept
		drop
	}}
	chain outward {{
		type nat hook postrouting priority 100; policy accept;
{translated}	}}
	chain output {{
		type filter hook output priority 0; policy accept;
{resets}	}}
}}
"
        );
        text
    }

    fn idle_timeouts(&self) -> BTreeSet<u64> {
        let own = self
            .ways
            .iter()
            .filter(|way| way.idle_timeout != USUAL_IDLE_TIMEOUT);
        own.map(|way| way.idle_timeout.as_secs()).collect()
    }

    fn timeout_rules(&self) -> String {
        let mut text = String::new();
        for way in &self.ways {
            if way.transport == "tcp" && way.idle_timeout != USUAL_IDLE_TIMEOUT {
                let _ = writeln!(
                    text,
                    "\t\tip daddr {} tcp dport {} ct state new ct timeout set \"idle_{}\"",
                    self.address,
                    way.port,
                    way.idle_timeout.as_secs()
                );
            }
        }
        text
    }

    /// Targets that see the node as their client.
    fn source_translation(&self) -> String {
        let mut ends = BTreeSet::new();
        for way in &self.ways {
            for share in way.shares.iter().filter(|share| !share.preserve_client_ip) {
                let targets = share.targets.iter();
                ends.extend(targets.map(|target| {
                    format!("{} . {} . {}", way.transport, target.ip(), target.port())
                }));
            }
        }
        if ends.is_empty() {
            return String::new();
        }
        let ends: Vec<String> = ends.into_iter().collect();
        format!(
            "\t\tct status dnat meta l4proto . ip daddr . th dport {{ {} }} snat to {}\n",
            ends.join(", "),
            self.address
        )
    }

    /// What nobody takes is refused by the kernel's own stack.
    fn reset_rules(&self) -> String {
        let tcp = self.ways.iter().filter(|way| way.transport == "tcp");
        let ports: Vec<String> = tcp.map(|way| way.port.to_string()).collect();
        if ports.is_empty() {
            return String::new();
        }
        format!(
            "\t\ttcp sport {{ {} }} tcp flags & rst == rst counter name elb_reset\n",
            ports.join(", ")
        )
    }
}

impl Way {
    fn render(&self, address: Ipv4Addr) -> String {
        let Way {
            transport, port, ..
        } = self;
        let mut text = String::new();
        let sum: u32 = self.shares.iter().map(|share| share.weight).sum();
        let mut before = 0;
        for share in self.shares.iter().filter(|share| share.weight > 0) {
            before += share.weight;
            let _ = write!(text, "\t\tip daddr {address} {transport} dport {port} ");
            if before < sum {
                let _ = write!(
                    text,
                    "jhash ip saddr . {transport} sport mod {sum} {GROUP_SEED} < {before} "
                );
            }
            text += &share.render(transport);
            text.push('\n');
        }
        text
    }
}

impl Share {
    fn render(&self, transport: &str) -> String {
        let targets = match self.targets.as_slice() {
            // Nobody to take it: no other group stands in.
            [] => return "return".into(),
            [only] => only.to_string(),
            many => {
                let key = if self.by_source {
                    "ip saddr".to_owned()
                } else {
                    format!("ip saddr . {transport} sport")
                };
                let places = many.iter().enumerate();
                let places: Vec<String> = places
                    .map(|(place, target)| format!("{place} : {} . {}", target.ip(), target.port()))
                    .collect();
                format!(
                    "jhash {key} mod {} {TARGET_SEED} map {{ {} }}",
                    many.len(),
                    places.join(", ")
                )
            }
        };
        let fail_open = if self.fail_open {
            "counter name unhealthy_routing "
        } else {
            ""
        };
        format!("counter name new_{transport} {fail_open}dnat ip to {targets}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: u32, targets: &[&str]) -> Share {
        Share {
            weight,
            targets: targets.iter().map(|text| text.parse().unwrap()).collect(),
            preserve_client_ip: true,
            by_source: false,
            fail_open: false,
        }
    }

    fn way(transport: &'static str, shares: Vec<Share>) -> Way {
        Way {
            transport,
            port: 80,
            idle_timeout: USUAL_IDLE_TIMEOUT,
            shares,
        }
    }

    #[test]
    fn ways() {
        let check = |way: Way, expected: &[&str]| {
            let text = way.render(Ipv4Addr::new(10, 0, 0, 5));
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            assert_eq!(lines, expected);
        };
        check(
            way("tcp", vec![share(1, &["10.0.1.5:8080"])]),
            &["ip daddr 10.0.0.5 tcp dport 80 counter name new_tcp dnat ip to 10.0.1.5:8080"],
        );
        check(
            way("udp", vec![share(1, &["10.0.1.5:53", "10.0.1.6:53"])]),
            &[
                "ip daddr 10.0.0.5 udp dport 80 counter name new_udp dnat ip to jhash ip saddr . udp sport mod 2 \
               seed 0x74617267 map { 0 : 10.0.1.5 . 53, 1 : 10.0.1.6 . 53 }",
            ],
        );
        let none = vec![
            share(0, &["10.0.1.4:80"]),
            share(3, &[]),
            share(1, &["10.0.1.5:80"]),
        ];
        check(
            way("tcp", none),
            &[
                "ip daddr 10.0.0.5 tcp dport 80 jhash ip saddr . tcp sport mod 4 seed 0x67726f75 < 3 return",
                "ip daddr 10.0.0.5 tcp dport 80 counter name new_tcp dnat ip to 10.0.1.5:80",
            ],
        );
        check(way("tcp", vec![]), &[]);
    }

    /// The kernel's own judgement of what is rendered; needs root, as all tests that use a network.
    #[test]
    fn the_kernel_takes_them() {
        let mut masked = share(2, &["10.0.1.7:443", "10.0.1.8:443"]);
        masked.preserve_client_ip = false;
        masked.by_source = true;
        masked.fail_open = true;
        let slow = Way {
            port: 443,
            idle_timeout: Duration::from_secs(6000),
            ..way("tcp", vec![share(1, &["10.0.1.5:80"]), masked])
        };
        let rules = Rules {
            address: Ipv4Addr::new(10, 0, 0, 5),
            ways: vec![
                way("tcp", vec![share(1, &["10.0.1.5:80", "10.0.1.6:80"])]),
                slow,
                way("udp", vec![share(1, &["10.0.1.5:53"])]),
            ],
            leads_back: true,
        };
        let empty = Rules {
            ways: vec![],
            leads_back: false,
            ..rules.clone()
        };
        let scratch = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            super::super::kernel::lead_back().unwrap();
            for rules in [&rules, &rules, &empty, &rules] {
                super::super::kernel::load(&rules.render()).unwrap();
            }
            netfilter::counter::counters(TABLE).unwrap()
        });
        let counters = scratch.join().unwrap();
        assert!(COUNTERS.iter().all(|name| counters.contains_key(*name)));
    }
}
