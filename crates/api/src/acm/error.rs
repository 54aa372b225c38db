//! Certificate Manager's error codes.

use model::Scope;
use wire::{ApiError, Protocol, Rejection};

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn client(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

pub fn validation(message: impl Into<String>) -> ApiError {
    client("ValidationException", message)
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    client("InvalidParameterException", message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    client("LimitExceededException", message)
}

pub fn invalid_arn(arn: &str) -> ApiError {
    client(
        "InvalidArnException",
        format!("The provided ARN {arn} is not the ARN of a certificate"),
    )
}

pub fn not_found(scope: &Scope, arn: &str) -> ApiError {
    client(
        "ResourceNotFoundException",
        format!(
            "Could not find certificate {arn} in account {}.",
            scope.account
        ),
    )
}

/// Inputs that do not fit are this service's `ValidationException`.
pub fn reject(rejection: Rejection, protocol: Protocol) -> ApiError {
    let error = rejection.into_error(protocol);
    validation(error.message)
}
