//! The XML writer.

use serde::Serialize;
use std::collections::BTreeMap;
use wire::xml::{EC2, QUERY, REST, Style, document};
use wire::{Blob, Timestamp};

fn check<T: Serialize>(value: &T, style: Style, expected: &str) {
    let xml = document("R", "", value, style).unwrap();
    let expected = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R>{expected}</R>");
    assert_eq!(xml, expected);
}

#[derive(Serialize)]
struct One<T> {
    v: T,
}

#[test]
fn scalars() {
    fn one<T: Serialize>(v: T, expected: &str) {
        check(&One { v }, EC2, expected);
    }
    one("text", "<v>text</v>");
    one("", "<v/>");
    one(true, "<v>true</v>");
    one(-5i64, "<v>-5</v>");
    one(u64::MAX, "<v>18446744073709551615</v>");
    one(71.5, "<v>71.5</v>");
    one(2.0, "<v>2.0</v>");
    one(0.1f32, "<v>0.1</v>");
    one(f64::NAN, "<v>NaN</v>");
    one(f64::NEG_INFINITY, "<v>-Infinity</v>");
    one('<', "<v>&lt;</v>");
    one(Blob(b"hello".to_vec()), "<v>aGVsbG8=</v>");
    one(None::<String>, "");
    one((), "");
    one(Some(Some(1)), "<v>1</v>");
}

#[test]
fn text_is_escaped() {
    let check =
        |text: &str, expected: &str| check(&One { v: text }, EC2, &format!("<v>{expected}</v>"));
    check("a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c'");
    check("a\tb\nc\r\n", "a\tb\nc&#xD;\n");
    check("\u{0}\u{1b}x\u{7f}é", "\u{fffd}\u{fffd}x\u{7f}é");
    check(
        "\u{ffff}a\u{fffe}\u{ff01}\u{fffd}",
        "\u{fffd}a\u{fffd}\u{ff01}\u{fffd}",
    );
    check("]]>", "]]&gt;");
}

#[test]
fn timestamps() {
    let at = |text: &str| One {
        v: Some(Timestamp(text.parse().unwrap())),
    };
    let noon = at("2024-05-01T10:00:00Z");
    check(&noon, EC2, "<v>2024-05-01T10:00:00.000Z</v>");
    check(&noon, REST, "<v>2024-05-01T10:00:00.000Z</v>");
    check(&noon, QUERY, "<v>2024-05-01T10:00:00Z</v>");
    let fraction = at("1999-12-31T23:59:59.0709Z");
    check(&fraction, EC2, "<v>1999-12-31T23:59:59.070Z</v>");
    check(&fraction, QUERY, "<v>1999-12-31T23:59:59.070Z</v>");
    check(
        &at("1969-12-31T23:59:59.5Z"),
        QUERY,
        "<v>1969-12-31T23:59:59.500Z</v>",
    );
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Vpc {
    vpc_id: &'static str,
    is_default: Option<bool>,
    #[serde(rename = "tagSet")]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tag {
    key: &'static str,
    value: Option<&'static str>,
}

#[test]
fn lists_and_structures() {
    let vpc = |tags| Vpc {
        vpc_id: "vpc-1",
        is_default: None,
        tags,
    };
    let tagged = || One {
        v: vec![vpc(vec![
            Tag {
                key: "k",
                value: Some("v"),
            },
            Tag {
                key: "l",
                value: None,
            },
        ])],
    };
    let with = |item: &str| {
        format!(
            "<v><{item}><vpcId>vpc-1</vpcId><tagSet><{item}><key>k</key><value>v</value></{item}><{item}><key>l</key></{item}></tagSet></{item}></v>"
        )
    };
    check(&tagged(), EC2, &with("item"));
    check(&tagged(), QUERY, &with("member"));
    check(
        &tagged(),
        REST,
        "<v><vpcId>vpc-1</vpcId><tagSet><key>k</key><value>v</value></tagSet><tagSet><key>l</key></tagSet></v>",
    );
    check(&vpc(Vec::new()), EC2, "<vpcId>vpc-1</vpcId><tagSet/>");
    check(&vpc(Vec::new()), REST, "<vpcId>vpc-1</vpcId>");
    check(
        &One { v: vec!["", "a"] },
        EC2,
        "<v><item/><item>a</item></v>",
    );
    check(
        &One {
            v: vec![vec!["a"], vec![]],
        },
        QUERY,
        "<v><member><member>a</member></member><member/></v>",
    );
    check(
        &One {
            v: Vec::<u8>::new(),
        },
        QUERY,
        "<v/>",
    );
    check(
        &One { v: ("a", 1) },
        QUERY,
        "<v><member>a</member><member>1</member></v>",
    );
    check(&One { v: One { v: () } }, QUERY, "<v/>");
}

#[test]
fn maps_and_flattened_structures() {
    let map = BTreeMap::from([("a", 1), ("b<", 2)]);
    check(
        &One { v: map },
        QUERY,
        "<v><entry><key>a</key><value>1</value></entry><entry><key>b&lt;</key><value>2</value></entry></v>",
    );
    check(
        &One {
            v: BTreeMap::<String, u8>::new(),
        },
        QUERY,
        "<v/>",
    );

    #[derive(Serialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Vpc,
        more: u8,
    }
    let outer = Outer {
        inner: Vpc::default(),
        more: 1,
    };
    check(&outer, EC2, "<vpcId/><tagSet/><more>1</more>");
}

#[test]
fn attributes() {
    #[derive(Serialize)]
    struct Grantee {
        #[serde(rename = "@xsi:type")]
        kind: &'static str,
        #[serde(rename = "@none")]
        none: Option<u8>,
        #[serde(rename = "ID")]
        id: &'static str,
    }
    let grantee = |id| One {
        v: vec![Grantee {
            kind: "Canonical\"User",
            none: None,
            id,
        }],
    };
    check(
        &grantee("1"),
        REST,
        "<v xsi:type=\"Canonical&quot;User\"><ID>1</ID></v>",
    );

    #[derive(Serialize)]
    struct Late {
        a: u8,
        #[serde(rename = "@b")]
        b: u8,
    }
    assert!(
        document(
            "R",
            "",
            &One {
                v: Late { a: 1, b: 2 }
            },
            REST
        )
        .is_err()
    );
}

#[test]
fn a_document_carries_its_namespace() {
    let xml = document("R", "http://x/", &One { v: 1 }, REST).unwrap();
    assert_eq!(
        xml,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R xmlns=\"http://x/\"><v>1</v></R>"
    );
}

#[test]
fn refuses_what_has_no_form() {
    #[derive(Serialize)]
    enum Choice {
        A(u8),
    }
    assert!(document("R", "", &One { v: Choice::A(1) }, EC2).is_err());
    assert!(document("R", "", &vec![1], REST).is_err());
}

#[test]
fn a_newtype_names_the_elements_of_its_list() {
    #[derive(Serialize)]
    #[serde(rename = "$wire::Items/groupId")]
    struct Groups(Vec<&'static str>);
    let groups = One {
        v: vec![One {
            v: Groups(vec!["a", "b"]),
        }],
    };
    let expected = "<v><item><v><groupId>a</groupId><groupId>b</groupId></v></item></v>";
    check(&groups, EC2, expected);
}
