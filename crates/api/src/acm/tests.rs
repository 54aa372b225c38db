//! Certificates through their actions.

use super::describe::status;
use super::service;
use crate::certificate::tests::self_signed;
use crate::testing::{input, run};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

#[test]
fn an_imported_certificate_is_described_and_deleted() {
    let (body, key) = self_signed(&["www.example.com", "example.com"]);
    run(|ctx| {
        // What rcgen makes is valid from long ago, before the tests' clock.
        ctx.now = "2026-01-01T00:00:00Z".parse().unwrap();
        let members = json!({
            "Certificate": STANDARD.encode(&body), "PrivateKey": STANDARD.encode(&key),
            "Tags": [{ "Key": "a", "Value": "b" }],
        });
        super::import::import(ctx, input(members)).unwrap();
        let certificate = ctx.tx.certificates.values().next().unwrap().clone();
        assert_eq!(certificate.domain_name, "www.example.com");
        assert_eq!(certificate.names, ["www.example.com", "example.com"]);
        let by_arn = || json!({ "CertificateArn": certificate.arn });
        let described = super::describe::describe(ctx, input(by_arn())).unwrap();
        let described = serde_json::to_value(described).unwrap();
        assert_eq!(described["Certificate"]["Status"], "ISSUED");
        assert_eq!(described["Certificate"]["Type"], "IMPORTED");
        assert_eq!(described["Certificate"]["KeyAlgorithm"], "EC_prime256v1");
        let pem =
            serde_json::to_value(super::describe::get(ctx, input(by_arn())).unwrap()).unwrap();
        assert_eq!(pem["Certificate"], body);
        super::delete(ctx, input(by_arn())).unwrap();
        let gone = super::describe::describe(ctx, input(by_arn()))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(gone.code, "ResourceNotFoundException");
    });
}

#[test]
fn a_key_must_be_its_certificates() {
    let (body, _) = self_signed(&["a.example"]);
    let (_, key) = self_signed(&["a.example"]);
    run(|ctx| {
        ctx.now = "2026-01-01T00:00:00Z".parse().unwrap();
        let members =
            json!({ "Certificate": STANDARD.encode(body), "PrivateKey": STANDARD.encode(key) });
        let refused = super::import::import(ctx, input(members))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(refused.code, "ValidationException");
        assert!(
            refused.message.contains("does not match"),
            "{}",
            refused.message
        );
    });
}

#[test]
fn a_request_waits_and_describes_its_records() {
    run(|ctx| {
        let members = || {
            json!({
                "DomainName": "Example.com", "ValidationMethod": "DNS", "IdempotencyToken": "t",
                "SubjectAlternativeNames": ["*.example.com", "example.com"],
            })
        };
        super::request::request(ctx, input(members())).unwrap();
        super::request::request(ctx, input(members())).unwrap();
        let all: Vec<_> = ctx.tx.certificates.values().cloned().collect();
        let [certificate] = all.as_slice() else {
            panic!("{all:?}")
        };
        assert_eq!(certificate.names, ["example.com", "*.example.com"]);
        let answer =
            super::describe::describe(ctx, input(json!({ "CertificateArn": certificate.arn })));
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        let answer = &answer["Certificate"];
        assert_eq!(answer["Status"], "PENDING_VALIDATION");
        let record = &answer["DomainValidationOptions"][0]["ResourceRecord"];
        assert_eq!(record["Type"], "CNAME");
        assert_eq!(
            *record,
            answer["DomainValidationOptions"][1]["ResourceRecord"]
        );
        let pending =
            super::describe::get(ctx, input(json!({ "CertificateArn": certificate.arn })));
        assert_eq!(
            pending.map(|_| ()).unwrap_err().code,
            "RequestInProgressException"
        );
    });
}

#[test]
fn what_cannot_be_issued_is_refused() {
    run(|ctx| {
        let mut check = |extra: serde_json::Value, code: &str| {
            let mut members = json!({ "DomainName": "a.example", "ValidationMethod": "DNS" });
            for (name, value) in extra.as_object().unwrap() {
                members[name] = value.clone();
            }
            let refused = super::request::request(ctx, input(members)).map(|_| ());
            assert_eq!(refused.unwrap_err().code, code);
        };
        check(
            json!({ "ValidationMethod": "EMAIL" }),
            "InvalidParameterException",
        );
        check(json!({ "ValidationMethod": "X" }), "ValidationException");
        check(
            json!({ "KeyAlgorithm": "RSA_2048" }),
            "InvalidParameterException",
        );
        check(json!({ "DomainName": "localhost" }), "ValidationException");
        check(
            json!({ "CertificateAuthorityArn": "arn:x" }),
            "InvalidParameterException",
        );
        check(
            json!({ "Options": { "Export": "ENABLED" } }),
            "InvalidParameterException",
        );
        let many: Vec<String> = (0..10).map(|n| format!("n{n}.example")).collect();
        check(
            json!({ "SubjectAlternativeNames": many }),
            "LimitExceededException",
        );
    });
}

#[test]
fn arns_are_told_apart() {
    run(|ctx| {
        let mut check = |arn: &str, code: &str| {
            let answer = super::describe::describe(ctx, input(json!({ "CertificateArn": arn })));
            assert_eq!(answer.map(|_| ()).unwrap_err().code, code, "{arn}");
        };
        check("x", "InvalidArnException");
        check(
            "arn:aws:acm:us-east-1:000000000000:certificate/x",
            "ResourceNotFoundException",
        );
        check(
            "arn:aws:iam::000000000000:server-certificate/x",
            "InvalidArnException",
        );
    });
    assert_eq!(
        status(None, model::Timestamp::UNIX_EPOCH),
        "PENDING_VALIDATION"
    );
    assert!(
        service()
            .actions
            .iter()
            .any(|a| a.name == "ListCertificates" && a.read_only)
    );
}
