//! Labels of a parameter's versions: each names one version at a time.

use super::Result;
use super::read::find_named;
use crate::Ctx;
use model::ssm::Parameter;
use serde::{Deserialize, Serialize};
use store::Record;
use wire::ApiError;

/// AWS's limit on one version.
const MAX_LABELS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Labels {
    name: String,
    parameter_version: Option<u64>,
    labels: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Labelled {
    invalid_labels: Vec<String>,
    parameter_version: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Unlabelled {
    removed_labels: Vec<String>,
    invalid_labels: Vec<String>,
}

/// The parameter, and where among its versions the one is that the call is about.
fn version(ctx: &Ctx, input: &Labels) -> Result<(Parameter, usize)> {
    let parameter = Parameter::clone(&*find_named(ctx, &input.name)?);
    let number = input
        .parameter_version
        .or_else(|| Some(parameter.newest()?.number));
    let at = parameter
        .versions
        .iter()
        .position(|v| Some(v.number) == number);
    match at {
        Some(at) => Ok((parameter, at)),
        None => Err(ApiError::client(
            "ParameterVersionNotFound",
            format!("Version {number:?} of {} was not found.", input.name),
        )),
    }
}

fn is_valid(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let lower = label.to_ascii_lowercase();
    (1..=100).contains(&label.len())
        && label.chars().all(allowed)
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

pub fn label(ctx: &mut Ctx, input: Labels) -> Result<Labelled> {
    let (mut parameter, at) = version(ctx, &input)?;
    let (valid, invalid_labels): (Vec<String>, Vec<String>) =
        input.labels.into_iter().partition(|label| is_valid(label));
    for other in &mut parameter.versions {
        other.labels.retain(|label| !valid.contains(label));
    }
    let version = &mut parameter.versions[at];
    version.labels.extend(valid);
    if version.labels.len() > MAX_LABELS {
        return Err(ApiError::client(
            "ParameterVersionLabelLimitExceeded",
            format!("A parameter version can have maximum {MAX_LABELS} labels."),
        ));
    }
    let parameter_version = version.number;
    ctx.tx.put(parameter);
    Ok(Labelled {
        invalid_labels,
        parameter_version,
    })
}

pub fn unlabel(ctx: &mut Ctx, input: Labels) -> Result<Unlabelled> {
    let (parameter, at) = version(ctx, &input)?;
    let has = |label: &String| parameter.versions[at].labels.contains(label);
    let (removed_labels, invalid_labels): (Vec<String>, Vec<String>) =
        input.labels.into_iter().partition(has);
    ctx.tx.modify::<Parameter>(&parameter.key(), |p| {
        if let Some(version) = p.versions.get_mut(at) {
            version.labels.retain(|l| !removed_labels.contains(l));
        }
    });
    Ok(Unlabelled {
        removed_labels,
        invalid_labels,
    })
}
