//! Route 53's hosted zones: which of a zone's record sets is the answer.
//!
//! Sources: `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-policy.html`,
//! `…/health-checks-how-route-53-chooses-records.html`, `…/hosted-zone-private-considerations.html`;
//! wildcards and empty names between as RFC 4592 has them.

use super::zone::normal;
use crate::config::{self, HostedZone, RecordAnswer, RecordSet, Routing};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rand::seq::{IndexedRandom, IteratorRandom};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;

/// Of one multivalue answer.
const MULTIVALUE: usize = 8;
/// Names that lead on, by CNAMEs and aliases: longer ways are an operator's mistake.
pub const LONGEST_CHAIN: usize = 8;

/// Zones that one asker may see, by name.
#[derive(Default)]
pub struct Hosted(HashMap<String, Zone>);

struct Zone {
    records: HashMap<String, Vec<RecordSet>>,
    /// Those that have records, and those between them and the zone.
    names: HashSet<String>,
}

/// What is answered to a question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    pub records: Vec<Record>,
    /// Whether the name does, to which CNAMEs led in the end.
    pub exists: bool,
    /// The SOA record of its zone, where there is nothing else.
    pub authority: Option<Record>,
    /// Where a CNAME leads that no zone here has.
    pub rest: Option<String>,
}

/// Addresses of names that are in no zone: of load balancers, to which aliases lead.
pub type Addresses<'a> = dyn Fn(&str) -> Option<config::Name> + 'a;

/// What stands at a name.
#[derive(Debug, PartialEq)]
pub enum Lookup<'z> {
    /// No zone has it.
    Elsewhere,
    NoSuchName,
    /// The sets to answer with, all of one type: the one asked for, or CNAME; none if there are
    /// only others.
    Sets(Vec<&'z RecordSet>),
}

impl Hosted {
    /// Of two zones of one name the first counts.
    pub fn new<'c>(zones: impl Iterator<Item = &'c HostedZone>) -> Self {
        let mut hosted = HashMap::new();
        for zone in zones {
            let name = normal(&zone.name);
            hosted
                .entry(name.clone())
                .or_insert_with(|| Zone::new(&name, zone));
        }
        Self(hosted)
    }

    /// What is answered about a name in lower case without its final dot, to an asker in `region`;
    /// none if no zone has it.
    pub fn answer(
        &self,
        name: &str,
        kind: RecordType,
        region: Option<&str>,
        addresses: &Addresses<'_>,
    ) -> Option<Answer> {
        let mut answer = Answer::default();
        let mut at = name.to_owned();
        for _ in 0..LONGEST_CHAIN {
            let sets = match self.find(&at, &kind.to_string(), region) {
                Lookup::Elsewhere if answer.records.is_empty() => return None,
                Lookup::Elsewhere => {
                    answer.rest = Some(at);
                    return Some(answer);
                }
                Lookup::NoSuchName => None,
                Lookup::Sets(sets) => Some(sets),
            };
            answer.exists = sets.is_some();
            let sets = sets.unwrap_or_default();
            let owner = name_of(&at);
            let mut records = Vec::new();
            for set in &sets {
                let (of, within) = (set.kind.as_str(), &mut records);
                self.write(
                    set,
                    of,
                    owner.as_ref(),
                    region,
                    addresses,
                    LONGEST_CHAIN,
                    within,
                );
            }
            let leads = records.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if kind != RecordType::CNAME => {
                    Some(normal(&target.0.to_ascii()))
                }
                _ => None,
            });
            if records.is_empty() {
                answer.authority = self.authority(&at);
            }
            answer.records.append(&mut records);
            match leads {
                Some(target) => at = target,
                None => break,
            }
        }
        Some(answer)
    }

    /// Adds the records of a set, under the name that was asked; an alias has its target's.
    #[expect(clippy::too_many_arguments)]
    fn write(
        &self,
        set: &RecordSet,
        kind: &str,
        owner: Option<&Name>,
        region: Option<&str>,
        addresses: &Addresses<'_>,
        steps: usize,
        out: &mut Vec<Record>,
    ) {
        let (Some(owner), Ok(of)) = (owner, RecordType::from_str(kind)) else {
            return;
        };
        match &set.answer {
            RecordAnswer::Values { ttl, values } => {
                // The API has refused what cannot be read.
                let read = values.iter().filter_map(|v| value(of, v));
                out.extend(read.map(|data| Record::from_rdata(owner.clone(), *ttl, data)));
            }
            RecordAnswer::Alias { name } => {
                let target = normal(name);
                let target = target.strip_prefix("dualstack.").unwrap_or(&target);
                if let Some(known) = addresses(target) {
                    let known_ttl = known.ttl;
                    let data = known.addresses.into_iter().map(|a| RData::A(A(a)));
                    let records = data.map(|d| Record::from_rdata(owner.clone(), known_ttl, d));
                    out.extend(records.filter(|_| of == RecordType::A));
                } else if let Lookup::Sets(sets) = self.find(target, kind, region)
                    && let Some(steps) = steps.checked_sub(1)
                {
                    for set in sets.into_iter().filter(|set| set.kind == kind) {
                        self.write(set, kind, Some(owner), region, addresses, steps, out);
                    }
                }
            }
        }
    }

    /// `name` is in lower case without its final dot, `region` where the asker is.
    fn find(&self, name: &str, kind: &str, region: Option<&str>) -> Lookup<'_> {
        match self.zone(name) {
            Some((apex, zone)) => zone.find(apex, name, kind, region),
            None => Lookup::Elsewhere,
        }
    }

    /// Name of the closest zone that has the name in it.
    pub fn apex(&self, name: &str) -> Option<&str> {
        self.zone(name).map(|(apex, _)| apex)
    }

    /// The closest zone that has the name in it.
    fn zone(&self, name: &str) -> Option<(&str, &Zone)> {
        let found = ancestors(name).find_map(|name| self.0.get_key_value(name))?;
        Some((found.0, found.1))
    }

    /// The SOA record of a negative answer. How long that may be kept is its last number or its TTL,
    /// whichever is less (RFC 2308 §5).
    fn authority(&self, name: &str) -> Option<Record> {
        let (apex, zone) = self.zone(name)?;
        let set = zone.records.get(apex)?.iter().find(|s| s.kind == "SOA")?;
        let RecordAnswer::Values { ttl, values } = &set.answer else {
            return None;
        };
        let data = value(RecordType::SOA, values.first()?)?;
        Some(Record::from_rdata(name_of(apex)?, *ttl, data))
    }
}

fn name_of(text: &str) -> Option<Name> {
    Name::from_ascii(format!("{text}.")).ok()
}

/// A value in the form of zone files, whose names are complete with or without a final dot.
fn value(kind: RecordType, text: &str) -> Option<RData> {
    if kind == RecordType::TXT {
        let strings = strings(text);
        let strings = strings.iter().map(Vec::as_slice).collect();
        return Some(RData::TXT(TXT::from_bytes(strings)));
    }
    let mut data = RData::try_from_str(kind, text).ok()?;
    match &mut data {
        RData::CNAME(name) => name.0.set_fqdn(true),
        RData::NS(name) => name.0.set_fqdn(true),
        RData::PTR(name) => name.0.set_fqdn(true),
        RData::MX(mail) => mail.exchange.set_fqdn(true),
        RData::SRV(service) => service.target.set_fqdn(true),
        _ => {}
    }
    Some(data)
}

/// Strings in quotation marks, with Route 53's escapes: `\"`, `\\`, and `\052` in octal.
fn strings(text: &str) -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    let mut inside = false;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, inside) {
            (b'"', false) => strings.push(Vec::new()),
            (b'"', true) | (_, false) => {}
            (byte, true) => {
                let octal = rest.get(..3).and_then(|digits| {
                    let is_octal = digits.iter().all(|d| (b'0'..=b'7').contains(d));
                    let text = std::str::from_utf8(digits).ok().filter(|_| is_octal)?;
                    u8::from_str_radix(text, 8).ok()
                });
                let (byte, taken) = match (byte, octal, rest.first()) {
                    (b'\\', Some(byte), _) => (byte, 3),
                    (b'\\', None, Some(next)) => (*next, 1),
                    (byte, ..) => (byte, 0),
                };
                rest = rest.get(taken..).unwrap_or_default();
                strings.last_mut().into_iter().for_each(|s| s.push(byte));
                continue;
            }
        }
        if byte == b'"' {
            inside = !inside;
        }
    }
    strings
}

/// The name itself, then what it lies in.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
}

impl Zone {
    fn new(apex: &str, zone: &HostedZone) -> Self {
        let mut records: HashMap<String, Vec<RecordSet>> = HashMap::new();
        let mut names = HashSet::from([apex.to_owned()]);
        for set in &zone.records {
            let name = normal(&set.name);
            let between = ancestors(&name).take_while(|n| *n != apex);
            names.extend(between.map(str::to_owned));
            records.entry(name).or_default().push(set.clone());
        }
        Self { records, names }
    }

    fn find(&self, apex: &str, name: &str, kind: &str, region: Option<&str>) -> Lookup<'_> {
        // Below a delegation somebody else answers, and at it for all but its NS records.
        let delegated = ancestors(name)
            .take_while(|n| *n != apex)
            .any(|n| (n != name || kind != "NS") && self.has(n, "NS"));
        if delegated {
            return Lookup::Elsewhere;
        }
        let sets = match self.records.get(name) {
            Some(sets) => sets,
            None if self.names.contains(name) => return Lookup::Sets(Vec::new()),
            None => {
                // The wildcard next to the closest name that exists, and none further up.
                let closest = ancestors(name).find(|n| self.names.contains(*n));
                let wildcard = closest.and_then(|n| self.records.get(&format!("*.{n}")));
                let Some(sets) = wildcard else {
                    return Lookup::NoSuchName;
                };
                sets
            }
        };
        let of = |kind: &str| sets.iter().filter(|s| s.kind == kind).collect::<Vec<_>>();
        let mut found = of(kind);
        if found.is_empty() {
            found = of("CNAME");
        }
        Lookup::Sets(choose(found, region))
    }

    fn has(&self, name: &str, kind: &str) -> bool {
        let sets = self.records.get(name);
        sets.is_some_and(|sets| sets.iter().any(|s| s.kind == kind))
    }
}

/// By their routing policy, which all of them share. Where none is healthy, all count as healthy.
fn choose<'z>(sets: Vec<&'z RecordSet>, region: Option<&str>) -> Vec<&'z RecordSet> {
    let healthy: Vec<&RecordSet> = sets.iter().copied().filter(|s| s.healthy).collect();
    let rng = &mut rand::rng();
    match sets.first().map(|set| &set.routing) {
        None => Vec::new(),
        Some(Routing::Simple) => sets,
        Some(Routing::Weighted(_)) => {
            let weight = |set: &&RecordSet| match set.routing {
                Routing::Weighted(weight) => f64::from(weight),
                _ => 0.0,
            };
            let from = if healthy.is_empty() { sets } else { healthy };
            // One of weight 0 is chosen only where there is no other.
            let chosen = from.choose_weighted(rng, weight).ok();
            let chosen = chosen.or_else(|| from.choose(rng));
            chosen.copied().into_iter().collect()
        }
        Some(Routing::Latency(_)) => {
            // Regions here are all on one machine: the asker's own is the closest, the others are
            // alike, in the order of their names.
            let key = |set: &&RecordSet| match &set.routing {
                Routing::Latency(of) => (Some(&**of) != region, of.clone()),
                _ => (true, String::new()),
            };
            let from = if healthy.is_empty() { sets } else { healthy };
            from.into_iter().min_by_key(key).into_iter().collect()
        }
        Some(Routing::Failover { .. }) => {
            let primary = |set: &&RecordSet| set.routing == Routing::Failover { primary: true };
            let first = |sets: &[&'z RecordSet]| {
                let preferred = sets.iter().copied().find(primary);
                preferred.or_else(|| sets.first().copied())
            };
            first(&healthy)
                .or_else(|| first(&sets))
                .into_iter()
                .collect()
        }
        Some(Routing::Multivalue) => {
            let from = if healthy.is_empty() { sets } else { healthy };
            from.into_iter().sample(rng, MULTIVALUE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, kind: &str, value: &str) -> RecordSet {
        RecordSet {
            name: name.into(),
            kind: kind.into(),
            answer: RecordAnswer::Values {
                ttl: 60,
                values: vec![value.into()],
            },
            routing: Routing::Simple,
            healthy: true,
        }
    }

    fn routed(value: &str, routing: Routing, healthy: bool) -> RecordSet {
        RecordSet {
            routing,
            healthy,
            ..set("www.example.com", "A", value)
        }
    }

    fn hosted(records: Vec<RecordSet>) -> Hosted {
        let zone = HostedZone {
            name: "example.com".into(),
            vpcs: None,
            records,
        };
        Hosted::new([zone].iter())
    }

    fn values(lookup: &Lookup<'_>) -> Vec<String> {
        let Lookup::Sets(sets) = lookup else {
            return vec![format!("{lookup:?}")];
        };
        let value = |set: &&RecordSet| match &set.answer {
            RecordAnswer::Values { values, .. } => values[0].clone(),
            RecordAnswer::Alias { name } => name.clone(),
        };
        sets.iter().map(value).collect()
    }

    #[test]
    fn names() {
        let hosted = hosted(vec![
            set("www.example.com", "A", "1"),
            set("mail.example.com", "CNAME", "2"),
            set("*.example.com", "TXT", "3"),
            set("a.b.example.com", "A", "4"),
            set("child.example.com", "NS", "5"),
        ]);
        let check = |name: &str, kind: &str, expected: &[&str]| {
            let found = hosted.find(name, kind, None);
            assert_eq!(values(&found), expected, "{name} {kind}");
        };
        check("www.example.com", "A", &["1"]);
        check("www.example.com", "TXT", &[]);
        check("mail.example.com", "A", &["2"]);
        check("x.example.com", "TXT", &["3"]);
        check("x.y.example.com", "TXT", &["3"]);
        // It exists, since something stands below it; so no wildcard is asked.
        check("b.example.com", "TXT", &[]);
        check("x.b.example.com", "TXT", &["NoSuchName"]);
        check("child.example.com", "NS", &["5"]);
        check("child.example.com", "A", &["Elsewhere"]);
        check("x.child.example.com", "A", &["Elsewhere"]);
        check("example.org", "A", &["Elsewhere"]);
        check("badexample.com", "A", &["Elsewhere"]);
    }

    #[test]
    fn texts_are_strings_with_escapes() {
        let check = |text: &str, expected: &[&str]| {
            let found = strings(text);
            let expected: Vec<&[u8]> = expected.iter().map(|s| s.as_bytes()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check(r#""v=spf1 -all""#, &["v=spf1 -all"]);
        check(r#""a" "b""#, &["a", "b"]);
        check(r#""a""b""#, &["a", "b"]);
        check(r#""say \"hi\" \\ \052""#, &[r#"say "hi" \ *"#]);
        check(r#""""#, &[""]);
        check(r#""open \"#, &["open \\"]);
    }

    #[test]
    fn the_closest_zone_answers() {
        let zone = |name: &str, record: RecordSet| HostedZone {
            name: name.into(),
            vpcs: None,
            records: vec![record],
        };
        let outer = zone("example.com", set("www.sub.example.com", "A", "1"));
        let inner = zone("sub.example.com", set("www.sub.example.com", "A", "2"));
        let hosted = Hosted::new([outer, inner].iter());
        assert_eq!(
            values(&hosted.find("www.sub.example.com", "A", None)),
            ["2"]
        );
        let other = hosted.find("other.sub.example.com", "A", None);
        assert_eq!(other, Lookup::NoSuchName);
    }

    #[test]
    fn routing() {
        let check = |records: Vec<RecordSet>, region: Option<&str>, expected: &[&str]| {
            let hosted = hosted(records.clone());
            let mut seen = HashSet::new();
            for _ in 0..200 {
                seen.extend(values(&hosted.find("www.example.com", "A", region)));
            }
            let mut seen: Vec<String> = seen.into_iter().collect();
            seen.sort();
            assert_eq!(seen, expected, "{records:?}");
        };
        let failover =
            |value, primary, healthy| routed(value, Routing::Failover { primary }, healthy);
        for (first, second, expected) in [
            (true, true, "1"),
            (false, true, "2"),
            (true, false, "1"),
            (false, false, "1"),
        ] {
            let sets = vec![failover("2", false, second), failover("1", true, first)];
            check(sets, None, &[expected]);
        }
        let weighted = |value, weight, healthy| routed(value, Routing::Weighted(weight), healthy);
        check(
            vec![weighted("1", 10, true), weighted("2", 10, true)],
            None,
            &["1", "2"],
        );
        check(
            vec![weighted("1", 10, true), weighted("2", 0, true)],
            None,
            &["1"],
        );
        check(
            vec![weighted("1", 10, false), weighted("2", 10, true)],
            None,
            &["2"],
        );
        // Only what has no weight is left.
        check(
            vec![weighted("1", 10, false), weighted("2", 0, true)],
            None,
            &["2"],
        );
        check(
            vec![weighted("1", 0, true), weighted("2", 0, true)],
            None,
            &["1", "2"],
        );
        check(
            vec![weighted("1", 10, false), weighted("2", 0, false)],
            None,
            &["1"],
        );
        let latency =
            |value, region: &str, healthy| routed(value, Routing::Latency(region.into()), healthy);
        let regions = vec![
            latency("1", "eu-west-1", true),
            latency("2", "us-east-1", true),
        ];
        check(regions.clone(), Some("us-east-1"), &["2"]);
        check(regions, Some("sa-east-1"), &["1"]);
        check(
            vec![
                latency("1", "eu-west-1", false),
                latency("2", "us-east-1", true),
            ],
            Some("eu-west-1"),
            &["2"],
        );
        let many = |value, healthy| routed(value, Routing::Multivalue, healthy);
        check(
            vec![many("1", true), many("2", false), many("3", true)],
            None,
            &["1", "3"],
        );
        check(vec![many("1", false), many("2", false)], None, &["1", "2"]);
    }
}
