//! Values of parameters: one, several, all below a path.

use super::shape::{ParameterShape, plain_name, shape, split_selector};
use super::{Result, find, not_found, owned, public, validation};
use crate::Ctx;
use serde::{Deserialize, Serialize};
use wire::ApiError;

/// AWS's limits on one call.
const MAX_NAMES: usize = 10;
const MAX_PAGE: usize = 10;

/// The parameter that a call names, in the version it asks for.
fn read(ctx: &Ctx, given: &str, decrypt: bool) -> Result<ParameterShape> {
    let (name, selector) = split_selector(given);
    let name = plain_name(name);
    if let Some(parameter) = public::shape(&ctx.scope.region, name, selector) {
        return Ok(parameter);
    }
    let parameter = find(ctx, name)?;
    let version = match selector {
        None => parameter.newest(),
        Some(selector) => parameter.versions.iter().find(|v| {
            v.number.to_string() == selector || v.labels.iter().any(|label| label == selector)
        }),
    };
    match version {
        Some(version) => Ok(shape(&parameter, version, selector, decrypt)),
        None => Err(ApiError::client(
            "ParameterVersionNotFound",
            format!(
                "Systems Manager could not find version {} of {name}. Verify the version and try again.",
                selector.unwrap_or_default()
            ),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParameter {
    name: String,
    with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneParameter {
    parameter: ParameterShape,
}

pub fn get(ctx: &mut Ctx, input: GetParameter) -> Result<OneParameter> {
    let decrypt = input.with_decryption.unwrap_or(false);
    let parameter = read(ctx, &input.name, decrypt)?;
    Ok(OneParameter { parameter })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParameters {
    names: Vec<String>,
    with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameters {
    parameters: Vec<ParameterShape>,
    invalid_parameters: Vec<String>,
}

pub fn get_all(ctx: &mut Ctx, input: GetParameters) -> Result<Parameters> {
    check_names(&input.names)?;
    let decrypt = input.with_decryption.unwrap_or(false);
    let mut answer = Parameters {
        parameters: Vec::new(),
        invalid_parameters: Vec::new(),
    };
    for name in input.names {
        match read(ctx, &name, decrypt) {
            Ok(parameter) => answer.parameters.push(parameter),
            Err(_) => answer.invalid_parameters.push(name),
        }
    }
    Ok(answer)
}

pub(super) fn check_names(names: &[String]) -> Result<()> {
    if (1..=MAX_NAMES).contains(&names.len()) {
        return Ok(());
    }
    Err(validation(format!(
        "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and {MAX_NAMES}"
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterFilter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParametersByPath {
    path: String,
    recursive: Option<bool>,
    #[serde(default)]
    parameter_filters: Vec<ParameterFilter>,
    with_decryption: Option<bool>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParametersByPath {
    parameters: Vec<ParameterShape>,
    next_token: Option<String>,
}

pub fn by_path(ctx: &mut Ctx, input: GetParametersByPath) -> Result<ParametersByPath> {
    if !input.path.starts_with('/') {
        return Err(validation(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".",
        ));
    }
    for filter in &input.parameter_filters {
        check_filter(filter)?;
    }
    let path = format!("{}/", input.path.trim_end_matches('/'));
    let recursive = input.recursive.unwrap_or(false);
    let decrypt = input.with_decryption.unwrap_or(false);
    let own = owned(ctx)
        .filter(|p| input.parameter_filters.iter().all(|f| passes(f, p)))
        .map(|p| p.name.as_str());
    // A public parameter has no tier, key or label to be asked for.
    let public = public::names()
        .filter(|_| input.parameter_filters.is_empty())
        .map(|name| -> &str { name });
    let mut names: Vec<&str> = public.chain(own).collect();
    names.retain(|name| {
        let tail = name.strip_prefix(path.as_str());
        tail.is_some_and(|tail| recursive || !tail.contains('/'))
    });
    names.sort_unstable();
    // A token is the last name of the page before.
    let after = input.next_token.unwrap_or_default();
    let limit = input.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let mut rest = names.into_iter().filter(|name| *name > after.as_str());
    let page: Vec<&str> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next_token = page.last().filter(|_| more).map(|last| (*last).to_owned());
    let parameters = page
        .into_iter()
        .filter_map(|name| read(ctx, name, decrypt).ok())
        .collect();
    Ok(ParametersByPath {
        parameters,
        next_token,
    })
}

fn check_filter(filter: &ParameterFilter) -> Result<()> {
    if !matches!(filter.key.as_str(), "Type" | "KeyId" | "Label") {
        return Err(ApiError::client(
            "InvalidFilterKey",
            "The following filter key is not valid: ".to_owned()
                + &filter.key
                + ". Valid filter keys include: [Type, KeyId, Label].",
        ));
    }
    match filter.option.as_deref() {
        None | Some("Equals" | "BeginsWith") => Ok(()),
        Some(other) => Err(ApiError::client(
            "InvalidFilterOption",
            format!(
                "The following filter option is not valid: {other}. Valid options include: [BeginsWith, Equals]"
            ),
        )),
    }
}

fn passes(filter: &ParameterFilter, parameter: &model::ssm::Parameter) -> bool {
    let begins = filter.option.as_deref() == Some("BeginsWith");
    let fits = |text: &str| {
        let mut values = filter.values.iter();
        values.any(|v| text == v || begins && text.starts_with(v.as_str()))
    };
    match filter.key.as_str() {
        "Type" => fits(&parameter.kind),
        "KeyId" => parameter.key_id.as_deref().is_some_and(fits),
        _ => {
            let newest = parameter.newest();
            newest.is_some_and(|v| v.labels.iter().any(|label| fits(label)))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamedParameter {
    pub(super) name: String,
}

/// The caller's own parameter of just that name, for calls that take no version.
pub(super) fn find_named(ctx: &Ctx, name: &str) -> Result<std::sync::Arc<model::ssm::Parameter>> {
    find(ctx, plain_name(name)).map_err(|_| not_found(name))
}
