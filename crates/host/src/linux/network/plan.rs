//! One namespace as it should be, as plain data: its filter, its veths and what `ip` sets.
//!
//! Rendering a network into plans is pure; `kernel` makes namespaces agree with them.
//! A [`Setting`] has a slot (what it would replace), so that two lists of settings yield
//! the shortest batch: replace what is new or differs, delete the slots that are gone.

use ipnet::Ipv4Net;
use model::{NetworkInterfaceId, VpcId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// The next hop on every point-to-point link: never an address, only a neighbour entry.
pub const PEER: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);

/// AWS instances see 9001 inside a VPC; veths carry 64 KiB segments whatever this says,
/// and one size end to end needs no path MTU discovery through two translations.
pub const MTU: u32 = 1500;

/// `ip route`'s name for the table that is asked last.
pub const MAIN: u32 = 254;

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Empty for the host.
    pub namespace: String,
    pub kind: Kind,
    /// The whole nftables table, empty for none.
    pub filter: String,
    /// Veths whose near end is here, by device name.
    pub links: BTreeMap<String, Link>,
    pub settings: Vec<Setting>,
    /// The VPC it belongs to, and whose its devices are: for the report of a failure.
    pub vpc: Option<VpcId>,
    pub interfaces: BTreeMap<String, NetworkInterfaceId>,
}

/// A step that failed, and whose it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub namespace: String,
    pub vpc: Option<VpcId>,
    pub interface: Option<NetworkInterfaceId>,
    pub reason: String,
}

impl Plan {
    pub fn new(namespace: String, kind: Kind, vpc: Option<&VpcId>) -> Self {
        Self {
            namespace,
            kind,
            filter: String::new(),
            links: BTreeMap::new(),
            settings: Vec::new(),
            vpc: vpc.cloned(),
            interfaces: BTreeMap::new(),
        }
    }

    /// A failure of the whole namespace, laid to its interface if it has just one end.
    pub fn failure(&self, reason: impl ToString) -> Failure {
        let only = match self.kind {
            Kind::Router => None,
            _ => self
                .interfaces
                .values()
                .next()
                .filter(|_| self.interfaces.len() == 1),
        };
        Failure {
            namespace: self.namespace.clone(),
            vpc: self.vpc.clone(),
            interface: only.cloned(),
            reason: reason.to_string(),
        }
    }

    /// A failure on one device.
    pub fn device_failure(&self, device: Option<&str>, reason: impl ToString) -> Failure {
        let interface = device
            .and_then(|device| self.interfaces.get(device))
            .cloned();
        let whole = self.failure(reason);
        Failure {
            interface: interface.or(whole.interface),
            ..whole
        }
    }
}

/// What a namespace is for: decides its kernel parameters and who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The machine's own network: one veth, one route, nothing else is touched.
    Host,
    Internet,
    InternetGateway,
    Router,
    NatGateway,
    LoadBalancerNode,
    NetworkLoadBalancerNode,
    /// Made with and owned by a user namespace that maps ids from here on.
    Instance {
        uid_base: u32,
    },
}

/// A veth from a plan's namespace to another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub mac: Mac,
    /// The other namespace.
    pub peer: String,
    pub peer_device: String,
    pub peer_mac: Mac,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The cloud's end of every link. Locally administered; links have two ends, so one does.
pub const NEAR: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);
pub const FAR: Mac = Mac([0x02, 0, 0, 0, 0, 0x02]);

/// One thing `ip` can add and delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Setting {
    Address {
        address: Ipv4Net,
        device: String,
    },
    Route {
        destination: Ipv4Net,
        table: u32,
        hop: Hop,
    },
    Neighbour {
        address: Ipv4Addr,
        device: String,
        mac: Mac,
    },
    /// Packets that carry a mark look into the table of that number.
    Rule {
        table: u32,
    },
    /// What comes from an address looks into the table of that number.
    Source {
        address: Ipv4Addr,
        table: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Hop {
    Device(String),
    Via {
        gateway: Ipv4Addr,
        device: String,
    },
    Blackhole,
    /// Leaves this table; the main one decides.
    Throw,
}

impl Setting {
    /// What this sets, whatever it sets it to.
    pub fn slot(&self) -> String {
        match self {
            Self::Address { address, device } => format!("addr {address} dev {device}"),
            Self::Route {
                destination, table, ..
            } => format!("route {destination} table {table}"),
            Self::Neighbour {
                address, device, ..
            } => format!("neigh {address} dev {device}"),
            Self::Rule { table } => format!("rule fwmark {table:#x} table {table}"),
            Self::Source { address, table } => format!("rule from {address} table {table}"),
        }
    }

    pub fn device(&self) -> Option<&str> {
        match self {
            Self::Address { device, .. }
            | Self::Neighbour { device, .. }
            | Self::Route {
                hop: Hop::Device(device) | Hop::Via { device, .. },
                ..
            } => Some(device),
            _ => None,
        }
    }

    /// A line of `ip -batch` that makes it so, whether or not its slot is taken.
    pub fn add(&self) -> String {
        match self {
            Self::Address { address, device } => format!("addr replace {address} dev {device}"),
            Self::Route {
                destination: to,
                table,
                hop,
            } => match hop {
                Hop::Device(device) => {
                    format!("route replace {to} dev {device} table {table}")
                }
                Hop::Via { gateway, device } => {
                    format!("route replace {to} via {gateway} dev {device} table {table} onlink")
                }
                Hop::Blackhole => format!("route replace blackhole {to} table {table}"),
                Hop::Throw => format!("route replace throw {to} table {table}"),
            },
            Self::Neighbour {
                address,
                device,
                mac,
            } => {
                format!("neigh replace {address} dev {device} lladdr {mac} nud permanent")
            }
            Self::Rule { table } => {
                format!("rule add pref 1000 fwmark {table:#x} table {table}")
            }
            Self::Source { address, table } => {
                format!("rule add pref {table} from {address} table {table}")
            }
        }
    }

    /// A line of `ip -batch` that empties its slot.
    pub fn delete(&self) -> String {
        match self {
            Self::Address { address, device } => format!("addr del {address} dev {device}"),
            Self::Route {
                destination, table, ..
            } => {
                format!("route del {destination} table {table}")
            }
            Self::Neighbour {
                address, device, ..
            } => format!("neigh del {address} dev {device}"),
            Self::Rule { table } => format!("rule del pref 1000 fwmark {table:#x} table {table}"),
            Self::Source { address, table } => {
                format!("rule del pref {table} from {address} table {table}")
            }
        }
    }
}

/// What leads from one list of settings to another: those to delete and those to add.
pub fn difference<'a>(
    have: &'a [Setting],
    want: &'a [Setting],
) -> (Vec<&'a Setting>, Vec<&'a Setting>) {
    let slots = |settings: &'a [Setting]| -> BTreeMap<String, &'a Setting> {
        settings
            .iter()
            .map(|setting| (setting.slot(), setting))
            .collect()
    };
    let (had, wanted) = (slots(have), slots(want));
    let gone = had
        .iter()
        .filter(|(slot, _)| !wanted.contains_key(*slot))
        .map(|(_, s)| *s);
    let new = want
        .iter()
        .filter(|setting| had.get(&setting.slot()) != Some(setting));
    (gone.collect(), new.collect())
}

impl Link {
    pub fn add(&self, device: &str) -> String {
        let Self {
            mac,
            peer,
            peer_device,
            peer_mac,
            ..
        } = self;
        format!(
            "link add {device} mtu {MTU} address {mac} type veth \
             peer name {peer_device} mtu {MTU} address {peer_mac} netns {peer}"
        )
    }
}

impl fmt::Display for Plan {
    /// What a snapshot test shows: all that would be set in an empty namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "namespace {} ({:?})", self.namespace, self.kind)?;
        for (device, link) in &self.links {
            writeln!(f, "  {}", link.add(device))?;
        }
        for setting in &self.settings {
            writeln!(f, "  {}", setting.add())?;
        }
        f.write_str(&self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(to: &str, hop: Hop) -> Setting {
        Setting::Route {
            destination: to.parse().expect("cidr"),
            table: MAIN,
            hop,
        }
    }

    #[test]
    fn only_what_differs_is_touched() {
        let device = |name: &str| Hop::Device(name.to_owned());
        let (stays, moves) = (
            route("10.0.0.4/32", device("a")),
            route("10.0.0.5/32", device("a")),
        );
        let have = [
            stays.clone(),
            moves.clone(),
            route("10.0.0.6/32", device("a")),
        ];
        let moved = route("10.0.0.5/32", Hop::Blackhole);
        let want = [stays, moved, route("10.0.0.7/32", device("b"))];
        let (gone, new) = difference(&have, &want);
        let gone: Vec<_> = gone.iter().map(|s| s.delete()).collect();
        let new: Vec<_> = new.iter().map(|s| s.add()).collect();
        assert_eq!(gone, ["route del 10.0.0.6/32 table 254"]);
        assert_eq!(
            new,
            [
                "route replace blackhole 10.0.0.5/32 table 254",
                "route replace 10.0.0.7/32 dev b table 254"
            ]
        );
    }
}
