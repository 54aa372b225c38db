//! What browsers upload by a form.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const TYPE: &str = "content-type: multipart/form-data; boundary=xyz";

/// A form with these fields and a file of that content.
fn form(fields: &[(&str, &str)], file: &str) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.push_str(&format!("--xyz\r\n{head}\r\n\r\n{value}\r\n"));
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain";
    body.push_str(&format!("--xyz\r\n{head}\r\n\r\n{file}\r\n--xyz--\r\n"));
    body
}

fn policy(expiration: &str, conditions: &str) -> String {
    STANDARD.encode(format!(
        "{{\"expiration\": \"{expiration}\", \"conditions\": {conditions}}}"
    ))
}

const SIGNER: &str = "000000000000/20260101/us-east-1/s3/aws4_request";

fn signed<'a>(policy: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("policy", policy),
        ("x-amz-credential", SIGNER),
        ("x-amz-signature", "00"),
    ];
    fields.extend(more);
    fields
}

#[test]
fn a_form_becomes_an_object() {
    let world = World::new();
    let later = "2026-01-02T00:00:00Z";
    let conditions = r#"[["starts-with", "$key", "up/"], {"x-amz-credential": "000000000000/20260101/us-east-1/s3/aws4_request"}, ["starts-with", "$x-amz-meta-a", ""], {"content-type": "text/html"}, {"success_action_status": "201"}, ["content-length-range", 1, 5]]"#;
    let policy = policy(later, conditions);
    let fields = [
        ("key", "up/${filename}"),
        ("Content-Type", "text/html"),
        ("x-amz-meta-a", "b"),
        ("success_action_status", "201"),
    ];
    let body = form(&signed(&policy, &fields), "hello");
    let posted = world.send("", "POST /bkt", TYPE, &body);
    assert_eq!(posted.status, 201, "{}", text(&posted));
    assert_eq!(between(&text(&posted), "Key").as_deref(), Some("up/a.txt"));
    let got = world.call("GET /bkt/up/a.txt", "", "");
    assert_eq!(text(&got), "hello");
    assert_eq!(got.header("content-type"), Some("text/html"));
    assert_eq!(got.header("x-amz-meta-a"), Some("b"));
    let refused = |fields: &[(&str, &str)], file: &str, code: &str, message: &str| {
        let body = form(fields, file);
        let answer = text(&world.send("", "POST /bkt", TYPE, &body));
        assert_eq!(between(&answer, "Code").as_deref(), Some(code), "{answer}");
        let said = between(&answer, "Message").unwrap_or_default();
        assert!(said.contains(message), "{said}");
    };
    refused(&signed(&policy, &fields), "too long", "EntityTooLarge", "");
    refused(&signed(&policy, &fields), "", "EntityTooSmall", "");
    let mut elsewhere = fields;
    elsewhere[0].1 = "down/a";
    refused(
        &signed(&policy, &elsewhere),
        "x",
        "AccessDenied",
        "Policy Condition failed",
    );
    let more = [&fields[..], &[("x-amz-meta-c", "d")]].concat();
    refused(
        &signed(&policy, &more),
        "x",
        "AccessDenied",
        "Extra input fields: x-amz-meta-c",
    );
}

#[test]
fn a_form_needs_a_policy_or_an_open_bucket() {
    let world = World::new();
    let code = |fields: &[(&str, &str)]| {
        let body = form(fields, "x");
        let answer = world.send("", "POST /bkt", TYPE, &body);
        match answer.status {
            204 => "done".to_owned(),
            _ => between(&text(&answer), "Code").unwrap_or_default(),
        }
    };
    assert_eq!(code(&[("key", "k")]), "AccessDenied");
    assert_eq!(code(&[]), "InvalidArgument");
    let past = policy("2025-01-01T00:00:00Z", "[]");
    assert_eq!(code(&signed(&past, &[("key", "k")])), "AccessDenied");
    assert_eq!(code(&[("key", "k"), ("policy", "%")]), "InvalidArgument");
    let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bkt/*"}]}"#;
    world.expect("DELETE /bkt?publicAccessBlock", "", 204);
    world.expect("PUT /bkt?policy", open, 204);
    assert_eq!(code(&[("key", "k")]), "done");
    assert_eq!(
        code(&[("key", "k"), ("x-amz-nonsense", "1")]),
        "NotImplemented"
    );
    assert_eq!(
        world.refused("POST /bkt", "content-type: text/plain", "x"),
        "PreconditionFailed"
    );
    assert_eq!(
        world.refused("POST /bkt", TYPE, "--xyz"),
        "MalformedPOSTRequest"
    );
}
