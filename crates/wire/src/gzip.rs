//! Bodies that come packed: SDKs and the CLI pack a `PutMetricData` of 10 KiB and more by themselves.

use crate::{ApiError, HttpRequest};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// The request with its body unpacked; `None` for one that is not packed, or whose packed body is
/// an object's content. Signatures are of the request as it came. `limit` is of the unpacked body.
pub fn unpack(request: &HttpRequest, limit: usize) -> Result<Option<HttpRequest>, ApiError> {
    let packed = request
        .header("content-encoding")
        .is_some_and(|v| v.eq_ignore_ascii_case("gzip"));
    let form = request.media_type() == "application/x-www-form-urlencoded";
    let call = request.header("x-amz-target").is_some()
        || request.header("smithy-protocol").is_some()
        || form && request.path.len() <= 1;
    if !packed || !call {
        return Ok(None);
    }
    let mut body = Vec::new();
    let decoder = MultiGzDecoder::new(request.body.as_slice());
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|error| {
            let message = format!("The gzip body could not be unpacked: {error}");
            ApiError::client("SerializationException", message)
        })?;
    if limit < body.len() {
        let message = format!("The unpacked body is larger than {limit} bytes");
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    Ok(Some(HttpRequest {
        body,
        ..request.clone()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn packed(path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpRequest {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        let named = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        let mut headers: Vec<_> = headers.iter().map(named).collect();
        headers.push(("content-encoding".into(), "gzip".into()));
        HttpRequest {
            method: "POST".into(),
            path: path.into(),
            query: String::new(),
            headers,
            body: encoder.finish().unwrap(),
        }
    }

    #[test]
    fn calls_are_unpacked_and_objects_are_not() {
        let check = |path: &str, header: (&str, &str), expected: bool| {
            let request = packed(path, &[header], b"Action=PutMetricData");
            let body = unpack(&request, 100).unwrap().map(|r| r.body);
            let unpacked = expected.then(|| b"Action=PutMetricData".to_vec());
            assert_eq!(body, unpacked, "{path} {header:?}");
        };
        check("/", ("x-amz-target", "Granite.PutMetricData"), true);
        check(
            "/service/a/operation/b",
            ("smithy-protocol", "rpc-v2-cbor"),
            true,
        );
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        check("/", ("content-type", form), true);
        check("/bucket/key", ("content-type", "text/plain"), false);
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        let header = ("x-amz-target", "Granite.PutMetricData");
        let bomb = packed("/", &[header], &[0; 1 << 20]);
        assert_eq!(unpack(&bomb, 1000).unwrap_err().status, 413);
        let garbage = HttpRequest {
            body: b"{}".to_vec(),
            ..bomb
        };
        assert_eq!(unpack(&garbage, 1000).unwrap_err().status, 400);
    }
}
