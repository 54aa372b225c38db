//! CloudWatch's error codes.

use wire::ApiError;

pub type Result<T> = std::result::Result<T, ApiError>;

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterValue", message)
}

pub fn combination(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterCombination", message)
}

pub fn missing(name: &str) -> ApiError {
    ApiError::client(
        "MissingParameter",
        format!("The parameter {name} is required."),
    )
}

/// As botocore's model has them: upper and lower bound, both inclusive.
pub fn length(value: &str, name: &str, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value.chars().count()) {
        return Ok(());
    }
    Err(invalid(format!(
        "The value '{value}' for parameter {name} must have length between {least} and {most}."
    )))
}
