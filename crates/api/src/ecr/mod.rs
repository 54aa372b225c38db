//! Elastic Container Registry: repositories as records, their images in OCI layouts on disk.
//!
//! Layouts are changed by pushes, which come to the edge, and by the calls here that delete or
//! put images, under a lock of theirs (the crate `oci`); the calls that list images look there.
//! None of them changes a record, so none holds up the store.
//! Nothing is scanned, replicated or pulled through, and repository policies are kept, not
//! evaluated: a token opens its own account's registry and no other.

mod image;
mod image_delete;
mod image_put;
mod layer;
mod lifecycle;
mod policy;
mod registry;
mod repository;
mod setting;
mod tag;

use crate::{Cloud, Ctx};
use model::ecr::Repository;
use oci::{Key, Layout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Service, action};

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2015-09-21",
        json_target_prefix: Some("AmazonEC2ContainerRegistry_V20150921"),
        actions: vec![
            action("CreateRepository", repository::create),
            action("DescribeRepositories", repository::describe_all),
            action("DeleteRepository", repository::delete),
            action("GetAuthorizationToken", registry::token).writes(),
            action("DescribeRegistry", registry::describe),
            action("PutImageTagMutability", setting::put_tag_mutability),
            action("PutImageScanningConfiguration", setting::put_scanning),
            action("SetRepositoryPolicy", policy::set),
            action("GetRepositoryPolicy", policy::get),
            action("DeleteRepositoryPolicy", policy::delete),
            action("PutLifecyclePolicy", lifecycle::put),
            action("GetLifecyclePolicy", lifecycle::get),
            action("DeleteLifecyclePolicy", lifecycle::delete),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListTagsForResource", tag::list),
            action("ListImages", image::list),
            action("DescribeImages", image::describe),
            action("BatchGetImage", image::get).reads(),
            action("BatchDeleteImage", image_delete::delete).reads(),
            action("PutImage", image_put::put).reads(),
            action("BatchCheckLayerAvailability", layer::check).reads(),
            action("GetDownloadUrlForLayer", layer::download_url),
            action("InitiateLayerUpload", layer::begin).reads(),
            action("UploadLayerPart", layer::extend).reads(),
            action("CompleteLayerUpload", layer::complete).reads(),
        ],
        ..Service::new("ecr")
    }
}

/// Where all accounts' images lie.
pub fn root(state_dir: &Path) -> PathBuf {
    state_dir.join("ecr")
}

/// What tokens are signed with; the one who starts the cloud has made it.
pub fn token_key(state_dir: &Path) -> PathBuf {
    root(state_dir).join("token.key")
}

fn key(cloud: &Cloud) -> Result<Key> {
    Key::read(&token_key(&cloud.state_dir))
        .map_err(|e| ApiError::internal(format!("The key of tokens cannot be read: {e}")))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

/// A member that breaks a rule of AWS's models.
fn constraint(at: &str, rule: &str) -> ApiError {
    invalid(format!(
        "Invalid parameter at '{at}' failed to satisfy constraint: '{rule}'"
    ))
}

fn disk(error: std::io::Error) -> ApiError {
    ApiError::internal(format!(
        "The images on disk cannot be read or written: {error}"
    ))
}

/// The repository of that name in the caller's own registry.
fn find(ctx: &Ctx, registry: Option<&str>, name: &str) -> Result<Arc<Repository>> {
    check_registry(ctx, registry)?;
    let found = ctx.tx.repositories.get(&ScopedName::new(&ctx.scope, name));
    found.cloned().ok_or_else(|| not_found(ctx, name))
}

fn not_found(ctx: &Ctx, name: &str) -> ApiError {
    ApiError::client(
        "RepositoryNotFoundException",
        format!(
            "The repository with name '{name}' does not exist in the registry with id '{}'",
            ctx.scope.account
        ),
    )
}

/// Refuses other accounts' registries.
fn check_registry(ctx: &Ctx, registry: Option<&str>) -> Result<()> {
    let Some(other) = registry.filter(|id| **id != *ctx.scope.account) else {
        return Ok(());
    };
    if other.len() != 12 || !other.bytes().all(|b| b.is_ascii_digit()) {
        return Err(constraint(
            "registryId",
            "must satisfy regular expression '[0-9]{12}'",
        ));
    }
    let message = format!("User is not authorized to access the registry with id '{other}'");
    Err(ApiError::new(400, "AccessDeniedException", message))
}

fn layout(ctx: &Ctx, repository: &Repository) -> Layout {
    Layout::at(root(&ctx.cloud.state_dir).join(repository.path()))
}

/// A page of `items`, and the token of the next: how many came before it.
fn page<T>(
    items: Vec<T>,
    most: Option<usize>,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>)> {
    let most = most.unwrap_or(100);
    if !(1..=1000).contains(&most) {
        return Err(constraint("maxResults", "must be between 1 and 1000"));
    }
    let start = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| invalid("Invalid parameter at 'nextToken': it is none of ours"))?,
    };
    let end = start.saturating_add(most);
    let next = (end < items.len()).then(|| end.to_string());
    Ok((items.into_iter().skip(start).take(most).collect(), next))
}
