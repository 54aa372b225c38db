//! Systems Manager: the public parameters that name AMIs, in every region.
//!
//! They are computed from the image catalogue. Parameters of one's own are not
//! kept: PutParameter is no action here, so a caller learns it at once.

use crate::Ctx;
use model::ImageId;
use model::image::{self, Image, Line};
use model::instance_type::Architecture;
use serde::{Deserialize, Serialize};
use wire::{ApiError, Service, Timestamp, action};

/// AWS's limits on one call.
const MAX_NAMES: usize = 10;
const MAX_PAGE: usize = 10;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2014-11-06",
        json_target_prefix: Some("AmazonSSM"),
        actions: vec![
            action("GetParameter", get_parameter),
            action("GetParameters", get_parameters),
            action("GetParametersByPath", get_parameters_by_path),
        ],
        ..Service::new("ssm")
    }
}

use Architecture::{Arm64, X86_64};

/// Names, and the line of images whose newest they mean.
const PARAMETERS: &[(&str, Line, Architecture)] = &[
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        Line::AmazonLinux2023,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        Line::AmazonLinux2023,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64",
        Line::AmazonLinux2023,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64",
        Line::AmazonLinux2023,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-x86_64",
        Line::AmazonLinux2023Minimal,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64",
        Line::AmazonLinux2023Minimal,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-x86_64",
        Line::AmazonLinux2023Minimal,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-arm64",
        Line::AmazonLinux2023Minimal,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
        Line::AmazonLinux2,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-arm64-gp2",
        Line::AmazonLinux2,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-gp2",
        Line::AmazonLinux2,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-arm64-gp2",
        Line::AmazonLinux2,
        Arm64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        Line::Ubuntu2204,
        X86_64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
        Line::Ubuntu2204,
        Arm64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/jammy/stable/current/amd64/hvm/ebs-gp2/ami-id",
        Line::Ubuntu2204,
        X86_64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        Line::Ubuntu2404,
        X86_64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
        Line::Ubuntu2404,
        Arm64,
    ),
    (
        "/aws/service/canonical/ubuntu/server/noble/stable/current/amd64/hvm/ebs-gp3/ami-id",
        Line::Ubuntu2404,
        X86_64,
    ),
    (
        "/aws/service/debian/release/12/latest/amd64",
        Line::Debian12,
        X86_64,
    ),
    (
        "/aws/service/debian/release/12/latest/arm64",
        Line::Debian12,
        Arm64,
    ),
    (
        "/aws/service/debian/release/bookworm/latest/amd64",
        Line::Debian12,
        X86_64,
    ),
    (
        "/aws/service/debian/release/bookworm/latest/arm64",
        Line::Debian12,
        Arm64,
    ),
];

/// The image that a public parameter names, as launches resolve it.
pub fn image(region: &str, name: &str) -> Option<ImageId> {
    let (name, _) = split_selector(name);
    find(region, name).map(|image| image.id.clone())
}

fn find(region: &str, name: &str) -> Option<&'static Image> {
    let (_, line, architecture) = PARAMETERS.iter().find(|(n, ..)| *n == name)?;
    image::newest(region, *line, *architecture)
}

/// `name:version` and the version; public parameters have version 1 only.
fn split_selector(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        // An ARN's colons come before its name's slashes.
        Some((name, selector)) if !selector.contains('/') => (name, Some(selector)),
        _ => (name, None),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    r#type: &'static str,
    value: String,
    version: u32,
    selector: Option<String>,
    last_modified_date: Timestamp,
    #[serde(rename = "ARN")]
    arn: String,
    data_type: &'static str,
}

fn shape(region: &str, given: &str) -> Option<Parameter> {
    // A public parameter's ARN is `arn:aws:ssm:<region>::parameter/aws/service/…`.
    let prefix = format!("arn:aws:ssm:{region}::parameter");
    let (name, selector) = split_selector(given.strip_prefix(&prefix).unwrap_or(given));
    let image = find(region, name)?;
    if selector.is_some_and(|s| s != "1") {
        return None;
    }
    Some(Parameter {
        name: name.to_owned(),
        r#type: "String",
        value: image.id.to_string(),
        version: 1,
        selector: selector.map(|s| format!(":{s}")),
        last_modified_date: image.created.into(),
        arn: format!("{prefix}{name}"),
        data_type: "aws:ec2:image",
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParameter {
    name: String,
    /// For secrets, of which there are none.
    #[serde(rename = "WithDecryption")]
    #[serde(default, deserialize_with = "wire::validated")]
    _with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneParameter {
    parameter: Parameter,
}

fn get_parameter(ctx: &mut Ctx, input: GetParameter) -> Result<OneParameter, ApiError> {
    match shape(&ctx.scope.region, &input.name) {
        Some(parameter) => Ok(OneParameter { parameter }),
        None => Err(ApiError::client("ParameterNotFound", "")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParameters {
    names: Vec<String>,
    #[serde(rename = "WithDecryption")]
    #[serde(default, deserialize_with = "wire::validated")]
    _with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameters {
    parameters: Vec<Parameter>,
    invalid_parameters: Vec<String>,
}

fn get_parameters(ctx: &mut Ctx, input: GetParameters) -> Result<Parameters, ApiError> {
    if !(1..=MAX_NAMES).contains(&input.names.len()) {
        return Err(validation(format!(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and {MAX_NAMES}"
        )));
    }
    let mut answer = Parameters {
        parameters: Vec::new(),
        invalid_parameters: Vec::new(),
    };
    for name in input.names {
        match shape(&ctx.scope.region, &name) {
            Some(parameter) => answer.parameters.push(parameter),
            None => answer.invalid_parameters.push(name),
        }
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParametersByPath {
    path: String,
    recursive: Option<bool>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(rename = "WithDecryption")]
    #[serde(default, deserialize_with = "wire::validated")]
    _with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParametersByPath {
    parameters: Vec<Parameter>,
    next_token: Option<String>,
}

fn get_parameters_by_path(
    ctx: &mut Ctx,
    input: GetParametersByPath,
) -> Result<ParametersByPath, ApiError> {
    if !input.path.starts_with('/') {
        return Err(validation("The parameter path must begin with a slash."));
    }
    let path = format!("{}/", input.path.trim_end_matches('/'));
    let recursive = input.recursive.unwrap_or(false);
    let mut names: Vec<&str> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
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
    let shapes = page
        .into_iter()
        .filter_map(|name| shape(&ctx.scope.region, name));
    Ok(ParametersByPath {
        parameters: shapes.collect(),
        next_token,
    })
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_names_an_image_in_every_region() {
        for region in model::zone::REGIONS {
            for (name, ..) in PARAMETERS {
                assert!(
                    image(region.name, name).is_some(),
                    "{name} in {}",
                    region.name
                );
            }
        }
        assert_eq!(image("us-east-1", "/my/parameter"), None);
    }

    #[test]
    fn a_parameter_is_found_by_name_version_and_arn() {
        let name = PARAMETERS[0].0;
        let arn = format!("arn:aws:ssm:us-east-1::parameter{name}");
        for given in [
            name.to_owned(),
            format!("{name}:1"),
            arn.clone(),
            format!("{arn}:1"),
        ] {
            let found = shape("us-east-1", &given).map(|p| p.name);
            assert_eq!(found.as_deref(), Some(name), "{given}");
        }
        assert!(shape("us-east-1", &format!("{name}:2")).is_none());
    }
}
