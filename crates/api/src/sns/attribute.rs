//! Attributes of topics and subscriptions: which there are, and what they may be.

use super::{Result, invalid};
use serde_json::Value;
use std::collections::BTreeMap;

pub type Attributes = BTreeMap<String, String>;

/// Sets an attribute; an empty text, or a policy that says nothing, takes it away.
pub fn put(attributes: &mut Attributes, name: String, value: String) {
    if value.is_empty() || value == "{}" {
        attributes.remove(&name);
    } else {
        attributes.insert(name, value);
    }
}

enum Kind {
    Text {
        most: usize,
    },
    Json,
    OneOf(&'static [&'static str]),
    /// A share in percent.
    Percent,
}

const ANY: Kind = Kind::Text { most: 2048 };
const FLAG: Kind = Kind::OneOf(&["true", "false"]);

const TOPIC: &[(&str, Kind)] = &[
    ("DisplayName", Kind::Text { most: 100 }),
    ("Policy", Kind::Json),
    ("DeliveryPolicy", Kind::Json),
    ("KmsMasterKeyId", ANY),
    ("SignatureVersion", Kind::OneOf(&["1", "2"])),
    ("TracingConfig", Kind::OneOf(&["PassThrough", "Active"])),
    ("FifoTopic", FLAG),
    ("ContentBasedDeduplication", FLAG),
    (
        "FifoThroughputScope",
        Kind::OneOf(&["Topic", "MessageGroup"]),
    ),
    ("ArchivePolicy", Kind::Json),
];

const SUBSCRIPTION: &[(&str, Kind)] = &[
    ("RawMessageDelivery", FLAG),
    ("FilterPolicy", Kind::Json),
    (
        "FilterPolicyScope",
        Kind::OneOf(&["MessageAttributes", "MessageBody"]),
    ),
    ("DeliveryPolicy", Kind::Json),
    ("RedrivePolicy", Kind::Json),
    ("ReplayPolicy", Kind::Json),
    ("SubscriptionRoleArn", ANY),
];

/// Logs of deliveries that succeeded or failed, by protocol.
fn feedback(name: &str) -> Option<Kind> {
    let protocols = ["HTTP", "Firehose", "Lambda", "Application", "SQS"];
    let of = protocols.iter().find_map(|p| name.strip_prefix(p))?;
    match of {
        "SuccessFeedbackRoleArn" | "FailureFeedbackRoleArn" => Some(ANY),
        "SuccessFeedbackSampleRate" => Some(Kind::Percent),
        _ => None,
    }
}

pub fn check_topic(name: &str, value: &str) -> Result<()> {
    match known(TOPIC, name) {
        Some(kind) => check(name, value, kind),
        None => match feedback(name) {
            Some(kind) => check(name, value, &kind),
            None => Err(invalid("AttributeName")),
        },
    }
}

pub fn check_subscription(name: &str, value: &str) -> Result<()> {
    let kind = known(SUBSCRIPTION, name).ok_or_else(|| invalid("AttributeName"))?;
    check(name, value, kind)
}

fn known(kinds: &'static [(&str, Kind)], name: &str) -> Option<&'static Kind> {
    kinds.iter().find(|(n, _)| *n == name).map(|(_, kind)| kind)
}

fn check(name: &str, value: &str, kind: &Kind) -> Result<()> {
    // That takes it away.
    let fits = value.is_empty()
        || match kind {
            Kind::Text { most } => value.chars().count() <= *most,
            Kind::Json => matches!(serde_json::from_str(value), Ok(Value::Object(_))),
            Kind::OneOf(values) => values.contains(&value),
            Kind::Percent => value.parse().is_ok_and(|n: u8| n <= 100),
        };
    if fits {
        return Ok(());
    }
    Err(invalid(match kind {
        Kind::Json => format!("{name} Reason: failed to parse JSON."),
        _ => format!("{name} Reason: '{value}' is not a value that it takes"),
    }))
}
