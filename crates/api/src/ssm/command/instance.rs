//! The instances that commands can be sent to.

use super::super::Result;
use super::{error, page};
use crate::Ctx;
use model::image::{DOCKER_RECIPE, PLAIN_RECIPE, backing};
use model::instance::{Instance, InstanceState};
use serde::{Deserialize, Serialize};

/// It runs, has booted and has an instance profile.
pub fn managed(instance: &Instance) -> bool {
    instance.state == InstanceState::Running
        && instance.ready.is_some()
        && instance.profile.is_some()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StringFilter {
    key: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
pub struct OldFilter {
    key: String,
    #[serde(rename = "valueSet")]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceInformation {
    #[serde(default)]
    filters: Vec<StringFilter>,
    #[serde(default)]
    instance_information_filter_list: Vec<OldFilter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Information {
    instance_information_list: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    instance_id: String,
    ping_status: &'static str,
    agent_version: &'static str,
    is_latest_version: bool,
    platform_type: &'static str,
    platform_name: String,
    platform_version: String,
    resource_type: &'static str,
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    computer_name: Option<String>,
}

/// AWS's agent tells of itself; here nothing runs in the instance, and it is the host that looks.
pub fn describe(ctx: &mut Ctx, input: DescribeInstanceInformation) -> Result<Information> {
    let new = input.filters.into_iter().map(|f| (f.key, f.values));
    let old = input.instance_information_filter_list.into_iter();
    let filters: Vec<_> = new.chain(old.map(|f| (f.key, f.values))).collect();
    let mut found = Vec::new();
    for instance in ctx.tx.instances.of(&ctx.scope).filter(|i| managed(i)) {
        let shape = shape(ctx, instance);
        if passes(instance, &shape, &filters)? {
            found.push(shape);
        }
    }
    let (instance_information_list, next_token) =
        page(found, input.max_results, input.next_token.as_deref())?;
    Ok(Information {
        instance_information_list,
        next_token,
    })
}

fn shape(ctx: &Ctx, instance: &Instance) -> Shape {
    let mut interfaces = ctx.tx.network_interfaces.of(&instance.id);
    let primary = interfaces.find(|i| i.attachment.as_ref().is_some_and(|a| a.device_index == 0));
    let address = primary.map(|i| i.primary_ip());
    let host = |ip: std::net::Ipv4Addr| {
        let dashed = ip.to_string().replace('.', "-");
        match &*instance.scope.region {
            "us-east-1" => format!("ip-{dashed}.ec2.internal"),
            region => format!("ip-{dashed}.{region}.compute.internal"),
        }
    };
    // An image that an account made is of the system that it was made from.
    let base = instance
        .contents
        .as_ref()
        .map_or(&instance.image, |c| &c.base);
    let recipe = backing(base, &ctx.cloud.images.get()).recipe;
    let (name, version) = platform(&recipe);
    Shape {
        instance_id: instance.id.to_string(),
        ping_status: match instance.unreachable {
            None => "Online",
            Some(_) => "ConnectionLost",
        },
        agent_version: env!("CARGO_PKG_VERSION"),
        is_latest_version: true,
        platform_type: "Linux",
        platform_name: name,
        platform_version: version,
        resource_type: "EC2Instance",
        ip_address: address.map(|a| a.to_string()),
        computer_name: address.map(host),
    }
}

/// What the recipe of an image makes.
fn platform(recipe: &str) -> (String, String) {
    let (name, version) = match recipe {
        PLAIN_RECIPE | DOCKER_RECIPE | "debian-12-cloud-init" | "debian-12-plain" => {
            ("Debian GNU/Linux", "12")
        }
        "ubuntu-22.04" => ("Ubuntu", "22.04"),
        "ubuntu-24.04" => ("Ubuntu", "24.04"),
        "amazon-linux-2023" => ("Amazon Linux", "2023"),
        // One that was imported under a name of its owner's choice.
        other => (other, ""),
    };
    (name.to_owned(), version.to_owned())
}

fn passes(instance: &Instance, shape: &Shape, filters: &[(String, Vec<String>)]) -> Result<bool> {
    let mut all = true;
    for (key, values) in filters {
        let has = |value: &str| values.iter().any(|v| v == value);
        all &= match key.as_str() {
            "InstanceIds" => has(&shape.instance_id),
            "PingStatus" => has(shape.ping_status),
            "PlatformTypes" => has(shape.platform_type),
            "ResourceType" => has(shape.resource_type),
            "AgentVersion" => has(shape.agent_version),
            "tag-key" => values.iter().any(|v| instance.tags.contains_key(v)),
            key => match key.strip_prefix("tag:") {
                Some(tag) => instance.tags.get(tag).is_some_and(|value| has(value)),
                None => {
                    let message = format!("{key} is no filter that this cloud knows.");
                    return Err(error("InvalidInstanceInformationFilterValue", message));
                }
            },
        };
    }
    Ok(all)
}
