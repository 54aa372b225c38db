//! What a VPC's resolver knows by itself: a name in, what there is of it out.
//!
//! Source: <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html>

use super::hosted::{Answer, Hosted, LONGEST_CHAIN};
use crate::config::{self, Config, Names, Vpc};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// TTL in seconds of the names that follow from an address.
const ADDRESS_NAME_TTL: u32 = 60;

/// The names as one VPC sees them.
pub struct Zone {
    region: String,
    /// Such as `ec2.internal`.
    internal: String,
    cidrs: Vec<Ipv4Net>,
    own: HashMap<String, config::Name>,
    /// Private zones of Route 53.
    private: Hosted,
    shared: Arc<Shared>,
}

/// What all VPCs see alike.
pub struct Shared {
    names: HashMap<String, config::Name>,
    /// Public zones of Route 53.
    public: Hosted,
    zones: Vec<config::HostedZone>,
    authoritative: Vec<String>,
    offline: bool,
}

/// What there is of a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Addresses(Vec<Ipv4Addr>, u32),
    /// A reverse name: the name of the address.
    Pointer(String, u32),
    /// The name exists, without any record that we give.
    Nothing,
    NoSuchName,
    /// By a zone of Route 53.
    Hosted(Box<Answer>),
    /// Not ours to answer: ask the host's resolver.
    Elsewhere,
}

impl Shared {
    pub fn new(config: &Config) -> Arc<Self> {
        let authoritative = config.authoritative.iter().map(|name| normal(name));
        Arc::new(Self {
            names: index(&config.names),
            public: Hosted::new(config.hosted_zones.iter().filter(|z| z.vpcs.is_none())),
            zones: config.hosted_zones.clone(),
            authoritative: authoritative.collect(),
            offline: config.offline,
        })
    }

    /// What the name servers of public zones answer; none if they have no zone for the name.
    pub fn answer(&self, name: &str, kind: RecordType) -> Option<Answer> {
        let addresses = |name: &str| self.names.get(name).cloned();
        self.public.answer(name, kind, None, &addresses)
    }

    /// The host's resolver is not to be asked.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The addresses of a name as the internet sees it, or the name that the host's resolver knows.
    pub fn resolve(&self, name: &str) -> Result<Vec<Ipv4Addr>, String> {
        let mut name = normal(name);
        for _ in 0..LONGEST_CHAIN {
            if let Some(known) = self.names.get(&name) {
                return Ok(known.addresses.clone());
            }
            let Some(answer) = self.answer(&name, RecordType::A) else {
                return Err(name);
            };
            match answer.rest {
                Some(rest) => name = rest,
                None => return Ok(addresses_in(&answer.records)),
            }
        }
        Ok(Vec::new())
    }
}

impl Zone {
    /// `id` is the VPC's.
    pub fn new(id: &str, vpc: &Vpc, shared: Arc<Shared>) -> Self {
        let here = |zone: &&config::HostedZone| {
            let vpcs = zone.vpcs.as_ref();
            vpcs.is_some_and(|vpcs| vpcs.iter().any(|v| v == id))
        };
        Self {
            region: vpc.region.clone(),
            private: Hosted::new(shared.zones.iter().filter(here)),
            internal: match vpc.region.as_str() {
                "us-east-1" => "ec2.internal".to_owned(),
                region => format!("{}.compute.internal", normal(region)),
            },
            // The API has refused anything that is no CIDR before it came here.
            cidrs: vpc.cidrs.iter().filter_map(|c| c.parse().ok()).collect(),
            own: index(&vpc.names),
            shared,
        }
    }

    /// Looks up a name in lower case without its final dot. `kind` chooses among the records of
    /// hosted zones only.
    pub fn find(&self, name: &str, kind: RecordType) -> Found {
        let mut found = self.find_one(name, kind);
        for _ in 0..LONGEST_CHAIN {
            let Found::Hosted(answer) = &mut found else {
                break;
            };
            let Some(rest) = answer.rest.take() else {
                break;
            };
            // What its CNAME leads to may be in another zone, or ours without one.
            match self.find_one(&rest, kind) {
                Found::Hosted(more) => {
                    answer.records.extend(more.records);
                    answer.exists = more.exists;
                    answer.authority = more.authority;
                    answer.rest = more.rest;
                }
                Found::Addresses(addresses, ttl) => {
                    answer.exists = true;
                    let owner = Name::from_ascii(format!("{rest}.")).ok();
                    let owner = owner.filter(|_| kind == RecordType::A);
                    answer.records.extend(owner.into_iter().flat_map(|owner| {
                        let data = addresses.iter().map(|a| RData::A(A(*a)));
                        let records = data.map(|data| Record::from_rdata(owner.clone(), ttl, data));
                        records.collect::<Vec<_>>()
                    }));
                }
                Found::Nothing | Found::Pointer(..) => answer.exists = true,
                Found::NoSuchName => answer.exists = false,
                Found::Elsewhere => {
                    answer.rest = Some(rest);
                    break;
                }
            }
        }
        found
    }

    fn find_one(&self, name: &str, kind: RecordType) -> Found {
        // A private zone comes before what the resolver knows by itself, unless that is closer.
        let builtin = std::iter::once(&self.internal).chain(&self.shared.authoritative);
        let closest = builtin.filter(|domain| below(name, domain).is_some());
        let closest = closest.map(String::len).max().unwrap_or(0);
        if self
            .private
            .apex(name)
            .is_some_and(|apex| apex.len() >= closest)
            && let Some(answer) = self.hosted(&self.private, name, kind)
        {
            return answer;
        }
        if let Some(known) = self.own.get(name).or_else(|| self.shared.names.get(name)) {
            return Found::Addresses(known.addresses.clone(), known.ttl);
        }
        if let Some((_, parent)) = name.split_once('.')
            && let Some(known) = self.shared.names.get(&format!("*.{parent}"))
        {
            return Found::Addresses(known.addresses.clone(), known.ttl);
        }
        if let Some(host) = below(name, &self.internal) {
            return match address_of(host).filter(|a| self.contains(*a)) {
                Some(address) => Found::Addresses(vec![address], ADDRESS_NAME_TTL),
                None if host.is_empty() => Found::Nothing,
                None => Found::NoSuchName,
            };
        }
        if let Some(labels) = below(name, "in-addr.arpa")
            && let Some(found) = self.reverse(labels)
        {
            return found;
        }
        if let Some(answer) = self.hosted(&self.shared.public, name, kind) {
            return answer;
        }
        for domain in &self.shared.authoritative {
            if let Some(host) = below(name, domain) {
                let parent = host.is_empty();
                return if parent {
                    Found::Nothing
                } else {
                    Found::NoSuchName
                };
            }
        }
        // A name of one label means a machine nearby, which the host's network must not supply.
        if self.shared.offline || !name.contains('.') {
            return Found::NoSuchName;
        }
        Found::Elsewhere
    }

    fn hosted(&self, zones: &Hosted, name: &str, kind: RecordType) -> Option<Found> {
        let addresses = |name: &str| {
            let known = self.own.get(name).or_else(|| self.shared.names.get(name));
            known.cloned()
        };
        let answer = zones.answer(name, kind, Some(&self.region), &addresses)?;
        Some(Found::Hosted(Box::new(answer)))
    }

    /// The name of an address, given as the labels of its reverse name; none if
    /// the address is nobody's here.
    fn reverse(&self, labels: &str) -> Option<Found> {
        let mut octets = [0; 4];
        let mut count = 0;
        for label in labels.rsplit('.') {
            *octets.get_mut(count)? = label.parse().ok()?;
            count += 1;
        }
        let address = Ipv4Addr::from(octets);
        if count == 4 && self.contains(address) {
            let [a, b, c, d] = octets;
            let name = format!("ip-{a}-{b}-{c}-{d}.{}", self.internal);
            return Some(Found::Pointer(name, ADDRESS_NAME_TTL));
        }
        // Private addresses are this VPC's or nobody's, and 198.18/15 is the cloud's.
        let ours = match octets {
            [10 | 127, ..] => true,
            [172, b, ..] => count >= 2 && (16..32).contains(&b),
            [192, b, ..] => count >= 2 && b == 168,
            [169, b, ..] => count >= 2 && b == 254,
            [100, b, ..] => count >= 2 && (64..128).contains(&b),
            [198, b, ..] => count >= 2 && (18..20).contains(&b),
            _ => false,
        };
        ours.then_some(Found::NoSuchName)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(&address))
    }
}

pub fn addresses_in(records: &[Record]) -> Vec<Ipv4Addr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

fn index(names: &Names) -> HashMap<String, config::Name> {
    let entries = names.iter();
    entries
        .map(|(name, value)| (normal(name), value.clone()))
        .collect()
}

/// The form in which names are compared.
pub fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// What stands before `domain` in `name`, without the dot; empty for the domain itself.
fn below<'n>(name: &'n str, domain: &str) -> Option<&'n str> {
    match name.strip_suffix(domain)? {
        "" => Some(""),
        rest => rest.strip_suffix('.'),
    }
}

/// The address in `ip-10-0-1-5`.
fn address_of(host: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = host.strip_prefix("ip-")?.split('-');
    for octet in &mut octets {
        let part = parts.next()?;
        // One name an address: neither `010` nor `+10` is a second one.
        *octet = part.parse().ok().filter(|n: &u8| n.to_string() == part)?;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    fn zone(region: &str, offline: bool) -> Zone {
        let name = |last: u8| Name::new([Ipv4Addr::new(198, 18, 0, last)]);
        let config = Config {
            offline,
            names: [
                ("Web-1.us-east-1.ELB.amazonaws.com".to_owned(), name(1)),
                ("ec2-198-18-0-2.compute-1.amazonaws.com".to_owned(), name(2)),
                ("empty.elb.amazonaws.com".to_owned(), Name::new([])),
            ]
            .into(),
            authoritative: vec![
                "elb.amazonaws.com".into(),
                "us-east-1.elb.amazonaws.com.".into(),
            ],
            ..Config::default()
        };
        let inside = Name::new([Ipv4Addr::new(10, 0, 1, 5)]);
        let vpc = Vpc {
            netns: None,
            region: region.into(),
            cidrs: vec!["10.0.0.0/16".into(), "172.31.0.0/20".into()],
            metadata: None,
            resolvers: vec![],
            names: [("ec2-198-18-0-2.compute-1.amazonaws.com".to_owned(), inside)].into(),
            instances: vec![],
        };
        Zone::new("vpc-1", &vpc, Shared::new(&config))
    }

    #[test]
    fn names() {
        let addresses = |a: [u8; 4]| Found::Addresses(vec![a.into()], 60);
        let pointer = |name: &str| Found::Pointer(name.into(), 60);
        let zone = zone("us-east-1", false);
        let check = |name: &str, expected: Found| {
            assert_eq!(zone.find(name, RecordType::A), expected, "{name}")
        };
        check("ip-10-0-1-5.ec2.internal", addresses([10, 0, 1, 5]));
        check("ip-172-31-3-4.ec2.internal", addresses([172, 31, 3, 4]));
        check("ip-10-1-1-5.ec2.internal", Found::NoSuchName);
        check("ip-10-0-1.ec2.internal", Found::NoSuchName);
        check("ip-10-0-1-5-6.ec2.internal", Found::NoSuchName);
        check("ip-10-0-1-05.ec2.internal", Found::NoSuchName);
        check("db.ec2.internal", Found::NoSuchName);
        check("ec2.internal", Found::Nothing);
        check("notec2.internal", Found::Elsewhere);
        check("5.1.0.10.in-addr.arpa", pointer("ip-10-0-1-5.ec2.internal"));
        check("5.1.9.10.in-addr.arpa", Found::NoSuchName);
        check("10.in-addr.arpa", Found::NoSuchName);
        check("1.0.18.198.in-addr.arpa", Found::NoSuchName);
        check("8.8.8.8.in-addr.arpa", Found::Elsewhere);
        check("172.in-addr.arpa", Found::Elsewhere);
        check("1.5.1.0.10.in-addr.arpa", Found::Elsewhere);
        check(
            "web-1.us-east-1.elb.amazonaws.com",
            addresses([198, 18, 0, 1]),
        );
        check("gone-1.us-east-1.elb.amazonaws.com", Found::NoSuchName);
        check("empty.elb.amazonaws.com", Found::Addresses(vec![], 60));
        check("elb.amazonaws.com", Found::Nothing);
        check("s3.amazonaws.com", Found::Elsewhere);
        // The same public name is the private address inside.
        check(
            "ec2-198-18-0-2.compute-1.amazonaws.com",
            addresses([10, 0, 1, 5]),
        );
        check("deb.debian.org", Found::Elsewhere);
        check("printer", Found::NoSuchName);
        check("", Found::NoSuchName);
    }

    #[test]
    fn other_regions_have_their_own_domain() {
        let zone = zone("eu-west-1", false);
        let found = zone.find("ip-10-0-1-5.eu-west-1.compute.internal", RecordType::A);
        assert_eq!(found, Found::Addresses(vec![[10, 0, 1, 5].into()], 60));
        assert_eq!(
            zone.find("ip-10-0-1-5.ec2.internal", RecordType::A),
            Found::Elsewhere
        );
    }

    #[test]
    fn offline_nothing_is_elsewhere() {
        let zone = zone("us-east-1", true);
        assert_eq!(
            zone.find("deb.debian.org", RecordType::A),
            Found::NoSuchName
        );
        assert_eq!(
            zone.find("8.8.8.8.in-addr.arpa", RecordType::A),
            Found::NoSuchName
        );
    }
}
