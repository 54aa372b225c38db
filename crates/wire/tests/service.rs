//! A service over all its protocols. The requests are botocore 1.43.11's.

use serde::{Deserialize, Serialize};
use wire::{
    ApiError, Blob, Body, Call, HttpRequest, HttpResponse, Members, QueryKind, Service, Timestamp,
    action,
};

/// What the toy actions work on: what they were given.
#[derive(Default)]
struct Ctx {
    given: Vec<PutMetricData>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Timestamp>,
    value: Option<f64>,
    unit: Option<Unit>,
    note: Option<Blob>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Unit {
    Percent,
    #[serde(rename = "Bytes/Second")]
    BytesPerSecond,
}

#[derive(Debug, Serialize, Deserialize)]
struct Nothing {}

fn put(ctx: &mut Ctx, input: PutMetricData) -> Result<(), ApiError> {
    ctx.given.push(input);
    Ok(())
}

fn list(ctx: &mut Ctx, _: Nothing) -> Result<PutMetricData, ApiError> {
    let last = ctx.given.pop();
    last.ok_or_else(|| ApiError::client("ResourceNotFound", "Nothing was put <here>"))
}

fn tag(_: &mut Ctx, _: Nothing) -> Result<Nothing, ApiError> {
    Ok(Nothing {})
}

fn fail(_: &mut Ctx, _: ()) -> Result<(), ApiError> {
    Err(ApiError::internal("An internal error has occurred"))
}

fn monitoring() -> Service<Ctx> {
    Service {
        version: "2010-08-01",
        xml_namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        query_kind: Some(QueryKind::Query),
        json_target_prefix: Some("GraniteServiceVersion20100801"),
        cbor_service_name: Some("GraniteServiceVersion20100801"),
        query_errors: Some(&[("InternalFailure", "InternalServiceFault")]),
        actions: vec![
            action("PutMetricData", put),
            action("ListMetrics", list),
            action("TagResource", tag),
            action("GetTrouble", fail).writes(),
        ],
        ..Service::new("monitoring")
    }
}

fn ec2() -> Service<Ctx> {
    Service {
        xml_namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
        query_kind: Some(QueryKind::Ec2),
        ..monitoring()
    }
}

fn request(headers: &[(&str, &str)], path: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    HttpRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: headers.collect(),
        body: body.into(),
    }
}

const FORM: (&str, &str) = (
    "content-type",
    "application/x-www-form-urlencoded; charset=utf-8",
);

fn form(body: &str) -> HttpRequest {
    request(&[FORM], "/", body)
}

fn json(action: &str, body: &str) -> HttpRequest {
    let target = format!("GraniteServiceVersion20100801.{action}");
    let headers = [
        ("x-amz-target", target.as_str()),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    request(&headers, "/", body)
}

fn cbor(action: &str, body: &str) -> HttpRequest {
    let path = format!("/service/GraniteServiceVersion20100801/operation/{action}");
    let headers = [
        ("smithy-protocol", "rpc-v2-cbor"),
        ("content-type", "application/cbor"),
    ];
    request(&headers, &path, hex::decode(body).unwrap())
}

fn call(service: &Service<Ctx>, ctx: &mut Ctx, request: &HttpRequest) -> HttpResponse {
    service.call(ctx, &Call::detect(request).unwrap(), "r-1")
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

fn expected() -> PutMetricData {
    let at = "2024-05-01T10:00:00Z".parse().unwrap();
    PutMetricData {
        namespace: "AWS/EC2".to_owned(),
        metric_data: vec![Datum {
            metric_name: "CPU Utilization".to_owned(),
            dimensions: vec![Dimension {
                name: "InstanceId".to_owned(),
                value: "i-1".to_owned(),
            }],
            timestamp: Some(Timestamp(at)),
            value: Some(71.5),
            unit: Some(Unit::BytesPerSecond),
            note: None,
        }],
    }
}

const PUT_FORM: &str = "Action=PutMetricData&Version=2010-08-01&Namespace=AWS%2FEC2&MetricData.member.1.MetricName=CPU+Utilization&MetricData.member.1.Dimensions.member.1.Name=InstanceId&MetricData.member.1.Dimensions.member.1.Value=i-1&MetricData.member.1.Timestamp=2024-05-01T10%3A00%3A00.000000Z&MetricData.member.1.Value=71.5&MetricData.member.1.Unit=Bytes%2FSecond";
const PUT_JSON: &str = r#"{"Namespace": "AWS/EC2", "MetricData": [{"MetricName": "CPU Utilization", "Dimensions": [{"Name": "InstanceId", "Value": "i-1"}], "Timestamp": 1714557600, "Value": 71.5, "Unit": "Bytes/Second"}]}"#;
const PUT_CBOR: &str = "a2694e616d657370616365674157532f4543326a4d65747269634461746181a56a4d65747269634e616d656f435055205574696c697a6174696f6e6a44696d656e73696f6e7381a2644e616d656a496e7374616e636549646556616c756563692d316954696d657374616d70c11a663212a06556616c7565fb4051e0000000000064556e69746c42797465732f5365636f6e64";

#[test]
fn every_protocol_decodes_to_the_same_value() {
    let service = monitoring();
    for request in [
        form(PUT_FORM),
        json("PutMetricData", PUT_JSON),
        cbor("PutMetricData", PUT_CBOR),
    ] {
        let mut ctx = Ctx::default();
        let call = Call::detect(&request).unwrap();
        assert!(service.answers(&call));
        let response = service.call(&mut ctx, &call, "r-1");
        assert_eq!(response.status, 200, "{:?}", text(&response));
        assert_eq!(ctx.given, [expected()]);
    }
}

#[test]
fn answers_are_wrapped_as_each_protocol_wants() {
    let service = monitoring();
    let check = |service: &Service<Ctx>, request: HttpRequest, content_type: &str, body: &str| {
        let mut ctx = Ctx {
            given: vec![expected()],
        };
        let response = call(service, &mut ctx, &request);
        assert_eq!(text(&response), body);
        assert_eq!(response.header("content-type"), Some(content_type));
        assert_eq!(response.header("x-amzn-requestid"), Some("r-1"));
    };
    check(
        &service,
        form("Action=ListMetrics&Version=2010-08-01"),
        "text/xml",
        "<ListMetricsResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ListMetricsResult><Namespace>AWS/EC2</Namespace><MetricData><member><MetricName>CPU Utilization</MetricName><Dimensions><member><Name>InstanceId</Name><Value>i-1</Value></member></Dimensions><Timestamp>2024-05-01T10:00:00Z</Timestamp><Value>71.5</Value><Unit>Bytes/Second</Unit></member></MetricData></ListMetricsResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></ListMetricsResponse>",
    );
    check(
        &service,
        form("Action=TagResource&Version=2010-08-01"),
        "text/xml",
        "<TagResourceResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><TagResourceResult></TagResourceResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></TagResourceResponse>",
    );
    check(
        &service,
        form(PUT_FORM),
        "text/xml",
        "<PutMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></PutMetricDataResponse>",
    );
    check(
        &ec2(),
        form("Action=ListMetrics&Version=2010-08-01"),
        "text/xml;charset=UTF-8",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListMetricsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId><Namespace>AWS/EC2</Namespace><MetricData><item><MetricName>CPU Utilization</MetricName><Dimensions><item><Name>InstanceId</Name><Value>i-1</Value></item></Dimensions><Timestamp>2024-05-01T10:00:00.000Z</Timestamp><Value>71.5</Value><Unit>Bytes/Second</Unit></item></MetricData></ListMetricsResponse>",
    );
    check(
        &service,
        json("ListMetrics", "{}"),
        "application/x-amz-json-1.0",
        r#"{"Namespace":"AWS/EC2","MetricData":[{"MetricName":"CPU Utilization","Dimensions":[{"Name":"InstanceId","Value":"i-1"}],"Timestamp":1714557600.0,"Value":71.5,"Unit":"Bytes/Second"}]}"#,
    );
    check(
        &service,
        json("PutMetricData", PUT_JSON),
        "application/x-amz-json-1.0",
        "{}",
    );
}

#[test]
fn cbor_answers_carry_tags_and_bytes_and_no_nulls() {
    let mut given = expected();
    given.metric_data[0].note = Some(Blob(vec![1, 2]));
    given.metric_data[0].unit = None;
    let mut ctx = Ctx { given: vec![given] };
    let response = call(&monitoring(), &mut ctx, &cbor("ListMetrics", "a0"));
    assert_eq!(response.header("smithy-protocol"), Some("rpc-v2-cbor"));
    assert_eq!(response.header("content-type"), Some("application/cbor"));
    let got = hex::encode(response.body.to_vec());
    // Tag 1 with a float; the two bytes as a byte string; neither null nor a Unit.
    assert!(got.contains(&hex::encode("Timestamp")), "{got}");
    assert!(got.contains("c1fb"), "{got}");
    assert!(
        got.contains(&format!("{}420102", hex::encode("Note"))),
        "{got}"
    );
    assert!(!got.contains(&hex::encode("Unit")), "{got}");
    let empty = call(&monitoring(), &mut ctx, &cbor("PutMetricData", PUT_CBOR));
    assert_eq!((empty.status, empty.body), (200, Body::default()));
}

#[test]
fn errors_are_drawn_as_each_protocol_wants() {
    let service = monitoring();
    let answer =
        |service: &Service<Ctx>, request: HttpRequest| call(service, &mut Ctx::default(), &request);
    let missing = "Action=ListMetrics&Version=2010-08-01";
    let response = answer(&service, form(missing));
    assert_eq!(response.status, 400);
    assert_eq!(
        text(&response),
        "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><Error><Type>Sender</Type><Code>ResourceNotFound</Code><Message>Nothing was put &lt;here&gt;</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
    );
    assert_eq!(response.header("x-amzn-query-error"), None);
    let response = answer(&ec2(), form(missing));
    assert_eq!(
        text(&response),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>ResourceNotFound</Code><Message>Nothing was put &lt;here&gt;</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
    );
    let response = answer(&service, json("ListMetrics", ""));
    assert_eq!(
        text(&response),
        r#"{"__type":"ResourceNotFound","message":"Nothing was put <here>"}"#
    );
    let fault = Some("ResourceNotFound;Sender");
    assert_eq!(response.header("x-amzn-query-error"), fault);
    let response = answer(&service, cbor("ListMetrics", ""));
    let body = format!("a2665f5f74797065{}", "70");
    assert!(hex::encode(response.body.to_vec()).starts_with(&body));
    assert_eq!(response.header("x-amzn-query-error"), fault);
    let response = answer(&service, form("Action=GetTrouble&Version=2010-08-01"));
    assert_eq!(response.status, 500);
    assert!(text(&response).contains("<Type>Receiver</Type><Code>InternalFailure</Code>"));
    let no_such_bucket = ApiError::not_found("NoSuchBucket", "Gone")
        .with_resource("/b&")
        .with_detail("BucketName", "b");
    let style = wire::ErrorStyle::default();
    let response = no_such_bucket.into_response(wire::Protocol::S3, style, "r-1");
    assert_eq!(
        (response.status, text(&response).as_str()),
        (
            404,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code><Message>Gone</Message><Resource>/b&amp;</Resource><BucketName>b</BucketName><RequestId>r-1</RequestId><HostId>r-1</HostId></Error>"
        )
    );
    assert_eq!(response.header("x-amz-request-id"), Some("r-1"));
}

#[test]
fn bad_input_is_refused_in_every_protocol() {
    let refused = |service: &Service<Ctx>, request: HttpRequest, code: &str| {
        let mut ctx = Ctx::default();
        let call = Call::detect(&request).unwrap();
        let error = service.prepare(&call).err().map(|error| error.code);
        assert_eq!(error.as_deref(), Some(code), "{request:?}");
        assert_ne!(service.call(&mut ctx, &call, "r-1").status, 200);
        assert!(ctx.given.is_empty());
    };
    let (query, ec2) = (monitoring(), ec2());
    let put = |rest: &str| form(&format!("Action=PutMetricData&Version=2010-08-01&{rest}"));
    refused(&query, put(""), "ValidationError");
    refused(&ec2, put(""), "MissingParameter");
    refused(&query, put("Namespace=n&Odd=1"), "InvalidQueryParameter");
    refused(&ec2, put("Namespace=n&Odd=1"), "UnknownParameter");
    refused(
        &ec2,
        put("Namespace=n&Namespace=m"),
        "InvalidQueryParameter",
    );
    refused(
        &query,
        form("Action=Nothing&Version=2010-08-01"),
        "InvalidAction",
    );
    refused(&ec2, form("Action="), "InvalidAction");
    for (body, code) in [
        ("{}", "ValidationException"),
        ("", "ValidationException"),
        (r#"{"Namespace":"n","Odd":1}"#, "ValidationException"),
        (r#"{"Namespace":1}"#, "SerializationException"),
        (r#"{"Namespace":"n"} x"#, "SerializationException"),
        (r#"["n"]"#, "SerializationException"),
        (
            r#"{"Namespace":"n","Namespace":"m"}"#,
            "SerializationException",
        ),
        ("{", "SerializationException"),
        ("\u{0}", "SerializationException"),
    ] {
        refused(&query, json("PutMetricData", body), code);
    }
    refused(
        &query,
        json("PutMetricData", &"[".repeat(100_000)),
        "SerializationException",
    );
    refused(&query, json("Nothing", "{}"), "UnknownOperationException");
    let namespace = hex::encode("Namespace");
    for (body, code) in [
        ("", "ValidationException".to_owned()),
        ("a0", "ValidationException".to_owned()),
        (
            &format!("a169{namespace}01"),
            "SerializationException".to_owned(),
        ),
        (
            &format!("a169{namespace}616e00"),
            "SerializationException".to_owned(),
        ),
        (
            &format!("a269{namespace}616e634f646401"),
            "ValidationException".to_owned(),
        ),
        ("bbffffffffffffffff", "SerializationException".to_owned()),
        ("7bffffffffffffffff", "SerializationException".to_owned()),
        (&"81".repeat(100_000), "SerializationException".to_owned()),
        ("ff", "SerializationException".to_owned()),
    ] {
        refused(&query, cbor("PutMetricData", body), &code);
    }
    refused(&query, cbor("Nothing", ""), "UnknownOperationException");
    // A service refuses the protocols it does not speak.
    let silent = || Service {
        actions: monitoring().actions,
        ..Service::new("monitoring")
    };
    refused(&silent(), form(PUT_FORM), "InvalidAction");
    refused(
        &silent(),
        json("PutMetricData", PUT_JSON),
        "UnknownOperationException",
    );
    refused(
        &silent(),
        cbor("PutMetricData", PUT_CBOR),
        "UnknownOperationException",
    );
}

#[test]
fn unclaimed_members_are_named_with_their_place() {
    let message = |request: HttpRequest| {
        let call = Call::detect(&request).unwrap();
        monitoring().prepare(&call).err().map(|error| error.message)
    };
    let odd = Some("The parameter MetricData.1.Odd is not recognized".to_owned());
    let body = r#"{"Namespace":"n","MetricData":[{"MetricName":"m","Odd":{"a":1}}]}"#;
    assert_eq!(message(json("PutMetricData", body)), odd);
    let odd = Some("The parameter MetricData.member.1.Odd is not recognized".to_owned());
    let body = "Action=PutMetricData&Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Odd=1";
    assert_eq!(message(form(body)), odd);
}

#[test]
fn a_request_is_told_apart() {
    let check = |request: HttpRequest, service: Option<&str>, action: Option<&str>| {
        let call = Call::detect(&request).unwrap();
        assert_eq!(
            (call.service(), call.action()),
            (service, action),
            "{request:?}"
        );
    };
    let scope = "AWS4-HMAC-SHA256 Credential=A/20240501/us-east-1/autoscaling/aws4_request, SignedHeaders=host, Signature=ab";
    let signed = [
        FORM,
        ("authorization", scope),
        ("x-amz-date", "20240501T100000Z"),
    ];
    check(
        request(&signed, "/", "Action=X"),
        Some("autoscaling"),
        Some("X"),
    );
    check(form("Action=X&Version=1"), None, Some("X"));
    let get = |path: &str, query: &str| HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..HttpRequest::default()
    };
    check(get("/", "Action=X&Version=1"), None, Some("X"));
    let presigned = "Action=X&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20240501%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20240501T100000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=ab";
    check(get("/", presigned), Some("sts"), Some("X"));
    check(get("/bucket/key", "acl"), None, None);
    check(request(&[], "/bucket", "Action=X"), None, None);
    check(request(&[FORM], "/bucket", "Action=X"), None, None);
    check(json("X", ""), None, Some("X"));
    check(cbor("X", ""), None, Some("X"));

    let refused = |request: HttpRequest, code: &str| {
        assert_eq!(
            Call::detect(&request).unwrap_err().code,
            code,
            "{request:?}"
        );
    };
    refused(form(""), "MissingAction");
    refused(form("Action=X&Action=Y"), "MalformedQueryString");
    refused(form("Action=%ff"), "MalformedQueryString");
    refused(
        request(&[("x-amz-target", "X")], "/", ""),
        "UnknownOperationException",
    );
    refused(
        request(&[("smithy-protocol", "rpc-v2-cbor")], "/x", ""),
        "UnknownOperationException",
    );
}

#[test]
fn services_know_their_calls() {
    let answers = |service: &Service<Ctx>, request: &HttpRequest| {
        service.answers(&Call::detect(request).unwrap())
    };
    let silent = Service::<Ctx>::new("monitoring");
    assert!(answers(&monitoring(), &form("Action=X&Version=2010-08-01")));
    assert!(!answers(
        &monitoring(),
        &form("Action=X&Version=2016-11-15")
    ));
    assert!(!answers(&silent, &form("Action=X")));
    assert!(!answers(&silent, &json("X", "")));
    assert!(!answers(&silent, &cbor("X", "")));
    let other = request(&[("x-amz-target", "AmazonSSM.GetParameter")], "/", "");
    assert!(!answers(&monitoring(), &other));
}

#[test]
fn actions_describe_themselves() {
    let service = monitoring();
    let names = |members: Members| match members {
        Members::Named(members) => members.iter().map(|m| m.name).collect(),
        _ => Vec::new(),
    };
    let table: Vec<_> = service
        .actions
        .iter()
        .map(|action| (action.name, action.read_only, names((action.input)())))
        .collect();
    assert_eq!(
        table,
        [
            ("PutMetricData", false, vec!["Namespace", "MetricData"]),
            ("ListMetrics", true, vec![]),
            ("TagResource", false, vec![]),
            ("GetTrouble", false, vec![]),
        ]
    );
}
