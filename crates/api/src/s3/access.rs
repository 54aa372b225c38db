//! Who may do what: the bucket's account everything, others what policy and ACL allow.

use super::error::access_denied;
use super::request::Request;
use super::{acl, configuration, policy, version};
use model::s3::Bucket;
use store::State;
use wire::ApiError;

/// Refuses unless the caller may do `action`, such as `s3:GetObject`.
pub fn check(
    state: &State,
    request: &Request<'_>,
    bucket: &Bucket,
    action: &str,
) -> Result<(), ApiError> {
    let caller = (!request.anonymous).then_some(&request.scope);
    if caller.is_some_and(|caller| caller.account == bucket.scope.account) {
        return Ok(());
    }
    let resource = match request.key.as_str() {
        "" => format!("arn:aws:s3:::{}", bucket.name),
        key => format!("arn:aws:s3:::{}/{key}", bucket.name),
    };
    let by_policy = bucket.configuration.get("policy").is_some_and(|text| {
        let shut =
            configuration::blocks(bucket, "RestrictPublicBuckets") && policy::is_public(text);
        !shut && policy::allows(text, caller, action, &resource)
    });
    let by_acl = || {
        let list = match action {
            "s3:ListBucket" => bucket.configuration.get("acl").cloned(),
            "s3:GetObject" => version::find(
                state,
                &bucket.name,
                &request.key,
                request.query("versionId"),
            )
            .ok()
            .and_then(|object| object.acl.clone()),
            _ => None,
        };
        let list = list.filter(|_| configuration::ownership(bucket) != Some("BucketOwnerEnforced"));
        list.is_some_and(|list| {
            let shut = configuration::blocks(bucket, "IgnorePublicAcls") && acl::is_public(&list);
            !shut && acl::allows_read(&list, caller)
        })
    };
    if by_policy || by_acl() {
        return Ok(());
    }
    Err(access_denied())
}
