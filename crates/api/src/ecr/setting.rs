//! Settings of a repository: which tags may move, and what would be scanned.

use super::{Result, constraint, find, invalid};
use crate::Ctx;
use model::ecr::Repository;
use serde::{Deserialize, Serialize};
use store::Record;

const MUTABILITIES: [&str; 4] = [
    "MUTABLE",
    "IMMUTABLE",
    "IMMUTABLE_WITH_EXCLUSION",
    "MUTABLE_WITH_EXCLUSION",
];

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExclusionFilter {
    filter_type: String,
    filter: String,
}

/// The patterns of a mutability, which has some or none according to its kind.
pub(super) fn exclusions(
    mutability: &str,
    filters: Option<Vec<ExclusionFilter>>,
) -> Result<Vec<String>> {
    if !MUTABILITIES.contains(&mutability) {
        let set = MUTABILITIES.join(", ");
        let rule = format!("must satisfy enum value set: [{set}]");
        return Err(constraint("imageTagMutability", &rule));
    }
    let filters = filters.unwrap_or_default();
    if mutability.ends_with("_WITH_EXCLUSION") == filters.is_empty() {
        return Err(invalid(
            "Exclusion filters are for the mutabilities with exclusion, which need at least one.",
        ));
    }
    if filters.len() > 5 {
        return Err(constraint(
            "imageTagMutabilityExclusionFilters",
            "must have length less than or equal to 5",
        ));
    }
    let pattern = |filter: ExclusionFilter| {
        let text = filter.filter;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._*-".contains(&b);
        let stars = text.bytes().filter(|b| *b == b'*').count();
        if filter.filter_type != "WILDCARD" {
            return Err(constraint(
                "imageTagMutabilityExclusionFilters.filterType",
                "must satisfy enum value set: [WILDCARD]",
            ));
        }
        if !(1..=128).contains(&text.len()) || !text.bytes().all(allowed) || stars > 2 {
            return Err(constraint(
                "imageTagMutabilityExclusionFilters.filter",
                "must satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}', with at most two wildcards",
            ));
        }
        Ok(text)
    };
    filters.into_iter().map(pattern).collect()
}

pub(super) fn shown(repository: &Repository) -> Option<Vec<ExclusionFilter>> {
    let filter = |pattern: &String| ExclusionFilter {
        filter_type: "WILDCARD".into(),
        filter: pattern.clone(),
    };
    (!repository.exclusions.is_empty()).then(|| repository.exclusions.iter().map(filter).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImageTagMutability {
    registry_id: Option<String>,
    repository_name: String,
    image_tag_mutability: String,
    image_tag_mutability_exclusion_filters: Option<Vec<ExclusionFilter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagMutability {
    registry_id: String,
    repository_name: String,
    image_tag_mutability: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tag_mutability_exclusion_filters: Option<Vec<ExclusionFilter>>,
}

pub fn put_tag_mutability(ctx: &mut Ctx, input: PutImageTagMutability) -> Result<TagMutability> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let mut repository = Repository::clone(&repository);
    let filters = input.image_tag_mutability_exclusion_filters;
    repository.exclusions = exclusions(&input.image_tag_mutability, filters)?;
    repository.tag_mutability = input.image_tag_mutability;
    let answer = TagMutability {
        registry_id: ctx.scope.account.to_string(),
        repository_name: repository.name.clone(),
        image_tag_mutability: repository.tag_mutability.clone(),
        image_tag_mutability_exclusion_filters: shown(&repository),
    };
    ctx.tx.put(repository);
    Ok(answer)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanningConfiguration {
    #[serde(default, deserialize_with = "wire::stored")]
    pub(super) scan_on_push: bool,
}

impl ScanningConfiguration {
    pub(super) fn of(repository: &Repository) -> Self {
        Self {
            scan_on_push: repository.scan_on_push,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImageScanningConfiguration {
    registry_id: Option<String>,
    repository_name: String,
    image_scanning_configuration: ScanningConfiguration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scanning {
    registry_id: String,
    repository_name: String,
    image_scanning_configuration: ScanningConfiguration,
}

pub fn put_scanning(ctx: &mut Ctx, input: PutImageScanningConfiguration) -> Result<Scanning> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    ctx.tx.modify::<Repository>(&repository.key(), |r| {
        r.scan_on_push = input.image_scanning_configuration.scan_on_push;
    });
    Ok(Scanning {
        registry_id: ctx.scope.account.to_string(),
        repository_name: input.repository_name,
        image_scanning_configuration: input.image_scanning_configuration,
    })
}
