//! IAM's errors and the rules that names, paths and documents share.

use wire::ApiError;

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// The answer of actions that only do.
pub fn done() -> Result<()> {
    Ok(())
}

pub fn no_such_entity(message: impl Into<String>) -> ApiError {
    ApiError::not_found("NoSuchEntity", message)
}

pub fn already_exists(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "EntityAlreadyExists", message)
}

pub fn delete_conflict(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "DeleteConflict", message)
}

pub fn limit_exceeded(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "LimitExceeded", message)
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}

/// Names are unique whatever their letters' case; `member` is spelled as in AWS's text.
pub fn check_name(name: &str, member: &str, longest: usize) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
        )));
    }
    if name.len() > longest {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must have length less than or equal to {longest}"
        )));
    }
    Ok(())
}

/// A path begins and ends with a slash; absent it is `/`.
pub fn path(given: Option<String>) -> Result<String> {
    let path = given.unwrap_or_else(|| "/".to_owned());
    let printable = path.bytes().all(|b| (0x21..=0x7f).contains(&b));
    let slashes = path.starts_with('/') && path.ends_with('/');
    if slashes && printable && path.len() <= 512 {
        return Ok(path);
    }
    Err(invalid(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
    ))
}

/// Documents are answered percent-encoded (RFC 3986), as AWS does.
pub fn encoded(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_answered_encoded() {
        assert_eq!(
            encoded(r#"{"a": "b/ü"}"#),
            "%7B%22a%22%3A%20%22b%2F%C3%BC%22%7D"
        );
    }
}
