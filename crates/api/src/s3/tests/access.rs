//! Strangers, and versions under a lock.

use super::*;

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
