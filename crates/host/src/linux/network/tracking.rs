//! Ends flows that outlive what allowed them.
//!
//! Connection tracking lets an established flow go on, which is what AWS does when a
//! security group's rule is revoked. Three times it must not: an address that went to
//! another interface, a public address that was taken away, and flows that AWS does not
//! track at all (TCP and UDP that a rule admits from everywhere, while the opposite
//! direction is open as well): those break with their rule.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html>
//!
//! Not tracking such flows in the first place was rejected: translation needs the entries.

use super::kernel::{Failure, run_in};
use super::names;
use crate::linux::program;
use crate::network::{Interface, Network, Owner, Peer, SecurityGroupRule, Traffic, Vpc};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Entries of one namespace that must go.
#[derive(Debug, Default, PartialEq)]
pub struct Forgotten<'a> {
    namespace: String,
    /// Commands of `conntrack`.
    lines: Vec<String>,
    revoked: Vec<Revoked<'a>>,
}

/// An interface whose open rules became fewer.
#[derive(Debug, PartialEq)]
struct Revoked<'a> {
    addresses: &'a [Ipv4Addr],
    inbound: bool,
    /// Rules whose flows went untracked.
    old: Vec<&'a SecurityGroupRule>,
    /// What is admitted now.
    new: Vec<&'a SecurityGroupRule>,
    /// Addresses behind the groups that `new` names.
    vpc: &'a Vpc,
}

pub fn forgotten<'a>(cloud: &str, old: &'a Network, new: &'a Network) -> Vec<Forgotten<'a>> {
    let mut found = Vec::new();
    for (id, before) in &old.vpcs {
        let Some(after) = new.vpcs.get(id) else {
            continue;
        };
        let mut router = Forgotten {
            namespace: names::router(cloud, id),
            ..Forgotten::default()
        };
        let holders = private_addresses(after);
        for (address, holder) in private_addresses(before) {
            if holders.get(&address) != Some(&holder) {
                router.lines.push(format!("-D -s {address}"));
                router.lines.push(format!("-D -d {address}"));
            }
        }
        router.revoked = revoked(before, after);
        found.push(router);

        let gateway = before.internet_gateway.as_ref();
        if let Some(gateway) = gateway.filter(|_| before.internet_gateway == after.internet_gateway)
        {
            let mut forgotten = Forgotten {
                namespace: names::internet_gateway(cloud, gateway),
                ..Forgotten::default()
            };
            let mapped = mapped(after);
            for (public, private) in self::mapped(before) {
                if mapped.get(&public) != Some(&private) {
                    forgotten.lines.push(format!("-D -d {public}"));
                    forgotten.lines.push(format!("-D -q {public}"));
                }
            }
            found.push(forgotten);
        }
    }
    found.retain(|forgotten| !forgotten.lines.is_empty() || !forgotten.revoked.is_empty());
    found
}

impl Forgotten<'_> {
    pub fn delete(&self) -> Result<(), Failure> {
        self.try_delete().map_err(|reason| Failure {
            namespace: self.namespace.clone(),
            interface: None,
            reason: format!("end flows: {reason}"),
        })
    }

    fn try_delete(&self) -> Result<(), String> {
        let mut lines = self.lines.clone();
        if !self.revoked.is_empty() {
            let list = || program::run("conntrack", &["-L"], "");
            let listing = run_in(&self.namespace, list)?;
            lines.extend(listing.lines().filter_map(Flow::parse).filter_map(|flow| {
                self.revoked
                    .iter()
                    .any(|one| one.breaks(&flow))
                    .then(|| flow.delete())
            }));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let text = lines.join("\n") + "\n";
        // Exits with 1 if the last line matched nothing; only a complaint is a failure.
        let output = run_in(&self.namespace, || {
            program::output("conntrack", &["-R", "-"], &text)
        })?;
        match output.status.code() {
            Some(0 | 1) => Ok(()),
            _ => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

/// A tracked flow by its first packet.
#[derive(Debug, PartialEq)]
struct Flow {
    tcp: bool,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    source_port: u16,
    destination_port: u16,
}

impl Flow {
    /// `tcp 6 99 ESTABLISHED src=… dst=… sport=… dport=… src=…`: the first of each counts.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let tcp = match words.next()? {
            "tcp" => true,
            "udp" => false,
            _ => return None,
        };
        let value = |key: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        Some(Self {
            tcp,
            source: value("src")?.parse().ok()?,
            destination: value("dst")?.parse().ok()?,
            source_port: value("sport")?.parse().ok()?,
            destination_port: value("dport")?.parse().ok()?,
        })
    }

    fn delete(&self) -> String {
        let Self {
            tcp,
            source,
            destination,
            source_port,
            destination_port,
        } = self;
        let protocol = if *tcp { "tcp" } else { "udp" };
        format!(
            "-D -p {protocol} -s {source} -d {destination} \
             --sport {source_port} --dport {destination_port}"
        )
    }

    fn is(&self, traffic: Traffic) -> bool {
        match traffic {
            Traffic::All => true,
            Traffic::Tcp { from, to } => self.tcp && (from..=to).contains(&self.destination_port),
            Traffic::Udp { from, to } => !self.tcp && (from..=to).contains(&self.destination_port),
            Traffic::Icmp { .. } => false,
            Traffic::Protocol(number) => number == if self.tcp { 6 } else { 17 },
        }
    }
}

impl Revoked<'_> {
    fn breaks(&self, flow: &Flow) -> bool {
        let (own, peer) = match self.inbound {
            true => (flow.destination, flow.source),
            false => (flow.source, flow.destination),
        };
        let admits = |rule: &SecurityGroupRule| {
            flow.is(rule.traffic)
                && match &rule.peer {
                    Peer::Cidr(cidr) => cidr.contains(&peer),
                    Peer::Group(group) => self.vpc.interfaces.values().any(|interface| {
                        interface.security_groups.contains(group)
                            && interface.addresses.contains(&peer)
                    }),
                }
        };
        self.addresses.contains(&own)
            && self.old.iter().any(|rule| admits(rule))
            && !self.new.iter().any(|rule| admits(rule))
    }
}

fn revoked<'a>(before: &'a Vpc, after: &'a Vpc) -> Vec<Revoked<'a>> {
    let mut found = Vec::new();
    for (id, interface) in &after.interfaces {
        let Some(was) = before.interfaces.get(id) else {
            continue;
        };
        if !matches!(
            interface.owner,
            Owner::Instance { .. } | Owner::LoadBalancerNode
        ) {
            continue;
        }
        for inbound in [true, false] {
            let new = rules(after, interface, inbound);
            let back = rules(before, was, !inbound);
            let old: Vec<_> = rules(before, was, inbound)
                .into_iter()
                .filter(|rule| untracked(rule, &back) && !new.contains(rule))
                .collect();
            if !old.is_empty() {
                found.push(Revoked {
                    addresses: &was.addresses,
                    inbound,
                    old,
                    new,
                    vpc: after,
                });
            }
        }
    }
    found
}

/// Admitted from everywhere, with every answer admitted to everywhere.
fn untracked(rule: &SecurityGroupRule, back: &[&SecurityGroupRule]) -> bool {
    let everywhere = |rule: &SecurityGroupRule| match &rule.peer {
        Peer::Cidr(cidr) => cidr.prefix_len() == 0,
        Peer::Group(_) => false,
    };
    const TCP: Traffic = Traffic::Tcp {
        from: 0,
        to: u16::MAX,
    };
    const UDP: Traffic = Traffic::Udp {
        from: 0,
        to: u16::MAX,
    };
    everywhere(rule)
        && back
            .iter()
            .filter(|back| everywhere(back))
            .any(|back| match rule.traffic {
                Traffic::All => matches!(back.traffic, Traffic::All | TCP | UDP),
                Traffic::Tcp { .. } => matches!(back.traffic, Traffic::All | TCP),
                Traffic::Udp { .. } => matches!(back.traffic, Traffic::All | UDP),
                // ICMP and the rest are always tracked.
                Traffic::Icmp { .. } | Traffic::Protocol(_) => false,
            })
}

fn rules<'a>(vpc: &'a Vpc, interface: &Interface, inbound: bool) -> Vec<&'a SecurityGroupRule> {
    interface
        .security_groups
        .iter()
        .filter_map(|group| vpc.security_groups.get(group))
        .flat_map(|group| {
            if inbound {
                &group.ingress
            } else {
                &group.egress
            }
        })
        .collect()
}

fn private_addresses(vpc: &Vpc) -> BTreeMap<Ipv4Addr, &model::NetworkInterfaceId> {
    vpc.interfaces
        .iter()
        .filter(|(_, interface)| !matches!(interface.owner, Owner::Detached))
        .flat_map(|(id, interface)| {
            interface
                .addresses
                .iter()
                .map(move |address| (*address, id))
        })
        .collect()
}

/// Public address to the private one behind it.
fn mapped(vpc: &Vpc) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
    super::gateway::public_addresses(vpc)
        .into_iter()
        .map(|(private, public)| (public, private))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_as_conntrack_lists_it() {
        let line = "tcp      6 99 ESTABLISHED src=10.0.0.4 dst=10.0.1.5 sport=4000 dport=80 \
                    src=10.0.1.5 dst=10.0.0.4 sport=80 dport=4000 [ASSURED] mark=0 use=1";
        let flow = Flow::parse(line).expect("flow");
        assert_eq!(
            flow.delete(),
            "-D -p tcp -s 10.0.0.4 -d 10.0.1.5 --sport 4000 --dport 80"
        );
        assert_eq!(
            Flow::parse("icmp 1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=1"),
            None
        );
        assert_eq!(Flow::parse("tcp 6 99 ESTABLISHED src=1.1.1.1"), None);
        assert_eq!(Flow::parse(""), None);
    }

    #[test]
    fn what_aws_does_not_track() {
        let rule = |cidr: &str, traffic| SecurityGroupRule {
            traffic,
            peer: Peer::Cidr(cidr.parse().expect("cidr")),
        };
        let web = Traffic::Tcp { from: 80, to: 80 };
        let check = |rule: SecurityGroupRule, back: SecurityGroupRule, expected| {
            assert_eq!(
                untracked(&rule, &[&back]),
                expected,
                "{rule:?} with {back:?}"
            );
        };
        check(
            rule("0.0.0.0/0", web),
            rule("0.0.0.0/0", Traffic::All),
            true,
        );
        check(
            rule("0.0.0.0/0", web),
            rule("0.0.0.0/0", Traffic::Tcp { from: 0, to: 65535 }),
            true,
        );
        check(
            rule("0.0.0.0/0", web),
            rule("0.0.0.0/0", Traffic::Udp { from: 0, to: 65535 }),
            false,
        );
        check(rule("0.0.0.0/0", web), rule("0.0.0.0/0", web), false);
        check(
            rule("10.0.0.0/8", web),
            rule("0.0.0.0/0", Traffic::All),
            false,
        );
        check(
            rule("0.0.0.0/0", web),
            rule("10.0.0.0/8", Traffic::All),
            false,
        );
        let ping = Traffic::Icmp {
            kind: None,
            code: None,
        };
        check(
            rule("0.0.0.0/0", ping),
            rule("0.0.0.0/0", Traffic::All),
            false,
        );
    }
}
