//! Dynamic labels: `${MAX}`, `${LAST_TIME}`, `${PROP('Dim.InstanceId')}` and their kin.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/graph-dynamic-labels.html`.

use super::line::{self, Line};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use model::Scope;

/// `+0130`, as `LabelOptions` has it.
pub fn offset(text: &str) -> Option<Offset> {
    let digits = text.strip_prefix(['+', '-'])?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    let seconds = (hours * 60 + minutes) * 60;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Offset::from_seconds(sign * seconds)
        .ok()
        .filter(|_| hours < 24 && minutes < 60)
}

/// The label with every placeholder that is known replaced; others stay as they are.
pub fn expand(label: &str, line: &Line, scope: &Scope, offset: Offset) -> String {
    let mut text = String::with_capacity(label.len());
    let mut rest = label;
    while let Some(at) = rest.find("${") {
        text.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            rest = &rest[at..];
            break;
        };
        let whole = &rest[at..=at + length];
        let name = whole[2..whole.len() - 1].trim();
        match value(name, line, scope, offset) {
            Some(value) => text.push_str(&value),
            None => text.push_str(whole),
        }
        rest = &rest[at + length + 1..];
    }
    text + rest
}

fn value(name: &str, line: &Line, scope: &Scope, offset: Offset) -> Option<String> {
    if let Some(property) = name.strip_prefix("PROP(").and_then(|p| p.strip_suffix(')')) {
        return property_of(property.trim().trim_matches(['\'', '"']), line, scope);
    }
    let number = |n: f64| {
        if n.is_nan() {
            "--".to_owned()
        } else {
            plain(n)
        }
    };
    let time =
        |point: Option<&(i64, f64)>| point.map_or("--".to_owned(), |(t, _)| clock(*t, offset));
    let values = line.values();
    let by = |a: &&(i64, f64), b: &&(i64, f64)| a.1.total_cmp(&b.1);
    let (first, last) = (line.points.first(), line.points.last());
    let (least, most) = (line.points.iter().min_by(by), line.points.iter().max_by(by));
    let of = |point: Option<&(i64, f64)>| number(point.map_or(f64::NAN, |(_, v)| *v));
    Some(match name {
        "LABEL" => line.label.to_string(),
        "AVG" => number(line::average(&values)),
        "SUM" => number(line::sum(&values)),
        "MIN" => of(least),
        "MAX" => of(most),
        "FIRST" => of(first),
        "LAST" => of(last),
        "DATAPOINT_COUNT" => values.len().to_string(),
        "MIN_TIME" => time(least),
        "MAX_TIME" => time(most),
        "FIRST_TIME" => time(first),
        "LAST_TIME" => time(last),
        "MIN_MAX_RANGE" => format!("{} - {}", of(least), of(most)),
        "FIRST_LAST_RANGE" => format!("{} - {}", of(first), of(last)),
        "MIN_MAX_TIME_RANGE" => format!("{} - {}", time(least), time(most)),
        "FIRST_LAST_TIME_RANGE" => format!("{} - {}", time(first), time(last)),
        _ => return None,
    })
}

fn property_of(name: &str, line: &Line, scope: &Scope) -> Option<String> {
    match name {
        "AccountId" | "AccountLabel" => return Some(scope.account.to_string()),
        "Region" => return Some(scope.region.to_string()),
        _ => {}
    }
    let properties = line.properties.as_ref()?;
    let metric = &properties.metric;
    Some(match name {
        "Namespace" => metric.namespace.clone(),
        "MetricName" => metric.name.clone(),
        "Stat" => properties.stat.clone(),
        "Period" => properties.period.to_string(),
        _ => {
            let dimension = name.strip_prefix("Dim.")?;
            let found = metric.dimensions.iter().find(|(n, _)| n == dimension);
            found.map(|(_, v)| v.clone())?
        }
    })
}

/// Three digits after the point at most, and no trailing zeros.
fn plain(n: f64) -> String {
    let text = format!("{n:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn clock(ms: i64, offset: Offset) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => {
            let at = at.to_zoned(TimeZone::fixed(offset));
            at.strftime("%Y-%m-%d %H:%M:%S UTC%:z")
                .to_string()
                .replace("UTC+00:00", "UTC")
        }
        Err(_) => "--".to_owned(),
    }
}
