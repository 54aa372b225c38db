//! Whatever arrives, nothing panics, and what is written can be read.

use proptest::prelude::*;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};
use wire::auth::Signed;
use wire::xml::{EC2, QUERY, REST, document};
use wire::{Blob, Call, HttpRequest, Timestamp, cbor, chunked, json, signature};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Shape {
    a: Option<String>,
    b: Vec<Shape>,
    c: Option<f64>,
    d: Option<i32>,
    e: Option<Blob>,
    f: Option<Timestamp>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = (
        any::<Option<String>>(),
        proptest::option::of(-1e9..1e9),
        any::<Option<i32>>(),
        any::<Option<Vec<u8>>>(),
        proptest::option::of(-1_000_000_000_000i64..4_000_000_000_000),
    );
    let leaf = leaf.prop_map(|(a, c, d, e, millis)| Shape {
        a,
        b: Vec::new(),
        c,
        d,
        e: e.map(Blob),
        f: millis.map(|at| Timestamp(jiff::Timestamp::from_millisecond(at).unwrap())),
    });
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(|b| Shape {
            b,
            ..Shape::default()
        })
    })
}

fn request() -> impl Strategy<Value = HttpRequest> {
    let name = prop_oneof![
        Just("authorization"),
        Just("x-amz-date"),
        Just("x-amz-target"),
        Just("content-type"),
        Just("smithy-protocol"),
        Just("x-amz-content-sha256"),
        Just("host"),
    ];
    let value = prop_oneof![
        Just("rpc-v2-cbor".to_owned()),
        Just("application/x-www-form-urlencoded".to_owned()),
        Just("20240501T100000Z".to_owned()),
        Just("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()),
        Just("AWS4-HMAC-SHA256 Credential=A/20240501/r/s3/aws4_request, SignedHeaders=host, Signature=00".to_owned()),
        ".{0,40}",
    ];
    let header = (name.prop_map(str::to_owned), value);
    let query = prop_oneof![
        ".{0,40}",
        "X-Amz-(Signature|Credential|Date|Expires)=[A-Z0-9/%]{0,20}",
        Just("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20240501/r/ec2/aws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Date=20240501T100000Z".to_owned()),
    ];
    (
        prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
        "/.{0,20}|/service/.{0,5}/operation/.{0,5}",
        query,
        prop::collection::vec(header, 0..6),
        prop::collection::vec(any::<u8>(), 0..60),
    )
        .prop_map(|(method, path, query, headers, body)| HttpRequest {
            method: method.to_owned(),
            path,
            query,
            headers,
            body,
        })
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::decode::<Shape>(&body);
        let _ = cbor::decode::<Shape>(&body);
        let headers = vec![("content-encoding".to_owned(), "aws-chunked".to_owned())];
        let _ = chunked::decode(&HttpRequest { headers, body, ..HttpRequest::default() });
    }

    #[test]
    fn no_request_panics(request in request()) {
        let _ = Call::detect(&request);
        let _ = chunked::decode(&request);
        if let Ok(signed) = Signed::parse(&request) {
            let now = "2024-05-01T10:00:00Z".parse().unwrap();
            prop_assert!(signature::verify(&request, &signed, "secret", now).is_err());
        }
    }

    #[test]
    fn json_and_cbor_return_what_was_put_in(shape in shape()) {
        let from_json = json::decode(&json::encode(&shape).unwrap()).unwrap();
        prop_assert_eq!(&from_json, &(shape.clone(), Vec::new()));
        let from_cbor = cbor::decode(&cbor::encode(&shape).unwrap()).unwrap();
        prop_assert_eq!(from_cbor, from_json);
    }

    #[test]
    fn xml_is_well_formed(shape in shape()) {
        for style in [EC2, QUERY, REST] {
            let xml = document("R", "", &shape, style).unwrap();
            let mut reader = quick_xml::Reader::from_str(&xml);
            while reader.read_event().unwrap() != Event::Eof {}
        }
    }
}
