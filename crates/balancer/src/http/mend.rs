//! Heads outside HTTP's grammar that have one reading all the same.
//!
//! ALB routes what it calls acceptable or ambiguous: a space in the target, a version of 1.2, a field
//! without a name. `httparse` refuses those. Such a head is written anew within the grammar and parsed
//! again, so that everything behind sees a proper request: what may not stand in a target is escaped,
//! control characters in values become spaces, fields whose names no parser should take for one and
//! lines without a colon are left out, and what was folded is one line (RFC 9112 §5.2). NUL and CR make
//! it severe, for the mode that lets such requests through. A folded length or coding stays refused:
//! where the body ends would be a guess.
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

/// The field that a folded line would go on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// None, or one that was left out.
    #[default]
    Nothing,
    Cargo,
    /// Of which media types in mails were folded; nobody is fooled by that.
    ContentType,
    Framing,
}

#[derive(Default)]
struct Mender {
    head: Vec<u8>,
    classification: Classification,
    lengths: Framing,
    codings: Framing,
    before: Before,
    /// Written otherwise than it came, be it noted or not.
    is_mended: bool,
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
        if matches!(line[0], b' ' | b'\t') {
            return self.folded_line(line, ending);
        }
        let Some(at) = memchr::memchr(b':', line) else {
            self.note(Tier::Ambiguous, "MissingHeaderColon");
            self.before = Before::Nothing;
            return Ok(());
        };
        let (name, value) = line.split_at(at);
        let token = std::str::from_utf8(name).ok();
        let token = token.filter(|name| !name.is_empty() && name.bytes().all(is_token));
        let Some(token) = token else {
            self.before = Before::Nothing;
            self.leave_out(name);
            return Ok(());
        };
        let has_control = value.iter().any(is_control);
        let framing = match field(token) {
            Field::ContentLength => Some(&mut self.lengths),
            Field::TransferEncoding => Some(&mut self.codings),
            _ => None,
        };
        self.before = match framing {
            Some(framing) => {
                framing.stands = true;
                if has_control {
                    return Err(Hopeless);
                }
                Before::Framing
            }
            None if token.eq_ignore_ascii_case("content-type") => Before::ContentType,
            None => Before::Cargo,
        };
        if has_control {
            self.note(Tier::Acceptable, "NonCompliantHeader");
        }
        self.head.extend_from_slice(name);
        self.push_clean(value);
        self.head.extend_from_slice(ending);
        Ok(())
    }

    /// A line that goes on with the one before. Some parsers take it for a field of its own, and some
    /// pass over it.
    fn folded_line(&mut self, line: &[u8], ending: &[u8]) -> Result<(), Hopeless> {
        self.is_mended = true;
        let mut is_harmless = self.before == Before::ContentType;
        if let Some(at) = memchr::memchr(b':', line)
            && let Some(framing) = self.framing_like(line[..at].trim_ascii())
        {
            framing.left_out = true;
            is_harmless = false;
        }
        if !is_harmless {
            self.note(Tier::Ambiguous, "MultilineHeader");
        }
        match self.before {
            Before::Framing => return Err(Hopeless),
            Before::Nothing => {}
            Before::Cargo | Before::ContentType => {
                while matches!(self.head.last(), Some(b'\r' | b'\n')) {
                    self.head.pop();
                }
                self.head.push(b' ');
                self.push_clean(line.trim_ascii());
                self.head.extend_from_slice(ending);
            }
        }
        Ok(())
    }

    fn push_clean(&mut self, value: &[u8]) {
        let clean = |byte: &u8| if is_control(byte) { b' ' } else { *byte };
        self.head.extend(value.iter().map(clean));
    }

    /// A field whose name is none.
    fn leave_out(&mut self, name: &[u8]) {
        if name.is_empty() {
            return self.note(Tier::Ambiguous, "EmptyHeader");
        }
        match self.framing_like(name) {
            Some(framing) => {
                framing.left_out = true;
                self.note(Tier::Ambiguous, "SuspiciousHeader");
            }
            None => self.note(Tier::Acceptable, "NonCompliantHeader"),
        }
    }

    /// What a lenient parser might take a name for, of the fields that frame a body.
    fn framing_like(&mut self, name: &[u8]) -> Option<&mut Framing> {
        // Some letters beyond ASCII become ones of it in upper case.
        let text = String::from_utf8_lossy(name).to_uppercase();
        let text = text.trim();
        let word = text.split_whitespace().next().unwrap_or_default();
        let is_framing = |name: &str| {
            is_suspicious_name(name)
                || matches!(field(name), Field::ContentLength | Field::TransferEncoding)
        };
        if !is_framing(text) && !is_framing(word) {
            return None;
        }
        match text.bytes().find(u8::is_ascii_alphabetic) {
            Some(b'C') => Some(&mut self.lengths),
            _ => Some(&mut self.codings),
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
        if self.classification.tier == Tier::Compliant && !self.is_mended {
            return Err(Hopeless);
        }
        Ok(Mended {
            head: self.head,
            length,
            classification: self.classification,
        })
    }
}

fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
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
        for name in [
            "\u{1}Content-Length",
            "Transfer-Encod\u{131}ng",
            "Tran\u{17f}fer-Encoding",
            "\u{2003}\u{2003}\u{2003}Transfer-Encoding",
            "transfer-encoding XY",
            "Transfer- Encoding",
        ] {
            fields(
                &format!("{name}: 3\r\n"),
                Some(("", ambiguous, "SuspiciousHeader")),
            );
        }
        let severe = Tier::Severe;
        fields("B: \0\r a\r\n", Some(("B:    a\r\n", severe, "BadHeader")));
        fields(
            "A\0: 1\r\nB: 2\r\n",
            Some(("B: 2\r\n", severe, "BadHeader")),
        );
        fields("A: 1\r\n\r\r\n", Some(("A: 1\r\n", severe, "BadHeader")));
        for hopeless in [
            "A: 1\r\n",
            "Content-Length:\r\n 3\r\n",
            "Transfer-Encoding: chunked\r\n\tx\r\n",
            "Content-Length: 3\r\nA: 1\r\n Content-Length: 4\r\n",
            "Transfer-Encoding: chunked\r\nA: 1\r\n transfer-encoding : x\r\n",
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
    fn folded_lines() {
        let begin = "GET / HTTP/1.1\r\n";
        let fields = |fields: &str, mended: &str, tier: Tier, reason: &str| {
            check(
                &format!("{begin}{fields}\r\n"),
                Some((&format!("{begin}{mended}\r\n"), tier, reason)),
            );
        };
        let folded = |fold: &str, mended: &str| {
            fields(fold, mended, Tier::Ambiguous, "MultilineHeader");
        };
        folded("A: 1\r\n 2\r\nB: 3\r\n", "A: 1 2\r\nB: 3\r\n");
        folded("A: 1\n\t 2 \n  3\n", "A: 1 2 3\n");
        folded("A:\r\n B: 2\u{1}\r\n", "A: B: 2 \r\n");
        folded(
            "A: 1\r\n Content-Length: 4\r\n",
            "A: 1 Content-Length: 4\r\n",
        );
        // Nothing to go on with.
        folded(" Host: h\r\nA: 1\r\n", "A: 1\r\n");
        folded("A@: 1\r\n B: 2\r\n", "");
        folded(
            "Content-Type: a/b;\r\n Transfer-Encoding: chunked\r\n",
            "Content-Type: a/b; Transfer-Encoding: chunked\r\n",
        );
        fields(
            "content-type: a/b;\r\n c=d\r\n",
            "content-type: a/b; c=d\r\n",
            Tier::Compliant,
            "",
        );
        let no_colon = |lines: &str, mended: &str| {
            fields(lines, mended, Tier::Ambiguous, "MissingHeaderColon");
        };
        no_colon("A: 1\r\nno colon\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n");
        no_colon("GET /evil HTTP/1.1\r\n A: 1\r\n", "");
        fields("A: 1\r\n \0\r\n", "A: 1  \r\n", Tier::Severe, "BadHeader");
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
