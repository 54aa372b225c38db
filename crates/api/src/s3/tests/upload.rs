//! Multipart uploads, copies, and bodies that nothing names.

use super::*;

#[test]
fn parts_make_a_whole() {
    let world = World::new();
    let begun = world.expect("POST /bkt/k?uploads", "", 200);
    let id = between(&begun, "UploadId").unwrap();
    let large = "x".repeat(5 << 20);
    let part = |number: u16, body: &str| {
        let response = world.call(
            &format!("PUT /bkt/k?partNumber={number}&uploadId={id}"),
            "",
            body,
        );
        let etag = response.header("etag").unwrap().replace('"', "&quot;");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let (one, two) = (part(1, &large), part(2, "end"));
    let complete = |parts: &str| {
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        world.call(&format!("POST /bkt/k?uploadId={id}"), "", &document)
    };
    let check = |parts: &str, expected: &str| {
        assert_eq!(
            between(&text(&complete(parts)), "Code").as_deref(),
            Some(expected),
            "{parts}"
        );
    };
    check("", "MalformedXML");
    check(&format!("{two}{one}"), "InvalidPartOrder");
    check(&one.replace("<ETag>&quot;", "<ETag>&quot;0"), "InvalidPart");
    check(&one.replace(">1<", ">7<"), "InvalidPart");
    let small = part(3, "end");
    check(&format!("{two}{small}"), "EntityTooSmall");
    assert_eq!(world.files(), 3);
    assert_eq!(complete(&format!("{one}{two}")).status, 200);
    assert_eq!(world.files(), 1, "parts go when they are joined");
    let got = world.call("GET /bkt/k?partNumber=2", "", "");
    assert_eq!(
        (
            got.status,
            text(&got).as_str(),
            got.header("x-amz-mp-parts-count")
        ),
        (206, "end", Some("2"))
    );
    assert_eq!(
        world.call("HEAD /bkt/k", "", "").header("content-length"),
        Some("5242883")
    );
    assert_eq!(
        world.refused(&format!("GET /bkt/k?uploadId={id}"), "", ""),
        "NoSuchUpload"
    );
    world.expect("DELETE /bkt/k", "", 204);
    // A bucket takes unfinished uploads with it.
    let id = between(&world.expect("POST /bkt/k?uploads", "", 200), "UploadId").unwrap();
    world.expect(&format!("PUT /bkt/k?partNumber=1&uploadId={id}"), "x", 200);
    world.expect("DELETE /bkt", "", 204);
    assert_eq!(world.files(), 0);
    assert!(world.store.snapshot().parts.is_empty());
}

#[test]
fn copies_read_what_the_caller_may_read() {
    let world = World::new();
    world.call("PUT /bkt/a", "x-amz-meta-m: 1\nx-amz-tagging: t=1", "body");
    let copy = |headers: &str| {
        let headers = format!("x-amz-copy-source: {headers}");
        let answer = text(&world.call("PUT /bkt/b", &headers, ""));
        between(&answer, "Code").unwrap_or_else(|| "copied".to_owned())
    };
    assert_eq!(copy("/bkt/a"), "copied");
    let got = world.call("GET /bkt/b", "", "");
    assert_eq!(
        (
            text(&got).as_str(),
            got.header("x-amz-meta-m"),
            got.header("x-amz-tagging-count")
        ),
        ("body", Some("1"), Some("1"))
    );
    assert_eq!(copy("bkt/a\nx-amz-metadata-directive: REPLACE"), "copied");
    assert_eq!(
        world.call("GET /bkt/b", "", "").header("x-amz-meta-m"),
        None
    );
    assert_eq!(copy("bkt/b"), "InvalidRequest");
    assert_eq!(copy("bkt/none"), "NoSuchKey");
    assert_eq!(copy("none/a"), "NoSuchBucket");
    assert_eq!(copy("bkt"), "InvalidArgument");
    assert_eq!(
        copy("bkt/a\nx-amz-copy-source-if-match: \"x\""),
        "PreconditionFailed"
    );
    let other = "x-amz-copy-source: bkt/a";
    assert_eq!(
        world.send("111111111111", "PUT /theirs", "", "").status,
        200
    );
    assert_eq!(
        world
            .send("111111111111", "PUT /theirs/a", other, "")
            .status,
        403
    );
    assert_eq!(world.files(), 2);
}

#[test]
fn orphans_of_a_crash_go_at_the_start() {
    let world = World::new();
    world.expect("PUT /bkt/k", "x", 200);
    let id = between(&world.expect("POST /bkt/m?uploads", "", 200), "UploadId").unwrap();
    world.expect(&format!("PUT /bkt/m?partNumber=1&uploadId={id}"), "x", 200);
    let directory = world.cloud.state_dir.join("s3");
    std::fs::write(directory.join("bkt").join("orphan"), "x").unwrap();
    std::fs::create_dir(directory.join("gone")).unwrap();
    std::fs::write(directory.join("gone").join("orphan"), "x").unwrap();
    assert_eq!(world.files(), 4);
    remove_orphans(&world.store, &world.cloud);
    assert_eq!(world.files(), 2);
    assert_eq!(world.expect("GET /bkt/k", "", 200), "x");
}
