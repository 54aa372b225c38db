use super::*;

fn with<R>(head: &str, look: impl FnOnce(Result<Option<Request<'_, '_>>, Refused>) -> R) -> R {
    let mut room = fields();
    look(parse(head.as_bytes(), &mut room))
}

#[test]
fn bodies_and_tiers() {
    fn check(method: &str, extra: &str, expected: Result<(Body, &str), Refused>) {
        let head = format!("{method} / HTTP/1.1\r\nHost: h\r\n{extra}\r\n");
        let got = with(&head, |parsed| {
            parsed.map(|request| {
                let request = request.expect("the head is complete");
                (request.body, request.classification.reason)
            })
        });
        assert_eq!(got, expected, "{method} {extra:?}");
    }
    let length = Body::Length;
    check("GET", "", Ok((length(0), "")));
    check("POST", "Content-Length: 7\r\n", Ok((length(7), "")));
    check(
        "POST",
        "Transfer-Encoding: chunked\r\n",
        Ok((Body::chunked(), "")),
    );
    check(
        "POST",
        "Transfer-Encoding: identity\r\nContent-Length: 1\r\n",
        Ok((length(1), "")),
    );
    check(
        "POST",
        "Content-Length: 7\r\nContent-Length: 7\r\n",
        Ok((length(7), "DuplicateContentLength")),
    );
    check(
        "POST",
        "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
        Ok((Body::chunked(), "BothTeClPresent")),
    );
    check(
        "POST",
        "content_length: 7\r\n",
        Ok((length(0), "SuspiciousHeader")),
    );
    check(
        "GET",
        "Content-Length: 0\r\n",
        Ok((length(0), "GetHeadZeroContentLength")),
    );
    check(
        "GET",
        "Content-Length: 3\r\n",
        Ok((length(3), "UndefinedContentLengthSemantics")),
    );
    check(
        "HEAD",
        "Transfer-Encoding: chunked\r\n",
        Ok((Body::chunked(), "UndefinedTransferEncodingSemantics")),
    );
    check(
        "GET",
        "A: \u{e9}\r\n",
        Ok((length(0), "NonCompliantHeader")),
    );

    let malformed = |reason| Err(Refused::Malformed(reason));
    // Severe, and read as a lenient parser would.
    check(
        "POST",
        "Content-Length: 7\r\nContent-Length: 8\r\nContent-Length: 7\r\n",
        Ok((length(7), "MultipleContentLength")),
    );
    check(
        "POST",
        "Content-Length: 7, 7\r\n",
        Ok((length(7), "BadContentLength")),
    );
    check(
        "POST",
        "Content-Length: +7\r\n",
        Ok((length(7), "BadContentLength")),
    );
    check(
        "POST",
        "Content-Length: 7, 8\r\n",
        malformed("BadContentLength"),
    );
    check("POST", "Content-Length:\r\n", malformed("BadContentLength"));
    check(
        "POST",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Ok((Body::chunked(), "MultipleTransferEncodingChunked")),
    );
    check(
        "POST",
        "Transfer-Encoding:\r\n",
        Ok((length(0), "BadTransferEncoding")),
    );
    check(
        "POST",
        "Transfer-Encoding: \u{b}chunked\r\n",
        malformed("BadHeader"),
    );
    check(
        "POST",
        "Transfer-Encoding : chunked\r\n",
        malformed("BadHeader"),
    );
    check(
        "POST",
        "Transfer-Encoding\r\n : chunked\r\n",
        malformed("BadHeader"),
    );
    check("POST", "A: b\r\n c\r\n", malformed("BadHeader"));
    check("POST", "A: b\rc\r\n", malformed("BadHeader"));
    check("GET", "Host: a/b\r\n", malformed("BadHeader"));
    check(
        "POST",
        "Transfer-Encoding: gzip, chunked\r\n",
        Err(Refused::TransferCoding),
    );
    check(
        "POST",
        "Transfer-Encoding: xchunked\r\n",
        Err(Refused::TransferCoding),
    );
    check("TRACE", "", Err(Refused::Method));
}

#[test]
fn request_lines() {
    fn check(head: &str, status: u16) {
        let got = with(head, |parsed| match parsed {
            Ok(Some(_)) => 200,
            Ok(None) => 0,
            Err(refused) => refused.status(),
        });
        assert_eq!(got, status, "{:?}", &head[..head.len().min(60)]);
    }
    check("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200);
    check("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 200);
    check("GET / HTTP/1.0\r\n\r\n", 200);
    check("GET / HTTP/1.1\r\n\r\n", 400);
    check("GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n", 200);
    check("GET nonsense HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    check("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
    check("GET / HTTP/3.1\r\nHost: h\r\n\r\n", 505);
    check("GET / HTTP/11\r\nHost: h\r\n\r\n", 400);
    check("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    check("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    check("\u{16}\u{3}\u{1}", 400);
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 200);
    check("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 405);
    check("GET / HTTP/1.1\r\nHos", 0);
    check(
        &format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(17_000)),
        414,
    );
    check(&format!("GET /{}", "a".repeat(17_000)), 414);
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
            "a".repeat(17_000)
        ),
        400,
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            format!("A: {}\r\n", "a".repeat(15_000)).repeat(5)
        ),
        400,
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            format!("A: {}\r\n", "a".repeat(15_000)).repeat(4)
        ),
        200,
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "A: b\r\n".repeat(300)
        ),
        400,
    );
}

#[test]
fn meanings() {
    with(
        "GET http://h:81/p?q HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\nrest",
        |parsed| {
            let request = parsed.unwrap().unwrap();
            assert_eq!(request.host, Some("h:81"));
            assert_eq!(request.target.path, "/p");
            assert!(!request.keeps_alive());
            assert_eq!(request.length, 64);
        },
    );
    let websocket = "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(with(websocket, |parsed| parsed
        .unwrap()
        .unwrap()
        .is_websocket));
    let upgrades = |head: &str| with(head, |parsed| parsed.unwrap().unwrap().upgrades);
    assert!(upgrades(websocket));
    assert!(!upgrades(&websocket.replace("websocket", "h2c")));
    assert!(!upgrades(&websocket.replace(", Upgrade", "")));
    assert!(!upgrades(&websocket.replace("HTTP/1.1", "HTTP/1.0")));
    let other = websocket
        .replace("websocket", "h2c, tcp")
        .replace("GET", "POST");
    assert!(upgrades(&other));
    assert!(!with(&other, |parsed| parsed
        .unwrap()
        .unwrap()
        .is_websocket));
    let expects = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
    assert!(with(expects, |parsed| parsed
        .unwrap()
        .unwrap()
        .expects_continue));
}

#[test]
fn completeness_is_seen_across_reads() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for split in 0..head.len() {
        assert!(!may_be_complete(&head[..split], 0), "{split}");
        assert!(may_be_complete(head, split), "{split}");
    }
    assert!(may_be_complete(b"GET / HTTP/1.0\n\n", 3));
}

#[test]
fn any_bytes_are_survived() {
    let seedling = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\nabc";
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..20_000 {
        let mut bytes = seedling.to_vec();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = (seed >> 8) as usize % bytes.len();
            bytes[at] = seed as u8;
        }
        let mut room = fields();
        if let Ok(Some(request)) = parse(&bytes, &mut room) {
            assert!(request.length <= bytes.len());
        }
    }
}
