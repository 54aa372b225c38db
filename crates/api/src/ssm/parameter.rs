//! The caller's parameters: put, deleted, described.

use super::read::{NamedParameter, check_names, find_named};
use super::shape::arn;
use super::tag::{self, Tag};
use super::{Result, owned, validation};
use crate::Ctx;
use model::ssm::{Parameter, ParameterVersion};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Record, ScopedName};
use wire::{ApiError, Timestamp};

/// Bytes that a value may have in each tier.
const STANDARD_BYTES: usize = 4096;
const ADVANCED_BYTES: usize = 8192;
/// Levels of a name's hierarchy, and versions that are kept.
const MAX_LEVELS: usize = 15;
const MAX_VERSIONS: usize = 100;
/// Standard parameters of an account in a region.
const MAX_PARAMETERS: usize = 10_000;
const MAX_PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutParameter {
    name: String,
    value: String,
    r#type: Option<String>,
    description: Option<String>,
    key_id: Option<String>,
    overwrite: Option<bool>,
    allowed_pattern: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    tier: Option<String>,
    policies: Option<String>,
    data_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutAnswer {
    version: u64,
    tier: String,
}

pub fn put(ctx: &mut Ctx, input: PutParameter) -> Result<PutAnswer> {
    check_name(&input.name)?;
    if input
        .policies
        .as_deref()
        .is_some_and(|p| !matches!(p, "" | "[]" | "{}"))
    {
        return Err(ApiError::client(
            "InvalidPolicyTypeException",
            "Parameter policies are not supported by this cloud.",
        ));
    }
    let key = ScopedName::new(&ctx.scope, &input.name);
    let there = ctx.tx.parameters.get(&key).cloned();
    if there.is_some() && input.overwrite != Some(true) {
        return Err(ApiError::client(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    if there.is_some() && !input.tags.is_empty() {
        return Err(validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag.",
        ));
    }
    if there.is_none() && owned(ctx).count() >= MAX_PARAMETERS {
        return Err(ApiError::client(
            "ParameterLimitExceeded",
            format!("The maximum number of parameters is {MAX_PARAMETERS}."),
        ));
    }
    let kind = kind(input.r#type.as_deref(), there.as_deref())?;
    let tier = tier(input.tier.as_deref(), there.as_deref(), input.value.len())?;
    let allowed_pattern = input.allowed_pattern.filter(|p| !p.is_empty());
    check_value(&input.value, &tier, allowed_pattern.as_deref())?;
    let data_type = input.data_type.unwrap_or_else(|| "text".into());
    if !matches!(data_type.as_str(), "text" | "aws:ec2:image") {
        return Err(validation(format!(
            "The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )));
    }
    if kind != "SecureString" && input.key_id.is_some() {
        return Err(validation(
            "KeyId is required for SecureString type parameter only.",
        ));
    }
    let mut versions = there.as_ref().map_or(Vec::new(), |p| p.versions.clone());
    let number = versions.last().map_or(1, |v| v.number + 1);
    versions.push(ParameterVersion {
        number,
        value: input.value,
        modified: ctx.now,
        labels: Vec::new(),
    });
    if versions.len() > MAX_VERSIONS {
        // Labels are there to be relied on: the oldest version stays while it has one.
        match versions.first() {
            Some(oldest) if !oldest.labels.is_empty() => {
                return Err(ApiError::client(
                    "ParameterMaxVersionLimitExceeded",
                    format!(
                        "You attempted to create a new version of {} by calling the PutParameter API with the overwrite flag. Version {}, the oldest version, can't be deleted because it has a label associated with it.",
                        input.name, oldest.number
                    ),
                ));
            }
            _ => drop(versions.remove(0)),
        }
    }
    let default_key = (kind == "SecureString").then(|| "alias/aws/ssm".to_owned());
    let tags = match &there {
        Some(parameter) => parameter.tags.clone(),
        None => tag::of(&input.tags)?,
    };
    ctx.tx.put(Parameter {
        scope: ctx.scope.clone(),
        name: input.name,
        kind,
        description: input
            .description
            .or_else(|| there.as_ref()?.description.clone()),
        key_id: input.key_id.or(default_key),
        allowed_pattern,
        tier: tier.clone(),
        data_type,
        versions,
        tags,
    });
    Ok(PutAnswer {
        version: number,
        tier,
    })
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if name.is_empty() || name.len() > 1011 || !name.chars().all(allowed) {
        return Err(validation(
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_",
        ));
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(ApiError::client(
            "AccessDeniedException",
            format!("No access to reserved parameter name: {name}."),
        ));
    }
    let inside = name.trim_start_matches('/');
    if inside.contains('/') && !name.starts_with('/') {
        return Err(validation("Parameter name must be a fully qualified name."));
    }
    if inside.split('/').any(str::is_empty) {
        return Err(validation("Parameter name: a sub-path is empty."));
    }
    if inside.split('/').count() > MAX_LEVELS {
        return Err(ApiError::client(
            "HierarchyLevelLimitExceededException",
            format!(
                "Hierarchies are limited to a maximum of {MAX_LEVELS} levels, each separated by a forward slash (/)."
            ),
        ));
    }
    Ok(())
}

/// A type stays what it is; a new parameter is a string unless said otherwise.
fn kind(given: Option<&str>, there: Option<&Parameter>) -> Result<String> {
    match (given, there) {
        (None, Some(parameter)) => Ok(parameter.kind.clone()),
        (None, None) => Err(validation(
            "A parameter type is required when you create a parameter.",
        )),
        (Some("String" | "StringList" | "SecureString"), _) => {
            Ok(given.unwrap_or_default().to_owned())
        }
        (Some(other), _) => Err(validation(format!(
            "1 validation error detected: Value '{other}' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]"
        ))),
    }
}

/// An advanced parameter cannot become a standard one.
fn tier(given: Option<&str>, there: Option<&Parameter>, size: usize) -> Result<String> {
    let was_advanced = there.is_some_and(|p| p.tier == "Advanced");
    match given {
        Some("Standard") if was_advanced => Err(validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.",
        )),
        None | Some("Standard") => Ok(if was_advanced { "Advanced" } else { "Standard" }.into()),
        Some("Advanced") => Ok("Advanced".into()),
        Some("Intelligent-Tiering") => {
            let advanced = was_advanced || size > STANDARD_BYTES;
            Ok(if advanced { "Advanced" } else { "Standard" }.into())
        }
        Some(other) => Err(validation(format!("'{other}' is no tier of parameters."))),
    }
}

fn check_value(value: &str, tier: &str, pattern: Option<&str>) -> Result<()> {
    let most = match tier {
        "Advanced" => ADVANCED_BYTES,
        _ => STANDARD_BYTES,
    };
    if value.is_empty() || value.len() > most {
        return Err(validation(format!(
            "{tier} tier parameters support a maximum parameter value of {most} characters, and at least one."
        )));
    }
    let Some(pattern) = pattern else {
        return Ok(());
    };
    let regex = Regex::new(pattern).map_err(|_| {
        ApiError::client(
            "InvalidAllowedPatternException",
            format!("The pattern {pattern} is no regular expression."),
        )
    })?;
    if regex.is_match(value) {
        return Ok(());
    }
    Err(ApiError::client(
        "ParameterPatternMismatchException",
        format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
    ))
}

#[derive(Serialize)]
pub struct Empty {}

pub fn delete(ctx: &mut Ctx, input: NamedParameter) -> Result<Empty> {
    let parameter = find_named(ctx, &input.name)?;
    ctx.tx.remove::<Parameter>(&parameter.key());
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteParameters {
    names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletedParameters {
    deleted_parameters: Vec<String>,
    invalid_parameters: Vec<String>,
}

pub fn delete_all(ctx: &mut Ctx, input: DeleteParameters) -> Result<DeletedParameters> {
    check_names(&input.names)?;
    let (mut deleted_parameters, mut invalid_parameters) = (Vec::new(), Vec::new());
    for name in input.names {
        match find_named(ctx, &name) {
            Ok(parameter) => {
                ctx.tx.remove::<Parameter>(&parameter.key());
                deleted_parameters.push(name);
            }
            Err(_) => invalid_parameters.push(name),
        }
    }
    Ok(DeletedParameters {
        deleted_parameters,
        invalid_parameters,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeParameters {
    /// The older form: no options, and names begin with the values.
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    max_results: Option<usize>,
    next_token: Option<String>,
    shared: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    parameters: Vec<Metadata>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    name: String,
    #[serde(rename = "ARN")]
    arn: String,
    r#type: String,
    key_id: Option<String>,
    last_modified_date: Option<Timestamp>,
    last_modified_user: String,
    description: Option<String>,
    allowed_pattern: Option<String>,
    version: u64,
    tier: String,
    policies: Vec<()>,
    data_type: String,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeParameters) -> Result<Described> {
    if input.shared == Some(true) {
        return Err(validation(
            "Shared parameters are not supported by this cloud.",
        ));
    }
    for filter in input.filters.iter().chain(&input.parameter_filters) {
        check_filter(filter)?;
    }
    let limit = input.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let after = input.next_token.unwrap_or_default();
    let passes = |p: &&Arc<Parameter>| {
        p.name > after
            && input.filters.iter().all(|f| passes(f, p, true))
            && input.parameter_filters.iter().all(|f| passes(f, p, false))
    };
    let mut rest = owned(ctx).filter(passes);
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next_token = page.last().filter(|_| more).map(|p| p.name.clone());
    let user = crate::sts::caller_arn(&ctx.scope);
    Ok(Described {
        parameters: page.iter().map(|p| metadata(p, &user)).collect(),
        next_token,
    })
}

fn metadata(parameter: &Parameter, user: &str) -> Metadata {
    let newest = parameter.newest();
    Metadata {
        name: parameter.name.clone(),
        arn: arn(parameter),
        r#type: parameter.kind.clone(),
        key_id: parameter.key_id.clone(),
        last_modified_date: newest.map(|v| v.modified.into()),
        last_modified_user: user.to_owned(),
        description: parameter.description.clone(),
        allowed_pattern: parameter.allowed_pattern.clone(),
        version: newest.map_or(0, |v| v.number),
        tier: parameter.tier.clone(),
        policies: Vec::new(),
        data_type: parameter.data_type.clone(),
    }
}

fn check_filter(filter: &Filter) -> Result<()> {
    let known = matches!(
        filter.key.as_str(),
        "Name" | "Type" | "KeyId" | "Path" | "Tier" | "DataType" | "Label"
    );
    if !known && !filter.key.starts_with("tag:") {
        return Err(ApiError::client(
            "InvalidFilterKey",
            format!("The filter key {} is not valid.", filter.key),
        ));
    }
    match filter.option.as_deref() {
        None | Some("Equals" | "BeginsWith" | "Contains" | "OneLevel" | "Recursive") => Ok(()),
        Some(other) => Err(ApiError::client(
            "InvalidFilterOption",
            format!("The following filter option is not valid: {other}."),
        )),
    }
}

fn passes(filter: &Filter, parameter: &Parameter, older: bool) -> bool {
    let option = filter.option.as_deref();
    let fits = |text: &str| {
        let mut values = filter.values.iter().map(String::as_str);
        match option {
            Some("Contains") => values.any(|v| text.contains(v)),
            Some("BeginsWith") => values.any(|v| text.starts_with(v)),
            _ if older && filter.key == "Name" => values.any(|v| text.starts_with(v)),
            _ => values.any(|v| text == v),
        }
    };
    match filter.key.as_str() {
        "Name" => fits(&parameter.name),
        "Type" => fits(&parameter.kind),
        "KeyId" => parameter.key_id.as_deref().is_some_and(fits),
        "Tier" => fits(&parameter.tier),
        "DataType" => fits(&parameter.data_type),
        "Label" => parameter
            .versions
            .iter()
            .any(|v| v.labels.iter().any(|label| fits(label))),
        "Path" => filter.values.iter().any(|path| {
            let path = format!("{}/", path.trim_end_matches('/'));
            let tail = parameter.name.strip_prefix(&path);
            tail.is_some_and(|tail| option == Some("Recursive") || !tail.contains('/'))
        }),
        key => {
            let tag = key.strip_prefix("tag:").unwrap_or_default();
            let value = parameter.tags.get(tag);
            value.is_some_and(|v| filter.values.is_empty() || fits(v))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names() {
        for good in ["db", "/a/b/c", "a.b-c_d", "/x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a/b",
            "/a//b",
            "/a/",
            "/aws/x",
            "ssm-x",
            "a b",
            "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
