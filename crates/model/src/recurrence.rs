//! When a scheduled action recurs: cron expressions in a time zone.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/scheduled-scaling-cron.html`:
//! five fields (minute, hour, day of month, month, day of week); UTC unless a zone is
//! named; daylight saving is followed. How, that page does not say; EventBridge Scheduler's does
//! (`schedule-types.html`), and it is followed here: a time that the clocks skip does not run, and
//! one that they show twice runs once. As in cron, what is to run every hour goes on meanwhile.

use crate::Timestamp;
use cronexpr::MakeTimestamp;
use jiff::Zoned;
use jiff::tz::AmbiguousOffset;

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
    let is_hourly = matches!(fields[1], "*" | "*/1" | "0-23");
    let mut from = after;
    while let Ok(found) = crontab.find_next(MakeTimestamp(from)) {
        from = found.timestamp();
        if is_hourly || !is_second(&found) {
            return Ok(Some(from));
        }
    }
    Ok(None)
}

/// The clocks have shown this time before, an hour ago.
fn is_second(time: &Zoned) -> bool {
    let ambiguous = time.time_zone().to_ambiguous_zoned(time.datetime());
    matches!(ambiguous.offset(), AmbiguousOffset::Fold { after, .. } if after == time.offset())
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

    /// The runs that follow `after`, in UTC.
    #[track_caller]
    fn runs(expression: &str, zone: &str, after: &str, expected: &[&str]) {
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in expected {
            at = next(expression, Some(zone), at).unwrap().unwrap();
            found.push(at.to_string());
        }
        assert_eq!(found, expected, "{expression} {zone}");
    }

    /// From 2:00 straight to 3:00 on 8 March 2026 in New York, on 29 March in Berlin.
    #[test]
    fn a_time_that_the_clocks_skip_does_not_run() {
        let new_york = "America/New_York";
        let before = "2026-03-07T12:00:00Z";
        let at_half_past_two = ["2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"];
        runs("30 2 * * *", new_york, before, &at_half_past_two);
        let at_three = ["2026-03-08T07:00:00Z", "2026-03-09T07:00:00Z"];
        runs("0 3 * * *", new_york, before, &at_three);
        // Of two hours one is left.
        let from_one_to_two = ["2026-03-08T06:30:00Z", "2026-03-09T05:30:00Z"];
        runs("30 1-2 * * *", new_york, before, &from_one_to_two);
        // Every hour stays every hour.
        let hourly = ["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"];
        runs("30 * * * *", new_york, "2026-03-08T06:00:00Z", &hourly);
        let berlin = ["2026-03-28T01:15:00Z", "2026-03-30T00:15:00Z"];
        runs(
            "15 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            &berlin,
        );
    }

    /// From 2:00 back to 1:00 on 1 November 2026 in New York, from 3:00 to 2:00 on 25 October in Berlin.
    #[test]
    fn a_time_that_the_clocks_show_twice_runs_once() {
        let new_york = "America/New_York";
        let before = "2026-10-31T12:00:00Z";
        let at_half_past_one = ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
        runs("30 1 * * *", new_york, before, &at_half_past_one);
        // Also where somebody asks between the two.
        let between = "2026-11-01T05:45:00Z";
        runs("30 1 * * *", new_york, between, &["2026-11-02T06:30:00Z"]);
        let quarters = ["2026-11-01T05:30:00Z", "2026-11-02T06:00:00Z"];
        runs("*/30 1 * * *", new_york, "2026-11-01T05:10:00Z", &quarters);
        // Two o'clock comes once, after both.
        runs("0 2 * * *", new_york, before, &["2026-11-01T07:00:00Z"]);
        let hourly = [
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T07:30:00Z",
        ];
        for every_hour in ["30 * * * *", "30 */1 * * *", "30 0-23 * * *"] {
            runs(every_hour, new_york, "2026-11-01T05:00:00Z", &hourly);
        }
        let berlin = ["2026-10-25T00:15:00Z", "2026-10-26T01:15:00Z"];
        runs(
            "15 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &berlin,
        );
    }
}
