//! Where a body ends, and what of it is passed on.
//!
//! Bytes are handled in place: [`Body::advance`] looks at what was just read, moves the part to be
//! forwarded to the front and says how much was used; the rest belongs to the next message. In the
//! usual case nothing moves. Chunked bodies are checked strictly (no bare CR or LF, no sign, at most
//! 16 digits) and passed on without extensions, which parsers famously disagree about. Trailers are
//! read apart: [`Body::take_trailers`] hands out those that may be passed on.

use super::trailer::may_follow;

/// How a body is delimited, with what is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes left; zero for no body.
    Length(u64),
    Chunked(Chunked),
    /// A response that ends with its connection.
    UntilClose,
}

/// What to keep of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The chunks, for a peer that reads chunks; without the blank line that ends them if there are
    /// trailers, which bring their own.
    Framing,
    /// Only the data, for an HTTP/1.0 client.
    Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes at the front of the buffer to pass on.
    pub kept: usize,
    /// Bytes of the buffer used up.
    pub consumed: usize,
}

/// The chunked framing is broken: nobody knows where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl Body {
    pub const NONE: Body = Body::Length(0);

    pub fn chunked() -> Body {
        Body::Chunked(Chunked::default())
    }

    pub fn is_done(&self) -> bool {
        match self {
            Body::Length(left) => *left == 0,
            Body::Chunked(chunked) => chunked.state == State::Done,
            Body::UntilClose => false,
        }
    }

    /// Once the body is done: lines of trailers with the blank line after them, if there are any.
    /// Before, nothing: what has come of them stays.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        let Body::Chunked(chunked) = self else {
            return None;
        };
        if chunked.state != State::Done {
            return None;
        }
        let mut trailers = chunked.trailers.take()?;
        if trailers.lines.is_empty() {
            return None;
        }
        trailers.lines.extend_from_slice(b"\r\n");
        Some(trailers.lines)
    }

    pub fn advance(&mut self, data: &mut [u8], keep: Keep) -> Result<Progress, BadChunk> {
        match self {
            Body::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left -= used as u64;
                Ok(Progress {
                    kept: used,
                    consumed: used,
                })
            }
            Body::Chunked(chunked) => chunked.advance(data, keep),
            Body::UntilClose => Ok(Progress {
                kept: data.len(),
                consumed: data.len(),
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// Data bytes left of this chunk; while reading its size, the size so far.
    left: u64,
    digits: u8,
    /// Bytes of extensions and trailers so far.
    extra: u32,
    trailers: Option<Box<Trailers>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trailers {
    /// The one that is being read.
    line: Vec<u8>,
    /// Those to pass on, with their ends.
    lines: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// Extensions and trailers of one body may be this long in all; header limits are of this order.
const EXTRA_LIMIT: u32 = 16 * 1024;

impl Default for Chunked {
    fn default() -> Self {
        Chunked {
            state: State::Size,
            left: 0,
            digits: 0,
            extra: 0,
            trailers: None,
        }
    }
}

impl Chunked {
    fn advance(&mut self, data: &mut [u8], keep: Keep) -> Result<Progress, BadChunk> {
        let (mut read, mut kept) = (0, 0);
        while read < data.len() && self.state != State::Done {
            if self.state == State::Data {
                let here = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(data.len() - read);
                if kept != read {
                    data.copy_within(read..read + here, kept);
                }
                self.left -= here as u64;
                read += here;
                kept += here;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let byte = data[read];
            read += 1;
            if self.step(byte)? && keep == Keep::Framing {
                data[kept] = byte;
                kept += 1;
            }
        }
        Ok(Progress {
            kept,
            consumed: read,
        })
    }

    /// Takes one byte that is not data; true if it belongs to the bare framing.
    fn step(&mut self, byte: u8) -> Result<bool, BadChunk> {
        let (next, framing) = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < 16 => {
                let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
                self.left = self.left << 4 | u64::from(digit);
                self.digits += 1;
                (State::Size, true)
            }
            (State::Size, b'\r') if self.digits > 0 => (State::SizeLf, true),
            (State::Size, b';' | b' ' | b'\t') if self.digits > 0 => (State::Extension, false),
            (State::Extension, b'\r') => (State::SizeLf, true),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => (State::Extension, false),
            (State::SizeLf, b'\n') if self.left == 0 => (State::TrailerStart, true),
            (State::SizeLf, b'\n') => (State::Data, true),
            (State::DataCr, b'\r') => (State::DataLf, true),
            (State::DataLf, b'\n') => {
                self.digits = 0;
                (State::Size, true)
            }
            (State::TrailerStart, b'\r') => (State::LastLf, !self.has_trailers()),
            (State::TrailerStart | State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.trailers.get_or_insert_default().line.push(byte);
                (State::Trailer, false)
            }
            (State::Trailer, b'\r') => (State::TrailerLf, false),
            (State::TrailerLf, b'\n') => {
                let trailers = self.trailers.get_or_insert_default();
                let line = std::mem::take(&mut trailers.line);
                if may_follow(&line).ok_or(BadChunk)? {
                    trailers.lines.extend_from_slice(&line);
                    trailers.lines.extend_from_slice(b"\r\n");
                }
                (State::TrailerStart, false)
            }
            (State::LastLf, b'\n') => (State::Done, !self.has_trailers()),
            _ => return Err(BadChunk),
        };
        self.state = next;
        if !framing {
            self.extra += 1;
            if self.extra > EXTRA_LIMIT {
                return Err(BadChunk);
            }
        }
        Ok(framing)
    }

    fn has_trailers(&self) -> bool {
        let trailers = self.trailers.as_ref();
        trailers.is_some_and(|trailers| !trailers.lines.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `step` and returns what is kept, and what is left after the end.
    fn feed(input: &str, keep: Keep, step: usize) -> Result<(String, String), BadChunk> {
        let mut body = Body::chunked();
        let (mut out, mut at) = (Vec::new(), 0);
        let bytes = input.as_bytes();
        while at < bytes.len() && !body.is_done() {
            let end = (at + step).min(bytes.len());
            let mut piece = bytes[at..end].to_vec();
            let progress = body.advance(&mut piece, keep)?;
            out.extend_from_slice(&piece[..progress.kept]);
            at += progress.consumed;
            // After each piece, as the ways to a target do.
            if keep == Keep::Framing {
                out.extend(body.take_trailers().into_iter().flatten());
            }
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rest = if body.is_done() {
            text(&bytes[at..])
        } else {
            "unfinished".into()
        };
        Ok((text(&out), rest))
    }

    #[test]
    fn chunked_bodies() {
        fn check(input: &str, keep: Keep, expected: Result<(&str, &str), BadChunk>) {
            for step in [1, 2, 3, 7, 1000] {
                let expected = expected.map(|(kept, rest)| (kept.to_owned(), rest.to_owned()));
                assert_eq!(feed(input, keep, step), expected, "{input:?} by {step}");
            }
        }
        use Keep::{Data, Framing};
        check(
            "3\r\nabc\r\n0\r\n\r\nGET /",
            Framing,
            Ok(("3\r\nabc\r\n0\r\n\r\n", "GET /")),
        );
        check("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Data, Ok(("abcde", "")));
        check(
            "0003;a=b\r\nabc\r\n0;x\r\n\r\n",
            Framing,
            Ok(("0003\r\nabc\r\n0\r\n\r\n", "")),
        );
        check(
            "1 \r\na\r\n0\r\n\r\n",
            Framing,
            Ok(("1\r\na\r\n0\r\n\r\n", "")),
        );
        check(
            "0\r\nContent-Length: 5\r\nA: b\r\n\r\nX",
            Framing,
            Ok(("0\r\nA: b\r\n\r\n", "X")),
        );
        check(
            "1\r\nx\r\n0\r\nA: b\r\nhost: h\r\nX-C:\r\n\r\nX",
            Framing,
            Ok(("1\r\nx\r\n0\r\nA: b\r\nX-C:\r\n\r\n", "X")),
        );
        check("0\r\nA: b\r\n\r\nX", Data, Ok(("", "X")));
        check("0\r\nA b\r\n\r\n", Framing, Err(BadChunk));
        check("0\r\nA: b\r\n c\r\n\r\n", Framing, Err(BadChunk));
        check(
            "A\r\n0123456789\r\n",
            Framing,
            Ok(("A\r\n0123456789\r\n", "unfinished")),
        );
        check("3\nabc\r\n0\r\n\r\n", Framing, Err(BadChunk));
        check("3\r\nabcd\r\n0\r\n\r\n", Framing, Err(BadChunk));
        check("3\r\nabc\n0\r\n\r\n", Framing, Err(BadChunk));
        check("+3\r\nabc", Framing, Err(BadChunk));
        check("0x3\r\nabc", Framing, Err(BadChunk));
        check("\r\nabc", Framing, Err(BadChunk));
        check("3;a\nb\r\nabc\r\n0\r\n\r\n", Framing, Err(BadChunk));
        check("0\r\nA: b\n\r\n\r\n", Framing, Err(BadChunk));
        check("10000000000000000\r\n", Framing, Err(BadChunk));
        check(
            &format!("3;{}\r\nabc", "x".repeat(20_000)),
            Framing,
            Err(BadChunk),
        );
    }

    #[test]
    fn lengths_leave_the_next_message_alone() {
        let mut body = Body::Length(5);
        let mut first = *b"abc";
        assert_eq!(
            body.advance(&mut first, Keep::Framing),
            Ok(Progress {
                kept: 3,
                consumed: 3
            })
        );
        let mut second = *b"deGET /";
        assert_eq!(
            body.advance(&mut second, Keep::Framing),
            Ok(Progress {
                kept: 2,
                consumed: 2
            })
        );
        assert!(body.is_done());
    }

    #[test]
    fn any_bytes_are_survived() {
        // A small xorshift over the framing's own alphabet reaches every state.
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..24 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                bytes.push(b"\r\n0123f;: x\xff\x00"[(seed % 13) as usize]);
            }
            let length = bytes.len();
            if let Ok(progress) = Body::chunked().advance(&mut bytes, Keep::Framing) {
                assert!(progress.kept <= progress.consumed && progress.consumed <= length);
            }
        }
    }
}
