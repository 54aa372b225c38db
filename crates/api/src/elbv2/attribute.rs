//! Attributes by key: one table a resource says what there is, its default and its values.
//!
//! Only what was set is stored; Describe fills in the defaults.

use super::error::{Result, invalid_configuration, validation};
use crate::Ctx;
use model::elbv2::Attributes;
use model::event::Severity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    pub key: String,
    /// Absent is the empty text.
    #[serde(default)]
    pub value: String,
}

/// The answer of all Describe and Modify calls.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeList {
    attributes: Vec<Attribute>,
}

/// The values that an attribute takes.
#[derive(Clone, Copy)]
pub enum Values {
    Bool,
    Number(u32, u32),
    /// Zero, or a number in the range.
    ZeroOr(u32, u32),
    /// `off`, or a number in the range.
    OffOr(u32, u32),
    OneOf(&'static [&'static str]),
    /// Any text up to that many characters.
    Text(usize),
    /// What may stand in a header: nothing, or printable characters, up to that many.
    HeaderValue(usize),
    /// The name of a header.
    HeaderName,
}

/// What becomes of an attribute once it is set.
#[derive(Clone, Copy, PartialEq)]
pub enum Effect {
    /// The data plane follows it, or there is nothing here that it could apply to.
    Honoured,
    /// Stored and described; setting it to other than the default leaves a warning event.
    Reported,
}

pub struct Definition {
    pub key: &'static str,
    pub default: &'static str,
    pub values: Values,
    pub effect: Effect,
}

impl Values {
    fn check(self, key: &str, value: &str) -> Result<()> {
        let number = |least: u32, most: u32| {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            digits && value.parse().is_ok_and(|n| (least..=most).contains(&n))
        };
        let (fits, expected) = match self {
            Self::Bool => (matches!(value, "true" | "false"), "true or false".into()),
            Self::Number(least, most) => (
                number(least, most),
                format!("a number from {least} to {most}"),
            ),
            Self::ZeroOr(least, most) => (
                value == "0" || number(least, most),
                format!("0 or a number from {least} to {most}"),
            ),
            Self::OffOr(least, most) => (
                value == "off" || number(least, most),
                format!("'off' or a number from {least} to {most}"),
            ),
            Self::OneOf(allowed) => (
                allowed.contains(&value),
                format!("one of {}", allowed.join(", ")),
            ),
            Self::Text(most) => (
                value.chars().count() <= most,
                format!("a text of at most {most} characters"),
            ),
            Self::HeaderValue(most) => (
                value.len() <= most && value.bytes().all(|b| matches!(b, b' '..=b'~')),
                format!("at most {most} printable characters"),
            ),
            Self::HeaderName => (
                (1..=256).contains(&value.len())
                    && value
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "the name of a header: letters, digits, '-' and '_'".into(),
            ),
        };
        if fits {
            return Ok(());
        }
        Err(validation(format!(
            "'{value}' is not a valid value for attribute '{key}': it must be {expected}"
        )))
    }
}

/// The set attributes with `changes` applied; `noun` is the resource as texts call it.
pub fn changed(
    current: &Attributes,
    changes: &[Attribute],
    table: &[&[Definition]],
    noun: &str,
) -> Result<Attributes> {
    let mut attributes = current.clone();
    let mut seen = std::collections::BTreeSet::new();
    for Attribute { key, value } in changes {
        let Some(definition) = table.iter().copied().flatten().find(|d| d.key == key) else {
            return Err(validation(format!(
                "{noun} attribute key '{key}' is not recognized"
            )));
        };
        if !seen.insert(key) {
            return Err(invalid_configuration(format!(
                "{noun} attribute key '{key}' is given more than once"
            )));
        }
        definition.values.check(key, value)?;
        attributes.insert(key.clone(), value.clone());
    }
    Ok(attributes)
}

pub fn value<'a>(attributes: &'a Attributes, table: &[&'a [Definition]], key: &str) -> &'a str {
    if let Some(value) = attributes.get(key) {
        return value;
    }
    let definition = table.iter().copied().flatten().find(|d| d.key == key);
    definition.map_or("", |d| d.default)
}

/// Every attribute of the tables, in their order.
pub fn list(attributes: &Attributes, table: &[&[Definition]]) -> AttributeList {
    let all = table.iter().copied().flatten().map(|d| Attribute {
        key: d.key.to_owned(),
        value: value(attributes, table, d.key).to_owned(),
    });
    AttributeList {
        attributes: all.collect(),
    }
}

/// Leaves a warning for each change that the data plane will not follow.
pub fn report(ctx: &mut Ctx, subject: &str, changes: &[Attribute], table: &[&[Definition]]) {
    for Attribute { key, value } in changes {
        let definition = table.iter().copied().flatten().find(|d| d.key == key);
        let idle = definition.is_none_or(|d| d.effect == Effect::Honoured || d.default == value);
        if !idle {
            ctx.tx.event(
                ctx.now,
                Severity::Warning,
                subject,
                "not-emulated",
                format!("attribute {key} = {value} is stored, but has no effect in this cloud"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let check = |values: Values, text: &str, expected: bool| {
            assert_eq!(values.check("k", text).is_ok(), expected, "{text}");
        };
        check(Values::Bool, "true", true);
        check(Values::Bool, "True", false);
        check(Values::Number(1, 4000), "4000", true);
        check(Values::Number(1, 4000), "4001", false);
        check(Values::Number(1, 4000), "+5", false);
        check(Values::Number(1, 4000), "99999999999999999999", false);
        check(Values::ZeroOr(30, 900), "0", true);
        check(Values::ZeroOr(30, 900), "29", false);
        check(Values::OffOr(1, 100), "off", true);
        check(Values::OffOr(1, 100), "0", false);
        check(Values::OneOf(&["a", "b"]), "c", false);
        check(Values::HeaderValue(9), "", true);
        check(Values::HeaderValue(9), "a\r\nb: c", false);
        check(Values::HeaderName, "X-Tls_2", true);
        check(Values::HeaderName, "X: y", false);
        check(Values::HeaderName, "", false);
        check(Values::Text(2), "éé", true);
        check(Values::Text(2), "ééé", false);
    }
}
