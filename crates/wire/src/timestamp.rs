//! An instant, spelled differently by every protocol.
//!
//! Query parameters and XML carry ISO 8601, JSON a number of seconds, CBOR the
//! same number under tag 1. A type that holds a `Timestamp` does not care: it reads
//! whatever comes, the XML writer recognises it by its newtype name, and
//! `is_human_readable` tells the CBOR writer from the JSON one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub jiff::Timestamp);

/// The newtype name by which the XML writer tells a timestamp from a number.
pub(crate) const NEWTYPE: &str = "$wire::Timestamp";

impl Timestamp {
    /// Seconds since 1970, to the millisecond: no AWS protocol says more.
    fn seconds(self) -> f64 {
        self.0.as_millisecond() as f64 / 1000.0
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        // The range of jiff is far inside that of i64, so out of it is refused
        // there; NaN becomes 0 in the cast and is refused here.
        if !seconds.is_finite() {
            return None;
        }
        let millis = (seconds * 1000.0).round() as i64;
        jiff::Timestamp::from_millisecond(millis).ok().map(Self)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.serialize_newtype_struct(NEWTYPE, &self.seconds())
        } else {
            ciborium::tag::Required::<f64, 1>(self.seconds()).serialize(s)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Reader)
    }
}

struct Reader;

impl Reader {
    fn number<E: de::Error>(self, seconds: f64) -> Result<Timestamp, E> {
        Timestamp::from_seconds(seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }
}

impl de::Visitor<'_> for Reader {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Timestamp, E> {
        self.number(v)
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Timestamp, E> {
        self.number(v as f64)
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Timestamp, E> {
        self.number(v as f64)
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Timestamp, E> {
        let parsed = parse(v);
        parsed.ok_or_else(|| E::invalid_value(de::Unexpected::Str(v), &self))
    }
}

/// ISO 8601 with a zone, or without one (then UTC, as AWS reads it), or a bare date.
fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at));
    }
    let local = text.parse::<jiff::civil::DateTime>().ok()?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp(zoned.timestamp()))
}

/// When the milliseconds are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Millis {
    /// `2024-05-01T10:00:00.000Z`
    Always,
    /// `2024-05-01T10:00:00Z`, and `.250Z` only where there is a fraction.
    WhenNotZero,
}

/// Appends the instant in ISO 8601; nothing is allocated.
pub(crate) fn push_iso8601(
    out: &mut String,
    seconds: f64,
    millis: Millis,
) -> Result<(), fmt::Error> {
    let at = Timestamp::from_seconds(seconds).ok_or(fmt::Error)?.0;
    let at = jiff::tz::Offset::UTC.to_datetime(at);
    // By hand: there are five in each instance, and the formatter takes ten times as long.
    let year = u16::try_from(at.year()).map_err(|_| fmt::Error)?;
    let pair = |n: i8| two_digits(n.unsigned_abs());
    let [century, years] = [year / 100, year % 100].map(|n| two_digits(n as u8));
    let (month, day) = (pair(at.month()), pair(at.day()));
    let (hour, minute, second) = (pair(at.hour()), pair(at.minute()), pair(at.second()));
    let text = [
        century[0], century[1], years[0], years[1], b'-', month[0], month[1], b'-', day[0], day[1],
        b'T', hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1],
    ];
    out.push_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
    let fraction = at.millisecond().unsigned_abs();
    if millis == Millis::Always || fraction != 0 {
        let rest = two_digits((fraction % 100) as u8);
        let text = [b'.', b'0' + (fraction / 100) as u8, rest[0], rest[1]];
        out.push_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
    }
    out.push('Z');
    Ok(())
}

/// Of a number below 100.
fn two_digits(n: u8) -> [u8; 2] {
    [b'0' + n / 10, b'0' + n % 10]
}
