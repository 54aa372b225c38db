//! The checks over arbitrary and over nearly right input, and over the corpus of `fuzz/`.

use proptest::prelude::*;

use super::*;

/// What heads are made of when somebody wants parsers to disagree.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\n".to_owned()),
        Just("POST /a?b HTTP/1.1\r\n".to_owned()),
        Just("OPTIONS * HTTP/1.0\r\n".to_owned()),
        Just("Host: h\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Content-Length: 6\r\n".to_owned()),
        Just("Content-Length:+5\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Transfer-Encoding: identity, chunked\r\n".to_owned()),
        Just("Transfer-Encoding : chunked\r\n".to_owned()),
        Just("transfer_encoding: chunked\r\n".to_owned()),
        Just("Connection: close, x-a, content-length\r\n".to_owned()),
        Just("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n".to_owned()),
        Just("X-Amzn-Trace-Id: Root=1-2;Self=3;a=b\r\n".to_owned()),
        Just("Cookie: AWSALB=x; AWSALBTG=y\r\n".to_owned()),
        Just("GET /a b\u{1} HTTP/1.3\r\n".to_owned()),
        Just("Content-Length : 5\r\n".to_owned()),
        Just(": nameless\r\n".to_owned()),
        Just("X@: \u{1}\r\n".to_owned()),
        Just(" folded\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        "[ -~]{0,12}: [ -~]{0,12}\r\n",
        "[ -~]{0,20}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        pieces(),
        pieces().prop_map(|rest| {
            let mut head = b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec();
            head.extend(rest);
            head.extend(b"\r\n\r\n");
            head
        }),
    ]
}

fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..20).prop_map(|data| {
            let mut chunk = format!("{:X};a=b\r\n", data.len()).into_bytes();
            chunk.extend(data);
            chunk.extend(b"\r\n");
            chunk
        }),
        "[0-9a-fA-F;\r\n ]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(chunk, 0..6).prop_map(|chunks| {
        let mut body = chunks.concat();
        body.extend(b"0\r\nX-Sum: x\r\nHost: y\r\n\r\nnext");
        body
    })
}

/// Of each of these parts, one piece after the other.
fn made_of(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(parts).prop_map(str::to_owned),
        "\\PC{0,4}"
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn accepted_heads_have_one_reading(input in input()) {
        head(&input);
    }

    #[test]
    fn responses_end_within_what_came(input in input()) {
        response(&input);
        response(&[b"HTTP/1.1 200 OK\r\n", &input[..]].concat());
    }

    #[test]
    fn chunked_bodies_do_not_depend_on_reads(
        cuts in any::<[u8; 2]>(),
        bytes in prop_oneof![chunks(), prop::collection::vec(any::<u8>(), 0..100)],
    ) {
        chunked(&[&cuts, &bytes[..]].concat());
    }

    #[test]
    fn sessions_read_as_they_were_written(
        input in made_of(&["AWSALB=", "AWSALBCORS=", "; ", "MTAwCnRnL3dlYi8xCmktMTo4MA", "x"]),
    ) {
        cookies(&input);
        cookies(&[b"a=b; AWSALB=", &input[..]].concat());
    }

    #[test]
    fn patterns_match_as_they_should(input in made_of(&["*", "?", "a", "B", "/", ".", "\\", "\n"])) {
        pattern(&input);
    }

    #[test]
    fn paths_become_normal_once(input in made_of(&["/", ".", "..", "%2e", "%2F", "%", "a"])) {
        path(&input);
    }

    #[test]
    fn heads_of_http2_have_one_reading(
        input in made_of(&[
            "GET https://a.b/c?d", "POST /", "OPTIONS *", "\nhost:a.b", "\ncookie:a=b", "\ncontent-length:3",
            "\nte:trailers", "\nx-forwarded-for:1", " ", "\n",
        ]),
    ) {
        http2_head(&input);
    }

    #[test]
    fn proxy_headers_tell_who_connected(input in prop::collection::vec(any::<u8>(), 0..40)) {
        proxy_header(&input);
    }
}

/// What the search came upon is checked in every test run.
#[test]
fn the_corpus() {
    type Check = fn(&[u8]);
    let checks: [(&str, Check); 8] = [
        ("head", head),
        ("response", response),
        ("body", chunked),
        ("cookie", cookies),
        ("pattern", pattern),
        ("path", path),
        ("http2_head", http2_head),
        ("proxy_header", proxy_header),
    ];
    for (name, check) in checks {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
        let files = std::fs::read_dir(std::path::Path::new(directory).join(name)).unwrap();
        let mut count = 0;
        for file in files {
            check(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}
