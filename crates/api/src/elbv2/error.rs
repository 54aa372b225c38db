//! ELBv2's error codes, one constructor each where more than one file answers with it.

use std::fmt::Display;
use wire::ApiError;

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

pub fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationError", message)
}

pub fn invalid_configuration(message: impl Into<String>) -> ApiError {
    error("InvalidConfigurationRequest", message)
}

/// What AWS has and this cloud does not; the API has no code of its own for that.
pub fn unsupported(what: impl Display) -> ApiError {
    invalid_configuration(format!("{what} not supported by this cloud."))
}

pub fn not_permitted(message: impl Into<String>) -> ApiError {
    error("OperationNotPermitted", message)
}

/// Refuses a member that AWS has and this cloud does not, where it was given.
pub fn refuse<T>(given: &Option<T>, name: &str) -> Result<()> {
    match given {
        Some(_) => Err(unsupported(format_args!("The parameter {name} is"))),
        None => Ok(()),
    }
}
