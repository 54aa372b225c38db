//! S3's error codes and texts.
//!
//! Source: `https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html`

use wire::ApiError;

pub fn no_such_bucket(bucket: &str) -> ApiError {
    ApiError::not_found("NoSuchBucket", "The specified bucket does not exist")
        .with_detail("BucketName", bucket)
}

pub fn no_such_key(key: &str) -> ApiError {
    ApiError::not_found("NoSuchKey", "The specified key does not exist.").with_detail("Key", key)
}

pub fn no_such_version(key: &str, version: &str) -> ApiError {
    let message = "The specified version does not exist.";
    ApiError::not_found("NoSuchVersion", message)
        .with_detail("Key", key)
        .with_detail("VersionId", version)
}

pub fn no_such_upload(id: &str) -> ApiError {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    ApiError::not_found("NoSuchUpload", message).with_detail("UploadId", id)
}

pub fn access_denied() -> ApiError {
    denied("Access Denied")
}

pub fn denied(message: &str) -> ApiError {
    ApiError::new(403, "AccessDenied", message)
}

pub fn malformed_xml() -> ApiError {
    let message =
        "The XML you provided was not well-formed or did not validate against our published schema";
    ApiError::client("MalformedXML", message)
}

pub fn missing_body() -> ApiError {
    ApiError::client("MissingRequestBodyError", "Request Body is empty")
}

pub fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidArgument", message)
}

pub fn invalid_request(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidRequest", message)
}

/// What AWS has and Nines has not.
pub fn not_implemented(what: &str) -> ApiError {
    let message = format!(
        "A header or query you provided implies functionality that is not implemented: {what}"
    );
    ApiError::new(501, "NotImplemented", message)
}

pub fn method_not_allowed() -> ApiError {
    let message = "The specified method is not allowed against this resource.";
    ApiError::new(405, "MethodNotAllowed", message)
}

/// A version that is a delete marker has nothing to read or change.
pub fn delete_marker(method: &str) -> ApiError {
    method_not_allowed()
        .with_detail("Method", method)
        .with_detail("ResourceType", "DeleteMarker")
}

pub fn precondition_failed(condition: &str) -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    ApiError::new(412, "PreconditionFailed", message).with_detail("Condition", condition)
}

/// Our fault; the cause goes to the log.
pub fn internal(operation: &str, cause: &std::io::Error) -> ApiError {
    tracing::error!(%cause, "failed to {operation}");
    let message = format!("We encountered an internal error: failed to {operation}");
    ApiError::new(500, "InternalError", message)
}
