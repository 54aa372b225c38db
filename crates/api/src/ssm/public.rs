//! The public parameters that name AMIs, in every region, computed from the image catalogue.

use super::shape::ParameterShape;
use model::ImageId;
use model::image::{self, Image, Line};
use model::instance_type::Architecture;

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
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.12-x86_64",
        Line::AmazonLinux2023,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64",
        Line::AmazonLinux2023,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.12-arm64",
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
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.12-x86_64",
        Line::AmazonLinux2023Minimal,
        X86_64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-arm64",
        Line::AmazonLinux2023Minimal,
        Arm64,
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.12-arm64",
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
    let (name, _) = super::shape::split_selector(name);
    find(region, name).map(|image| image.id.clone())
}

fn find(region: &str, name: &str) -> Option<&'static Image> {
    let (_, line, architecture) = PARAMETERS.iter().find(|(n, ..)| *n == name)?;
    image::newest(region, *line, *architecture)
}

/// The names below a path, all of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|(name, ..)| *name)
}

/// Public parameters have version 1 only.
pub(super) fn shape(region: &str, name: &str, selector: Option<&str>) -> Option<ParameterShape> {
    let image = find(region, name)?;
    if selector.is_some_and(|s| s != "1") {
        return None;
    }
    Some(ParameterShape {
        name: name.to_owned(),
        r#type: "String".into(),
        value: image.id.to_string(),
        version: 1,
        selector: selector.map(|s| format!(":{s}")),
        last_modified_date: image.created.into(),
        arn: format!("arn:aws:ssm:{region}::parameter{name}"),
        data_type: "aws:ec2:image".into(),
    })
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
}
