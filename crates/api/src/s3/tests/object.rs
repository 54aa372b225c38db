//! Objects: one, its versions, listings of many.

use super::*;

#[test]
fn an_object_comes_back_until_it_is_deleted() {
    let world = World::new();
    let headers = "content-type: text/plain\nx-amz-meta-a: b\ncontent-encoding: aws-chunked,gzip\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let put = world.call("PUT /bkt/a%20b/c", headers, body);
    assert_eq!(
        put.header("etag"),
        Some("\"5d41402abc4b2a76b9719d911017c592\"")
    );
    assert_eq!(put.header("x-amz-checksum-crc32"), Some("NhCmhg=="));
    let check = |headers: &str, status: u16, body: &str| {
        let got = world.call("GET /bkt/a%20b/c", headers, "");
        assert_eq!(
            (got.status, text(&got).as_str()),
            (status, body),
            "{headers}"
        );
        got
    };
    let got = check("x-amz-checksum-mode: ENABLED", 200, "hello");
    let header = |name| got.header(name);
    assert_eq!(header("content-type"), Some("text/plain"));
    assert_eq!(header("content-encoding"), Some("gzip"));
    assert_eq!(header("x-amz-meta-a"), Some("b"));
    assert_eq!(header("x-amz-checksum-crc32"), Some("NhCmhg=="));
    assert_eq!(header("x-amz-server-side-encryption"), Some("AES256"));
    let part = check("range: bytes=1-2", 206, "el");
    assert_eq!(part.header("content-range"), Some("bytes 1-2/5"));
    check(
        "if-none-match: \"5d41402abc4b2a76b9719d911017c592\"",
        304,
        "",
    );
    let head = world.call("HEAD /bkt/a%20b/c", "", "");
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        (Some("5"), 0)
    );
    // Overwriting leaves one body, deleting none.
    world.expect("PUT /bkt/a%20b/c", "again", 200);
    assert_eq!(world.files(), 1);
    assert_eq!(world.refused("DELETE /bkt", "", ""), "BucketNotEmpty");
    world.expect("DELETE /bkt/a%20b/c", "", 204);
    world.expect("DELETE /bkt/a%20b/c", "", 204);
    assert_eq!(world.files(), 0);
    world.expect("DELETE /bkt", "", 204);
}

#[test]
fn a_lock_file_is_made_once() {
    let world = World::new();
    let put = |headers: &str| world.call("PUT /bkt/lock", headers, "x").status;
    assert_eq!(put("if-none-match: *"), 200);
    assert_eq!(put("if-none-match: *"), 412);
    assert_eq!(put("if-none-match: \"x\""), 501);
    assert_eq!(put("if-match: \"x\""), 412);
    assert_eq!(put("if-match: \"9dd4e461268c8034f5c8564e155c67a6\""), 200);
    world.expect("DELETE /bkt/lock", "", 204);
    assert_eq!(put("if-match: \"x\""), 404);
    assert_eq!(put("if-none-match: *"), 200);
    assert_eq!(world.files(), 1);
}

#[test]
fn versions_stay_until_each_is_deleted() {
    let world = World::new();
    let versioning = |status: &str| {
        let document =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        world.expect("PUT /bkt?versioning", &document, 200);
    };
    world.expect("PUT /bkt/k", "null", 200);
    versioning("Enabled");
    let second = world.call("PUT /bkt/k", "", "second");
    let second = second.header("x-amz-version-id").unwrap();
    let marker = world.call("DELETE /bkt/k", "", "");
    let marker = marker.header("x-amz-version-id").unwrap();
    let gone = world.call("GET /bkt/k", "", "");
    assert_eq!(
        (gone.status, gone.header("x-amz-delete-marker")),
        (404, Some("true"))
    );
    assert_eq!(
        world.expect(&format!("GET /bkt/k?versionId={second}"), "", 200),
        "second"
    );
    assert_eq!(world.expect("GET /bkt/k?versionId=null", "", 200), "null");
    assert_eq!(
        world.refused(&format!("GET /bkt/k?versionId={marker}"), "", ""),
        "MethodNotAllowed"
    );
    let list = world.expect("GET /bkt?versions", "", 200);
    assert_eq!(all(&list, "VersionId"), [second, "null", marker]);
    assert_eq!(all(&list, "IsLatest"), ["false", "false", "true"]);
    assert_eq!(
        all(&world.expect("GET /bkt?list-type=2", "", 200), "Key"),
        [""; 0]
    );
    world.expect(&format!("DELETE /bkt/k?versionId={marker}"), "", 204);
    assert_eq!(world.expect("GET /bkt/k", "", 200), "second");
    // Suspended, the next one takes the place of the null version.
    versioning("Suspended");
    world.expect("PUT /bkt/k", "third", 200);
    assert_eq!(
        all(&world.expect("GET /bkt?versions", "", 200), "VersionId"),
        ["null", second]
    );
    assert_eq!(world.files(), 2);
}

#[test]
fn listings_are_whole_page_by_page() {
    let world = World::new();
    for key in ["a", "b/1", "b/2", "b/c/3", "b%20c", "c/1", "d"] {
        world.expect(&format!("PUT /bkt/{key}"), "", 200);
    }
    let check = |query: &str, keys: &[&str], prefixes: &[&str]| {
        for size in [1, 2, 1000] {
            let (mut found, mut common, mut token) = (Vec::new(), Vec::new(), String::new());
            loop {
                let page = world.expect(
                    &format!("GET /bkt?list-type=2&max-keys={size}&{query}{token}"),
                    "",
                    200,
                );
                found.extend(all(&page, "Key"));
                let groups = all(&page, "CommonPrefixes");
                common.extend(groups.iter().filter_map(|group| between(group, "Prefix")));
                match between(&page, "NextContinuationToken") {
                    Some(next) => token = format!("&continuation-token={next}"),
                    None => break,
                }
            }
            assert_eq!(
                (found, common),
                (
                    keys.iter().map(|k| k.to_string()).collect(),
                    prefixes.iter().map(|p| p.to_string()).collect()
                ),
                "{query} by {size}"
            );
        }
    };
    check("", &["a", "b c", "b/1", "b/2", "b/c/3", "c/1", "d"], &[]);
    check("delimiter=/", &["a", "b c", "d"], &["b/", "c/"]);
    check("delimiter=/&prefix=b/", &["b/1", "b/2"], &["b/c/"]);
    check("prefix=b", &["b c", "b/1", "b/2", "b/c/3"], &[]);
    check("start-after=b/1", &["b/2", "b/c/3", "c/1", "d"], &[]);
    check("prefix=x", &[], &[]);
    check("encoding-type=url&prefix=b%20", &["b%20c"], &[]);
    assert_eq!(
        world.refused("GET /bkt?max-keys=-1", "", ""),
        "InvalidArgument"
    );
    assert_eq!(
        world.refused("GET /bkt?list-type=2&continuation-token=*", "", ""),
        "InvalidArgument"
    );
}

/// Elements that AWS adds to an error, which SDKs hand to their callers.
#[test]
fn refusals_name_what_they_are_about() {
    let world = World::new();
    world.expect("PUT /bkt/k", "hello", 200);
    let check = |line: &str, headers: &str, expected: &[(&str, &str)]| {
        let answer = text(&world.call(line, headers, ""));
        for (element, value) in expected {
            let found = between(&answer, element);
            assert_eq!(found.as_deref(), Some(*value), "{line} {element}: {answer}");
        }
    };
    check("GET /none", "", &[("BucketName", "none")]);
    check("GET /bkt/x", "", &[("Key", "x")]);
    check(
        "GET /bkt/k?versionId=v",
        "",
        &[("Key", "k"), ("VersionId", "v")],
    );
    check("GET /bkt/k?uploadId=u", "", &[("UploadId", "u")]);
    check("GET /bkt?policy", "", &[("BucketName", "bkt")]);
    check(
        "GET /bkt/k",
        "range: bytes=5-9",
        &[("RangeRequested", "bytes=5-9"), ("ActualObjectSize", "5")],
    );
    check(
        "GET /bkt/k",
        "if-match: x",
        &[
            ("Condition", "If-Match"),
            (
                "Message",
                "At least one of the pre-conditions you specified did not hold",
            ),
        ],
    );
    check("PATCH /bkt/k", "", &[("Resource", "/bkt/k")]);
}
