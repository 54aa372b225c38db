//! Access log lines in AWS's format, one per request (A/load-balancer-access-logs.html).
//!
//! A worker collects lines and appends them to the node's file in blocks (`worker/log`), opening it
//! each time, so that whoever ships the file may simply rename it away. Lines are whole in every
//! append, so workers do not cut into each other's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::config::{ProtocolVersion, TargetGroup};
use crate::http::desync::{Classification, Tier};
use crate::text::{
    push_address, push_number, push_quoted, push_seconds, push_time, push_time_to_millis, write_hex,
};
use crate::tls::Session;

/// What is known of a request; `None` and empty become `-`.
#[derive(Clone, Debug)]
pub struct Entry {
    pub created: Timestamp,
    pub client: SocketAddr,
    pub target: Option<SocketAddr>,
    pub is_websocket: bool,
    /// Of a connection over TLS.
    pub session: Option<Rc<Session>>,
    pub request_processing_time: Option<Duration>,
    pub target_processing_time: Option<Duration>,
    pub response_processing_time: Option<Duration>,
    /// 0 when no answer could be sent.
    pub elb_status: u16,
    pub target_status: Option<u16>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// The request line and the user agent as the line has them, quotes and all: one piece of memory
    /// instead of two texts that are copied again.
    pub request: Vec<u8>,
    pub target_group: Option<Arc<TargetGroup>>,
    /// A new id of ours: the root, unless the client sent one.
    pub trace_id: Option<[u8; 35]>,
    /// The whole field, where the client sent one.
    pub trace: Vec<u8>,
    pub rule_priority: Option<u32>,
    pub actions: &'static str,
    pub redirect_url: String,
    pub classification: Classification,
    /// The connection's.
    pub connection: u64,
    /// Where a transform changed them.
    pub transformed_host: String,
    pub transformed_uri: String,
    pub transform_status: &'static str,
}

impl Entry {
    pub fn new(
        now: SystemTime,
        client: SocketAddr,
        connection: u64,
        session: Option<&Rc<Session>>,
    ) -> Entry {
        Entry {
            created: Timestamp::try_from(now).unwrap_or_default(),
            client,
            target: None,
            is_websocket: false,
            session: session.cloned(),
            request_processing_time: None,
            target_processing_time: None,
            response_processing_time: None,
            elb_status: 0,
            target_status: None,
            received_bytes: 0,
            sent_bytes: 0,
            request: Vec::new(),
            target_group: None,
            trace_id: None,
            trace: Vec::new(),
            rule_priority: None,
            actions: "",
            redirect_url: String::new(),
            classification: Classification::default(),
            connection,
            transformed_host: String::new(),
            transformed_uri: String::new(),
            transform_status: "",
        }
    }

    /// Names what was spoken to, where nobody understood what for.
    pub fn set_no_request(&mut self, dns_name: &str, port: u16) {
        let scheme = if self.session.is_some() {
            "https"
        } else {
            "http"
        };
        let name = dns_name.to_ascii_lowercase();
        self.request = format!(" \"- {scheme}://{name}:{port}- -\" \"-\"").into_bytes();
    }

    /// Appends the line, its newline included. `finished` is when the response was sent.
    pub fn write(&self, out: &mut Vec<u8>, load_balancer: &str, finished: Timestamp) {
        out.reserve(768);
        let session = self.session.as_deref();
        let kind: &[u8] = match (session, self.is_websocket) {
            (None, false) => b"http ",
            (None, true) => b"ws ",
            (Some(session), _) if session.is_http2 => match &self.target_group {
                Some(group) if group.protocol_version == ProtocolVersion::Grpc => b"grpcs ",
                _ => b"h2 ",
            },
            (Some(_), false) => b"https ",
            (Some(_), true) => b"wss ",
        };
        out.extend_from_slice(kind);
        push_time(out, finished);
        word(out, load_balancer);
        out.push(b' ');
        push_address(out, self.client);
        out.push(b' ');
        match self.target {
            Some(target) => push_address(out, target),
            None => out.push(b'-'),
        }
        for time in [
            self.request_processing_time,
            self.target_processing_time,
            self.response_processing_time,
        ] {
            match time {
                Some(time) => {
                    out.push(b' ');
                    push_seconds(out, time);
                }
                None => out.extend_from_slice(b" -1"),
            }
        }
        number(out, Some(self.elb_status).filter(|&status| status > 0));
        number(out, self.target_status);
        number(out, Some(self.received_bytes));
        number(out, Some(self.sent_bytes));
        out.extend_from_slice(&self.request);
        word(out, session.map_or("-", |session| session.cipher));
        word(out, session.map_or("-", |session| session.version));
        let group = self.target_group.as_ref();
        word(out, group.map_or("-", |group| group.name_in_logs()));
        match &self.trace_id {
            Some(id) if self.trace.is_empty() => {
                out.extend_from_slice(b" \"Root=");
                out.extend_from_slice(id);
                out.push(b'"');
            }
            _ => push_quoted(out, &self.trace),
        }
        // A name that only the default certificate was left for is not told.
        let named = session.filter(|session| session.is_named);
        let server_name = named.and_then(|session| session.server_name.as_deref());
        push_quoted(out, server_name.unwrap_or_default().as_bytes());
        let certificate = match session {
            Some(session) if session.is_resumed => "session-reused",
            Some(session) => &session.certificate,
            None => "",
        };
        push_quoted(out, certificate.as_bytes());
        number(out, self.rule_priority);
        out.push(b' ');
        push_time_to_millis(out, self.created);
        push_quoted(out, self.actions.as_bytes());
        push_quoted(out, self.redirect_url.as_bytes());
        out.extend_from_slice(b" \"-\"");
        // Lists, were a request sent to several.
        match self.target {
            Some(target) => {
                out.extend_from_slice(b" \"");
                push_address(out, target);
                out.push(b'"');
            }
            None => out.extend_from_slice(b" \"-\""),
        }
        match self.target_status {
            Some(status) => {
                out.extend_from_slice(b" \"");
                push_number(out, status.into());
                out.push(b'"');
            }
            None => out.extend_from_slice(b" \"-\""),
        }
        let tier: &[u8] = match self.classification.tier {
            Tier::Compliant => b"",
            Tier::Acceptable => b"Acceptable",
            Tier::Ambiguous => b"Ambiguous",
            Tier::Severe => b"Severe",
        };
        push_quoted(out, tier);
        push_quoted(out, self.classification.reason.as_bytes());
        out.push(b' ');
        push_trace(out, self.connection);
        push_quoted(out, self.transformed_host.as_bytes());
        push_quoted(out, self.transformed_uri.as_bytes());
        push_quoted(out, self.transform_status.as_bytes());
        out.push(b'\n');
    }
}

/// How logs name a connection: by 32 digits, of which 16 are its number and the others follow from it.
pub fn push_trace(out: &mut Vec<u8>, connection: u64) {
    let mut name = *b"TID_0123456789abcdef0123456789abcdef";
    write_hex(&mut name[4..20], connection);
    write_hex(
        &mut name[20..],
        connection.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    );
    out.extend_from_slice(&name);
}

fn word(out: &mut Vec<u8>, word: &str) {
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
}

fn number(out: &mut Vec<u8>, number: Option<impl Into<u64>>) {
    out.push(b' ');
    match number {
        Some(number) => push_number(out, number.into()),
        None => out.push(b'-'),
    }
}

/// Appends to the node's file. `creates` its directory where there is none: else nobody wants these
/// lines any more.
pub fn append(directory: &Path, node: &str, lines: &[u8], creates: bool) -> io::Result<()> {
    let path = directory.join(format!("{node}.log"));
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let file = match open() {
        Err(error) if is_missing(&error) && !creates => return Ok(()),
        Err(error) if is_missing(&error) => fs::create_dir_all(directory).and_then(|()| open()),
        opened => opened,
    };
    file?.write_all(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let created: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let client: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let mut entry = Entry::new(SystemTime::UNIX_EPOCH, client, 0xab, None);
        entry.created = created;
        entry.set_no_request("Web-1.elb.example", 80);
        let check = |entry: &Entry, expected: &str| {
            let mut out = Vec::new();
            entry.write(&mut out, "app/web/1", created);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(
            &entry,
            "http 2026-01-02T03:04:05.678901Z app/web/1 192.0.2.1:4711 - -1 -1 -1 - - 0 0 \
             \"- http://web-1.elb.example:80- -\" \"-\" - - - \"-\" \
             \"-\" \"-\" - 2026-01-02T03:04:05.678000Z \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" \
             TID_00000000000000abaf0e4ee806c0e207 \"-\" \"-\" \"-\"\n",
        );
        entry.request.clear();
        entry.target = Some("10.0.1.5:80".parse().unwrap());
        entry.request_processing_time = Some(Duration::ZERO);
        entry.target_processing_time = Some(Duration::from_micros(1_500));
        entry.response_processing_time = Some(Duration::ZERO);
        entry.elb_status = 200;
        entry.target_status = Some(200);
        push_quoted(&mut entry.request, b"GET http://h:80/\" HTTP/1.1");
        push_quoted(&mut entry.request, b"a\nb");
        entry.target_group = Some(Arc::new(TargetGroup {
            key: "targetgroup/web/2".into(),
            ..TargetGroup::default()
        }));
        entry.trace_id = Some(*b"1-00000000-000000000000000000000000");
        entry.rule_priority = Some(0);
        entry.actions = "forward";
        check(
            &entry,
            "http 2026-01-02T03:04:05.678901Z app/web/1 192.0.2.1:4711 10.0.1.5:80 0.000 0.002 0.000 200 200 0 0 \
             \"GET http://h:80/\\\" HTTP/1.1\" \"a\\x0ab\" - - targetgroup/web/2 \"Root=1-00000000-000000000000000000000000\" \"-\" \"-\" 0 \
             2026-01-02T03:04:05.678000Z \"forward\" \"-\" \"-\" \"10.0.1.5:80\" \"200\" \"-\" \"-\" \
             TID_00000000000000abaf0e4ee806c0e207 \"-\" \"-\" \"-\"\n",
        );
    }
}
