//! The Query decoder: what clients send, what nobody should, and anything at all.

use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use wire::query::{Lists, decode};
use wire::{Blob, Protocol, Rejection, Timestamp, form};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    name: Option<String>,
    count: Option<i32>,
    port: Option<u16>,
    ratio: Option<f64>,
    enabled: Option<bool>,
    data: Option<Blob>,
    at: Option<Timestamp>,
    mode: Option<Mode>,
    names: Option<Vec<String>>,
    tags: Vec<Tag>,
    attributes: BTreeMap<String, String>,
    raw: Option<serde_json::Value>,
    id: Option<Id>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    values: Vec<i64>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Slow,
}

/// As the newtypes of the model are: checked text.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Id(String);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.starts_with("vpc-") {
            true => Ok(Self(text)),
            false => Err("expected an id that starts with vpc-"),
        }
    }
}

fn read(body: &str, lists: Lists) -> Result<(Input, Vec<String>), Rejection> {
    decode(&form::parse(body.as_bytes())?, lists)
}

fn input(change: impl FnOnce(&mut Input)) -> Input {
    let mut input = Input::default();
    change(&mut input);
    input
}

fn tag(key: &str, values: &[i64]) -> Tag {
    Tag {
        key: key.to_owned(),
        values: values.to_vec(),
    }
}

#[test]
fn reads_scalars() {
    let check = |body: &str, change: &dyn Fn(&mut Input)| {
        let expected = (input(change), Vec::new());
        assert_eq!(read(body, Lists::Flat), Ok(expected), "{body}");
    };
    check("", &|_| ());
    check("Name=a%26b+c", &|i| i.name = Some("a&b c".to_owned()));
    check("Name=", &|i| i.name = Some(String::new()));
    check("Count=-7&Port=65535&Ratio=1e3", &|i| {
        (i.count, i.port, i.ratio) = (Some(-7), Some(65535), Some(1000.0));
    });
    check("Enabled=TRUE", &|i| i.enabled = Some(true));
    check("Enabled=false", &|i| i.enabled = Some(false));
    check("Data=aGVsbG8%3D", &|i| {
        i.data = Some(Blob(b"hello".to_vec()))
    });
    check("Data=aGVs%0AbG8", &|i| {
        i.data = Some(Blob(b"hello".to_vec()))
    });
    check("Mode=slow", &|i| i.mode = Some(Mode::Slow));
    check("Id=vpc-1", &|i| i.id = Some(Id("vpc-1".to_owned())));
    for spelling in [
        "2024-05-01T10:00:00Z",
        "2024-05-01T10:00:00.000Z",
        "2024-05-01T12:00:00%2B02:00",
        "2024-05-01T10:00:00",
    ] {
        let at = "2024-05-01T10:00:00Z".parse().unwrap();
        check(&format!("At={spelling}"), &|i| i.at = Some(Timestamp(at)));
    }
}

#[test]
fn reads_lists_and_maps() {
    let check = |body: &str, lists, change: &dyn Fn(&mut Input)| {
        let expected = (input(change), Vec::new());
        assert_eq!(read(body, lists), Ok(expected), "{body}");
    };
    let two = |i: &mut Input| i.names = Some(vec!["a".to_owned(), "b".to_owned()]);
    check("Names.1=a&Names.2=b", Lists::Flat, &two);
    check("Names.member.2=b&Names.member.1=a", Lists::Member, &two);
    check("Names.1=a&Names.2=b", Lists::Member, &two);
    check("Names.Name.1=a&Names.Name.2=b", Lists::Member, &two);
    check("Names.9=a&Names.4294967295=b", Lists::Flat, &two);
    check("Names.2=a&Names.10=b", Lists::Flat, &two);
    let empty = |i: &mut Input| i.names = Some(Vec::new());
    check("Names=", Lists::Flat, &empty);
    check("Names=", Lists::Member, &empty);
    let nested = |i: &mut Input| i.tags = vec![tag("x", &[1, 2]), tag("y", &[])];
    check(
        "Tags.1.Key=x&Tags.2.Key=y&Tags.1.Values.1=1&Tags.1.Values.2=2",
        Lists::Flat,
        &nested,
    );
    check(
        "Tags.member.1.Values.member.1=1&Tags.member.1.Key=x&Tags.member.1.Values.member.2=2&Tags.member.2.Key=y",
        Lists::Member,
        &nested,
    );
    let pairs = |i: &mut Input| {
        let pairs = [("k", "v"), ("l.m", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        i.attributes = BTreeMap::from(pairs);
    };
    check(
        "Attributes.entry.1.key=k&Attributes.entry.1.value=v&Attributes.entry.2.key=l.m&Attributes.entry.2.value=",
        Lists::Member,
        &pairs,
    );
    check(
        "Attributes.1.key=k&Attributes.1.value=v&Attributes.2.key=l.m&Attributes.2.value=",
        Lists::Member,
        &pairs,
    );
    check("Attributes.k=v", Lists::Member, &|i| {
        i.attributes = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    });
    // Kept as it came: a member that an action accepts whole.
    let raw = serde_json::json!({ "A": ["x", { "B": "y" }] });
    let raw = |i: &mut Input| i.raw = Some(raw.clone());
    check("Raw.A.member.1=x&Raw.A.member.2.B=y", Lists::Member, &raw);
    check("Raw.A.1=x&Raw.A.2.B=y", Lists::Flat, &raw);
}

#[test]
fn names_what_no_field_claims() {
    let check = |body: &str, lists, expected: &[&str]| {
        let (_, unclaimed) = read(body, lists).unwrap();
        assert_eq!(unclaimed, expected, "{body}");
    };
    check("Name=x&Nmae=y", Lists::Flat, &["Nmae"]);
    check("Tags.7.Key=x&Tags.7.Odd=y", Lists::Flat, &["Tags.7.Odd"]);
    check(
        "Other.2.B=y&Other.1.A=x",
        Lists::Flat,
        &["Other.1.A", "Other.2.B"],
    );
    check(
        "Attributes.entry.1.key=k&Attributes.entry.1.value=v&Attributes.entry.1.odd=x",
        Lists::Member,
        &["Attributes.entry.1.odd"],
    );
}

#[test]
fn says_what_is_wrong_in_the_words_of_the_protocol() {
    let check = |body: &str, protocol: Protocol, code: &str, message: &str| {
        let lists = if protocol == Protocol::Ec2 {
            Lists::Flat
        } else {
            Lists::Member
        };
        let error = read(body, lists).unwrap_err().into_error(protocol);
        assert_eq!((&*error.code, &*error.message), (code, message), "{body}");
        assert_eq!(error.status, 400);
    };
    let ec2 = |body, code, message| check(body, Protocol::Ec2, code, message);
    ec2(
        "Tags.2.Values.1=1",
        "MissingParameter",
        "The request must contain the parameter Tags.2.Key",
    );
    let invalid = "InvalidParameterValue";
    ec2(
        "Count=abc",
        invalid,
        "Value (abc) for parameter Count is invalid. Expected an integer.",
    );
    ec2(
        "Port=65536",
        invalid,
        "Value (65536) for parameter Port is invalid. Expected a non-negative integer.",
    );
    ec2(
        "Port=",
        invalid,
        "Value () for parameter Port is invalid. Expected a non-negative integer.",
    );
    ec2(
        "Enabled=1",
        invalid,
        "Value (1) for parameter Enabled is invalid. Expected true or false.",
    );
    ec2(
        "At=soon",
        invalid,
        "Value (soon) for parameter At is invalid. Expected a timestamp.",
    );
    ec2(
        "Data=%2A",
        invalid,
        "Value (*) for parameter Data is invalid. Expected base64.",
    );
    ec2(
        "Mode=x",
        invalid,
        "Value (x) for parameter Mode is invalid. Allowed values: fast, slow",
    );
    ec2(
        "Id=x",
        invalid,
        "Value (x) for parameter Id is invalid. Expected an id that starts with vpc-.",
    );
    ec2(
        "Names=a",
        invalid,
        "Value (a) for parameter Names is invalid. Expected a list.",
    );
    ec2(
        "Tags.1=a",
        invalid,
        "Value (a) for parameter Tags.1 is invalid. Expected a structure.",
    );
    ec2(
        "Name.1=a",
        invalid,
        "Value () for parameter Name is invalid. Expected a value, not a structure.",
    );
    ec2(
        "Names.member.1=a",
        invalid,
        "Value () for parameter Names is invalid. `member` is not the index of a list.",
    );
    ec2(
        "Names.4294967296=a",
        invalid,
        "Value () for parameter Names is invalid. `4294967296` is not the index of a list.",
    );
    ec2(
        "Names.01=a",
        invalid,
        "Value () for parameter Names is invalid. `01` is not the index of a list.",
    );
    let malformed = "InvalidQueryParameter";
    ec2(
        "Name=a&Name=a",
        malformed,
        "The parameter Name is given more than once.",
    );
    ec2(
        "Name.1=a&Name=b",
        malformed,
        "The parameter Name is given both as a value and as a structure.",
    );
    ec2(
        "Name-1=a&Name.1=a&Name=b",
        malformed,
        "The parameter Name is given both as a value and as a structure.",
    );
    ec2(
        "Names..1=a",
        malformed,
        "A parameter name has an empty part.",
    );
    ec2("=a", malformed, "A parameter name has an empty part.");
    let deep = vec!["a"; 200_000].join(".");
    ec2(&deep, malformed, "A parameter name has more than 32 parts.");

    let query = |body, code, message| check(body, Protocol::Query, code, message);
    query(
        "Tags.member.2.Values.member.1=1",
        "ValidationError",
        "1 validation error detected: Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null",
    );
    query(
        "Mode=x",
        "ValidationError",
        "1 validation error detected: Value 'x' at 'mode' failed to satisfy constraint: Member must satisfy enum value set: [fast, slow]",
    );
    query(
        "Count=abc",
        "MalformedInput",
        "Value 'abc' at Count: expected an integer",
    );
    query(
        "Name=a&Name=a",
        "MalformedQueryString",
        "The parameter Name is given more than once.",
    );
    query(
        "Attributes.entry.3.value=v",
        "ValidationError",
        "1 validation error detected: Value null at 'attributes.3.member.key' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn many_parameters_cost_little() {
    let body: Vec<String> = (0..50_000)
        .map(|i| format!("Names.{}={i}", u32::MAX - i))
        .collect();
    let (input, _) = read(&body.join("&"), Lists::Flat).unwrap();
    assert_eq!(input.names.unwrap()[0], "49999");
    let body: Vec<String> = (0..100_001).map(|i| format!("Names.{i}=")).collect();
    assert!(read(&body.join("&"), Lists::Flat).is_err());
}

/// Names near enough to the type's that parts of it are reached.
fn near_names() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("Tags"),
        Just("Names"),
        Just("Attributes"),
        Just("Raw"),
        Just("Key"),
        Just("Values"),
        Just("member"),
        Just("entry"),
        Just("key"),
        Just("value"),
        Just("1"),
        Just("2"),
        Just("01"),
        Just("4294967296"),
        Just("Count"),
        Just(""),
        Just("é"),
        Just("%00"),
        Just("-"),
    ];
    prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("."))
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(pairs) = form::parse(&body) {
            let _ = decode::<Input>(&pairs, Lists::Flat);
            let _ = decode::<Input>(&pairs, Lists::Member);
        }
    }

    #[test]
    fn never_panics_on_near_names(
        params in prop::collection::vec((near_names(), "[a-z0-9]{0,3}"), 0..12),
    ) {
        let body: Vec<String> = params.iter().map(|(n, v)| format!("{n}={v}")).collect();
        for lists in [Lists::Flat, Lists::Member] {
            if let Err(rejection) = read(&body.join("&"), lists) {
                for protocol in [Protocol::Ec2, Protocol::Query, Protocol::Json10, Protocol::S3] {
                    prop_assert!(!rejection.clone().into_error(protocol).message.is_empty());
                }
            }
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter(
        params in prop::collection::vec((near_names(), "[a-z0-9]{0,3}"), 0..8),
    ) {
        let mut body: Vec<String> = params.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let forwards = read(&body.join("&"), Lists::Member);
        body.reverse();
        let backwards = read(&body.join("&"), Lists::Member);
        prop_assert_eq!(forwards.is_ok(), backwards.is_ok());
        if let (Ok(forwards), Ok(backwards)) = (forwards, backwards) {
            prop_assert_eq!(forwards, backwards);
        }
    }

    #[test]
    fn every_text_survives(text in any::<String>()) {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (input, _) = read(&format!("Name={escaped}"), Lists::Flat).unwrap();
        prop_assert_eq!(input.name, Some(text));
    }
}
