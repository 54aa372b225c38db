//! Launch configurations of Auto Scaling: launched from, and checked when they are made.

use super::options;
use super::{Launch, Site, check_key_pair, image_of, instance_type_of, record, run, volume};
use crate::ec2::error::{Result, error};
use crate::ec2::launch_template_data::{
    GroupIds, LaunchTemplateData, NetworkInterfaceSpecification,
};
use model::InstanceId;
use model::autoscaling::LaunchConfiguration;
use model::instance::TemplateLaunch;
use model::vpc::SecurityGroup;
use store::{ScopedName, State, Tx};
use wire::ApiError;

/// One instance from the configuration; there is no version to speak of.
pub fn launch(
    tx: &mut Tx,
    site: &Site<'_>,
    request: &TemplateLaunch,
    name: &str,
) -> Result<(InstanceId, u64)> {
    let key = ScopedName::new(site.scope, name);
    let Some(found) = tx.get::<LaunchConfiguration>(&key) else {
        return Err(error(
            "ValidationError",
            format!("Launch configuration name not found - Launch configuration {name} not found."),
        ));
    };
    let mut data = LaunchTemplateData::load(&found.data)?;
    if let Some(instance_type) = &request.instance_type {
        data.instance_type = Some(instance_type.clone());
    }
    let mut subnet = Some(request.subnet.to_string());
    if let Some(public) = found.associate_public_ip {
        // Said of the interface, which then has the groups as well.
        data.network_interfaces = vec![NetworkInterfaceSpecification {
            device_index: Some(0),
            associate_public_ip_address: Some(public),
            groups: GroupIds(std::mem::take(&mut data.security_group_ids)),
            subnet_id: subnet.take(),
            ..NetworkInterfaceSpecification::default()
        }];
    }
    let launch = Launch {
        data,
        subnet,
        count: (1, 1),
        tags: request.tags.clone(),
        ..Launch::default()
    };
    let launched = run(tx, site, launch)?.into_iter().next();
    let id = launched.ok_or_else(|| ApiError::internal("No instance was launched."))?;
    Ok((id, 0))
}

/// What can be said of the parameters before a subnet is known.
pub fn check(state: &State, site: &Site<'_>, data: &LaunchTemplateData) -> Result<()> {
    data.check()?;
    options::refuse_unserved(data)?;
    let instance_type = instance_type_of(data)?;
    let (_, image) = image_of(state, data, site, instance_type)?;
    check_key_pair(state, site.scope, data.key_name.as_deref())?;
    if let Some(profile) = &data.iam_instance_profile {
        options::profile(state, site.scope, profile)?;
    }
    volume::plan(image.as_deref(), data)?;
    for id in &data.security_group_ids {
        record::<SecurityGroup>(state, site.scope, id)?;
    }
    Ok(())
}
