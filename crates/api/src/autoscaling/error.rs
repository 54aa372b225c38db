//! Auto Scaling's error codes: nearly everything is a `ValidationError`.

use std::fmt::Display;
use wire::ApiError;

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

pub fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationError", message)
}

/// What AWS has and this cloud does not; the API has no code of its own for that.
pub fn unsupported(what: impl Display) -> ApiError {
    validation(format!("{what} not supported by this cloud."))
}

/// Refuses a member that AWS has and this cloud does not, where it was given.
pub fn refuse<T>(given: &Option<T>, name: &str) -> Result<()> {
    match given {
        Some(_) => Err(unsupported(format_args!("The parameter {name} is"))),
        None => Ok(()),
    }
}

pub fn group_not_found(name: &str) -> ApiError {
    validation(format!(
        "AutoScalingGroup name not found - AutoScalingGroup: {name} not found"
    ))
}

pub fn instance_not_found(id: &str) -> ApiError {
    validation(format!(
        "Instance Id not found - No managed instance found for instance ID: {id}"
    ))
}
