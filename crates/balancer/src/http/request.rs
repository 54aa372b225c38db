//! A request head: found, parsed, and understood.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::body::Body;
use super::desync::{Classification, Tier, is_suspicious_name};
use super::field::{Connection, Field, content_length, elements, field, lenient_length, protocols};
use super::target::{Target, is_host};

/// Request line and one header field, each (A/load-balancer-limits.html).
pub const LINE_LIMIT: usize = 16 * 1024;
/// The whole head.
pub const HEAD_LIMIT: usize = 64 * 1024;
/// More fields than this is a malformed request; AWS limits bytes only, which no sane head reaches.
pub const FIELD_LIMIT: usize = 256;

pub type Fields<'b> = [MaybeUninit<Header<'b>>; FIELD_LIMIT];

/// Room for [`parse`]; uninitialised, so that a small head costs nothing for it.
pub fn fields<'b>() -> Fields<'b> {
    [const { MaybeUninit::uninit() }; FIELD_LIMIT]
}

#[derive(Debug)]
pub struct Request<'h, 'b> {
    pub method: &'b str,
    /// The whole target as sent.
    pub raw_target: &'b str,
    pub target: Target<'b>,
    /// 0 or 1.
    pub minor: u8,
    pub headers: &'h [Header<'b>],
    /// Bytes of the head.
    pub length: usize,
    /// Of an absolute target, else of the first `Host` field. HTTP/1.0 may have none.
    pub host: Option<&'b str>,
    pub body: Body,
    /// There is a `Content-Length`.
    pub declares_length: bool,
    /// The first field's, empty if there is none.
    pub user_agent: &'b [u8],
    pub trace_id: Option<&'b [u8]>,
    pub connection: Connection,
    /// It waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// It asks to speak another protocol from the response on, and nothing but that.
    pub upgrades: bool,
    /// That of WebSockets.
    pub is_websocket: bool,
    pub classification: Classification,
}

/// Why a head is refused, each with the status code AWS answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 400, with the classification reason for the access log.
    Malformed(&'static str),
    /// 405: TRACE and CONNECT.
    Method,
    /// 414
    UriTooLong,
    /// 501: a transfer coding other than chunked.
    TransferCoding,
    /// 505
    Version,
}

impl Refused {
    pub fn status(self) -> u16 {
        match self {
            Refused::Malformed(_) => 400,
            Refused::Method => 405,
            Refused::UriTooLong => 414,
            Refused::TransferCoding => 501,
            Refused::Version => 505,
        }
    }
}

impl Request<'_, '_> {
    pub fn keeps_alive(&self) -> bool {
        self.connection.persists(self.minor)
    }
}

/// Whether the head that starts at the buffer's beginning may be complete: nothing is parsed again
/// before it is, so that a head sent byte by byte costs no more than one sent at once.
/// `from` is where the bytes begin that were not looked at before.
pub fn may_be_complete(buffer: &[u8], from: usize) -> bool {
    let from = from.saturating_sub(3).min(buffer.len());
    memchr::memchr_iter(b'\n', &buffer[from..]).any(|at| {
        let rest = &buffer[from + at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// The head at the start of `buffer`; `None` if it is not complete yet.
pub fn parse<'h, 'b>(
    buffer: &'b [u8],
    fields: &'h mut Fields<'b>,
) -> Result<Option<Request<'h, 'b>>, Refused> {
    let mut parsed = httparse::Request::new(&mut []);
    let status =
        ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, buffer, fields);
    let length = match status {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return check_limits(buffer).map(|()| None),
        Err(error) => return Err(refusal(error, buffer)),
    };
    check_limits(&buffer[..length])?;
    let (Some(method), Some(raw_target), Some(minor)) =
        (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refused::Malformed("BadMethod"));
    };
    if method == "TRACE" || method == "CONNECT" {
        return Err(Refused::Method);
    }
    let Some(target) = Target::parse(raw_target) else {
        return Err(Refused::Malformed("BadUri"));
    };
    let headers: &'h [Header<'b>] = parsed.headers;
    let mut request = Request {
        method,
        raw_target,
        target,
        minor,
        headers,
        length,
        host: target.authority,
        body: Body::NONE,
        declares_length: false,
        user_agent: b"",
        trace_id: None,
        connection: Connection::default(),
        expects_continue: false,
        upgrades: false,
        is_websocket: false,
        classification: Classification::default(),
    };
    understand(&mut request)?;
    if has_bare_line_feed(&buffer[..length]) {
        request
            .classification
            .note(Tier::Acceptable, "NonCrLfLineTermination");
    }
    Ok(Some(request))
}

/// Whether a line of the head ends without CR.
fn has_bare_line_feed(head: &[u8]) -> bool {
    // Looks at all of them, many at a time: heads are short and their lines shorter.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare = pairs.fold(false, |so_far, (&before, &byte)| {
        so_far | (byte == b'\n' && before != b'\r')
    });
    bare || head.first() == Some(&b'\n')
}

/// Fills in what the fields say.
///
/// What is severe and has a reading all the same gets it, for the mode that lets it through: the first
/// of several lengths, as parsers that ignore the others; a number with a sign; chunks once. What
/// becomes of the request is for its classification to decide.
fn understand(request: &mut Request<'_, '_>) -> Result<(), Refused> {
    let mut lengths: Option<u64> = None;
    let mut codings = 0;
    let (mut upgrades, mut to_websocket) = (false, false);
    let mut found = Classification::default();
    for header in request.headers {
        match field(header.name) {
            Field::Host => {
                let host = std::str::from_utf8(header.value)
                    .ok()
                    .filter(|host| is_host(host));
                let host = host.ok_or(Refused::Malformed("BadHeader"))?;
                request.host.get_or_insert(host);
            }
            Field::ContentLength => {
                let length = content_length(header.value).or_else(|| {
                    found.note(Tier::Severe, "BadContentLength");
                    lenient_length(header.value)
                });
                let length = length.ok_or(Refused::Malformed("BadContentLength"))?;
                match lengths {
                    None => lengths = Some(length),
                    Some(first) if first != length => {
                        found.note(Tier::Severe, "MultipleContentLength");
                    }
                    Some(_) => found.note(Tier::Ambiguous, "DuplicateContentLength"),
                }
            }
            Field::TransferEncoding => {
                for coding in elements(header.value) {
                    if coding.eq_ignore_ascii_case(b"chunked") {
                        codings += 1;
                    } else if !coding.eq_ignore_ascii_case(b"identity") {
                        return Err(Refused::TransferCoding);
                    }
                }
                if header.value.trim_ascii().is_empty() {
                    found.note(Tier::Severe, "BadTransferEncoding");
                }
            }
            Field::UserAgent if request.user_agent.is_empty() => {
                request.user_agent = header.value;
            }
            Field::TraceId => _ = request.trace_id.get_or_insert(header.value),
            Field::Connection => request.connection.note(header.value),
            Field::Expect => {
                request.expects_continue = request.minor >= 1
                    && header
                        .value
                        .trim_ascii()
                        .eq_ignore_ascii_case(b"100-continue");
            }
            Field::Upgrade => {
                for protocol in protocols(header.value) {
                    upgrades = true;
                    to_websocket |= protocol.eq_ignore_ascii_case(b"websocket");
                }
            }
            Field::Other if is_suspicious_name(header.name) => {
                found.note(Tier::Ambiguous, "SuspiciousHeader");
            }
            _ => {}
        }
        // Of control characters the parser lets tabs pass.
        if !header.value.is_ascii() {
            found.note(Tier::Acceptable, "NonCompliantHeader");
        }
    }
    if request
        .target
        .authority
        .is_some_and(|authority| !is_host(authority))
    {
        return Err(Refused::Malformed("BadUri"));
    }
    if request.host.is_none() && request.minor >= 1 {
        return Err(Refused::Malformed("BadHeader"));
    }
    let is_bodiless = matches!(request.method, "GET" | "HEAD");
    match (codings, lengths) {
        (2.., _) => found.note(Tier::Severe, "MultipleTransferEncodingChunked"),
        // An HTTP/1.0 recipient in front of us would not have seen the chunks.
        (1, _) if request.minor == 0 => {
            found.note(Tier::Ambiguous, "UndefinedTransferEncodingSemantics")
        }
        (1, Some(_)) => found.note(Tier::Ambiguous, "BothTeClPresent"),
        (1, None) if is_bodiless => {
            found.note(Tier::Ambiguous, "UndefinedTransferEncodingSemantics")
        }
        (0, Some(0)) if is_bodiless => found.note(Tier::Acceptable, "GetHeadZeroContentLength"),
        (0, Some(_)) if is_bodiless => {
            found.note(Tier::Ambiguous, "UndefinedContentLengthSemantics")
        }
        _ => {}
    }
    request.body = if codings > 0 {
        Body::chunked()
    } else {
        Body::Length(lengths.unwrap_or(0))
    };
    request.declares_length = lengths.is_some();
    request.upgrades = upgrades && request.connection.upgrade && request.minor >= 1;
    request.is_websocket = request.upgrades && to_websocket && request.method == "GET";
    request.classification = found;
    Ok(())
}

/// Line limits, also of a head that is still coming.
pub fn check_limits(head: &[u8]) -> Result<(), Refused> {
    if head.len() <= LINE_LIMIT {
        return Ok(());
    }
    if head.len() > HEAD_LIMIT {
        return Err(Refused::Malformed("BadHeader"));
    }
    for (index, line) in head.split(|&byte| byte == b'\n').enumerate() {
        if line.len() > LINE_LIMIT {
            return Err(if index == 0 {
                Refused::UriTooLong
            } else {
                Refused::Malformed("BadHeader")
            });
        }
    }
    Ok(())
}

fn refusal(error: httparse::Error, buffer: &[u8]) -> Refused {
    use httparse::Error;
    match error {
        Error::Version if names_other_version(buffer) => Refused::Version,
        Error::Version => Refused::Malformed("BadVersion"),
        Error::Token => Refused::Malformed("BadMethod"),
        Error::HeaderName
        | Error::HeaderValue
        | Error::NewLine
        | Error::TooManyHeaders
        | Error::Status => Refused::Malformed("BadHeader"),
    }
}

/// Whether the request line ends in a well-formed version that is not 1.0 or 1.1.
fn names_other_version(buffer: &[u8]) -> bool {
    let line = buffer
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"));
    let is_version = |version: &[u8]| matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    words.next().is_none() && version.is_some_and(is_version)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
