//! What is published becomes an event of its topic.

use super::{Result, find, invalid};
use crate::Ctx;
use model::event::Severity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// AWS's limit, in bytes.
const MOST: usize = 256 << 10;

/// Characters of it that the event shows.
const SHOWN: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Publish {
    topic_arn: Option<String>,
    target_arn: Option<String>,
    message: String,
    subject: Option<String>,
    message_structure: Option<String>,
    message_group_id: Option<String>,
    /// Nobody is sent a message twice here, since nobody is sent any.
    #[serde(default, deserialize_with = "wire::validated")]
    message_deduplication_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Published {
    message_id: String,
}

pub fn publish(ctx: &mut Ctx, input: Publish) -> Result<Published> {
    let arn = input.topic_arn.or(input.target_arn);
    let topic = find(
        ctx,
        &arn.ok_or_else(|| {
            invalid("TopicArn or TargetArn Reason: no value for required parameter")
        })?,
    )?;
    if input.message.is_empty() {
        return Err(invalid("Empty message"));
    }
    if input.message.len() > MOST {
        return Err(invalid("Message too long"));
    }
    let has = |name: &str| topic.attributes.get(name).is_some_and(|v| v == "true");
    if topic.name.ends_with(".fifo") {
        if input.message_group_id.is_none() {
            return Err(invalid(
                "The MessageGroupId parameter is required for FIFO topics",
            ));
        }
        if input.message_deduplication_id.is_none() && !has("ContentBasedDeduplication") {
            return Err(invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            ));
        }
    }
    let subject = input.subject.unwrap_or_default();
    if subject.chars().count() > 100 || subject.contains(|c: char| c.is_control()) {
        return Err(invalid("Subject"));
    }
    let message = match input.message_structure.as_deref() {
        None | Some("") => input.message,
        Some("json") => by_default(&input.message)?,
        Some(_) => return Err(invalid("MessageStructure")),
    };
    let told = match subject.is_empty() {
        true => message,
        false => format!("{subject}: {message}"),
    };
    // Thousands of events are kept.
    let told = told.chars().take(SHOWN).collect::<String>();
    ctx.tx
        .event(ctx.now, Severity::Info, topic.arn(), "notification", told);
    Ok(Published {
        message_id: uuid::Uuid::new_v4().to_string(),
    })
}

/// The text for whoever has none of its own, of a message with one for each protocol.
fn by_default(message: &str) -> Result<String> {
    let texts: Value = serde_json::from_str(message)
        .map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
    match &texts["default"] {
        Value::String(text) => Ok(text.clone()),
        _ => Err(invalid(
            "Message Structure - No default entry in JSON message body",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn a_message_is_an_event_of_its_topic() {
        testing::run(|ctx| {
            super::super::topic::create(ctx, testing::input(json!({"Name": "t"}))).unwrap();
            let topic = ctx.scope.arn("sns", "t");
            let mut told = |mut message: Value| {
                message["TopicArn"] = topic.clone().into();
                publish(ctx, testing::input(message)).unwrap();
                let (_, event) = ctx.tx.events.get_max().unwrap();
                assert_eq!(event.subject, topic);
                event.message.clone()
            };
            assert_eq!(told(json!({"Subject": "S", "Message": "m"})), "S: m");
            let both = r#"{"default": "short", "email": "long"}"#;
            let both = json!({"Message": both, "MessageStructure": "json"});
            assert_eq!(told(both), "short");
            let long = "\u{e4}".repeat(SHOWN * 2);
            assert_eq!(told(json!({"Message": long})), "\u{e4}".repeat(SHOWN));
        });
    }
}
