//! Values of records, in the form of zone files.

use hickory_proto::rr::{RData, RecordType};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Values of one record set.
const MOST: usize = 400;

/// Adds what is wrong with the values of a record set, as Route 53 words it.
pub fn check(kind: &str, values: &[String], problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            problems.push(format!("Duplicate Resource Record: '{value}'"));
        } else if let Some(problem) = problem(kind, value) {
            problems.push(format!(
                "Invalid Resource Record: FATAL problem: {problem} encountered with '{value}'"
            ));
        }
    }
    if matches!(kind, "CNAME" | "SOA") && values.len() > 1 {
        problems.push(format!("A {kind} record set has exactly one value"));
    }
    if values.len() > MOST {
        problems.push(format!("A record set has at most {MOST} values"));
    }
}

fn problem(kind: &str, value: &str) -> Option<String> {
    let fits = match kind {
        "A" => {
            let fits = value.parse::<Ipv4Addr>().is_ok();
            return (!fits).then(|| {
                "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)".to_owned()
            });
        }
        "AAAA" => {
            let fits = value.parse::<Ipv6Addr>().is_ok();
            return (!fits).then(|| {
                "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)".to_owned()
            });
        }
        "SPF" => {
            return Some("UnsupportedType (SPF records cannot be served here, use TXT)".to_owned());
        }
        "TXT" => return text_problem(value),
        "DS" => return Some("UnsupportedType (DS records cannot be served here)".to_owned()),
        "CNAME" | "NS" | "PTR" if super::name::normal(value).is_err() => false,
        "MX" if value.split_ascii_whitespace().count() != 2 => {
            return Some("MXRRDATANotTwoFields (MX record doesn't have 2 fields)".to_owned());
        }
        "SRV" if value.split_ascii_whitespace().count() != 4 => {
            return Some("SRVRRDATANotFourFields (SRV record doesn't have 4 fields)".to_owned());
        }
        _ => match RecordType::from_str(kind) {
            Ok(kind) => RData::try_from_str(kind, value).is_ok(),
            Err(_) => false,
        },
    };
    (!fits).then(|| format!("InvalidRecordData (Value is not valid for a record of type {kind})"))
}

/// Strings in quotation marks, each of at most 255 characters.
fn text_problem(value: &str) -> Option<String> {
    let mut rest = value.trim_ascii();
    if rest.is_empty() {
        return Some(unquoted());
    }
    while !rest.is_empty() {
        let Some(inside) = rest.strip_prefix('"') else {
            return Some(unquoted());
        };
        let Some((length, after)) = closing(inside) else {
            return Some(unquoted());
        };
        if length > 255 {
            return Some("CharacterStringTooLong (Value is too long)".to_owned());
        }
        rest = after.trim_ascii_start();
    }
    None
}

fn unquoted() -> String {
    "InvalidCharacterString (Value should be enclosed in quotation marks)".to_owned()
}

/// How long a quoted string is, and what follows its end.
fn closing(inside: &str) -> Option<(usize, &str)> {
    let mut escaped = false;
    let mut length = 0;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some((length, &inside[at + 1..])),
            b'\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
        length += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_zone_files() {
        let check = |kind: &str, value: &str, fits: bool| {
            assert_eq!(problem(kind, value).is_none(), fits, "{kind} {value}");
        };
        check("A", "10.0.0.1", true);
        check("A", "10.0.0.256", false);
        check("AAAA", "2001:db8::1", true);
        check("AAAA", "10.0.0.1", false);
        check("CNAME", "www.example.com", true);
        check("CNAME", "www..example.com", false);
        check("CNAME", "a@b.example.com", false);
        check("SPF", "\"v=spf1\"", false);
        check("MX", "10 mail.example.com", true);
        check("MX", "mail.example.com", false);
        check("SRV", "1 10 5269 xmpp.example.com.", true);
        check("SRV", "1 10 xmpp.example.com.", false);
        check("CAA", "0 issue \"amazon.com\"", true);
        check("TXT", "\"v=spf1 -all\"", true);
        check("TXT", "\"a\" \"b \\\" c\"", true);
        check("TXT", "v=spf1", false);
        check("TXT", "\"open", false);
        check("TXT", &format!("\"{}\"", "x".repeat(256)), false);
        check("SOA", "ns.a. host.a. 1 7200 900 1209600 86400", true);
        check("SOA", "ns.a.", false);
    }
}
