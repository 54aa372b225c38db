//! Access log lines of network load balancers, one for each flow of a TLS listener that has ended (the
//! Network Load Balancer guide, `load-balancer-access-logs.html`).
//!
//! They are collected and written like those of `access_log`.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::text::{push_address, push_number};
use crate::tls::Session;

/// What is known of a flow; `None` and empty become `-`.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub created: Timestamp,
    /// ARN; its last part is the listener's id.
    pub listener: &'a str,
    pub client: SocketAddr,
    /// What the client connected to.
    pub server: SocketAddr,
    /// Of the whole connection, and of the handshake if there was one.
    pub took: Duration,
    pub handshake: Option<Duration>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// The client's complaint that ended the handshake.
    pub alert: Option<u8>,
    pub session: Option<&'a Session>,
    /// What the target was asked to speak.
    pub target_alpn: Option<&'a str>,
}

impl Entry<'_> {
    /// Appends the line, its newline included. `ended` is when the flow did.
    pub fn write(&self, out: &mut Vec<u8>, load_balancer: &str, ended: Timestamp) {
        let session = self.session;
        out.extend_from_slice(b"tls 2.0");
        word(out, Some(&time(ended)));
        word(out, Some(load_balancer));
        word(out, self.listener.rsplit('/').next());
        for address in [self.client, self.server] {
            out.push(b' ');
            push_address(out, address);
        }
        number(out, Some(millis(self.took)));
        number(out, self.handshake.map(millis));
        number(out, Some(self.received_bytes));
        number(out, Some(self.sent_bytes));
        number(out, self.alert.map(u64::from));
        word(out, session.map(|session| session.certificate.as_str()));
        // The certificate's serial number, which AWS leaves out as well.
        word(out, None);
        word(out, session.map(|session| session.cipher));
        let version = session.map(|session| match session.version {
            "TLSv1.3" => "tlsv13",
            "TLSv1.2" => "tlsv12",
            _ => "-",
        });
        word(out, version);
        // The named group, the same.
        word(out, None);
        word(out, session.and_then(|s| s.server_name.as_deref()));
        word(out, session.and_then(|s| s.alpn.as_deref()));
        word(out, self.target_alpn);
        let offered = session.map_or(&[][..], |session| &session.offered_alpn);
        let quoted = offered
            .iter()
            .map(|name| format!("\"{}\"", name.replace('"', "")));
        let offered: Vec<String> = quoted.collect();
        word(out, Some(offered.join(",").as_str()));
        word(out, Some(&time(self.created)));
        out.push(b'\n');
    }
}

/// To the second, and without a zone.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a client says must not end a word or a line.
fn word(out: &mut Vec<u8>, word: Option<&str>) {
    out.push(b' ');
    let before = out.len();
    out.extend(
        word.unwrap_or_default()
            .bytes()
            .filter(u8::is_ascii_graphic),
    );
    if out.len() == before {
        out.push(b'-');
    }
}

fn number(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => {
            out.push(b' ');
            push_number(out, number);
        }
        None => out.extend_from_slice(b" -"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let created: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let mut entry = Entry {
            created,
            listener: "arn:aws:elasticloadbalancing:us-east-1:0:listener/net/flows/1/2",
            client: "192.0.2.1:4711".parse().unwrap(),
            server: "10.0.1.5:443".parse().unwrap(),
            took: Duration::from_millis(1_234),
            handshake: None,
            received_bytes: 0,
            sent_bytes: 0,
            alert: Some(46),
            session: None,
            target_alpn: None,
        };
        let check = |entry: &Entry<'_>, expected: &str| {
            let mut out = Vec::new();
            entry.write(&mut out, "net/flows/1", created + entry.took);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(
            &entry,
            "tls 2.0 2026-01-02T03:04:06 net/flows/1 2 192.0.2.1:4711 10.0.1.5:443 1234 - 0 0 46 - - - - - - - - - \
             2026-01-02T03:04:05\n",
        );
        let session = Session {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            server_name: Some("a.example".into()),
            certificate: "arn:c".into(),
            alpn: Some("h2".into()),
            offered_alpn: vec!["h2".into(), "http/1.1".into(), "a \"\nb".into()],
            ..Session::default()
        };
        entry.handshake = Some(Duration::from_micros(2_900));
        (entry.received_bytes, entry.sent_bytes) = (98, 246);
        (entry.alert, entry.session) = (None, Some(&session));
        check(
            &entry,
            "tls 2.0 2026-01-02T03:04:06 net/flows/1 2 192.0.2.1:4711 10.0.1.5:443 1234 2 98 246 - arn:c - \
             TLS_AES_128_GCM_SHA256 tlsv13 - a.example h2 - \"h2\",\"http/1.1\",\"ab\" 2026-01-02T03:04:05\n",
        );
    }
}
