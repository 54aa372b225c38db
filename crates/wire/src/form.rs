//! `application/x-www-form-urlencoded`: the body of a Query call, or its query string.

use crate::rejection::Rejection;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Decoded name and value pairs, in the order of arrival.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Most parameters accepted. PutMetricData, the widest call, sends 1,000 data
/// of 30 dimensions and 150 values in the worst case, and is asked to use JSON then.
const MAX_PARAMETERS: usize = 100_000;

pub fn parse(raw: &[u8]) -> Result<Pairs<'_>, Rejection> {
    let mut pairs = Vec::new();
    for pair in raw.split(|byte| *byte == b'&').filter(|p| !p.is_empty()) {
        if pairs.len() == MAX_PARAMETERS {
            let limit = format!("more than {MAX_PARAMETERS} parameters");
            return Err(Rejection::malformed(limit));
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        pairs.push((unescape(name)?, unescape(value)?));
    }
    Ok(pairs)
}

fn unescape(raw: &[u8]) -> Result<Cow<'_, str>, Rejection> {
    let not_text = |_| Rejection::malformed("a parameter is not UTF-8".to_owned());
    if !raw.contains(&b'+') {
        return percent_decode(raw).decode_utf8().map_err(not_text);
    }
    let spaced: Vec<u8> = raw
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(not_text)?;
    Ok(Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_names_and_values() {
        let check = |raw: &str, expected: &[(&str, &str)]| {
            let pairs = parse(raw.as_bytes()).unwrap();
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(pairs, expected, "{raw}");
        };
        check("", &[]);
        check("A=1&B=", &[("A", "1"), ("B", "")]);
        check("A&&B=2&", &[("A", ""), ("B", "2")]);
        check("A=x%3Dy=z", &[("A", "x=y=z")]);
        check("A+b=c+d%2B", &[("A b", "c d+")]);
        check("A=%C3%A9", &[("A", "é")]);
        check("A=%zz%", &[("A", "%zz%")]);
    }

    #[test]
    fn refuses_bytes_that_are_no_text() {
        assert!(parse(b"A=%ff").is_err());
        assert!(parse(b"A=+%ff").is_err());
    }
}
