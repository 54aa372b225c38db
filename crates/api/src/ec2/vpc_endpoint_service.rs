//! The services that a VPC endpoint can lead to, under the names that AWS gives them.
//!
//! The list is AWS's catalogue of what stacks of this kind ask for, longer than what this
//! cloud emulates: an endpoint says of itself what answers behind it (see
//! [`super::vpc_endpoint`]).

use super::error::{Result, dry_run, error, refuse};
use super::filter::{Field, Filter, Filters, all, one};
use super::page::Page;
use super::tag::Tag;
use crate::Ctx;
use model::{Tags, zone};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a service's endpoints are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    Interface,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::Interface => "Interface",
        }
    }
}

/// Services with gateway endpoints, which have interface endpoints as well.
const GATEWAY: [&str; 2] = ["dynamodb", "s3"];

/// Services with interface endpoints.
const INTERFACE: [&str; 44] = [
    "acm-pca",
    "application-autoscaling",
    "athena",
    "autoscaling",
    "autoscaling-plans",
    "cloudformation",
    "cloudtrail",
    "codebuild",
    "codecommit",
    "codedeploy",
    "codepipeline",
    "config",
    "dynamodb",
    "ebs",
    "ec2",
    "ec2messages",
    "ecr.api",
    "ecr.dkr",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "elasticache",
    "elasticfilesystem",
    "elasticloadbalancing",
    "events",
    "execute-api",
    "git-codecommit",
    "glue",
    "kinesis-firehose",
    "kinesis-streams",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "rds",
    "s3",
    "sagemaker.api",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "ssmmessages",
    "states",
    "sts",
];

/// A service in a region.
pub(super) struct EndpointService {
    pub name: String,
    pub kind: Kind,
    region: String,
}

impl EndpointService {
    /// What the service is called in its own domain: `api.ecr`, `s3`.
    fn label(&self) -> String {
        let short = self.name.rsplit("amazonaws.").next().unwrap_or_default();
        let short = short.split_once('.').map_or(short, |(_, short)| short);
        let mut parts: Vec<&str> = short.split('.').collect();
        parts.reverse();
        parts.join(".")
    }

    /// The name that `PrivateDnsEnabled` makes lead to the endpoint.
    pub(super) fn private_dns_name(&self) -> Option<String> {
        if self.kind == Kind::Gateway {
            return None;
        }
        let wildcard = match self.name.ends_with(".ecr.dkr") || self.name.ends_with(".execute-api")
        {
            true => "*.",
            false => "",
        };
        Some(format!(
            "{wildcard}{}.{}.amazonaws.com",
            self.label(),
            self.region
        ))
    }

    /// The domain of the endpoints' own names.
    pub(super) fn base_name(&self) -> String {
        match self.kind {
            Kind::Gateway => format!("{}.{}.amazonaws.com", self.label(), self.region),
            Kind::Interface => format!("{}.{}.vpce.amazonaws.com", self.label(), self.region),
        }
    }

    /// It follows from name and kind, since AWS's do not change.
    fn id(&self) -> String {
        let digest = Sha256::digest(format!("{} {}", self.name, self.kind.name()));
        let digest = hex::encode(digest);
        format!("vpce-svc-{}", digest.get(..17).unwrap_or_default())
    }
}

fn services(region: &str) -> Vec<EndpointService> {
    let service = |kind| {
        move |short: &&str| EndpointService {
            name: format!("com.amazonaws.{region}.{short}"),
            kind,
            region: region.to_owned(),
        }
    };
    let mut services: Vec<_> = GATEWAY
        .iter()
        .map(service(Kind::Gateway))
        .chain(INTERFACE.iter().map(service(Kind::Interface)))
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

/// The service of that name with endpoints of that kind.
pub(super) fn find(region: &str, name: &str, kind: Kind) -> Result<EndpointService> {
    services(region)
        .into_iter()
        .find(|s| s.name == name && s.kind == kind)
        .ok_or_else(|| no_such_service(name))
}

fn no_such_service(name: &str) -> wire::ApiError {
    error(
        "InvalidServiceName",
        format!("The Vpc Endpoint Service '{name}' does not exist"),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcEndpointServices {
    #[serde(default)]
    service_name: Vec<String>,
    #[serde(default)]
    service_region: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcEndpointServices {
    service_name_set: Vec<String>,
    service_detail_set: Vec<Detail>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    service_name: String,
    service_id: String,
    service_type: Vec<ServiceType>,
    service_region: String,
    availability_zone_id_set: Vec<String>,
    availability_zone_set: Vec<String>,
    owner: &'static str,
    base_endpoint_dns_name_set: Vec<String>,
    private_dns_name: Option<String>,
    private_dns_name_set: Vec<PrivateDnsName>,
    vpc_endpoint_policy_supported: bool,
    acceptance_required: bool,
    manages_vpc_endpoints: bool,
    private_dns_name_verification_state: Option<&'static str>,
    supported_ip_address_type_set: Vec<&'static str>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceType {
    service_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateDnsName {
    private_dns_name: String,
}

fn detail(service: &EndpointService) -> Detail {
    let zones = || zone::region(&service.region).map(|r| r.zones());
    let private_dns_name = service.private_dns_name();
    Detail {
        service_name: service.name.clone(),
        service_id: service.id(),
        service_type: vec![ServiceType {
            service_type: service.kind.name(),
        }],
        service_region: service.region.clone(),
        availability_zone_id_set: zones().into_iter().flatten().map(|(_, id)| id).collect(),
        availability_zone_set: zones()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .collect(),
        owner: "amazon",
        base_endpoint_dns_name_set: vec![service.base_name()],
        private_dns_name_set: private_dns_name
            .iter()
            .map(|name| PrivateDnsName {
                private_dns_name: name.clone(),
            })
            .collect(),
        private_dns_name_verification_state: private_dns_name.as_ref().map(|_| "verified"),
        private_dns_name,
        vpc_endpoint_policy_supported: true,
        acceptance_required: false,
        manages_vpc_endpoints: false,
        supported_ip_address_type_set: vec!["ipv4"],
        tag_set: Vec::new(),
    }
}

const FILTERS: &[Field<EndpointService>] = &[
    ("owner", |_, _| one("amazon")),
    ("service-name", |_, s| one(&s.name)),
    ("service-region", |_, s| one(&s.region)),
    ("service-type", |_, s| one(s.kind.name())),
    ("supported-ip-address-types", |_, _| one("ipv4")),
];

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeVpcEndpointServices,
) -> Result<VpcEndpointServices> {
    let page = Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let other = input
        .service_region
        .iter()
        .find(|r| **r != *ctx.scope.region);
    refuse(&other, "ServiceRegion")?;
    let names = &input.service_name;
    let mut found = services(&ctx.scope.region);
    for name in names {
        if !found.iter().any(|s| s.name == *name) {
            return Err(no_such_service(name));
        }
    }
    dry_run(input.dry_run)?;
    let none = Tags::new();
    found.retain(|s| {
        (names.is_empty() || names.contains(&s.name)) && filters.match_tagged(&ctx.tx, s, &none)
    });
    let (found, next_token) = page.of(found, |s| format!("{} {}", s.name, s.kind.name()));
    let mut service_name_set = all(found.iter().map(|s| &s.name));
    service_name_set.dedup();
    Ok(VpcEndpointServices {
        service_name_set,
        service_detail_set: found.iter().map(detail).collect(),
        next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, find, services};

    #[test]
    fn names_follow_from_the_service() {
        let check = |short: &str, kind, private: Option<&str>, base: &str| {
            let name = format!("com.amazonaws.eu-west-1.{short}");
            let service = find("eu-west-1", &name, kind).unwrap();
            assert_eq!(service.private_dns_name().as_deref(), private, "{short}");
            assert_eq!(service.base_name(), base, "{short}");
        };
        check(
            "ecr.api",
            Kind::Interface,
            Some("api.ecr.eu-west-1.amazonaws.com"),
            "api.ecr.eu-west-1.vpce.amazonaws.com",
        );
        check(
            "ecr.dkr",
            Kind::Interface,
            Some("*.dkr.ecr.eu-west-1.amazonaws.com"),
            "dkr.ecr.eu-west-1.vpce.amazonaws.com",
        );
        check(
            "s3",
            Kind::Interface,
            Some("s3.eu-west-1.amazonaws.com"),
            "s3.eu-west-1.vpce.amazonaws.com",
        );
        check("s3", Kind::Gateway, None, "s3.eu-west-1.amazonaws.com");
        assert!(find("eu-west-1", "com.amazonaws.eu-west-1.kms", Kind::Gateway).is_err());
    }

    #[test]
    fn ids_are_stable_and_differ() {
        let ids: Vec<String> = services("us-east-1").iter().map(|s| s.id()).collect();
        let again: Vec<String> = services("us-east-1").iter().map(|s| s.id()).collect();
        assert_eq!(ids, again);
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
