//! Units of metrics.

use super::error::{Result, invalid};

const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// Refuses what is no unit; a metric under it would be found by no query.
pub fn check(unit: Option<&str>) -> Result<()> {
    match unit {
        Some(unit) if !UNITS.contains(&unit) => Err(invalid(format!(
            "The value {unit} for parameter Unit is invalid."
        ))),
        _ => Ok(()),
    }
}
