//! When a scheduled action recurs: cron expressions in a time zone.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/scheduled-scaling-cron.html`:
//! five fields (minute, hour, day of month, month, day of week); UTC unless a zone is
//! named; daylight saving is followed.

use crate::Timestamp;
use cronexpr::MakeTimestamp;

/// The first time after `after`; `None` where the expression names no time at all.
///
/// The error says which of the two texts is wrong.
pub fn next(
    expression: &str,
    zone: Option<&str>,
    after: Timestamp,
) -> Result<Option<Timestamp>, Wrong> {
    // The library also takes a zone as a sixth field, and marks that AWS has not.
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/');
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != 5 || !fields.iter().all(|f| f.chars().all(known)) {
        return Err(Wrong::Expression);
    }
    let zone = zone.unwrap_or("UTC");
    if !is_zone(zone) {
        return Err(Wrong::Zone);
    }
    let text = format!("{} {zone}", fields.join(" "));
    let crontab = cronexpr::parse_crontab(&text).map_err(|_| Wrong::Expression)?;
    let found = crontab.find_next(MakeTimestamp(after));
    Ok(found.ok().map(|time| time.timestamp()))
}

/// Whether it is the name of an IANA time zone.
pub fn is_zone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    Expression,
    Zone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time() {
        let check = |expression: &str, zone, expected: Result<Option<&str>, Wrong>| {
            let after = "2026-03-07T12:00:00Z".parse().unwrap();
            let found = next(expression, zone, after);
            let expected = expected.map(|time| time.map(|t| t.parse().unwrap()));
            assert_eq!(found, expected, "{expression} {zone:?}");
        };
        check("30 6 * * *", None, Ok(Some("2026-03-08T06:30:00Z")));
        check("0 12 * * *", None, Ok(Some("2026-03-08T12:00:00Z")));
        check("*/20 * * * *", None, Ok(Some("2026-03-07T12:20:00Z")));
        check("0 9 * * MON-FRI", None, Ok(Some("2026-03-09T09:00:00Z")));
        check("0 9 1 JAN *", None, Ok(Some("2027-01-01T09:00:00Z")));
        // A day of the month or of the week, where both are given.
        check("0 0 13 * 5", None, Ok(Some("2026-03-13T00:00:00Z")));
        // Clocks go forward on 8 March in New York.
        check(
            "0 9 7 * *",
            Some("America/New_York"),
            Ok(Some("2026-03-07T14:00:00Z")),
        );
        check(
            "0 9 8 * *",
            Some("America/New_York"),
            Ok(Some("2026-03-08T13:00:00Z")),
        );
        check("0 0 30 2 *", None, Ok(None));
        check("0 9 * *", None, Err(Wrong::Expression));
        check("0 9 * * * UTC", None, Err(Wrong::Expression));
        check("60 9 * * *", None, Err(Wrong::Expression));
        check("0 9 * * 1#2", None, Err(Wrong::Expression));
        check("0 9 * * *", Some("Mars/Base"), Err(Wrong::Zone));
    }
}
