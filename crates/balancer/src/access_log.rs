//! Access log lines in AWS's format, one per request (A/load-balancer-access-logs.html).
//!
//! A worker collects lines and appends them to the node's file once a second, opening it
//! each time, so that whoever ships the file may simply rename it away. Lines are whole in every
//! append, so workers do not cut into each other's.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::http::desync::{Classification, Tier};
use crate::tls::Session;

/// What is known of a request; `None` and empty become `-`.
#[derive(Clone, Debug)]
pub struct Entry {
    pub load_balancer: String,
    pub created: Timestamp,
    pub client: SocketAddr,
    pub target: Option<SocketAddr>,
    pub is_websocket: bool,
    /// Of a connection over TLS.
    pub session: Option<Session>,
    pub request_processing_time: Option<Duration>,
    pub target_processing_time: Option<Duration>,
    pub response_processing_time: Option<Duration>,
    /// 0 when no answer could be sent.
    pub elb_status: u16,
    pub target_status: Option<u16>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// `METHOD url HTTP/1.x`
    pub request: String,
    pub user_agent: String,
    pub target_group: String,
    pub trace_id: String,
    pub rule_priority: Option<u32>,
    pub actions: &'static str,
    pub redirect_url: String,
    pub classification: Classification,
}

impl Entry {
    pub fn new(load_balancer: &str, client: SocketAddr, created: Timestamp) -> Entry {
        Entry {
            load_balancer: load_balancer.to_owned(),
            created,
            client,
            target: None,
            is_websocket: false,
            session: None,
            request_processing_time: None,
            target_processing_time: None,
            response_processing_time: None,
            elb_status: 0,
            target_status: None,
            received_bytes: 0,
            sent_bytes: 0,
            request: "- - -".into(),
            user_agent: String::new(),
            target_group: String::new(),
            trace_id: String::new(),
            rule_priority: None,
            actions: "",
            redirect_url: String::new(),
            classification: Classification::default(),
        }
    }

    /// Appends the line, its newline included. `finished` is when the response was sent.
    pub fn write(&self, out: &mut Vec<u8>, finished: Timestamp) {
        let mut line = String::with_capacity(512);
        let session = self.session.as_ref();
        let kind = match (session, self.is_websocket) {
            (None, false) => "http",
            (None, true) => "ws",
            (Some(session), _) if session.is_http2 => "h2",
            (Some(_), false) => "https",
            (Some(_), true) => "wss",
        };
        let _ = write!(
            line,
            "{kind} {finished:.6} {} {}",
            self.load_balancer, self.client
        );
        field(&mut line, self.target);
        for time in [
            self.request_processing_time,
            self.target_processing_time,
            self.response_processing_time,
        ] {
            match time {
                Some(time) => _ = write!(line, " {:.3}", time.as_secs_f64()),
                None => line.push_str(" -1"),
            }
        }
        field(
            &mut line,
            Some(self.elb_status).filter(|&status| status > 0),
        );
        field(&mut line, self.target_status);
        let _ = write!(line, " {} {}", self.received_bytes, self.sent_bytes);
        quoted(&mut line, &self.request);
        quoted(&mut line, &self.user_agent);
        field(&mut line, session.map(|session| session.cipher));
        field(&mut line, session.map(|session| session.version));
        field(
            &mut line,
            Some(&self.target_group).filter(|group| !group.is_empty()),
        );
        quoted(&mut line, &self.trace_id);
        let server_name = session.and_then(|session| session.server_name.as_deref());
        quoted(&mut line, server_name.unwrap_or_default());
        quoted(
            &mut line,
            session.map_or("", |session| &session.certificate),
        );
        field(&mut line, self.rule_priority);
        let _ = write!(line, " {:.6}", self.created);
        quoted(&mut line, self.actions);
        quoted(&mut line, &self.redirect_url);
        line.push_str(" \"-\"");
        quoted(
            &mut line,
            &self
                .target
                .map_or(String::new(), |target| target.to_string()),
        );
        quoted(
            &mut line,
            &self
                .target_status
                .map_or(String::new(), |status| status.to_string()),
        );
        let tier = match self.classification.tier {
            Tier::Compliant => "",
            Tier::Acceptable => "Acceptable",
            Tier::Ambiguous => "Ambiguous",
            Tier::Severe => "Severe",
        };
        quoted(&mut line, tier);
        quoted(&mut line, self.classification.reason);
        line.push_str(" - \"-\" \"-\" \"-\"\n");
        out.extend_from_slice(line.as_bytes());
    }
}

fn field(line: &mut String, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => _ = write!(line, " {value}"),
        None => line.push_str(" -"),
    }
}

/// Quotes, backslashes and control characters are escaped, so a client cannot forge a line.
fn quoted(line: &mut String, value: &str) {
    line.push_str(" \"");
    if value.is_empty() {
        line.push('-');
    }
    for character in value.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(line, "\\x{byte:02x}");
                }
            }
        }
    }
    line.push('"');
}

/// Appends to the node's file.
pub fn append(directory: &Path, node: &str, lines: &[u8]) -> io::Result<()> {
    let path = directory.join(format!("{node}.log"));
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let file = open().or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => fs::create_dir_all(directory).and_then(|()| open()),
        _ => Err(error),
    });
    file?.write_all(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let created: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let client: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let mut entry = Entry::new("app/web/1", client, created);
        let check = |entry: &Entry, expected: &str| {
            let mut out = Vec::new();
            entry.write(&mut out, created);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(
            &entry,
            "http 2026-01-02T03:04:05.678901Z app/web/1 192.0.2.1:4711 - -1 -1 -1 - - 0 0 \"- - -\" \"-\" - - - \"-\" \
             \"-\" \"-\" - 2026-01-02T03:04:05.678901Z \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" - \"-\" \"-\" \"-\"\n",
        );
        entry.target = Some("10.0.1.5:80".parse().unwrap());
        entry.request_processing_time = Some(Duration::ZERO);
        entry.target_processing_time = Some(Duration::from_micros(1_500));
        entry.response_processing_time = Some(Duration::ZERO);
        entry.elb_status = 200;
        entry.target_status = Some(200);
        entry.request = "GET http://h:80/\" HTTP/1.1".into();
        entry.user_agent = "a\nb".into();
        entry.target_group = "targetgroup/web/2".into();
        entry.rule_priority = Some(0);
        entry.actions = "forward";
        check(
            &entry,
            "http 2026-01-02T03:04:05.678901Z app/web/1 192.0.2.1:4711 10.0.1.5:80 0.000 0.002 0.000 200 200 0 0 \
             \"GET http://h:80/\\\" HTTP/1.1\" \"a\\x0ab\" - - targetgroup/web/2 \"-\" \"-\" \"-\" 0 \
             2026-01-02T03:04:05.678901Z \"forward\" \"-\" \"-\" \"10.0.1.5:80\" \"200\" \"-\" \"-\" - \"-\" \"-\" \"-\"\n",
        );
    }
}
