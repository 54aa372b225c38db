//! Repositories: made, described, deleted.

use super::setting::{ExclusionFilter, ScanningConfiguration, exclusions, shown};
use super::tag::{self, Tag};
use super::{Result, check_registry, constraint, disk, find, invalid, layout, page, registry};
use crate::Ctx;
use model::ecr::{Encryption, Registry, Repository};
use serde::{Deserialize, Serialize};
use store::{Record, ScopedName};
use wire::{ApiError, Timestamp};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    repository_arn: String,
    registry_id: String,
    repository_name: String,
    repository_uri: String,
    created_at: Timestamp,
    image_tag_mutability: String,
    image_tag_mutability_exclusion_filters: Option<Vec<ExclusionFilter>>,
    image_scanning_configuration: ScanningConfiguration,
    encryption_configuration: EncryptionConfiguration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EncryptionConfiguration {
    #[serde(deserialize_with = "wire::stored")]
    encryption_type: String,
    #[serde(default, deserialize_with = "wire::stored")]
    kms_key: Option<String>,
}

fn shape(repository: &Repository) -> Shape {
    let scope = &repository.scope;
    Shape {
        repository_arn: repository.arn(),
        registry_id: scope.account.to_string(),
        repository_name: repository.name.clone(),
        repository_uri: format!("{}/{}", Registry::host(scope), repository.name),
        created_at: repository.created.into(),
        image_tag_mutability: repository.tag_mutability.clone(),
        image_tag_mutability_exclusion_filters: shown(repository),
        image_scanning_configuration: ScanningConfiguration::of(repository),
        encryption_configuration: EncryptionConfiguration {
            encryption_type: repository.encryption.kind.clone(),
            kms_key: repository.encryption.key.clone(),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateRepository {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
    image_tag_mutability: Option<String>,
    image_tag_mutability_exclusion_filters: Option<Vec<ExclusionFilter>>,
    image_scanning_configuration: Option<ScanningConfiguration>,
    encryption_configuration: Option<EncryptionConfiguration>,
}

#[derive(Serialize)]
pub struct OneRepository {
    repository: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateRepository) -> Result<OneRepository> {
    check_registry(ctx, input.registry_id.as_deref())?;
    let name = input.repository_name;
    check_name(&name)?;
    if ctx
        .tx
        .repositories
        .contains_key(&ScopedName::new(&ctx.scope, &name))
    {
        let message = format!(
            "The repository with name '{name}' already exists in the registry with id '{}'",
            ctx.scope.account
        );
        return Err(ApiError::client(
            "RepositoryAlreadyExistsException",
            message,
        ));
    }
    let mutability = input.image_tag_mutability.unwrap_or("MUTABLE".into());
    let exclusions = exclusions(&mutability, input.image_tag_mutability_exclusion_filters)?;
    let encryption = match input.encryption_configuration {
        None => Encryption {
            kind: "AES256".into(),
            key: None,
        },
        Some(given) => encryption(ctx, given)?,
    };
    registry::ensure(ctx);
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let repository = Repository {
        scope: ctx.scope.clone(),
        directory: format!("{}-{unique}", name.replace('/', "+")),
        name,
        tag_mutability: mutability,
        exclusions,
        scan_on_push: input
            .image_scanning_configuration
            .is_some_and(|c| c.scan_on_push),
        encryption,
        policy: None,
        lifecycle: None,
        created: ctx.now,
        tags: tag::of(&input.tags)?,
    };
    let answer = OneRepository {
        repository: shape(&repository),
    };
    ctx.tx.put(repository);
    Ok(answer)
}

/// ECR allows no runs of separators, which the registry's own rule does.
fn check_name(name: &str) -> Result<()> {
    if !(2..=256).contains(&name.len()) {
        return Err(constraint(
            "repositoryName",
            "must have length between 2 and 256",
        ));
    }
    let part = |part: &str| {
        part.split(['.', '_', '-']).all(|piece| {
            !piece.is_empty()
                && piece
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
    };
    // The directory's name is this and 33 characters more, of the 255 that a file's may have.
    match name.split('/').all(part) {
        true if name.len() <= 200 => Ok(()),
        true => Err(invalid(
            "Names of repositories have at most 200 characters in this cloud.",
        )),
        false => Err(constraint(
            "repositoryName",
            "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'",
        )),
    }
}

fn encryption(ctx: &Ctx, given: EncryptionConfiguration) -> Result<Encryption> {
    let kind = given.encryption_type;
    let key = match (kind.as_str(), given.kms_key) {
        ("AES256", None) => None,
        ("AES256", Some(_)) => {
            return Err(invalid("A KMS key is only for the encryption type KMS."));
        }
        ("KMS" | "KMS_DSSE", Some(key)) => Some(key),
        ("KMS" | "KMS_DSSE", None) => Some(ctx.scope.arn("kms", "alias/aws/ecr")),
        _ => {
            return Err(constraint(
                "encryptionConfiguration.encryptionType",
                "must satisfy enum value set: [AES256, KMS, KMS_DSSE]",
            ));
        }
    };
    Ok(Encryption { kind, key })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeRepositories {
    registry_id: Option<String>,
    repository_names: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repositories {
    repositories: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeRepositories) -> Result<Repositories> {
    let registry = input.registry_id.as_deref();
    check_registry(ctx, registry)?;
    let found = match input.repository_names {
        Some(names) => {
            let named = names.iter().map(|name| find(ctx, registry, name));
            named.collect::<Result<Vec<_>>>()?
        }
        None => ctx.tx.repositories.of(&ctx.scope).cloned().collect(),
    };
    let (found, next_token) = page(found, input.max_results, input.next_token.as_deref())?;
    Ok(Repositories {
        repositories: found.iter().map(|r| shape(r)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteRepository {
    registry_id: Option<String>,
    repository_name: String,
    force: Option<bool>,
}

/// The images go once the registry no longer serves them, which the controller sees to.
pub fn delete(ctx: &mut Ctx, input: DeleteRepository) -> Result<OneRepository> {
    let name = &input.repository_name;
    let repository = find(ctx, input.registry_id.as_deref(), name)?;
    let force = input.force == Some(true);
    if !force && !layout(ctx, &repository).images().map_err(disk)?.is_empty() {
        let message = format!(
            "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains images",
            ctx.scope.account
        );
        return Err(ApiError::client("RepositoryNotEmptyException", message));
    }
    ctx.tx.remove::<Repository>(&repository.key());
    Ok(OneRepository {
        repository: shape(&repository),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ab", "team/app", "a-b.c_d/e1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a", "A1", "a--b", "-ab", "ab/", "/ab", "a//b", "..", "a b",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
