//! EC2's error codes and texts, one constructor each, so that an action reads as its rules.
//!
//! Codes that only one action answers are made there by [`error`].

use wire::ApiError;

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

pub fn invalid_value(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValue", message)
}

/// `name` as AWS spells it in texts: camel case.
pub fn invalid_parameter(value: impl std::fmt::Display, name: &str, why: &str) -> ApiError {
    invalid_value(format!(
        "Value ({value}) for parameter {name} is invalid. {why}"
    ))
}

pub fn invalid_combination(message: impl Into<String>) -> ApiError {
    error("InvalidParameterCombination", message)
}

/// A parameter that is of no use without another.
pub fn invalid_dependency(message: impl Into<String>) -> ApiError {
    error("InvalidParameterDependency", message)
}

pub fn missing(name: &str) -> ApiError {
    error(
        "MissingParameter",
        format!("The request must contain the parameter {name}"),
    )
}

/// What AWS has and this cloud does not.
pub fn unsupported(message: impl Into<String>) -> ApiError {
    error("UnsupportedOperation", message)
}

/// `noun` as AWS spells it: `vpc`, `internetGateway`, `routeTable`.
pub fn has_dependencies(noun: &str, id: impl std::fmt::Display) -> ApiError {
    error(
        "DependencyViolation",
        format!("The {noun} '{id}' has dependencies and cannot be deleted."),
    )
}

/// Ends a checked call that only wanted to know whether it would pass.
pub fn dry_run(wanted: Option<bool>) -> Result<()> {
    if wanted == Some(true) {
        return Err(error(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
        .with_status(412));
    }
    Ok(())
}

/// Refuses a member that AWS has and this cloud does not, where it was given.
pub fn refuse<T>(given: &Option<T>, name: &str) -> Result<()> {
    match given {
        Some(_) => Err(unsupported(format!(
            "The parameter {name} is not supported by this cloud."
        ))),
        None => Ok(()),
    }
}

/// The value of a required member.
pub fn required<T>(given: Option<T>, name: &str) -> Result<T> {
    given.ok_or_else(|| missing(name))
}

/// Refuses IPv6, which the data plane does not carry, where it was asked for.
pub fn refuse_ipv6(asked: Option<bool>) -> Result<()> {
    match asked {
        Some(true) => Err(unsupported("IPv6 is not supported by this cloud.")),
        _ => Ok(()),
    }
}
