//! A Spot Instance request as DescribeSpotInstanceRequests shows it.

use super::error::Result;
use super::launch_template_data::{
    BlockDeviceMapping, IamInstanceProfile, LaunchTemplateData, Monitoring,
    NetworkInterfaceSpecification,
};
use super::tag::{self, Tag};
use model::instance_type;
use model::spot_request::SpotRequest;
use model::vpc::SecurityGroup;
use serde::Serialize;
use store::State;

pub const PRODUCT: &str = "Linux/UNIX";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    create_time: wire::Timestamp,
    instance_id: Option<String>,
    launch_specification: Launched,
    launched_availability_zone: Option<String>,
    product_description: &'static str,
    spot_instance_request_id: String,
    spot_price: Option<String>,
    state: &'static str,
    status: Status,
    tag_set: Vec<Tag>,
    r#type: &'static str,
    valid_from: Option<wire::Timestamp>,
    valid_until: Option<wire::Timestamp>,
    instance_interruption_behavior: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    code: String,
    message: String,
    update_time: wire::Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Launched {
    user_data: Option<String>,
    block_device_mapping: Vec<BlockDeviceMapping>,
    ebs_optimized: Option<bool>,
    iam_instance_profile: Option<IamInstanceProfile>,
    image_id: Option<String>,
    instance_type: Option<String>,
    key_name: Option<String>,
    network_interface_set: Vec<Interface>,
    placement: Option<Place>,
    subnet_id: Option<String>,
    group_set: Vec<GroupName>,
    monitoring: Monitoring,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    associate_public_ip_address: Option<bool>,
    delete_on_termination: Option<bool>,
    description: Option<String>,
    device_index: Option<u32>,
    #[serde(rename = "SecurityGroupId")]
    groups: InterfaceGroups,
    network_interface_id: Option<String>,
    private_ip_address: Option<String>,
    subnet_id: Option<String>,
}

/// A list whose elements are named like itself.
#[derive(Serialize)]
#[serde(rename = "$wire::Items/SecurityGroupId")]
struct InterfaceGroups(Vec<String>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    availability_zone: Option<String>,
    group_name: Option<String>,
    tenancy: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupName {
    group_id: String,
    group_name: Option<String>,
}

pub fn kind(request: &SpotRequest) -> &'static str {
    if request.persistent {
        "persistent"
    } else {
        "one-time"
    }
}

/// The most that is paid: as given, else the On-Demand price.
pub fn price(request: &SpotRequest, data: &LaunchTemplateData) -> Option<String> {
    let given = request.max_price.as_ref();
    let on_demand = || {
        let kind = instance_type::find(data.instance_type.as_deref()?)?;
        Some(kind.price)
    };
    let price = given.and_then(|p| p.parse::<f64>().ok()).or_else(on_demand);
    price.map(|p| format!("{p:.6}"))
}

pub fn shape(state: &State, request: &SpotRequest) -> Result<Shape> {
    let data = LaunchTemplateData::load(&request.launch)?;
    let instance = request.instance.as_ref();
    let instance = instance.and_then(|id| state.instances.get(id));
    Ok(Shape {
        create_time: request.created.into(),
        instance_id: request.instance.as_ref().map(ToString::to_string),
        launched_availability_zone: instance.map(|i| i.zone.clone()),
        product_description: PRODUCT,
        spot_instance_request_id: request.id.to_string(),
        spot_price: price(request, &data),
        state: request.state.name(),
        status: Status {
            code: request.status.0.clone(),
            message: request.status.1.clone(),
            update_time: request.status_since.into(),
        },
        tag_set: tag::list(&request.tags),
        r#type: kind(request),
        valid_from: request.valid_from.map(Into::into),
        valid_until: request.valid_until.map(Into::into),
        instance_interruption_behavior: request.interruption.clone(),
        launch_specification: specification(state, request, data),
    })
}

fn specification(state: &State, request: &SpotRequest, data: LaunchTemplateData) -> Launched {
    let named = |id: &String| {
        let group = state.security_groups.get(id.as_str());
        GroupName {
            group_id: id.clone(),
            group_name: group.map(|g: &std::sync::Arc<SecurityGroup>| g.name.clone()),
        }
    };
    Launched {
        user_data: data.user_data,
        block_device_mapping: data.block_device_mappings,
        ebs_optimized: data.ebs_optimized,
        iam_instance_profile: data.iam_instance_profile,
        image_id: data.image_id,
        instance_type: data.instance_type,
        key_name: data.key_name,
        network_interface_set: data.network_interfaces.into_iter().map(interface).collect(),
        placement: data.placement.map(|p| Place {
            availability_zone: p.availability_zone,
            group_name: p.group_name,
            tenancy: p.tenancy.map(|t| t.name()),
        }),
        subnet_id: request.subnet.clone(),
        group_set: data.security_group_ids.iter().map(named).collect(),
        monitoring: Monitoring {
            enabled: Some(data.monitoring.and_then(|m| m.enabled).unwrap_or(false)),
        },
    }
}

fn interface(given: NetworkInterfaceSpecification) -> Interface {
    Interface {
        associate_public_ip_address: given.associate_public_ip_address,
        delete_on_termination: given.delete_on_termination,
        description: given.description,
        device_index: given.device_index,
        groups: InterfaceGroups(given.groups.0),
        network_interface_id: given.network_interface_id,
        private_ip_address: given.private_ip_address,
        subnet_id: given.subnet_id,
    }
}
