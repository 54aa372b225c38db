//! Heads outside HTTP's grammar that have one reading all the same.
//!
//! ALB routes what it calls acceptable or ambiguous: a space in the target, a version of 1.2, a field
//! without a name. `httparse` refuses those. Such a head is written anew within the grammar and parsed
//! again, so that everything behind sees a proper request: what may not stand in a target is escaped,
//! control characters in values become spaces, and fields whose names no parser should take for one
//! are left out. NUL and CR make it severe, for the mode that lets such requests through. Folded fields
//! and lines without a colon stay refused: AWS's log has no name for them.
//!
//! Tiers and reasons: AWS's `http-desync-guardian`, `docs/README.md`.

use super::desync::{Classification, Tier, is_suspicious_name};
use super::field::{Field, field, is_token};

/// A head in its proper form.
#[derive(Debug)]
pub struct Mended {
    pub head: Vec<u8>,
    /// Bytes of the head as it came.
    pub length: usize,
    /// Of what was mended.
    pub classification: Classification,
}

/// There is nothing to mend, or more than one way to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hopeless;

/// Of the fields that frame a body: stands there, or something like it was left out.
#[derive(Clone, Copy, Default)]
struct Framing {
    stands: bool,
    left_out: bool,
}

#[derive(Default)]
struct Mender {
    head: Vec<u8>,
    classification: Classification,
    lengths: Framing,
    codings: Framing,
}

/// Mends the head at the start of `buffer`; `None` if it is not complete.
pub fn mend(buffer: &[u8]) -> Result<Option<Mended>, Hopeless> {
    let mut mender = Mender::default();
    let mut rest = buffer;
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return mender.may_come_right(rest).then_some(None).ok_or(Hopeless);
        };
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        let line = &line[..end];
        let (text, ending): (&[u8], &[u8]) = match line.strip_suffix(b"\r") {
            Some(text) => (text, b"\r\n"),
            // Noted when it is parsed.
            None => (line, b"\n"),
        };
        match (mender.head.is_empty(), text.is_empty()) {
            // Before the request, where parsers pass it over.
            (true, true) => {}
            (true, false) => mender.request_line(text, ending)?,
            (false, false) => mender.field_line(text, ending)?,
            (false, true) => {
                mender.head.extend_from_slice(ending);
                return mender.finish(buffer.len() - rest.len()).map(Some);
            }
        }
    }
}

impl Mender {
    /// Whether a line can still be mended that has not come to its end.
    fn may_come_right(&self, begun: &[u8]) -> bool {
        let is_method = || {
            let mut words = begun.split(|&byte| byte == b' ');
            words
                .next()
                .unwrap_or_default()
                .iter()
                .all(|&b| is_token(b))
        };
        !self.head.is_empty() || is_method()
    }

    fn request_line(&mut self, line: &[u8], ending: &[u8]) -> Result<(), Hopeless> {
        if is_broken(line) {
            self.note(Tier::Severe, "BadUri");
        }
        let at = memchr::memchr(b' ', line).ok_or(Hopeless)?;
        let (method, rest) = (&line[..at], line[at..].trim_ascii());
        let at = memchr::memrchr(b' ', rest).ok_or(Hopeless)?;
        let (target, version) = (rest[..at].trim_ascii(), &rest[at + 1..]);
        if method.is_empty() || !method.iter().all(|&b| is_token(b)) || target.is_empty() {
            return Err(Hopeless);
        }
        let is_known = match version.strip_prefix(b"HTTP/1.") {
            Some([b'0' | b'1']) => true,
            Some([b'2'..=b'9']) => false,
            _ => return Err(Hopeless),
        };
        let has_more_blanks = method.len() + target.len() + version.len() + 2 != line.len();
        if !is_known || has_more_blanks {
            self.note(Tier::Acceptable, "NonCompliantVersion");
        }
        self.head.extend_from_slice(method);
        self.head.push(b' ');
        for &byte in target {
            match byte {
                b'!'..=b'~' => {
                    self.head.push(byte);
                    continue;
                }
                b' ' => self.note(Tier::Acceptable, "SpaceInUri"),
                _ => self.note(Tier::Ambiguous, "AmbiguousUri"),
            }
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
            let escaped = [b'%', digit(byte >> 4), digit(byte & 15)];
            self.head.extend_from_slice(&escaped);
        }
        self.head.push(b' ');
        let spoken: &[u8] = if is_known { version } else { b"HTTP/1.1" };
        self.head.extend_from_slice(spoken);
        self.head.extend_from_slice(ending);
        Ok(())
    }

    fn field_line(&mut self, line: &[u8], ending: &[u8]) -> Result<(), Hopeless> {
        if is_broken(line) {
            self.note(Tier::Severe, "BadHeader");
        }
        if line.trim_ascii().is_empty() {
            self.note(Tier::Ambiguous, "EmptyHeader");
            return Ok(());
        }
        let at = memchr::memchr(b':', line).ok_or(Hopeless)?;
        let (name, value) = line.split_at(at);
        if name.is_empty() {
            self.note(Tier::Ambiguous, "EmptyHeader");
            return Ok(());
        }
        if matches!(name[0], b' ' | b'\t') {
            return Err(Hopeless);
        }
        let token = std::str::from_utf8(name).ok();
        let token = token.filter(|name| name.bytes().all(is_token));
        let Some(token) = token else {
            self.leave_out(name);
            return Ok(());
        };
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        let has_control = value.iter().any(is_control);
        let framing = match field(token) {
            Field::ContentLength => Some(&mut self.lengths),
            Field::TransferEncoding => Some(&mut self.codings),
            _ => None,
        };
        if let Some(framing) = framing {
            framing.stands = true;
            if has_control {
                return Err(Hopeless);
            }
        }
        if has_control {
            self.note(Tier::Acceptable, "NonCompliantHeader");
        }
        self.head.extend_from_slice(name);
        let clean = |byte: &u8| if is_control(byte) { b' ' } else { *byte };
        self.head.extend(value.iter().map(clean));
        self.head.extend_from_slice(ending);
        Ok(())
    }

    /// A field whose name is none.
    fn leave_out(&mut self, name: &[u8]) {
        let text = String::from_utf8_lossy(name);
        if !is_suspicious_name(&text) {
            return self.note(Tier::Acceptable, "NonCompliantHeader");
        }
        self.note(Tier::Ambiguous, "SuspiciousHeader");
        let first = text.bytes().find(u8::is_ascii_alphabetic);
        match first.map(|letter| letter.to_ascii_lowercase()) {
            Some(b'c') => self.lengths.left_out = true,
            _ => self.codings.left_out = true,
        }
    }

    fn note(&mut self, tier: Tier, reason: &'static str) {
        self.classification.note(tier, reason);
    }

    fn finish(self, length: usize) -> Result<Mended, Hopeless> {
        // Two of them, of which one parser sees one and another two.
        let is_double = |framing: Framing| framing.stands && framing.left_out;
        if is_double(self.lengths) || is_double(self.codings) {
            return Err(Hopeless);
        }
        if self.classification.tier == Tier::Compliant {
            return Err(Hopeless);
        }
        Ok(Mended {
            head: self.head,
            length,
            classification: self.classification,
        })
    }
}

/// Whether a line holds what ends it, or a text, for some.
fn is_broken(line: &[u8]) -> bool {
    memchr::memchr2(b'\0', b'\r', line).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head between a request line and a `Host` field of no interest, and what was noted.
    fn check(head: &str, expected: Option<(&str, Tier, &str)>) {
        let got = mend(head.as_bytes()).map(|mended| mended.expect("a whole head"));
        let got = got.map(|mended| {
            assert_eq!(mended.length, head.len());
            let Classification { tier, reason } = mended.classification;
            (String::from_utf8(mended.head).unwrap(), tier, reason)
        });
        let got = got.as_ref().ok();
        let got = got.map(|(head, tier, reason)| (head.as_str(), *tier, *reason));
        assert_eq!(got, expected, "{head:?}");
    }

    #[test]
    fn request_lines() {
        let line = |line: &str, expected: Option<(&str, Tier, &str)>| {
            let mended = expected.map(|(line, ..)| format!("{line}\r\nHost: h\r\n\r\n"));
            let of_line = mended.as_deref().zip(expected);
            check(
                &format!("{line}\r\nHost: h\r\n\r\n"),
                of_line.map(|(head, (_, tier, reason))| (head, tier, reason)),
            );
        };
        let (acceptable, ambiguous) = (Tier::Acceptable, Tier::Ambiguous);
        line(
            "GET /a b?c d HTTP/1.1",
            Some(("GET /a%20b?c%20d HTTP/1.1", acceptable, "SpaceInUri")),
        );
        line(
            "GET /a HTTP/1.1 HTTP/1.1",
            Some(("GET /a%20HTTP/1.1 HTTP/1.1", acceptable, "SpaceInUri")),
        );
        line(
            "GET /a\tb\u{7f} c HTTP/1.0",
            Some(("GET /a%09b%7F%20c HTTP/1.0", ambiguous, "AmbiguousUri")),
        );
        line(
            "GET / HTTP/1.7",
            Some(("GET / HTTP/1.1", acceptable, "NonCompliantVersion")),
        );
        line(
            "GET   /  HTTP/1.1 ",
            Some(("GET / HTTP/1.1", acceptable, "NonCompliantVersion")),
        );
        for hopeless in [
            "GET / HTTP/1.1",
            "GET / HTTP/2.0",
            "GET / HTTP/1.12",
            "GET /",
            "GET",
            "GET HTTP/1.1",
            "G\u{1}T /a b HTTP/1.1",
            " / HTTP/1.1",
            "G\0T / HTTP/1.1",
            "GET / HTTP/1.1\0",
        ] {
            line(hopeless, None);
        }
        let severe = |line| Some((line, Tier::Severe, "BadUri"));
        line("GET /\0a\rb HTTP/1.1", severe("GET /%00a%0Db HTTP/1.1"));
        line("GET / HTTP/1.1\r", severe("GET / HTTP/1.1"));
    }

    #[test]
    fn fields() {
        let begin = "GET / HTTP/1.1\r\n";
        let fields = |fields: &str, expected: Option<(&str, Tier, &str)>| {
            let mended = expected.map(|(fields, ..)| format!("{begin}{fields}\r\n"));
            let of_fields = mended.as_deref().zip(expected);
            check(
                &format!("{begin}{fields}\r\n"),
                of_fields.map(|(head, (_, tier, reason))| (head, tier, reason)),
            );
        };
        let (acceptable, ambiguous) = (Tier::Acceptable, Tier::Ambiguous);
        let empty = Some(("A: 1\n", ambiguous, "EmptyHeader"));
        fields("A: 1\n: a\r\n", empty);
        fields("A: 1\n \t\r\n", empty);
        fields(
            "A@: 1\r\nB: 2\r\n",
            Some(("B: 2\r\n", acceptable, "NonCompliantHeader")),
        );
        fields(
            "B:\u{b}2\u{1}\t\u{e9}\r\n",
            Some(("B: 2 \t\u{e9}\r\n", acceptable, "NonCompliantHeader")),
        );
        fields(
            "Transfer-Encoding : chunked\r\nContent-Length: 3\r\n",
            Some(("Content-Length: 3\r\n", ambiguous, "SuspiciousHeader")),
        );
        fields(
            "\u{1}Content-Length: 3\r\n",
            Some(("", ambiguous, "SuspiciousHeader")),
        );
        let severe = Tier::Severe;
        fields("B: \0\r a\r\n", Some(("B:    a\r\n", severe, "BadHeader")));
        fields(
            "A\0: 1\r\nB: 2\r\n",
            Some(("B: 2\r\n", severe, "BadHeader")),
        );
        fields("A: 1\r\n\r\r\n", Some(("A: 1\r\n", severe, "BadHeader")));
        for hopeless in [
            "A: 1\r\n",
            "A@: 1\r\n folded\r\n",
            "A@: 1\r\n B: 2\r\n",
            "A@: 1\r\nno colon\r\n",
            "Content-Length:\u{b}3\r\n",
            "Transfer-Encoding: chunked\u{1}\r\n",
            "Content-Length: 3\0\r\n",
            "Content-Length: 3\r\nContent-Length : 4\r\n",
            "Transfer-Encoding : chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            fields(hopeless, None);
        }
    }

    #[test]
    fn what_is_still_coming() {
        let check = |begun: &str, may_come: bool| {
            let got = mend(begun.as_bytes()).map(|mended| mended.is_none());
            assert_eq!(got, may_come.then_some(true).ok_or(Hopeless), "{begun:?}");
        };
        for begun in [
            "",
            "GET",
            "GET /a b",
            "GET /a b HTTP/1.1\r\nA@",
            "\r\nGET /a b",
            "GET /a b\0",
            "GET /a b HTTP/1.1\r\n\0",
        ] {
            check(begun, true);
        }
        // The first bytes of a TLS handshake; no method.
        for begun in ["\u{16}\u{3}\u{1}", "@"] {
            check(begun, false);
        }
    }
}
