//! What a dashboard's body must be: places and words as AWS's validation has them.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html`.
//! Only what no widget could be drawn without is checked; AWS looks into more.

use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wrong {
    data_path: String,
    message: String,
}

impl Wrong {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            data_path: path.into(),
            message: message.into(),
        }
    }
}

/// The grid's bounds, both inclusive.
const PLACES: [(&str, i64, i64); 4] = [
    ("x", 0, 23),
    ("y", 0, i64::MAX),
    ("width", 1, 24),
    ("height", 1, 1000),
];

pub fn check(body: &Value) -> Vec<Wrong> {
    let Some(body) = body.as_object() else {
        return vec![Wrong::new("", "Should be object")];
    };
    match body.get("widgets") {
        None => Vec::new(),
        Some(Value::Array(widgets)) => {
            let all = widgets.iter().enumerate();
            all.flat_map(|(i, w)| widget(&format!("/widgets/{i}"), w))
                .collect()
        }
        Some(_) => vec![Wrong::new("/widgets", "Should be array")],
    }
}

fn widget(path: &str, widget: &Value) -> Vec<Wrong> {
    let Some(widget) = widget.as_object() else {
        return vec![Wrong::new(path, "Should be object")];
    };
    let mut wrong = Vec::new();
    for (name, least, most) in PLACES {
        let path = format!("{path}/{name}");
        match widget.get(name).map(Value::as_f64) {
            None => {}
            Some(None) => wrong.push(Wrong::new(path, "Should be number")),
            Some(Some(n)) if n < least as f64 => {
                wrong.push(Wrong::new(path, format!("Should be >= {least}")));
            }
            Some(Some(n)) if (most as f64) < n => {
                wrong.push(Wrong::new(path, format!("Should be <= {most}")));
            }
            Some(Some(_)) => {}
        }
    }
    let Some(kind) = widget.get("type") else {
        wrong.push(required(path, "type"));
        return wrong;
    };
    let needed = match kind.as_str() {
        Some("metric" | "log") => "region",
        Some("text") => "markdown",
        Some("alarm") => "alarms",
        Some("explorer" | "custom") => "",
        _ => {
            let message = "Should be equal to one of the allowed values";
            wrong.push(Wrong::new(format!("{path}/type"), message));
            return wrong;
        }
    };
    let inside = format!("{path}/properties");
    match widget.get("properties") {
        None => wrong.push(required(path, "properties")),
        Some(Value::Object(properties)) => {
            if !needed.is_empty() && !properties.contains_key(needed) {
                wrong.push(required(&inside, needed));
            }
            wrong.extend(metrics(&inside, properties));
        }
        Some(_) => wrong.push(Wrong::new(inside, "Should be object")),
    }
    wrong
}

/// Each is of texts, and what says how to draw it comes last.
fn metrics(path: &str, properties: &Map<String, Value>) -> Vec<Wrong> {
    let path = format!("{path}/metrics");
    let all = match properties.get("metrics") {
        None => return Vec::new(),
        Some(Value::Array(all)) => all,
        Some(_) => return vec![Wrong::new(path, "Should be array")],
    };
    let mut wrong = Vec::new();
    for (i, metric) in all.iter().enumerate() {
        let Some(fields) = metric.as_array() else {
            wrong.push(Wrong::new(format!("{path}/{i}"), "Should be array"));
            continue;
        };
        for (j, field) in fields.iter().enumerate() {
            let last = j + 1 == fields.len();
            if !(field.is_string() || last && field.is_object()) {
                let message = "Invalid metric field type, only 'String' type is allowed";
                wrong.push(Wrong::new(format!("{path}/{i}/{j}"), message));
            }
        }
    }
    wrong
}

fn required(path: &str, name: &str) -> Wrong {
    Wrong::new(path, format!("Should have required property '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies() {
        let check = |body: Value, expected: &[(&str, &str)]| {
            let expected: Vec<Wrong> = expected.iter().map(|(p, m)| Wrong::new(*p, *m)).collect();
            assert_eq!(super::check(&body), expected, "{body}");
        };
        let one = |widget: Value| json!({ "widgets": [widget] });
        check(json!({}), &[]);
        check(json!([]), &[("", "Should be object")]);
        check(json!({ "widgets": {} }), &[("/widgets", "Should be array")]);
        check(one(json!("x")), &[("/widgets/0", "Should be object")]);
        check(
            one(json!({ "properties": {} })),
            &[("/widgets/0", "Should have required property 'type'")],
        );
        check(
            one(json!({ "type": "text", "x": 24, "y": -1, "width": "6", "properties": {} })),
            &[
                ("/widgets/0/x", "Should be <= 23"),
                ("/widgets/0/y", "Should be >= 0"),
                ("/widgets/0/width", "Should be number"),
                (
                    "/widgets/0/properties",
                    "Should have required property 'markdown'",
                ),
            ],
        );
        let drawn = json!([["AWS/EC2", "CPUUtilization", "InstanceId", "i-1", { "stat": "Sum" }], [".", "NetworkIn"], [{ "expression": "m1" }]]);
        check(
            one(
                json!({ "type": "metric", "properties": { "region": "us-east-1", "metrics": drawn } }),
            ),
            &[],
        );
        check(
            one(
                json!({ "type": "metric", "properties": { "region": "us-east-1", "metrics": [["A", { "B": 1 }, "C"], 1] } }),
            ),
            &[
                (
                    "/widgets/0/properties/metrics/0/1",
                    "Invalid metric field type, only 'String' type is allowed",
                ),
                ("/widgets/0/properties/metrics/1", "Should be array"),
            ],
        );
    }
}
