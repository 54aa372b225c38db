//! Launch templates: their names, default versions and deletion.

use super::error::{Result, dry_run, error, invalid_combination, invalid_value, refuse};
use super::filter::{Field, Filter, one};
use super::idempotent;
use super::launch_template_data::LaunchTemplateData;
use super::launch_template_version::new_version;
use super::page::{Page, describe};
use super::resource::{find, owned};
use super::tag::{self, Tag, TagSpecification};
use crate::Ctx;
use model::instance::{LaunchTemplate, LaunchTemplateVersion};
use model::{LaunchTemplateId, Scope};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::State;
use wire::{ApiError, Timestamp};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    launch_template_id: String,
    launch_template_name: String,
    create_time: Timestamp,
    created_by: String,
    default_version_number: u64,
    latest_version_number: u64,
    tag_set: Vec<Tag>,
}

fn shape(template: &LaunchTemplate) -> Shape {
    Shape {
        launch_template_id: template.id.to_string(),
        launch_template_name: template.name.clone(),
        create_time: template.created.into(),
        created_by: template.created_by.clone(),
        default_version_number: template.default_version,
        latest_version_number: latest(template),
        tag_set: tag::list(&template.tags),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneLaunchTemplate {
    launch_template: Shape,
}

impl OneLaunchTemplate {
    fn new(template: &LaunchTemplate) -> Self {
        Self {
            launch_template: shape(template),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateLaunchTemplate {
    launch_template_name: String,
    version_description: Option<String>,
    launch_template_data: LaunchTemplateData,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    client_token: Option<String>,
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateLaunchTemplate) -> Result<OneLaunchTemplate> {
    let name = input.launch_template_name;
    check_name(&name)?;
    let tags = tag::of(&input.tag_specification, "launch-template")?;
    let version = new_version(
        ctx,
        1,
        input.version_description,
        &input.launch_template_data,
    )?;
    let same = |t: &LaunchTemplate| {
        t.name == name && t.versions.first().is_some_and(|v| v.data == version.data)
    };
    let token = input.client_token.as_deref();
    if let Some(earlier) = idempotent(ctx, token, |t| t.client_token.as_deref(), same)? {
        return Ok(OneLaunchTemplate::new(&earlier));
    }
    if by_name(&ctx.tx, &ctx.scope, &name).is_some() {
        return Err(error(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    dry_run(input.dry_run)?;
    let template = LaunchTemplate {
        id: LaunchTemplateId::random(),
        scope: ctx.scope.clone(),
        name,
        created: ctx.now,
        created_by: version.created_by.clone(),
        default_version: 1,
        latest_version: 1,
        versions: vec![version],
        client_token: input.client_token,
        tags,
    };
    let answer = OneLaunchTemplate::new(&template);
    ctx.tx.put(template);
    Ok(answer)
}

/// `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-template-restrictions.html`
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(error(
        "InvalidLaunchTemplateName.MalformedException",
        "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLaunchTemplates {
    #[serde(default)]
    launch_template_id: Vec<String>,
    #[serde(default)]
    launch_template_name: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplates {
    launch_templates: Vec<Shape>,
    next_token: Option<String>,
}

const FILTERS: &[Field<LaunchTemplate>] = &[
    ("create-time", |_, t| one(t.created)),
    ("launch-template-name", |_, t| one(&t.name)),
    ("launch-template-id", |_, t| one(&t.id)),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeLaunchTemplates) -> Result<LaunchTemplates> {
    // Resources that AWS services manage do not exist here: in or out is the same.
    let _ = input.include_managed_resources;
    let page = Page::within(1, 200, input.max_results, input.next_token.as_deref())?;
    let mut ids = input.launch_template_id;
    for name in &input.launch_template_name {
        let found = by_name(&ctx.tx, &ctx.scope, name).ok_or_else(|| {
            error(
                "InvalidLaunchTemplateName.NotFoundException",
                "At least one of the launch templates specified in the request does not exist.",
            )
        })?;
        ids.push(found.id.to_string());
    }
    let (templates, next_token) = describe(ctx, &ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(LaunchTemplates {
        launch_templates: templates.iter().map(|t| shape(t)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyLaunchTemplate {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    set_default_version: Option<String>,
    /// Setting a default twice is setting it once.
    #[serde(rename = "ClientToken")]
    #[serde(default, deserialize_with = "wire::validated")]
    _client_token: Option<String>,
    dry_run: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyLaunchTemplate) -> Result<OneLaunchTemplate> {
    if input.launch_template_id.is_some() && input.launch_template_name.is_some() {
        return Err(invalid_combination(
            "Either provide launch template ID or launch template name to modify the template.",
        ));
    }
    let template = chosen(
        ctx,
        input.launch_template_id.as_deref(),
        input.launch_template_name.as_deref(),
    )?;
    let mut template = LaunchTemplate::clone(&template);
    if let Some(wanted) = &input.set_default_version {
        let found = version(&template, wanted).map_err(|e| match &*e.code {
            VERSION_NOT_FOUND => error(
                VERSION_NOT_FOUND,
                format!(
                    "The launch template version {wanted} is not found for the specified launch template."
                ),
            ),
            _ => e,
        });
        let number = found?.number;
        template.default_version = number;
    }
    dry_run(input.dry_run)?;
    let answer = OneLaunchTemplate::new(&template);
    ctx.tx.put(template);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteLaunchTemplate {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    dry_run: Option<bool>,
}

/// Groups that use it live on; their next launch fails.
pub fn delete(ctx: &mut Ctx, input: DeleteLaunchTemplate) -> Result<OneLaunchTemplate> {
    let template = chosen(
        ctx,
        input.launch_template_id.as_deref(),
        input.launch_template_name.as_deref(),
    )?;
    dry_run(input.dry_run)?;
    ctx.tx.remove::<LaunchTemplate>(&template.id);
    Ok(OneLaunchTemplate::new(&template))
}

/// How other calls name a template and its version.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplateSpecification {
    pub launch_template_id: Option<String>,
    pub launch_template_name: Option<String>,
    /// `$Default` where it is absent.
    pub version: Option<String>,
}

impl LaunchTemplateSpecification {
    pub fn find(&self, ctx: &Ctx) -> Result<Arc<LaunchTemplate>> {
        chosen(
            ctx,
            self.launch_template_id.as_deref(),
            self.launch_template_name.as_deref(),
        )
    }
}

/// The template given by id or by name, of which a call takes exactly one.
pub fn chosen(ctx: &Ctx, id: Option<&str>, name: Option<&str>) -> Result<Arc<LaunchTemplate>> {
    match (id, name) {
        (Some(_), Some(_)) => Err(invalid_combination(
            "You may specify either a launch template ID or a launch template name, but not both.",
        )),
        (Some(id), None) => find::<LaunchTemplate>(ctx, id),
        (None, Some(name)) => named(&ctx.tx, &ctx.scope, name),
        (None, None) => Err(error(
            "MissingParameter",
            "You must specify either a launch template ID or a launch template name.",
        )),
    }
}

pub fn named(state: &State, scope: &Scope, name: &str) -> Result<Arc<LaunchTemplate>> {
    by_name(state, scope, name).ok_or_else(|| {
        error(
            "InvalidLaunchTemplateName.NotFoundException",
            format!("The specified launch template, with template name {name}, does not exist."),
        )
    })
}

fn by_name(state: &State, scope: &Scope, name: &str) -> Option<Arc<LaunchTemplate>> {
    owned::<LaunchTemplate>(state, scope)
        .find(|t| t.name == name)
        .cloned()
}

/// The version that a number, `$Latest` or `$Default` means.
pub fn version<'a>(
    template: &'a LaunchTemplate,
    wanted: &str,
) -> Result<&'a LaunchTemplateVersion> {
    let number = match wanted {
        "" | "$Default" => template.default_version,
        "$Latest" => latest(template),
        number => number
            .parse()
            .map_err(|_| invalid_value(format!("Invalid launch template version: {number}")))?,
    };
    template
        .versions
        .iter()
        .find(|v| v.number == number)
        .ok_or_else(|| version_not_found(template, number))
}

/// The highest number that there is, which after a deletion is not the highest there was.
pub(super) fn latest(template: &LaunchTemplate) -> u64 {
    template
        .versions
        .last()
        .map_or(template.latest_version, |v| v.number)
}

const VERSION_NOT_FOUND: &str = "InvalidLaunchTemplateId.VersionNotFound";

fn version_not_found(template: &LaunchTemplate, number: u64) -> ApiError {
    error(
        VERSION_NOT_FOUND,
        format!(
            "Could not find the specified version {number} for the launch template with ID {}.",
            template.id
        ),
    )
}

/// Resolving aliases in answers is not served where it would change them.
pub(super) fn refuse_alias(resolve: Option<bool>) -> Result<()> {
    refuse(&resolve.filter(|wanted| *wanted), "ResolveAlias")
}
