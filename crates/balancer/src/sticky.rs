//! Session cookies: which target (or target group) a client stays with.
//!
//! The value is base64 of expiry, group and target. AWS encrypts its own; ours hides nothing worth
//! hiding, and a forged one only chooses among targets the client could get anyway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::http::answer::http_date;

pub const LB_COOKIE: &str = "AWSALB";
pub const GROUP_COOKIE: &str = "AWSALBTG";
pub const APP_COOKIE: &str = "AWSALBAPP";

/// How long browsers keep the cookie; the session's own duration is inside the value.
const BROWSER_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A session's value. `name` is a target, or empty for a group's.
pub fn encode(group: &str, name: &str, duration: Duration, now: SystemTime) -> String {
    let expires = seconds(now).saturating_add(duration.as_secs());
    STANDARD_NO_PAD.encode(format!("{expires}\n{group}\n{name}"))
}

/// Group and name of a value that is still good.
pub fn decode(value: &str, now: SystemTime) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD_NO_PAD.decode(value).ok()?).ok()?;
    let (expires, rest) = text.split_once('\n')?;
    let (group, name) = rest.split_once('\n')?;
    let expires: u64 = expires.parse().ok()?;
    (expires > seconds(now)).then(|| (group.to_owned(), name.to_owned()))
}

/// The two `Set-Cookie` values of a session: the plain one, and the one that cross-origin requests
/// carry too, which browsers take over TLS only if it says so.
pub fn set_cookies(name: &str, value: &str, is_secured: bool, now: SystemTime) -> [String; 2] {
    let expires = http_date(now + BROWSER_LIFETIME);
    let secure = if is_secured { "; Secure" } else { "" };
    [
        format!("{name}={value}; Expires={expires}; Path=/"),
        format!("{name}CORS={value}; Expires={expires}; Path=/; SameSite=None{secure}"),
    ]
}

/// The `Set-Cookie` values of an application session; the other three shards are never needed.
pub fn set_app_cookies(value: &str, now: SystemTime) -> Vec<String> {
    let expires = http_date(now + BROWSER_LIFETIME);
    let shard = |at: usize| if at == 0 { value } else { "_remove_" };
    (0..4)
        .map(|at| format!("{APP_COOKIE}-{at}={}; Expires={expires}; Path=/", shard(at)))
        .collect()
}

/// The value of a cookie in a `Cookie` field.
pub fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let header = std::str::from_utf8(header).ok()?;
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Whether a `Set-Cookie` field sets the cookie `name`.
pub fn sets(header: &[u8], name: &str) -> bool {
    header
        .strip_prefix(name.as_bytes())
        .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let value = encode("targetgroup/a/1", "i-1:80", Duration::from_secs(60), now);
        let expected = ("targetgroup/a/1".to_owned(), "i-1:80".to_owned());
        assert_eq!(decode(&value, now), Some(expected));
        assert_eq!(decode(&value, now + Duration::from_secs(60)), None);
        for broken in ["", "!", "AAAA", &value[1..]] {
            assert_eq!(decode(broken, now), None, "{broken}");
        }
    }

    #[test]
    fn cookies() {
        let header = b"a=1; AWSALB=x=y; b=2";
        assert_eq!(cookie(header, "AWSALB"), Some("x=y"));
        assert_eq!(cookie(header, "AWSALBCORS"), None);
        assert!(sets(b"sid=1; Path=/", "sid"));
        assert!(!sets(b"sid2=1", "sid"));
        let [_, secured] = set_cookies("AWSALB", "v", true, UNIX_EPOCH);
        assert!(secured.ends_with("; SameSite=None; Secure"));
        let [plain, cors] = set_cookies("AWSALB", "v", false, UNIX_EPOCH);
        assert_eq!(
            plain,
            "AWSALB=v; Expires=Thu, 08 Jan 1970 00:00:00 GMT; Path=/"
        );
        assert!(cors.ends_with("; SameSite=None"));
    }
}
