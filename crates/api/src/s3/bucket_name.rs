//! Which names buckets may have.
//!
//! Source: `https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html`

use super::error;
use std::net::Ipv4Addr;
use wire::ApiError;

pub fn check(name: &str) -> Result<(), ApiError> {
    if is_valid(name) {
        return Ok(());
    }
    let invalid = ApiError::client("InvalidBucketName", "The specified bucket is not valid.");
    Err(invalid.with_detail("BucketName", name))
}

fn is_valid(name: &str) -> bool {
    let alphanumeric =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(b);
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(allowed)
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|p| name.starts_with(p))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|s| name.ends_with(s))
}

/// Object keys: 1 to 1,024 bytes.
pub fn check_key(key: &str) -> Result<(), ApiError> {
    if key.len() > 1024 {
        return Err(ApiError::client("KeyTooLongError", "Your key is too long"));
    }
    if key.contains('\0') {
        return Err(error::invalid_argument("Object keys must not contain NUL"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, valid: bool| assert_eq!(is_valid(name), valid, "{name}");
        check("abc", true);
        check("web-ha-artifacts-20261122", true);
        check("a.b.c", true);
        check("ab", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        check("Abc", false);
        check("a_c", false);
        check("-abc", false);
        check("abc-", false);
        check("a..b", false);
        check("192.168.0.1", false);
        check("xn--abc", false);
        check("abc-s3alias", false);
    }
}
