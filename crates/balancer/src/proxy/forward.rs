//! The head a target gets: written anew from what was understood of the client's.

use std::net::IpAddr;

use crate::config::header::Changes;
use crate::config::{Attributes, XffMode};
use crate::http::body::Body;
use crate::http::field::{Field, elements, field, named_by_connection, protocols};
use crate::http::request::Request;
use crate::http::target::split_port;
use crate::routing::Rewritten;
use crate::text::{push_ip, push_number};
use crate::tls::Session;

/// More addresses in `X-Forwarded-For` are refused with 463.
const XFF_LIMIT: usize = 30;
/// With longer headers the trace id is written anew instead of extended.
const TRACE_LIMIT: usize = 7 * 1024;

/// What is true of the connection the request came in on.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub client: IpAddr,
    pub client_port: u16,
    pub listener_port: u16,
    /// Of a connection over TLS.
    pub session: Option<&'a Session>,
    pub dns_name: &'a str,
    /// A new id, `1-…-…`.
    pub trace_id: &'a [u8],
    pub changes: &'a Changes,
    /// What a rule wants targets to see instead.
    pub rewritten: &'a Rewritten,
}

/// Too many addresses in `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyAddresses;

/// Appends the head for the target to `out`; says whether the client's had names of fields that AWS
/// finds invalid.
pub fn write(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    arrival: &Arrival<'_>,
    attributes: &Attributes,
) -> Result<bool, TooManyAddresses> {
    let rewritten = arrival.rewritten.host.as_deref();
    let sent = request.host.filter(|host| !host.is_empty());
    let host = rewritten.or(sent).unwrap_or(arrival.dns_name);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    match &arrival.rewritten.url {
        Some(url) => out.extend_from_slice(url.as_bytes()),
        None => write_target(out, request),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    forwarded_for(out, request, arrival, attributes)?;
    out.extend_from_slice(match arrival.session {
        None => b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: ",
        Some(_) => b"X-Forwarded-Proto: https\r\nX-Forwarded-Port: ",
    });
    push_number(out, arrival.listener_port.into());
    out.extend_from_slice(b"\r\nHost: ");
    if attributes.preserve_host_header {
        out.extend_from_slice(host.as_bytes());
    } else {
        let default_port = if arrival.session.is_some() { 443 } else { 80 };
        push_host(out, host, arrival.listener_port, default_port);
    }
    out.extend_from_slice(b"\r\nX-Amzn-Trace-Id: ");
    push_trace_id(out, request, arrival.trace_id);
    out.extend_from_slice(b"\r\n");
    let drops_tls_fields = secured_fields(out, arrival, attributes);
    match &request.body {
        Body::Chunked(_) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // A POST says that it is empty; a GET that said nothing goes on saying nothing.
        Body::Length(length) if *length > 0 || request.declares_length => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, *length);
            out.extend_from_slice(b"\r\n");
        }
        _ => {}
    }
    if request.upgrades {
        push_upgrade(out, request);
    }
    let mut has_invalid = false;
    for header in request.headers {
        let is_cargo = match field(header.name) {
            Field::Other | Field::Cookie | Field::UserAgent | Field::SetCookie => {
                !request.connection.names_fields
                    || !named_by_connection(request.headers, header.name)
            }
            // Answered by us, except for expectations that are not ours to know.
            Field::Expect => !header
                .value
                .trim_ascii()
                .eq_ignore_ascii_case(b"100-continue"),
            _ => false,
        };
        let is_ours = || is_tls_field(header.name) || arrival.changes.claims(header.name);
        if !is_cargo || drops_tls_fields && is_ours() {
            continue;
        }
        let is_valid = is_valid_name(header.name);
        has_invalid |= !is_valid;
        if is_valid || !attributes.drop_invalid_header_fields {
            push_field(out, header.name, header.value);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(has_invalid)
}

/// Fields that tell the target of the client's TLS; says whether the client's own of these names
/// have to go.
fn secured_fields(out: &mut Vec<u8>, arrival: &Arrival<'_>, attributes: &Attributes) -> bool {
    let Some(session) = arrival.session else {
        return attributes.tls_headers;
    };
    let mut push = |name, value: &str| {
        push_field(out, arrival.changes.name_of(name), value.as_bytes());
    };
    if attributes.tls_headers {
        push("X-Amzn-Tls-Version", session.version);
        push("X-Amzn-Tls-Cipher-Suite", session.cipher);
    }
    for (name, value) in session.client.iter().flat_map(|client| client.fields()) {
        push(name, value);
    }
    true
}

fn push_upgrade(out: &mut Vec<u8>, request: &Request<'_, '_>) {
    let fields = request.headers.iter();
    let fields = fields.filter(|header| field(header.name) == Field::Upgrade);
    let names: Vec<&[u8]> = fields.flat_map(|header| protocols(header.value)).collect();
    push_field(out, "Connection", b"Upgrade");
    push_field(out, "Upgrade", &names.join(&b", "[..]));
}

fn is_tls_field(name: &str) -> bool {
    let begins_with = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    };
    begins_with("x-amzn-tls-") || begins_with("x-amzn-mtls-")
}

fn write_target(out: &mut Vec<u8>, request: &Request<'_, '_>) {
    if request.target.authority.is_none() {
        return out.extend_from_slice(request.raw_target.as_bytes());
    }
    out.extend_from_slice(request.target.path.as_bytes());
    if let Some(query) = request.target.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
}

fn forwarded_for(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    arrival: &Arrival<'_>,
    attributes: &Attributes,
) -> Result<(), TooManyAddresses> {
    let sent = request
        .headers
        .iter()
        .filter(|header| field(header.name) == Field::XForwardedFor);
    match attributes.xff_mode {
        XffMode::Remove => {}
        XffMode::Preserve => sent.for_each(|header| push_field(out, header.name, header.value)),
        XffMode::Append => {
            out.extend_from_slice(b"X-Forwarded-For: ");
            let mut count = 0;
            for address in sent.flat_map(|header| elements(header.value)) {
                out.extend_from_slice(address);
                out.extend_from_slice(b", ");
                count += 1;
            }
            if count > XFF_LIMIT {
                return Err(TooManyAddresses);
            }
            let brackets = attributes.xff_client_port && arrival.client.is_ipv6();
            out.extend(brackets.then_some(b'['));
            push_ip(out, arrival.client);
            out.extend(brackets.then_some(b']'));
            if attributes.xff_client_port {
                out.push(b':');
                push_number(out, arrival.client_port.into());
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    Ok(())
}

/// Lower case; the port only if it is not the default one.
fn push_host(out: &mut Vec<u8>, host: &str, listener_port: u16, default_port: u16) {
    let (name, port) = split_port(host);
    out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    if listener_port == default_port {
        return;
    }
    out.push(b':');
    match port {
        Some(port) if !port.is_empty() => out.extend_from_slice(port.as_bytes()),
        _ => push_number(out, listener_port.into()),
    }
}

/// The client's id with our `Self` in front if it has a root, else a new root.
pub fn push_trace_id(out: &mut Vec<u8>, request: &Request<'_, '_>, new: &[u8]) {
    let sent = request.trace_id.filter(|_| request.length <= TRACE_LIMIT);
    let parts = || {
        sent.unwrap_or_default()
            .split(|&byte| byte == b';')
            .map(<[u8]>::trim_ascii)
    };
    let is = |part: &[u8], key: &[u8]| {
        part.len() > key.len() && part[..key.len()].eq_ignore_ascii_case(key)
    };
    if parts().any(|part| is(part, b"root=")) {
        out.extend_from_slice(b"Self=");
        out.extend_from_slice(new);
    } else {
        out.extend_from_slice(b"Root=");
        out.extend_from_slice(new);
    }
    for part in parts().filter(|part| !part.is_empty() && !is(part, b"self=")) {
        out.push(b';');
        out.extend_from_slice(part);
    }
}

/// Looks at all of them, many at a time.
fn is_valid_name(name: &str) -> bool {
    name.bytes().fold(true, |so_far, byte| {
        so_far & (byte.is_ascii_alphanumeric() | (byte == b'-'))
    })
}

pub fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{fields, parse};

    fn rewrite(
        head: &str,
        listener_port: u16,
        attributes: &Attributes,
    ) -> Result<String, TooManyAddresses> {
        let mut room = fields();
        let request = parse(head.as_bytes(), &mut room).unwrap().unwrap();
        let arrival = Arrival {
            client: IpAddr::from([192, 0, 2, 7]),
            client_port: 4711,
            listener_port,
            session: None,
            dns_name: "lb.example",
            trace_id: b"1-new",
            changes: &Changes::default(),
            rewritten: &Rewritten::default(),
        };
        let mut out = Vec::new();
        write(&mut out, &request, &arrival, attributes)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// The lines of the head sent for a GET with `extra` fields, without the usual ones.
    fn check(extra: &str, attributes: &Attributes, expected: &[&str]) {
        let head = format!("GET /a?b HTTP/1.1\r\nHost: H.com\r\n{extra}\r\n");
        let out = rewrite(&head, 80, attributes).unwrap();
        assert!(out.ends_with("\r\n\r\n"));
        for line in expected {
            let found = out.split("\r\n").any(|sent| sent == *line);
            match line.strip_prefix('!') {
                Some(name) => assert!(
                    !out.to_ascii_lowercase()
                        .contains(&name.to_ascii_lowercase()),
                    "{name} in {out}"
                ),
                None => assert!(found, "{line} not in {out}"),
            }
        }
    }

    #[test]
    fn whole_head() {
        let out = rewrite(
            "GET /a?b HTTP/1.1\r\nHost: H.com\r\nAccept: */*\r\n\r\n",
            80,
            &Attributes::default(),
        );
        let expected = "GET /a?b HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
                        X-Forwarded-Port: 80\r\nHost: h.com\r\nX-Amzn-Trace-Id: Root=1-new\r\nAccept: */*\r\n\r\n";
        assert_eq!(out.unwrap(), expected);
    }

    #[test]
    fn fields_that_change() {
        let plain = Attributes::default();
        check(
            "X-Forwarded-For: a\r\nx-forwarded-for: b, c\r\n",
            &plain,
            &["X-Forwarded-For: a, b, c, 192.0.2.7"],
        );
        check(
            "X-Forwarded-Proto: https\r\n",
            &plain,
            &["X-Forwarded-Proto: http", "!https"],
        );
        check("X-Forwarded-Port: 1\r\n", &plain, &["X-Forwarded-Port: 80"]);
        check(
            "Connection: close, X-Private\r\nX-Private: 1\r\n",
            &plain,
            &["!private", "!connection"],
        );
        check(
            "TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n",
            &plain,
            &["!te:", "!keep-alive", "!proxy", "!h2c"],
        );
        check("Expect: 100-continue\r\n", &plain, &["!expect"]);
        check(
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            &plain,
            &["Transfer-Encoding: chunked", "!content-length"],
        );
        check(
            "Connection: upgrade\r\nUpgrade: WebSocket\r\n",
            &plain,
            &["Connection: Upgrade", "Upgrade: WebSocket"],
        );
        check(
            "Connection: upgrade\r\nUpgrade: h2c, tcp/1\r\nUpgrade: x\r\n",
            &plain,
            &["Connection: Upgrade", "Upgrade: tcp/1, x", "!h2c"],
        );
        check("Upgrade: tcp\r\n", &plain, &["!upgrade"]);
        check("a_b: 1\r\n", &plain, &["a_b: 1"]);
        check(
            "a_b: 1\r\nc: 2\r\n",
            &Attributes {
                drop_invalid_header_fields: true,
                ..plain.clone()
            },
            &["!a_b", "c: 2"],
        );
        check(
            "X-Forwarded-For: a\r\n",
            &Attributes {
                xff_mode: XffMode::Preserve,
                ..plain.clone()
            },
            &["X-Forwarded-For: a"],
        );
        check(
            "X-Forwarded-For: a\r\n",
            &Attributes {
                xff_mode: XffMode::Remove,
                ..plain.clone()
            },
            &["!forwarded-for"],
        );
        check(
            "",
            &Attributes {
                xff_client_port: true,
                ..plain.clone()
            },
            &["X-Forwarded-For: 192.0.2.7:4711"],
        );
        check(
            "",
            &Attributes {
                preserve_host_header: true,
                ..plain.clone()
            },
            &["Host: H.com"],
        );
        check(
            "X-Amzn-Trace-Id: Root=1-old;Self=1-x;A=b\r\n",
            &plain,
            &["X-Amzn-Trace-Id: Self=1-new;Root=1-old;A=b"],
        );
        check(
            "X-Amzn-Trace-Id: A=b\r\n",
            &plain,
            &["X-Amzn-Trace-Id: Root=1-new;A=b"],
        );
        let long = format!(
            "X: {}\r\nX-Amzn-Trace-Id: Root=1-old\r\n",
            "x".repeat(8_000)
        );
        check(&long, &plain, &["X-Amzn-Trace-Id: Root=1-new"]);
    }

    #[test]
    fn hosts_and_targets() {
        fn check(line: &str, host: &str, port: u16, first: &str, expected: &str) {
            let head = format!("{line}\r\n{host}\r\n");
            let out = rewrite(&head, port, &Attributes::default()).unwrap();
            assert!(out.starts_with(first), "{out}");
            assert!(out.contains(&format!("\r\nHost: {expected}\r\n")), "{out}");
        }
        check(
            "GET / HTTP/1.1",
            "Host: h:80\r\n",
            80,
            "GET / HTTP/1.1\r\n",
            "h",
        );
        check(
            "GET / HTTP/1.1",
            "Host: h\r\n",
            8080,
            "GET / HTTP/1.1\r\n",
            "h:8080",
        );
        check(
            "GET / HTTP/1.1",
            "Host: h:9090\r\n",
            8080,
            "GET / HTTP/1.1\r\n",
            "h:9090",
        );
        check("GET / HTTP/1.0", "", 80, "GET / HTTP/1.1\r\n", "lb.example");
        check(
            "GET http://x/p?q HTTP/1.1",
            "Host: h\r\n",
            80,
            "GET /p?q HTTP/1.1\r\n",
            "x",
        );
        check(
            "OPTIONS * HTTP/1.1",
            "Host: h\r\n",
            80,
            "OPTIONS * HTTP/1.1\r\n",
            "h",
        );
    }

    #[test]
    fn too_many_addresses() {
        let head = |count: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {}\r\n\r\n",
                vec!["1.1.1.1"; count].join(",")
            )
        };
        assert!(rewrite(&head(30), 80, &Attributes::default()).is_ok());
        assert_eq!(
            rewrite(&head(31), 80, &Attributes::default()),
            Err(TooManyAddresses)
        );
    }
}
