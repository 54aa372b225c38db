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

use super::names;
use super::plan::Failure;
use crate::linux::namespace;
use crate::network::{Interface, Network, Owner, Peer, SecurityGroupRule, Traffic, Vpc};
use model::VpcId;
use netfilter::conntrack::{self, Flow, Tuple};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;

/// Entries of one namespace that must go.
#[derive(Debug, Default, PartialEq)]
pub struct Forgotten<'a> {
    namespace: String,
    vpc: Option<&'a VpcId>,
    /// Whatever has one of these at either end, before or after translation.
    addresses: BTreeSet<Ipv4Addr>,
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
        found.push(Forgotten {
            namespace: names::router(cloud, id),
            vpc: Some(id),
            addresses: moved(private_addresses(before), &private_addresses(after)),
            revoked: revoked(before, after),
        });
        let gateway = before.internet_gateway.as_ref();
        if let Some(gateway) = gateway.filter(|_| before.internet_gateway == after.internet_gateway)
        {
            found.push(Forgotten {
                namespace: names::internet_gateway(cloud, gateway),
                vpc: Some(id),
                addresses: moved(mapped(before), &mapped(after)),
                revoked: Vec::new(),
            });
        }
    }
    found.retain(|forgotten| !forgotten.addresses.is_empty() || !forgotten.revoked.is_empty());
    found
}

/// Addresses that are no longer where they were.
fn moved<T: PartialEq>(
    before: BTreeMap<Ipv4Addr, T>,
    after: &BTreeMap<Ipv4Addr, T>,
) -> BTreeSet<Ipv4Addr> {
    before
        .into_iter()
        .filter(|(address, holder)| after.get(address) != Some(holder))
        .map(|(address, _)| address)
        .collect()
}

impl Forgotten<'_> {
    pub fn delete(&self) -> Result<(), Failure> {
        let delete = || -> io::Result<()> {
            let mut doomed = conntrack::flows()?;
            doomed.retain(|flow| self.names(flow));
            if doomed.is_empty() {
                Ok(())
            } else {
                conntrack::delete(&doomed)
            }
        };
        namespace::enter(&self.namespace, delete)
            .flatten()
            .map_err(|e| Failure {
                namespace: self.namespace.clone(),
                vpc: self.vpc.cloned(),
                interface: None,
                reason: format!("end flows: {e}"),
            })
    }

    fn names(&self, flow: &Flow) -> bool {
        let ends = [flow.original, flow.reply];
        ends.iter()
            .flat_map(|tuple| [tuple.source, tuple.destination])
            .any(|address| self.addresses.contains(&address))
            || self
                .revoked
                .iter()
                .any(|revoked| revoked.breaks(&flow.original))
    }
}

fn admitted(flow: &Tuple, traffic: Traffic) -> bool {
    let port = flow.destination_port;
    match traffic {
        Traffic::All => true,
        Traffic::Tcp { from, to } => flow.protocol == 6 && (from..=to).contains(&port),
        Traffic::Udp { from, to } => flow.protocol == 17 && (from..=to).contains(&port),
        Traffic::Icmp { .. } => false,
        Traffic::Protocol(number) => number == flow.protocol,
    }
}

impl Revoked<'_> {
    fn breaks(&self, flow: &Tuple) -> bool {
        let (own, peer) = match self.inbound {
            true => (flow.destination, flow.source),
            false => (flow.source, flow.destination),
        };
        let admits = |rule: &SecurityGroupRule| {
            admitted(flow, rule.traffic)
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
            Owner::Instance { .. } | Owner::LoadBalancerNode | Owner::NetworkLoadBalancerNode
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
