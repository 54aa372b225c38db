//! Signatures made by botocore 1.43.11 on 2024-05-01T10:00:00Z.

use jiff::{SignedDuration, Timestamp};
use wire::auth::{Credential, Signed};
use wire::signature::verify;
use wire::{ApiError, HttpRequest};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: (&str, &str) = ("host", "127.0.0.1:4566");
const DATE: (&str, &str) = ("x-amz-date", "20240501T100000Z");

fn signed_at() -> Timestamp {
    "2024-05-01T10:00:00Z".parse().unwrap()
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpRequest {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    }
}

fn ec2_form() -> HttpRequest {
    request(
        "POST",
        "/",
        &[
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            HOST,
            ("x-odd", "  a   b  "),
            DATE,
            ("x-amz-security-token", "TOKEN/+=="),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240501/us-east-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-odd, Signature=d42b40d80944c7dcbbb00187530b53db585afc4b3543918966970558e60832a0",
            ),
        ],
        b"Action=DescribeVpcs&Version=2016-11-15",
    )
}

fn cbor_with_odd_path() -> HttpRequest {
    request(
        "POST",
        "/service/Granite%20x/./a/../operation/Put",
        &[
            HOST,
            DATE,
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240501/eu-west-1/monitoring/aws4_request, SignedHeaders=host;x-amz-date, Signature=e898f060af4275e44cdf7d7e0fc64dd9e691eda9548bb73c6bd4f5702d5803b1",
            ),
        ],
        b"\xa0",
    )
}

fn s3_put() -> HttpRequest {
    request(
        "PUT",
        "/bucket/a%20b//c%C3%A9%2B?partNumber=2&uploadId=x%2Fy&acl",
        &[
            HOST,
            DATE,
            (
                "x-amz-content-sha256",
                "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            ),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240501/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=022796827219f45cbe3f0a42c59b87f0cbdbd033451b114fa731d396d09e866e",
            ),
        ],
        b"hello",
    )
}

fn s3_presigned() -> HttpRequest {
    request(
        "GET",
        "/bucket/k%20y?versionId=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20240501%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20240501T100000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=9c306d1568ecf05ec9a3231e7772dade77f6b4be984dc06287764426ad9eab00",
        &[HOST],
        b"",
    )
}

fn sts_presigned() -> HttpRequest {
    request(
        "GET",
        "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20240501%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20240501T100000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token=TOKEN%2F%2B%3D%3D&X-Amz-Signature=15aafd7c9e82a2c997038b4d8cfd3eeb28536af52f1b3622ffaf170d5f42ef88",
        &[HOST, ("x-k8s-aws-id", "c")],
        b"",
    )
}

fn check(request: &HttpRequest, after: SignedDuration) -> Result<(), ApiError> {
    let signed = Signed::parse(request)?;
    verify(request, &signed, SECRET, signed_at() + after)
}

#[test]
fn accepts_what_botocore_signs() {
    for request in [
        ec2_form(),
        cbor_with_odd_path(),
        s3_put(),
        s3_presigned(),
        sts_presigned(),
    ] {
        assert_eq!(check(&request, SignedDuration::ZERO), Ok(()), "{request:?}");
    }
}

#[test]
fn reads_the_scope_and_the_token() {
    let signed = Signed::parse(&sts_presigned()).unwrap();
    let credential = Credential {
        access_key: "AKIDEXAMPLE".to_owned(),
        date: "20240501".to_owned(),
        region: "us-east-1".to_owned(),
        service: "sts".to_owned(),
    };
    assert_eq!(signed.credential, credential);
    assert_eq!(signed.session_token.as_deref(), Some("TOKEN/+=="));
    assert_eq!(signed.expires, Some(60));
    let signed = Signed::parse(&ec2_form()).unwrap();
    assert_eq!(signed.session_token.as_deref(), Some("TOKEN/+=="));
    assert_eq!(signed.signed_headers.len(), 5);
    assert_eq!(Credential::of(&request("GET", "/", &[], b"")), None);
}

#[test]
fn refuses_every_change() {
    let refused = |change: &dyn Fn(&mut HttpRequest), mut request: HttpRequest, code: &str| {
        change(&mut request);
        let error = check(&request, SignedDuration::ZERO).unwrap_err();
        assert_eq!(error.code, code, "{request:?}");
    };
    let wrong = "SignatureDoesNotMatch";
    refused(&|r| r.method = "PUT".to_owned(), ec2_form(), wrong);
    refused(&|r| r.body.push(b'x'), ec2_form(), wrong);
    refused(&|r| r.query = "a=b".to_owned(), ec2_form(), wrong);
    refused(&|r| r.headers[2].1 = "a b c".to_owned(), ec2_form(), wrong);
    refused(&|r| r.path.push('x'), cbor_with_odd_path(), wrong);
    refused(&|r| r.path = r.path.replace("//", "/"), s3_put(), wrong);
    refused(
        &|r| r.body.push(b'x'),
        s3_put(),
        "XAmzContentSHA256Mismatch",
    );
    refused(
        &|r| r.query = r.query.replace("=3600", "=3601"),
        s3_presigned(),
        wrong,
    );
    refused(
        &|r| r.query = r.query.replace("=3600", "=604801"),
        s3_presigned(),
        "AuthorizationQueryParametersError",
    );
}

#[test]
fn refuses_what_is_too_old_or_too_new() {
    let refused = |request: HttpRequest, seconds: i64, code: Option<&str>| {
        let error = check(&request, SignedDuration::from_secs(seconds)).err();
        let given = error.as_ref().map(|error| &*error.code);
        assert_eq!(given, code, "{seconds} s");
    };
    refused(ec2_form(), 300, None);
    refused(ec2_form(), -300, None);
    refused(ec2_form(), 301, Some("SignatureDoesNotMatch"));
    refused(ec2_form(), -301, Some("SignatureDoesNotMatch"));
    refused(s3_put(), 900, None);
    refused(s3_put(), 901, Some("RequestTimeTooSkewed"));
    refused(s3_presigned(), 3600, None);
    refused(s3_presigned(), 3601, Some("AccessDenied"));
    refused(sts_presigned(), 61, Some("SignatureDoesNotMatch"));
}

#[test]
fn refuses_what_it_cannot_read() {
    let refused = |headers: &[(&str, &str)], query: &str, code: &str| {
        let request = request("GET", &format!("/?{query}"), headers, b"");
        let error = check(&request, SignedDuration::ZERO).unwrap_err();
        assert_eq!(error.code, code, "{request:?}");
    };
    let scope = "AKID/20240501/us-east-1/ec2/aws4_request";
    let header = |text: &str| format!("AWS4-HMAC-SHA256 {text}");
    refused(&[], "", "MissingAuthenticationToken");
    for text in [
        "Basic dXNlcg==".to_owned(),
        header(""),
        header(&format!("Credential={scope}, SignedHeaders=host")),
        header(&format!("Credential={scope}, Signature=ab")),
        header("Credential=AKID/20240501/us-east-1/ec2, SignedHeaders=host, Signature=ab"),
        header("Credential=AKID, SignedHeaders=host, Signature=ab"),
    ] {
        refused(&[("authorization", &text), DATE], "", "IncompleteSignature");
    }
    let good = header(&format!(
        "Credential={scope}, SignedHeaders=host, Signature=zz"
    ));
    let good = [("authorization", good.as_str())];
    refused(&good, "", "IncompleteSignature");
    refused(
        &[good[0], ("x-amz-date", "yesterday")],
        "",
        "IncompleteSignature",
    );
    refused(
        &[good[0], ("x-amz-date", "20240502T100000Z")],
        "",
        "SignatureDoesNotMatch",
    );
    refused(&[good[0], DATE], "", "SignatureDoesNotMatch");
    refused(&[], "X-Amz-Credential=AKID", "IncompleteSignature");
    refused(&[], "X-Amz-Signature=%ff", "IncompleteSignature");
}
