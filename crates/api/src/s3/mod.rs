//! S3: buckets and objects, by method, path and query string instead of by action name.
//!
//! Records lie in the store as everywhere, bodies in files below the state
//! directory (`s3/<bucket>/<random name>`). A body is written before the record
//! that names it and removed after the record that named it is gone from disk:
//! a crash leaves at most a file too many, which the next start removes.
//!
//! The calls block on files, so they run where that is allowed; a caller of
//! [`answer`] says how to wait for a commit. Wrapping S3 into the `wire` actions
//! of the other services was rejected: its inputs are spread over path, query,
//! headers and body, and half its answers are no documents.
//!
//! Bucket policies and ACLs decide about unsigned callers and other accounts.
//! The bucket's own account may do everything, as an administrator may.

mod access;
mod acl;
pub(crate) mod body;
mod bucket;
mod bucket_name;
mod checksum;
mod condition;
mod configuration;
mod control;
mod copy;
mod delete_objects;
mod document;
mod error;
mod form;
mod get_object;
mod lifecycle;
mod list_objects;
mod list_versions;
mod metadata;
mod multipart;
mod object_lock;
mod owner;
pub(crate) mod policy;
mod post_object;
mod put_object;
mod range;
mod request;
mod route;
mod schema;
mod tagging;
mod takes;
#[cfg(test)]
mod tests;
mod upload_part;
mod version;

pub use body::remove_orphans;
pub use takes::coverage;

use crate::Cloud;
use model::{Scope, Timestamp};
use request::Request;
use store::{Commit, Store};
use wire::{ApiError, ErrorStyle, HttpRequest, HttpResponse, Protocol};

/// One call, with who signed it.
pub struct Call {
    pub request: HttpRequest,
    pub scope: Scope,
    /// Empty when SigV4 did not sign the call.
    pub access_key: String,
    pub now: Timestamp,
    pub request_id: String,
}

/// Waits until a commit is on disk.
pub type Wait<'a> = &'a dyn Fn(Commit) -> Result<(), String>;

/// Answers a call. Blocks on files, and through `wait` on the journal.
pub fn answer(store: &Store, cloud: &Cloud, call: Call, wait: Wait<'_>) -> HttpResponse {
    let answered = match control::is_for(&call) {
        true => control::answer(store, &call, wait),
        false => Request::new(store, cloud, &call, wait).and_then(|request| route::run(&request)),
    };
    let mut response = answered.unwrap_or_else(|error| {
        tracing::debug!(method = call.request.method, path = call.request.path, code = %error.code, message = %error.message, "refused");
        refusal(error, &call)
    });
    // A refusal with a body has it already.
    for name in ["x-amz-request-id", "x-amz-id-2"] {
        if response.header(name).is_none() {
            response = response.with_header(name, call.request_id.clone());
        }
    }
    response
}

fn refusal(error: ApiError, call: &Call) -> HttpResponse {
    if call.request.method == "HEAD" {
        // A HEAD has no body to say why.
        return HttpResponse::new(error.status);
    }
    let error = match error.details.is_empty() {
        true => error.with_resource(call.request.path.clone()),
        false => error,
    };
    error.into_response(Protocol::S3, ErrorStyle::default(), &call.request_id)
}
