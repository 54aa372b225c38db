//! Buckets, their documents, and calls about what is not there.

use super::*;

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
    check("versioning", "", "MissingRequestBodyError");
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
    check("POST /bkt", "", "PreconditionFailed");
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
