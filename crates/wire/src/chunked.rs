//! The `aws-chunked` encoding: bodies that SDKs sign or checksum while they stream.
//!
//! Not HTTP's own chunking, though it looks alike: it lies inside the body, and
//! every chunk may carry a signature (`5;chunk-signature=…`). The signatures of
//! chunks are skipped: the transport is local, and checksums of the whole object
//! arrive as trailers, which are handed to the caller.

use crate::error::ApiError;
use crate::request::HttpRequest;
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    pub body: Cow<'a, [u8]>,
    /// Lower-case names, such as `x-amz-checksum-crc32`.
    pub trailers: Vec<(String, String)>,
}

/// Whether the body of `request` is encoded so. The hash header says it, since
/// some clients leave `content-encoding` out.
pub fn is_chunked(request: &HttpRequest) -> bool {
    let hash = request.header("x-amz-content-sha256").unwrap_or_default();
    let encoding = request.header("content-encoding").unwrap_or_default();
    let mut encodings = encoding.split(',').map(str::trim);
    hash.starts_with("STREAMING-") || encodings.any(|encoding| encoding == "aws-chunked")
}

/// The body as the client meant it, whether or not it was encoded.
pub fn decode(request: &HttpRequest) -> Result<Decoded<'_>, ApiError> {
    if !is_chunked(request) {
        return Ok(Decoded {
            body: Cow::Borrowed(&request.body),
            trailers: Vec::new(),
        });
    }
    let decoded = parse(&request.body).ok_or_else(incomplete)?;
    match request.header("x-amz-decoded-content-length") {
        Some(length) if length.parse() != Ok(decoded.body.len()) => Err(incomplete()),
        _ => Ok(decoded),
    }
}

fn parse(mut rest: &[u8]) -> Option<Decoded<'_>> {
    let mut body = Vec::with_capacity(rest.len());
    let mut trailers = Vec::new();
    loop {
        let head = line(&mut rest)?;
        let size = head.split(';').next()?.trim();
        // `from_str_radix` takes a sign, a chunk's size has none.
        let hex = size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| hex)?;
        if size == 0 {
            break;
        }
        let (data, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
    // Trailers up to an empty line; the last one may end with the body.
    while !rest.is_empty() {
        let trailer = line(&mut rest)?;
        if trailer.is_empty() {
            continue;
        }
        let (name, value) = trailer.split_once(':')?;
        let trailer = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        trailers.push(trailer);
    }
    Some(Decoded {
        body: Cow::Owned(body),
        trailers,
    })
}

/// Takes the next line off; its end may be missing at the end of the body.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, &[][..]),
    };
    *rest = after;
    std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()
}

fn incomplete() -> ApiError {
    let message =
        "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    ApiError::client("IncompleteBody", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, headers: &[(&str, &str)]) -> HttpRequest {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        HttpRequest {
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
            ..HttpRequest::default()
        }
    }

    #[test]
    fn decodes_chunks_and_trailers() {
        let check = |body: &str, expected: &str, trailers: &[(&str, &str)]| {
            let trailers = trailers.iter().map(|(n, v)| (n.to_string(), v.to_string()));
            let expected = Decoded {
                body: expected.as_bytes().into(),
                trailers: trailers.collect(),
            };
            let hash = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            assert_eq!(
                decode(&request(body, &[hash])).unwrap(),
                expected,
                "{body:?}"
            );
        };
        check("0\r\n\r\n", "", &[]);
        check("5\r\nhello\r\n0\r\n\r\n", "hello", &[]);
        check(
            "5;chunk-signature=ab\r\nhello\r\nA;chunk-signature=cd\r\n, world\r\n!\r\n0;chunk-signature=ef\r\n\r\n",
            "hello, world\r\n!",
            &[],
        );
        let sum = ("x-amz-checksum-crc32", "NhCmhg==");
        check(
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
            "hello",
            &[sum],
        );
        // As signed trailers are documented: a bare line feed after the checksum.
        check(
            "5\r\nhello\r\n0;chunk-signature=ab\r\nx-amz-checksum-crc32:NhCmhg==\n\r\nx-amz-trailer-signature:cd\r\n\r\n",
            "hello",
            &[sum, ("x-amz-trailer-signature", "cd")],
        );
    }

    #[test]
    fn refuses_what_is_cut_short_or_lies_about_its_size() {
        let check = |body: &str, length: &str| {
            let headers = [
                ("content-encoding", "gzip, aws-chunked"),
                ("x-amz-decoded-content-length", length),
            ];
            let error = decode(&request(body, &headers)).unwrap_err();
            assert_eq!(error.code, "IncompleteBody", "{body:?}");
        };
        check("", "0");
        check("5\r\nhell", "5");
        check("5\r\nhello", "5");
        check("ffffffffffffffff\r\nx\r\n0\r\n\r\n", "1");
        check("10000000000000000\r\nx\r\n0\r\n\r\n", "1");
        check("+5\r\nhello\r\n0\r\n\r\n", "5");
        check("5\r\nhello\r\n0\r\n\r\n", "6");
        check("5\r\nhello\r\n0\r\nno colon\r\n", "5");
    }

    #[test]
    fn leaves_plain_bodies_alone() {
        let plain = request(
            "5\r\nhello",
            &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")],
        );
        assert_eq!(*decode(&plain).unwrap().body, *b"5\r\nhello");
    }
}
