//! Calls on a store in memory and a directory of the test's own, as plain requests and answers.

use super::*;
use model::s3::Object;
use std::path::PathBuf;
use std::sync::Arc;

/// An object modified at the start of 2026.
pub fn object(key: &str, etag: &str) -> Object {
    Object {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: "null".to_owned(),
        sequence: 1,
        delete_marker: false,
        size: 0,
        etag: etag.to_owned(),
        modified: jiff::Timestamp::from_second(1_767_225_600).unwrap(),
        storage_class: "STANDARD".to_owned(),
        headers: Default::default(),
        checksums: Default::default(),
        body: String::new(),
        tags: Default::default(),
        acl: None,
        parts: Vec::new(),
    }
}

struct World {
    store: Store,
    cloud: Cloud,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.cloud.state_dir);
    }
}

impl World {
    /// With the bucket `bkt`.
    fn new() -> Self {
        let name = format!("nines-s3-test-{}", uuid::Uuid::new_v4());
        let cloud = Cloud {
            metrics: Arc::default(),
            public_pool: "198.18.0.0/15".parse().unwrap(),
            state_dir: std::env::temp_dir().join(name),
            images: Vec::new(),
            strict_images: false,
            privileged_instances: false,
            speed: Default::default(),
            console: Box::new(|_| None),
        };
        let store = Store::in_memory();
        let world = Self { store, cloud };
        world.expect("PUT /bkt", "", 200);
        world
    }

    /// `line` is method and path; headers one a line as `name: value`.
    fn send(&self, key: &str, line: &str, headers: &str, body: &str) -> HttpResponse {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        let mut headers: Vec<(String, String)> = headers.collect();
        if !key.is_empty() {
            headers.push(("authorization".to_owned(), "signed".to_owned()));
        }
        let account = if key.is_empty() { "000000000000" } else { key };
        let call = Call {
            request: HttpRequest {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers,
                body: body.as_bytes().to_vec(),
            },
            scope: Scope::new(account, "us-east-1"),
            access_key: key.to_owned(),
            now: jiff::Timestamp::from_second(1_767_225_600).unwrap(),
            request_id: "r".to_owned(),
        };
        answer(&self.store, &self.cloud, call, &|commit| {
            commit.forget();
            Ok(())
        })
    }

    fn call(&self, line: &str, headers: &str, body: &str) -> HttpResponse {
        self.send("000000000000", line, headers, body)
    }

    fn expect(&self, line: &str, body: &str, status: u16) -> String {
        let response = self.call(line, "", body);
        let text = text(&response);
        assert_eq!(response.status, status, "{line} {text}");
        text
    }

    /// The code of the refusal.
    fn refused(&self, line: &str, headers: &str, body: &str) -> String {
        let answer = text(&self.call(line, headers, body));
        between(&answer, "Code").unwrap_or(answer)
    }

    /// Bodies that lie on disk.
    fn files(&self) -> usize {
        let buckets = std::fs::read_dir(self.cloud.state_dir.join("s3"))
            .into_iter()
            .flatten();
        let directories = buckets.flatten().map(|bucket| bucket.path());
        let count = |directory: PathBuf| std::fs::read_dir(directory).map_or(0, Iterator::count);
        directories.map(count).sum()
    }
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

fn between(text: &str, element: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    let (inner, _) = rest.split_once(&format!("</{element}>"))?;
    Some(inner.to_owned())
}

/// The texts of every such element.
fn all(text: &str, element: &str) -> Vec<String> {
    let pieces = text
        .split(&format!("<{element}>"))
        .skip(1)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let end = format!("</{element}>");
    pieces
        .iter()
        .filter_map(|piece| piece.split_once(&end))
        .map(|(inner, _)| inner.to_owned())
        .collect()
}

#[test]
fn what_a_bucket_has_not_has_a_code_of_its_own() {
    let world = World::new();
    let check = |sub: &str, expected: &str| {
        assert_eq!(
            world.refused(&format!("GET /bkt?{sub}"), "", ""),
            expected,
            "{sub}"
        );
    };
    check("cors", "NoSuchCORSConfiguration");
    check("lifecycle", "NoSuchLifecycleConfiguration");
    check("object-lock", "ObjectLockConfigurationNotFoundError");
    check("policy", "NoSuchBucketPolicy");
    check("policyStatus", "NoSuchBucketPolicy");
    check("replication", "ReplicationConfigurationNotFoundError");
    check("tagging", "NoSuchTagSet");
    check("website", "NoSuchWebsiteConfiguration");
    world.expect("DELETE /bkt?publicAccessBlock", "", 204);
    check("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration");
    world.expect("DELETE /bkt?ownershipControls", "", 204);
    check("ownershipControls", "OwnershipControlsNotFoundError");
    world.expect("DELETE /bkt?encryption", "", 204);
    assert!(
        world
            .expect("GET /bkt?encryption", "", 200)
            .contains("AES256")
    );
}

#[test]
fn documents_come_back_as_they_were_meant() {
    let world = World::new();
    let check = |sub: &str, sent: &str, expected: &str| {
        let response = world.call(&format!("PUT /bkt?{sub}"), "", sent);
        assert_eq!(response.status, 200, "{sub} {}", text(&response));
        let found = world.expect(&format!("GET /bkt?{sub}"), "", 200);
        let found = found.split_once('\n').unwrap().1;
        let found = found.replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "");
        assert_eq!(found, expected, "{sub}");
    };
    check(
        "versioning",
        "<VersioningConfiguration>\n <Status>Enabled</Status>\n</VersioningConfiguration>",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    );
    check(
        "publicAccessBlock",
        "<PublicAccessBlockConfiguration><BlockPublicPolicy>TRUE</BlockPublicPolicy></PublicAccessBlockConfiguration>",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>",
    );
    check(
        "encryption",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
    );
    check(
        "lifecycle",
        "<LifecycleConfiguration><Rule><Status>Enabled</Status><ID>a</ID><Filter/><Expiration><Date>2030-01-01</Date></Expiration></Rule></LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule></LifecycleConfiguration>",
    );
    check(
        "logging",
        "<BucketLoggingStatus/>",
        "<BucketLoggingStatus/>",
    );
    check(
        "ownershipControls",
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
    );
}

#[test]
fn documents_that_do_not_fit_are_refused() {
    let world = World::new();
    let check = |sub: &str, sent: &str, expected: &str| {
        let found = world.refused(&format!("PUT /bkt?{sub}"), "", sent);
        assert_eq!(found, expected, "{sub} {sent}");
    };
    check("versioning", "", "MalformedXML");
    check("versioning", "<Other/>", "MalformedXML");
    check(
        "versioning",
        "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
        "MalformedXML",
    );
    check(
        "versioning",
        "<VersioningConfiguration><Stat>Enabled</Stat></VersioningConfiguration>",
        "MalformedXML",
    );
    check(
        "versioning",
        "<VersioningConfiguration/>",
        "IllegalVersioningConfigurationException",
    );
    check("cors", "<CORSConfiguration/>", "MalformedXML");
    check(
        "object-lock",
        "<ObjectLockConfiguration/>",
        "InvalidBucketState",
    );
    check(
        "replication",
        "<ReplicationConfiguration/>",
        "NotImplemented",
    );
    check(
        "logging",
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>none</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>",
        "InvalidTargetBucketForLogging",
    );
    check(
        "notification",
        "<NotificationConfiguration><QueueConfiguration><Queue>q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
        "InvalidArgument",
    );
    check(
        "tagging",
        "<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>",
        "InvalidTag",
    );
    check("website", "<WebsiteConfiguration/>", "InvalidArgument");
    check("policy", "{}", "MalformedPolicy");
    let rule = |actions: &str| {
        format!(
            "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status>{actions}</Rule></LifecycleConfiguration>"
        )
    };
    check("lifecycle", &rule(""), "InvalidRequest");
    check(
        "lifecycle",
        &rule("<Expiration><Days>0</Days></Expiration>"),
        "InvalidArgument",
    );
    check(
        "lifecycle",
        &rule("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>"),
        "InvalidArgument",
    );
    check(
        "lifecycle",
        &rule("<Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"),
        "InvalidArgument",
    );
}

#[test]
fn buckets_and_calls_that_are_not_there() {
    let world = World::new();
    let check = |line: &str, headers: &str, expected: &str| {
        assert_eq!(
            world.refused(line, headers, ""),
            expected,
            "{line} {headers}"
        );
    };
    check("GET /none", "", "NoSuchBucket");
    check("PUT /none/k", "", "NoSuchBucket");
    check("DELETE /none", "", "NoSuchBucket");
    check("PUT /B", "", "InvalidBucketName");
    check("GET /bkt/k", "", "NoSuchKey");
    check("GET /bkt/k?versionId=x", "", "NoSuchVersion");
    check("GET /bkt/k?uploadId=x", "", "NoSuchUpload");
    check("PATCH /bkt/k", "", "MethodNotAllowed");
    check("POST /bkt", "", "MethodNotAllowed");
    check("GET /bkt?inventory", "", "NotImplemented");
    check(
        "GET /bkt",
        "x-amz-expected-bucket-owner: 111111111111",
        "AccessDenied",
    );
    check(
        "PUT /bkt/k",
        "x-amz-server-side-encryption-customer-algorithm: AES256",
        "NotImplemented",
    );
    check(
        "PUT /bkt/k",
        "x-amz-storage-class: CHEAP",
        "InvalidStorageClass",
    );
    check("PUT /bkt/k", "content-md5: x", "InvalidDigest");
    check("PUT /bkt/k", "x-amz-checksum-crc32: AAAAAQ==", "BadDigest");
    check(
        "PUT /bkt/k",
        "x-amz-acl: public-read",
        "AccessControlListNotSupported",
    );
    check("GET /%ff", "", "InvalidURI");
    assert_eq!(world.call("HEAD /none", "", "").status, 404);
    assert_eq!(world.files(), 0);
}

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
fn strangers_need_a_policy_or_an_acl() {
    let world = World::new();
    world.expect("PUT /bkt/k", "x", 200);
    let check = |line: &str, status: u16| {
        assert_eq!(
            world.send("", line, "", "").status,
            status,
            "{line} unsigned"
        );
    };
    check("GET /", 403);
    check("PUT /new", 403);
    check("GET /bkt/k", 403);
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"}}"#;
    assert_eq!(world.refused("PUT /bkt?policy", "", policy), "AccessDenied");
    world.expect("DELETE /bkt?publicAccessBlock", "", 204);
    world.expect("PUT /bkt?policy", policy, 204);
    check("GET /bkt/k", 200);
    check("GET /bkt", 403);
    check("DELETE /bkt/k", 403);
    world.expect("DELETE /bkt?policy", "", 204);
    check("GET /bkt/k", 403);
    assert_eq!(
        world.refused("PUT /bkt?acl", "x-amz-acl: public-read", ""),
        "AccessControlListNotSupported"
    );
    world.expect("DELETE /bkt?ownershipControls", "", 204);
    assert_eq!(
        world
            .call("PUT /bkt?acl", "x-amz-acl: public-read", "")
            .status,
        200
    );
    check("GET /bkt", 200);
    check("GET /bkt/k", 403);
    assert_eq!(
        world
            .call("PUT /bkt/k?acl", "x-amz-acl: public-read", "")
            .status,
        200
    );
    check("GET /bkt/k", 200);
    assert_eq!(
        world.send("111111111111", "DELETE /bkt/k", "", "").status,
        403
    );
}

#[test]
fn a_locked_version_stays() {
    let world = World::new();
    let created = world.call("PUT /safe", "x-amz-bucket-object-lock-enabled: true", "");
    assert_eq!(created.status, 200);
    let put = |headers: &str| {
        let response = world.call("PUT /safe/k", headers, "x");
        response
            .header("x-amz-version-id")
            .unwrap_or_default()
            .to_owned()
    };
    let until = |date: &str, mode: &str| {
        format!("x-amz-object-lock-mode: {mode}\nx-amz-object-lock-retain-until-date: {date}")
    };
    let check = |version: &str, headers: &str, status: u16| {
        let line = format!("DELETE /safe/k?versionId={version}");
        assert_eq!(world.call(&line, headers, "").status, status, "{headers}");
    };
    let bypass = "x-amz-bypass-governance-retention: true";
    assert_eq!(
        put(&until("2020-01-01T00:00:00Z", "GOVERNANCE")),
        "",
        "must be in the future"
    );
    check(&put(""), "", 204);
    let version = put(&until("2030-01-01T00:00:00Z", "GOVERNANCE"));
    check(&version, "", 403);
    check(&version, bypass, 204);
    let version = put(&until("2030-01-01T00:00:00Z", "COMPLIANCE"));
    check(&version, bypass, 403);
    let version = put("x-amz-object-lock-legal-hold: ON");
    check(&version, bypass, 403);
    world.expect(
        &format!("PUT /safe/k?legal-hold&versionId={version}"),
        "<LegalHold><Status>OFF</Status></LegalHold>",
        200,
    );
    check(&version, "", 204);
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
