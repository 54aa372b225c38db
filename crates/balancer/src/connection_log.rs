//! Connection log lines in AWS's format, one per connection (A/load-balancer-connection-logs.html).
//!
//! They are collected and written like those of `access_log`.

use std::time::Duration;

use jiff::Timestamp;

use crate::access_log::push_trace;
use crate::proxy::Arrival;
use crate::text::{push_ip, push_number, push_quoted, push_seconds, push_time};
use crate::tls::Session;

/// What became of TLS.
pub enum Handshake<'a> {
    /// The listener has none.
    None,
    Done {
        session: &'a Session,
        took: Duration,
    },
    Failed(&'static str),
}

/// Appends the line, its newline included.
pub fn write(out: &mut Vec<u8>, arrival: &Arrival, handshake: &Handshake<'_>, at: Timestamp) {
    push_time(out, at);
    out.push(b' ');
    push_ip(out, arrival.peer.ip());
    for port in [arrival.peer.port(), arrival.port] {
        out.push(b' ');
        push_number(out, port.into());
    }
    let mut client = None;
    match handshake {
        Handshake::Done { session, took } => {
            client = session.client.as_ref();
            for word in [session.version, session.cipher] {
                out.push(b' ');
                out.extend_from_slice(word.as_bytes());
            }
            out.push(b' ');
            push_seconds(out, *took);
        }
        Handshake::None | Handshake::Failed(_) => out.extend_from_slice(b" - - -"),
    }
    push_quoted(out, client.map_or(b"", |client| client.subject.as_bytes()));
    let (validity, serial_number) = client.map_or(("-", "-"), |client| {
        (client.validity.as_str(), client.serial_number.as_str())
    });
    let verified = match handshake {
        Handshake::None => "-".to_owned(),
        Handshake::Done { .. } => "Success".to_owned(),
        Handshake::Failed(why) => format!("Failed:{why}"),
    };
    for word in [validity, serial_number, &verified] {
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b' ');
    push_trace(out, arrival.trace);
    out.push(b'\n');
}
