//! A query's bytes in, an answer's bytes out, or word that somebody else must answer.
//!
//! Negative answers carry no SOA but in hosted zones, so that nobody caches them (RFC 2308 §5): a
//! name that appears resolves at once.

use super::hosted::Answer;
use super::zone::{Found, Shared, Zone, normal};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rand::seq::SliceRandom;

/// What to do with a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Answer(Vec<u8>),
    /// Pass the query on to the host's resolver.
    Forward,
    /// The host's resolver knows the rest of the answer.
    Follow(Box<Follow>),
    /// No query at all; silence.
    None,
}

/// An answer that ends in a CNAME to what is not ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Follow {
    request: Message,
    begun: Message,
    transport: Transport,
    /// What to ask for the rest.
    pub query: Vec<u8>,
}

impl Follow {
    fn new(request: Message, begun: Message, rest: &str, transport: Transport) -> Option<Self> {
        let question = request.queries.first()?;
        let name = Name::from_ascii(format!("{rest}.")).ok()?;
        let mut asked = Message::query();
        asked.metadata.recursion_desired = true;
        asked.add_query(Query::query(name, question.query_type));
        let query = asked.to_vec().ok()?;
        Some(Self {
            request,
            begun,
            transport,
            query,
        })
    }

    /// The whole answer, with what the host's resolver said.
    pub fn end(mut self, rest: Option<&[u8]>) -> Reply {
        let code = match rest.map(Message::from_vec) {
            Some(Ok(rest)) => {
                self.begun.metadata.truncation |= rest.metadata.truncation;
                self.begun.add_answers(rest.answers);
                self.begun.add_authorities(rest.authorities);
                rest.metadata.response_code
            }
            _ => ResponseCode::ServFail,
        };
        self.begun.metadata.response_code = code;
        encode(self.begun, &self.request, self.transport)
    }
}

/// How the query came, which limits its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The largest UDP answer we announce, which no path on a host fragments (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// As the resolver of a VPC.
pub fn reply(query: &[u8], transport: Transport, zone: &Zone) -> Reply {
    let request = match question(query, transport) {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    let Some(question) = request.queries.first() else {
        return Reply::None;
    };
    let asked = question.query_type;
    let name = &question.name;
    let mut answer = response(&request, ResponseCode::NoError);
    match zone.find(&normal(&name.to_ascii()), asked) {
        Found::Elsewhere => return Reply::Forward,
        Found::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
        Found::Hosted(found) => {
            let rest = found.rest.clone();
            fill(&mut answer, *found);
            if let Some(rest) = rest {
                let follow = Follow::new(request, answer, &rest, transport);
                return follow.map_or_else(|| failure(query), |f| Reply::Follow(Box::new(f)));
            }
        }
        Found::Addresses(mut addresses, ttl)
            if matches!(asked, RecordType::A | RecordType::ANY) =>
        {
            addresses.shuffle(&mut rand::rng());
            for address in addresses {
                let data = RData::A(A(address));
                answer.add_answer(Record::from_rdata(name.clone(), ttl, data));
            }
        }
        Found::Pointer(target, ttl) if matches!(asked, RecordType::PTR | RecordType::ANY) => {
            if let Ok(target) = Name::from_ascii(format!("{target}.")) {
                let data = RData::PTR(PTR(target));
                answer.add_answer(Record::from_rdata(name.clone(), ttl, data));
            }
        }
        Found::Addresses(..) | Found::Pointer(..) | Found::Nothing => {}
    }
    encode(answer, &request, transport)
}

/// As a name server of public zones, which looks nothing up for others.
pub fn authoritative(query: &[u8], transport: Transport, names: &Shared) -> Reply {
    let request = match question(query, transport) {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    let Some(question) = request.queries.first() else {
        return Reply::None;
    };
    let name = normal(&question.name.to_ascii());
    let mut answer = response(&request, ResponseCode::Refused);
    answer.metadata.recursion_available = false;
    if let Some(found) = names.answer(&name, question.query_type) {
        answer.metadata.authoritative = true;
        answer.metadata.response_code = ResponseCode::NoError;
        fill(&mut answer, found);
    }
    encode(answer, &request, transport)
}

fn fill(answer: &mut Message, found: Answer) {
    let Answer {
        mut records,
        exists,
        authority,
        ..
    } = found;
    if !exists {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    // CNAMEs stay in front of what they lead to.
    let leads = |r: &Record| r.record_type() == RecordType::CNAME;
    let first = records.iter().take_while(|r| leads(r)).count();
    if !records[first..].iter().any(leads) {
        records[first..].shuffle(&mut rand::rng());
    }
    answer.add_answers(records);
    answer.add_authorities(authority);
}

/// The one question of a query; else what to say instead.
fn question(query: &[u8], transport: Transport) -> Result<Message, Reply> {
    let Ok(request) = Message::from_vec(query) else {
        return Err(malformed(query));
    };
    // Answering an answer could go on for ever.
    if request.metadata.message_type == MessageType::Response {
        return Err(Reply::None);
    }
    let code = match request.queries.as_slice() {
        _ if request.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
        [question] if question.query_class == DNSClass::IN => return Ok(request),
        [_] => ResponseCode::Refused,
        _ => ResponseCode::FormErr,
    };
    Err(encode(response(&request, code), &request, transport))
}

/// Says that nobody could be asked.
pub fn failure(query: &[u8]) -> Reply {
    match Message::from_vec(query) {
        Ok(request) => encode(
            response(&request, ResponseCode::ServFail),
            &request,
            Transport::Udp,
        ),
        Err(_) => malformed(query),
    }
}

fn response(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        response.set_edns(edns);
    }
    response
}

fn encode(response: Message, request: &Message, transport: Transport) -> Reply {
    let limit = match transport {
        Transport::Udp => usize::from(request.max_payload().max(512)),
        Transport::Tcp => usize::from(u16::MAX),
    };
    let encoded = match response.to_vec() {
        Ok(bytes) if bytes.len() > limit => response.truncate().to_vec(),
        encoded => encoded,
    };
    match encoded {
        Ok(bytes) => Reply::Answer(bytes),
        Err(error) => {
            tracing::debug!(%error, "encode a DNS answer");
            Reply::None
        }
    }
}

/// An error for a message of which only the id can be read, if that.
fn malformed(query: &[u8]) -> Reply {
    let Some((header, _)) = query.split_first_chunk::<12>() else {
        return Reply::None;
    };
    let [high, low, flags, ..] = *header;
    if flags & 0x80 != 0 {
        return Reply::None;
    }
    let id = u16::from_be_bytes([high, low]);
    match Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec() {
        Ok(bytes) => Reply::Answer(bytes),
        Err(_) => Reply::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::zone::Shared;
    use super::*;
    use crate::config::{self, Config, Vpc};
    use hickory_proto::op::Query;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn zone() -> Zone {
        let many = config::Name::new((0..60).map(|n| Ipv4Addr::new(198, 18, 0, n)));
        let few = config::Name::new((0..4).map(|n| Ipv4Addr::new(198, 18, 0, n)));
        let config = Config {
            names: [
                ("many.example".to_owned(), many),
                ("few.example".to_owned(), few),
            ]
            .into(),
            ..Config::default()
        };
        let vpc = Vpc {
            netns: None,
            region: "us-east-1".into(),
            cidrs: vec!["10.0.0.0/16".into()],
            metadata: None,
            resolvers: vec![],
            names: Default::default(),
            instances: vec![],
        };
        Zone::new("vpc-1", &vpc, Shared::new(&config))
    }

    fn query(name: &str, record: RecordType) -> Message {
        let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), record));
        message
    }

    fn answer(query: &Message, transport: Transport) -> Message {
        match reply(&query.to_vec().unwrap(), transport, &zone()) {
            Reply::Answer(bytes) => {
                let answer = Message::from_vec(&bytes).unwrap();
                assert_eq!(answer.metadata.id, 4711);
                assert_eq!(answer.metadata.message_type, MessageType::Response);
                assert!(answer.metadata.recursion_available);
                answer
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers() {
        fn check(name: &str, record: RecordType, expected: &str) {
            let answer = answer(&query(name, record), Transport::Udp);
            let data = answer
                .answers
                .iter()
                .map(|r| format!("{} {}", r.ttl, r.data));
            let text = match answer.metadata.response_code {
                ResponseCode::NoError => data.collect::<Vec<_>>().join(", "),
                code => format!("{code:?}"),
            };
            assert_eq!(text, expected, "{name} {record}");
        }
        check("ip-10-0-1-5.ec2.internal.", RecordType::A, "60 10.0.1.5");
        check("IP-10-0-1-5.Ec2.Internal.", RecordType::A, "60 10.0.1.5");
        check("ip-10-0-1-5.ec2.internal.", RecordType::AAAA, "");
        check("ip-10-0-1-5.ec2.internal.", RecordType::HTTPS, "");
        check("nobody.ec2.internal.", RecordType::A, "NXDomain");
        check("nobody.ec2.internal.", RecordType::AAAA, "NXDomain");
        check(
            "5.1.0.10.in-addr.arpa.",
            RecordType::PTR,
            "60 ip-10-0-1-5.ec2.internal.",
        );
        check("5.1.0.10.in-addr.arpa.", RecordType::A, "");
    }

    #[test]
    fn all_addresses_in_changing_order() {
        let query = query("few.example.", RecordType::A);
        let order = |_| -> Vec<String> {
            let answer = answer(&query, Transport::Udp);
            answer.answers.iter().map(|r| r.data.to_string()).collect()
        };
        let orders: Vec<_> = (0..50).map(order).collect();
        assert!(orders.iter().all(|o| o.len() == 4));
        assert!(orders.iter().any(|o| *o != orders[0]));
    }

    #[test]
    fn a_long_answer_is_cut_on_udp_only() {
        let mut query = query("many.example.", RecordType::A);
        let short = answer(&query, Transport::Udp);
        assert!(short.metadata.truncation && short.answers.is_empty());
        assert_eq!(answer(&query, Transport::Tcp).answers.len(), 60);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        query.set_edns(edns);
        let long = answer(&query, Transport::Udp);
        assert!(!long.metadata.truncation && long.answers.len() == 60);
    }

    #[test]
    fn refusals() {
        let to_vec = |m: &Message| m.to_vec().unwrap();
        let mut other = query("few.example.", RecordType::A);
        assert_eq!(
            reply(
                &to_vec(&query("example.org.", RecordType::A)),
                Transport::Udp,
                &zone()
            ),
            Reply::Forward
        );
        other.metadata.message_type = MessageType::Response;
        assert_eq!(reply(&to_vec(&other), Transport::Udp, &zone()), Reply::None);
        let mut other = query("few.example.", RecordType::A);
        other.metadata.op_code = OpCode::Update;
        let code = |m: &Message| answer(m, Transport::Udp).metadata.response_code;
        assert_eq!(code(&other), ResponseCode::NotImp);
        let mut other = query("few.example.", RecordType::A);
        other.queries[0].query_class = DNSClass::CH;
        assert_eq!(code(&other), ResponseCode::Refused);
        other.queries.clear();
        assert_eq!(code(&other), ResponseCode::FormErr);
        // Nothing to read an id from; an id but no more.
        assert_eq!(reply(b"\x12\x67", Transport::Udp, &zone()), Reply::None);
        let cut = &to_vec(&query("few.example.", RecordType::A))[..20];
        match reply(cut, Transport::Udp, &zone()) {
            Reply::Answer(bytes) => assert_eq!(bytes[..2], 4711u16.to_be_bytes()),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = reply(&bytes, Transport::Udp, &zone());
            let _ = failure(&bytes);
        }

        /// Near misses reach deeper than noise does.
        #[test]
        fn damaged_queries_are_survived(
            name in "[a-zA-Z0-9.-]{0,40}",
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let Ok(name) = Name::from_ascii(&name) else { return Ok(()) };
            let mut message = query("few.example.", RecordType::A);
            message.queries[0].name = name;
            message.set_edns(Edns::new());
            let mut bytes = message.to_vec().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Reply::Answer(answer) = reply(&bytes, Transport::Udp, &zone()) {
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(Message::from_vec(&answer).is_ok());
            }
        }
    }
}
