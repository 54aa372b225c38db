//! Header fields the balancer acts upon, told apart by one look at length and name.

/// A field that is more than cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Host,
    /// `Keep-Alive`, `Proxy-Connection`, `TE`: valid for one hop only.
    HopByHop,
    SetCookie,
    TraceId,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XForwardedPort,
    XForwardedProto,
    Other,
}

/// What a name, a token, stands for in any case.
pub fn field(name: &str) -> Field {
    match name.len() {
        2 if is(name, b"te") => Field::HopByHop,
        4 if is(name, b"host") => Field::Host,
        6 if is(name, b"cookie") => Field::Cookie,
        6 if is(name, b"expect") => Field::Expect,
        7 if is(name, b"upgrade") => Field::Upgrade,
        10 if is(name, b"connection") => Field::Connection,
        10 if is(name, b"user-agent") => Field::UserAgent,
        10 if is(name, b"keep-alive") => Field::HopByHop,
        10 if is(name, b"set-cookie") => Field::SetCookie,
        14 if is(name, b"content-length") => Field::ContentLength,
        15 if is(name, b"x-forwarded-for") => Field::XForwardedFor,
        15 if is(name, b"x-amzn-trace-id") => Field::TraceId,
        16 if is(name, b"x-forwarded-port") => Field::XForwardedPort,
        16 if is(name, b"proxy-connection") => Field::HopByHop,
        17 if is(name, b"transfer-encoding") => Field::TransferEncoding,
        17 if is(name, b"x-forwarded-proto") => Field::XForwardedProto,
        _ => Field::Other,
    }
}

/// Whether they are the same but for their case. Of what may stand in a token, only letters in either
/// case become these letters and only the hyphen the hyphen, so a few words are compared at once.
fn is<const LENGTH: usize>(name: &str, expected: &[u8; LENGTH]) -> bool {
    let name: Result<[u8; LENGTH], _> = name.as_bytes().try_into();
    name.is_ok_and(|name| name.map(|byte| byte | 0x20) == *expected)
}

/// Whether a field's name may have it (RFC 9110 §5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The comma-separated elements of a field value, trimmed, empty ones left out.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// A `Content-Length`: digits only, no sign, no list.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number that lenient parsers read in what is no `Content-Length`: with a sign, or said several
/// times over.
pub fn lenient_length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let unsigned = value.strip_prefix(b"+").unwrap_or(value);
    let mut numbers = unsigned.split(|&byte| byte == b',').map(content_length);
    let first = numbers.next()??;
    numbers.all(|other| other == Some(first)).then_some(first)
}

/// The protocols of an `Upgrade` field that a connection may become. HTTP/2 is none of them: rules,
/// headers and logs would know nothing of the requests in it, and RFC 9113 has done away with it. A
/// server may ignore the field (RFC 9110 §7.8).
pub fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    elements(value).filter(|protocol| {
        let name = protocol.split(|&byte| byte == b'/').next();
        let mut own = [&b"h2c"[..], b"h2", b"http"].into_iter();
        !own.any(|own| name.is_some_and(|name| name.eq_ignore_ascii_case(own)))
    })
}

/// What a `Connection` field asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// It names other fields as valid for this hop only.
    pub names_fields: bool,
}

impl Connection {
    pub fn note(&mut self, value: &[u8]) {
        for element in elements(value) {
            if element.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if element.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if element.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.names_fields = true;
            }
        }
    }

    /// Whether the connection may serve another message after this one.
    pub fn persists(&self, http_minor: u8) -> bool {
        !self.close && (http_minor >= 1 || self.keep_alive)
    }
}

/// Whether some `Connection` field among `headers` names `name`.
pub fn named_by_connection(headers: &[httparse::Header<'_>], name: &str) -> bool {
    headers
        .iter()
        .filter(|header| field(header.name) == Field::Connection)
        .any(|header| {
            elements(header.value).any(|element| element.eq_ignore_ascii_case(name.as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_lengths() {
        fn check(value: &str, expected: Option<u64>) {
            assert_eq!(content_length(value.as_bytes()), expected, "{value:?}");
        }
        check("0", Some(0));
        check(" 12\t", Some(12));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("+5", None);
        check("-5", None);
        check("5, 5", None);
        check("0x10", None);
        check("", None);
        check("1 2", None);
    }

    #[test]
    fn lengths_of_lenient_parsers() {
        fn check(value: &str, expected: Option<u64>) {
            assert_eq!(lenient_length(value.as_bytes()), expected, "{value:?}");
        }
        check("+5", Some(5));
        check(" 5, 5,5", Some(5));
        check("+5, 5", Some(5));
        for unreadable in [
            "5, 6",
            "-5",
            "++5",
            "0x10",
            "",
            "5,",
            "5 5",
            "18446744073709551616",
        ] {
            check(unreadable, None);
        }
    }

    #[test]
    fn protocols_to_become() {
        fn check(value: &str, expected: &[&str]) {
            let got: Vec<_> = protocols(value.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(got, expected, "{value:?}");
        }
        check("websocket", &["websocket"]);
        check("h2c, tcp/1.0 , H2C", &["tcp/1.0"]);
        check("HTTP/2.0, h2, TLS/1.2", &["TLS/1.2"]);
        check("", &[]);
    }

    #[test]
    fn connections() {
        fn check(minor: u8, value: &str, persists: bool) {
            let mut connection = Connection::default();
            connection.note(value.as_bytes());
            assert_eq!(connection.persists(minor), persists, "1.{minor} {value:?}");
        }
        check(1, "", true);
        check(1, "keep-alive", true);
        check(1, "Upgrade, CLOSE", false);
        check(0, "", false);
        check(0, "Keep-Alive", true);
        check(0, "keep-alive, close", false);
    }
}
