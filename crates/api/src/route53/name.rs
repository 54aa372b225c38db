//! Domain names as Route 53 keeps them: lower case, with a final dot, odd characters in octal.

use super::Result;
use wire::ApiError;

/// Of a name and of one of its labels.
const LONGEST: usize = 255;
const LONGEST_LABEL: usize = 63;

/// The form in which a name is kept and given back; why not, as Route 53 says it.
pub fn normal(name: &str) -> Result<String, String> {
    let problem = |code: &str, text: &str| {
        format!("FATAL problem: {code} ({text}) encountered with '{name}'")
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err(problem("DomainLabelEmpty", "Domain label is empty"));
    }
    let mut out = String::with_capacity(bare.len() + 1);
    let mut label = 0;
    let mut rest = bare.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'.' if label == 0 => {
                return Err(problem("DomainLabelEmpty", "Domain label is empty"));
            }
            b'.' => {
                label = 0;
                out.push('.');
                continue;
            }
            b'\\' => {
                let digits: Vec<u8> = rest.by_ref().take(3).collect();
                let is_octal =
                    digits.len() == 3 && digits.iter().all(|d| (b'0'..=b'7').contains(d));
                let octal = std::str::from_utf8(&digits).ok().filter(|_| is_octal);
                octal
                    .and_then(|d| u8::from_str_radix(d, 8).ok())
                    .ok_or_else(|| {
                        problem("InvalidEscapeSequence", "Invalid escape sequence in domain")
                    })?
            }
            byte => byte,
        };
        label += 1;
        if label > LONGEST_LABEL {
            return Err(problem("DomainLabelTooLong", "Domain label is too long"));
        }
        match byte.to_ascii_lowercase() {
            plain @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => out.push(char::from(plain)),
            odd if odd.is_ascii_graphic() || odd >= 0x80 => out.push_str(&format!("\\{odd:03o}")),
            _ => {
                return Err(problem(
                    "UnsupportedCharacter",
                    "Value contains unsupported characters",
                ));
            }
        }
    }
    if label == 0 {
        return Err(problem("DomainLabelEmpty", "Domain label is empty"));
    }
    if bare.len() > LONGEST {
        return Err(problem("DomainNameTooLong", "Domain name is too long"));
    }
    out.push('.');
    Ok(out)
}

/// Of a zone, which has no wildcard.
pub fn of_zone(name: &str) -> Result<String> {
    let fits = normal(name).ok().filter(|n| !n.contains('\\'));
    fits.ok_or_else(|| {
        ApiError::client(
            "InvalidDomainName",
            format!("{name} is not a valid domain name"),
        )
    })
}

/// Whether `name` is `zone` or lies in it; both in normal form.
pub fn is_in(name: &str, zone: &str) -> bool {
    name == zone
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_their_normal_form() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(normal(name).ok().as_deref(), expected, "{name}");
        };
        check("WWW.Example.com", Some("www.example.com."));
        check("*.example.com.", Some("\\052.example.com."));
        check("\\052.example.com.", Some("\\052.example.com."));
        check("_acme.example.com", Some("_acme.example.com."));
        check("", None);
        check(".", None);
        check("a..b", None);
        check(".a", None);
        check("a b.com", None);
        check("a\\05", None);
        check("a\\999.com", None);
        check(&"a".repeat(64), None);
        check(&"a.".repeat(130), None);
    }

    #[test]
    fn names_lie_in_zones() {
        assert!(is_in("example.com.", "example.com."));
        assert!(is_in("a.b.example.com.", "example.com."));
        assert!(!is_in("badexample.com.", "example.com."));
        assert!(!is_in("com.", "example.com."));
    }
}
