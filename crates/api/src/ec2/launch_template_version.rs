//! The versions of a launch template: immutable, numbered upward, never reused.

use super::error::{Result, dry_run, error, invalid_combination, invalid_value, missing};
use super::filter::{Field, Filter, Filters, maybe, one};
use super::launch_template::{chosen, latest, refuse_alias, version};
use super::launch_template_data::{HttpTokens, LaunchTemplateData, Switch};
use super::page::Page;
use super::resource::owned;
use crate::Ctx;
use crate::sts;
use model::Tags;
use model::instance::{LaunchTemplate, LaunchTemplateVersion};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, Timestamp};

/// `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-template-restrictions.html`
const MAX_VERSIONS: usize = 10_000;
const MAX_DESCRIPTION: usize = 255;
/// Versions that one call may delete.
const MAX_DELETED: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    launch_template_id: String,
    launch_template_name: String,
    version_number: u64,
    version_description: Option<String>,
    create_time: Timestamp,
    created_by: String,
    default_version: bool,
    launch_template_data: LaunchTemplateData,
}

fn shape(template: &LaunchTemplate, version: &LaunchTemplateVersion) -> Result<Shape> {
    Ok(Shape {
        launch_template_id: template.id.to_string(),
        launch_template_name: template.name.clone(),
        version_number: version.number,
        version_description: version.description.clone(),
        create_time: version.created.into(),
        created_by: version.created_by.clone(),
        default_version: version.number == template.default_version,
        launch_template_data: LaunchTemplateData::load(&version.data)?,
    })
}

/// A version of checked data, not yet part of a template.
pub(super) fn new_version(
    ctx: &Ctx,
    number: u64,
    description: Option<String>,
    data: &LaunchTemplateData,
) -> Result<LaunchTemplateVersion> {
    if description
        .as_ref()
        .is_some_and(|d| d.chars().count() > MAX_DESCRIPTION)
    {
        return Err(super::error::invalid_value(format!(
            "The version description must not exceed {MAX_DESCRIPTION} characters."
        )));
    }
    data.check()?;
    Ok(LaunchTemplateVersion {
        number,
        description: description.filter(|d| !d.is_empty()),
        created: ctx.now,
        created_by: sts::caller_arn(&ctx.scope),
        client_token: None,
        data: data.stored()?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateLaunchTemplateVersion {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    source_version: Option<String>,
    version_description: Option<String>,
    launch_template_data: LaunchTemplateData,
    resolve_alias: Option<bool>,
    client_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneLaunchTemplateVersion {
    launch_template_version: Shape,
}

/// The default stays where it is; only ModifyLaunchTemplate moves it.
pub fn create(
    ctx: &mut Ctx,
    input: CreateLaunchTemplateVersion,
) -> Result<OneLaunchTemplateVersion> {
    refuse_alias(input.resolve_alias)?;
    let template = chosen(
        ctx,
        input.launch_template_id.as_deref(),
        input.launch_template_name.as_deref(),
    )?;
    let mut template = LaunchTemplate::clone(&template);
    let data = match input.source_version.as_deref() {
        Some(source) => {
            let source = LaunchTemplateData::load(&version(&template, source)?.data)?;
            input.launch_template_data.over(source)
        }
        None => input.launch_template_data,
    };
    let number = template.latest_version + 1;
    let mut added = new_version(ctx, number, input.version_description, &data)?;
    added.client_token = input.client_token.filter(|t| !t.is_empty());
    let same_token = |v: &&LaunchTemplateVersion| v.client_token == added.client_token;
    if let Some(earlier) = template.versions.iter().find(same_token)
        && added.client_token.is_some()
    {
        if earlier.data != added.data {
            return Err(error(
                "IdempotentParameterMismatch",
                "The client token was used before with other parameters.",
            ));
        }
        return Ok(OneLaunchTemplateVersion {
            launch_template_version: shape(&template, earlier)?,
        });
    }
    if template.versions.len() >= MAX_VERSIONS {
        return Err(error(
            "VersionLimitExceeded",
            "The limit on the number of versions of this launch template has been reached.",
        ));
    }
    dry_run(input.dry_run)?;
    let launch_template_version = shape(&template, &added)?;
    template.latest_version = number;
    template.versions.push(added);
    ctx.tx.put(template);
    Ok(OneLaunchTemplateVersion {
        launch_template_version,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLaunchTemplateVersions {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    #[serde(default)]
    launch_template_version: Vec<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    resolve_alias: Option<bool>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplateVersions {
    launch_template_version_set: Vec<Shape>,
    next_token: Option<String>,
}

type Versioned = (
    Arc<LaunchTemplate>,
    LaunchTemplateVersion,
    LaunchTemplateData,
);

const FILTERS: &[Field<Versioned>] = &[
    ("http-endpoint", |_, (_, _, d)| {
        maybe(
            d.metadata_options
                .as_ref()
                .and_then(|m| m.http_endpoint)
                .map(Switch::name),
        )
    }),
    ("http-tokens", |_, (_, _, d)| {
        maybe(
            d.metadata_options
                .as_ref()
                .and_then(|m| m.http_tokens)
                .map(HttpTokens::name),
        )
    }),
    ("host-resource-group-arn", |_, (_, _, d)| {
        maybe(
            d.placement
                .as_ref()
                .and_then(|p| p.host_resource_group_arn.as_ref()),
        )
    }),
    ("kernel-id", |_, _| Vec::new()),
    ("license-configuration-arn", |_, _| Vec::new()),
    ("network-card-index", |_, (_, _, d)| {
        super::filter::all(
            d.network_interfaces
                .iter()
                .filter_map(|n| n.network_card_index),
        )
    }),
    ("ram-disk-id", |_, _| Vec::new()),
    ("create-time", |_, (_, v, _)| one(v.created)),
    ("ebs-optimized", |_, (_, _, d)| maybe(d.ebs_optimized)),
    ("iam-instance-profile", |_, (_, _, d)| {
        let profile = d.iam_instance_profile.as_ref();
        maybe(profile.and_then(|p| p.arn.as_ref().or(p.name.as_ref())))
    }),
    ("image-id", |_, (_, _, d)| maybe(d.image_id.as_ref())),
    ("instance-type", |_, (_, _, d)| {
        maybe(d.instance_type.as_ref())
    }),
    ("is-default-version", |_, (t, v, _)| {
        one(v.number == t.default_version)
    }),
];

/// AWS's words, quotation marks included.
const WHICH_VERSIONS: &str = "To describe the launch template data for all your launch templates, for \u{2018}--versions\u{2019} specify \u{2018}$Latest\u{2019}, \u{2018}$Default\u{2019}, or both, and omit \u{2018}--launch-template-id\u{2019}, \u{2018}--launch-template-name\u{2019}, and version numbers. To describe the launch template data for a specific launch template, specify \u{2018}--launch-template-id\u{2019} or \u{2018}--launch-template-name\u{2019}, and for \u{2018}--versions\u{2019} specify one or more of the following values: \u{2018}$Latest\u{2019}, \u{2018}$Default\u{2019}, or one or more version numbers.";

/// One template's versions, or `$Latest` and `$Default` of every template.
pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeLaunchTemplateVersions,
) -> Result<LaunchTemplateVersions> {
    refuse_alias(input.resolve_alias)?;
    let _ = input.include_managed_resources;
    let page = Page::within(1, 200, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let wanted = &input.launch_template_version;
    let range = input.min_version.is_some() || input.max_version.is_some();
    if range && !wanted.is_empty() {
        return Err(invalid_combination(
            "You may specify either versions or a range of versions, but not both.",
        ));
    }
    let mut found: Vec<Versioned> = Vec::new();
    if input.launch_template_id.is_none() && input.launch_template_name.is_none() {
        if wanted.is_empty() {
            return Err(error("MissingParameter", WHICH_VERSIONS));
        }
        let of_all = |w: &String| matches!(w.as_str(), "$Latest" | "$Default");
        if !wanted.iter().all(of_all) {
            return Err(invalid_value(WHICH_VERSIONS));
        }
        for template in owned::<LaunchTemplate>(&ctx.tx, &ctx.scope) {
            add_wanted(&mut found, template, wanted)?;
        }
    } else {
        let template = chosen(
            ctx,
            input.launch_template_id.as_deref(),
            input.launch_template_name.as_deref(),
        )?;
        if wanted.is_empty() {
            let least = bound(&template, input.min_version.as_deref())?.unwrap_or(0);
            let most = bound(&template, input.max_version.as_deref())?.unwrap_or(u64::MAX);
            // AWS lists the newest first.
            for v in template.versions.iter().rev() {
                if (least..=most).contains(&v.number) {
                    let data = LaunchTemplateData::load(&v.data)?;
                    found.push((template.clone(), v.clone(), data));
                }
            }
        } else {
            add_wanted(&mut found, &template, wanted)?;
        }
    }
    dry_run(input.dry_run)?;
    found.retain(|v| filters.match_tagged(&ctx.tx, v, &Tags::new()));
    // Descending versions ascend by what is left up to the greatest number.
    let key = |(t, v, _): &Versioned| format!("{} {:020}", t.id, u64::MAX - v.number);
    found.sort_by_key(key);
    let (versions, next_token) = page.of(found, key);
    let shapes: Result<Vec<Shape>> = versions.iter().map(|(t, v, _)| shape(t, v)).collect();
    Ok(LaunchTemplateVersions {
        launch_template_version_set: shapes?,
        next_token,
    })
}

fn add_wanted(
    found: &mut Vec<Versioned>,
    template: &Arc<LaunchTemplate>,
    wanted: &[String],
) -> Result<()> {
    for text in wanted {
        let v = version(template, text)?;
        if !found
            .iter()
            .any(|(t, f, _)| t.id == template.id && f.number == v.number)
        {
            found.push((
                template.clone(),
                v.clone(),
                LaunchTemplateData::load(&v.data)?,
            ));
        }
    }
    Ok(())
}

fn bound(template: &LaunchTemplate, text: Option<&str>) -> Result<Option<u64>> {
    match text {
        None => Ok(None),
        Some("$Latest") => Ok(Some(latest(template))),
        Some("$Default") => Ok(Some(template.default_version)),
        Some(number) => match number.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(super::error::invalid_value(format!(
                "Invalid launch template version: {number}"
            ))),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteLaunchTemplateVersions {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    #[serde(default)]
    launch_template_version: Vec<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedVersions {
    successfully_deleted_launch_template_version_set: Vec<Deleted>,
    unsuccessfully_deleted_launch_template_version_set: Vec<NotDeleted>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    launch_template_id: String,
    launch_template_name: String,
    version_number: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotDeleted {
    launch_template_id: String,
    launch_template_name: String,
    version_number: Option<u64>,
    response_error: ResponseError,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseError {
    code: &'static str,
    message: String,
}

/// Each version succeeds or fails by itself; the default one cannot go.
pub fn delete(ctx: &mut Ctx, input: DeleteLaunchTemplateVersions) -> Result<DeletedVersions> {
    let template = chosen(
        ctx,
        input.launch_template_id.as_deref(),
        input.launch_template_name.as_deref(),
    )?;
    let mut template = LaunchTemplate::clone(&template);
    if input.launch_template_version.is_empty() {
        return Err(missing("LaunchTemplateVersion"));
    }
    if input.launch_template_version.len() > MAX_DELETED {
        return Err(super::error::invalid_value(format!(
            "At most {MAX_DELETED} versions can be deleted in a request."
        )));
    }
    dry_run(input.dry_run)?;
    let mut answer = DeletedVersions {
        successfully_deleted_launch_template_version_set: Vec::new(),
        unsuccessfully_deleted_launch_template_version_set: Vec::new(),
    };
    for text in &input.launch_template_version {
        match removable(&template, text) {
            Ok(number) => {
                template.versions.retain(|v| v.number != number);
                answer
                    .successfully_deleted_launch_template_version_set
                    .push(Deleted {
                        launch_template_id: template.id.to_string(),
                        launch_template_name: template.name.clone(),
                        version_number: number,
                    });
            }
            Err(response_error) => {
                answer
                    .unsuccessfully_deleted_launch_template_version_set
                    .push(NotDeleted {
                        launch_template_id: template.id.to_string(),
                        launch_template_name: template.name.clone(),
                        version_number: text.parse().ok(),
                        response_error,
                    });
            }
        }
    }
    ctx.tx.put(template);
    Ok(answer)
}

fn removable(template: &LaunchTemplate, text: &str) -> Result<u64, ResponseError> {
    let found = version(template, text).map_err(|e: ApiError| ResponseError {
        code: "launchTemplateVersionDoesNotExist",
        message: e.message,
    })?;
    if found.number == template.default_version {
        return Err(ResponseError {
            code: "unexpectedError",
            message: format!(
                "Cannot delete the default version {} of the launch template {}.",
                found.number, template.id
            ),
        });
    }
    Ok(found.number)
}

#[cfg(test)]
mod tests {
    use super::super::launch_template::{self, CreateLaunchTemplate, ModifyLaunchTemplate};
    use super::*;
    use crate::testing;
    use serde_json::json;

    fn data_of(ctx: &mut Ctx, wanted: &str) -> serde_json::Value {
        let input = json!({"LaunchTemplateName": "web", "LaunchTemplateVersion": [wanted]});
        let found = describe_all(ctx, testing::input(input)).unwrap();
        serde_json::to_value(&found.launch_template_version_set[0]).unwrap()
    }

    #[test]
    fn versions_count_up_and_the_default_stays() {
        testing::run(|ctx| {
            let first: CreateLaunchTemplate = testing::input(json!({
                "LaunchTemplateName": "web",
                "LaunchTemplateData": {"ImageId": "ami-12345678", "InstanceType": "t3.micro"},
            }));
            launch_template::create(ctx, first).unwrap();
            for (source, expected) in [(None, None), (Some("1"), Some("ami-12345678"))] {
                let second = json!({
                    "LaunchTemplateName": "web",
                    "SourceVersion": source,
                    "LaunchTemplateData": {"InstanceType": "t3.small"},
                });
                create(ctx, testing::input(second)).unwrap();
                let latest = data_of(ctx, "$Latest");
                assert_eq!(latest["launchTemplateData"]["imageId"].as_str(), expected);
            }
            assert_eq!(data_of(ctx, "$Default")["versionNumber"], 1);
            let modify: ModifyLaunchTemplate =
                testing::input(json!({"LaunchTemplateName": "web", "SetDefaultVersion": "3"}));
            launch_template::modify(ctx, modify).unwrap();
            assert_eq!(data_of(ctx, "$Default")["versionNumber"], 3);
            let doomed =
                json!({"LaunchTemplateName": "web", "LaunchTemplateVersion": ["1", "3", "9"]});
            let answer = delete(ctx, testing::input(doomed)).unwrap();
            assert_eq!(
                answer
                    .successfully_deleted_launch_template_version_set
                    .len(),
                1
            );
            assert_eq!(
                answer
                    .unsuccessfully_deleted_launch_template_version_set
                    .len(),
                2
            );
        });
    }
}
