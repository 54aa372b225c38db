//! The options of a launch: defaults, what is refused, what is only described.

use super::Launch;
use crate::ec2::error::{Result, invalid_combination, invalid_value, unsupported};
use crate::ec2::launch_template_data::{
    AutoRecovery, HostnameType, HttpTokens, IamInstanceProfile, InstanceMarketOptions,
    LaunchTemplateData, NetworkInterfaceSpecification, ShutdownBehavior, SpotOptions, Switch,
    Tenancy,
};
use crate::ec2::tag;
use model::image::Image;
use model::instance::{MetadataOptions, PrivateDnsOptions, Spot};
use model::instance_type::InstanceType;
use model::placement_group::PlacementGroup;
use model::vpc::Subnet;
use model::{Scope, SpotRequestId, Tags};
use store::{State, Tx};

/// What a launch may ask of in tags.
const TAGGABLE: [&str; 5] = [
    "instance",
    "volume",
    "network-interface",
    "spot-instances-request",
    "elastic-gpu",
];

/// The name of the placement group that the launch names in one of two ways.
pub fn placement_group(
    tx: &Tx,
    scope: &Scope,
    data: &LaunchTemplateData,
) -> Result<Option<String>> {
    let Some(placement) = &data.placement else {
        return Ok(None);
    };
    let name = placement.group_name.as_ref().filter(|g| !g.is_empty());
    match (
        name,
        placement.group_id.as_deref().filter(|g| !g.is_empty()),
    ) {
        (Some(name), None) => Ok(Some(name.clone())),
        (None, Some(id)) => {
            let group = super::record::<PlacementGroup>(tx, scope, id)?;
            Ok(Some(group.name.clone()))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(invalid_combination(
            "Only one of GroupName and GroupId may be specified.",
        )),
    }
}

/// What AWS could do and this cloud cannot, where doing without it would be a lie.
pub fn refuse_unserved(data: &LaunchTemplateData) -> Result<()> {
    if let Some(placement) = &data.placement {
        let on_host = placement.host_id.is_some()
            || placement.host_resource_group_arn.is_some()
            || placement.tenancy == Some(Tenancy::Host);
        if on_host {
            return Err(unsupported(
                "Dedicated Hosts are not supported by this cloud.",
            ));
        }
    }
    if let Some(market) = &data.instance_market_options {
        check_market(market)?;
    }
    for specification in &data.tag_specifications {
        let kind = specification.resource_type.as_deref().unwrap_or_default();
        if !TAGGABLE.contains(&kind) {
            return Err(invalid_value(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            )));
        }
    }
    Ok(())
}

fn check_market(market: &InstanceMarketOptions) -> Result<()> {
    if let Some(kind) = market.market_type.as_deref().filter(|m| *m != "spot") {
        return Err(invalid_value(format!(
            "Value ({kind}) for parameter MarketType is invalid."
        )));
    }
    match &market.spot_options {
        Some(spot) => crate::ec2::spot_launch::check(spot),
        None => Ok(()),
    }
}

/// Groups launch again by themselves, so what they launch from may not ask for it as well.
pub fn once_only(data: &LaunchTemplateData) -> Result<()> {
    let market = data.instance_market_options.as_ref();
    let spot = market.and_then(|m| m.spot_options.as_ref());
    match spot.and_then(|s| s.spot_instance_type.as_deref()) {
        None | Some("one-time") => Ok(()),
        Some(_) => Err(invalid_combination(
            "An Auto Scaling group launches one-time Spot requests only.",
        )),
    }
}

/// What an Auto Scaling group asks for where its policy wants a Spot Instance.
pub fn as_spot(max_price: Option<String>) -> InstanceMarketOptions {
    InstanceMarketOptions {
        market_type: Some("spot".into()),
        spot_options: Some(SpotOptions {
            max_price,
            ..SpotOptions::default()
        }),
    }
}

/// What the launch makes of an instance, if that is a Spot Instance.
pub fn spot(launch: &Launch) -> Option<Spot> {
    let market = launch.data.instance_market_options.as_ref();
    let asked = market.and_then(|m| m.market_type.as_deref()) == Some("spot");
    let options = market.and_then(|m| m.spot_options.as_ref());
    let is = |text: Option<&String>, value: &str| text.is_some_and(|t| t == value);
    asked.then(|| Spot {
        request: launch
            .spot_request
            .clone()
            .unwrap_or_else(SpotRequestId::random),
        persistent: is(
            options.and_then(|o| o.spot_instance_type.as_ref()),
            "persistent",
        ),
        stops: is(
            options.and_then(|o| o.instance_interruption_behavior.as_ref()),
            "stop",
        ),
        rebalance: None,
        ends: None,
    })
}

/// What is accepted and described but changes nothing here, in words for the event log.
pub fn not_emulated(launch: &Launch, instance_type: &InstanceType) -> Vec<String> {
    let data = &launch.data;
    let mut notes = Vec::new();
    let market = data.instance_market_options.as_ref();
    let options = market.and_then(|m| m.spot_options.as_ref());
    if options.is_some_and(|o| o.max_price.is_some()) {
        notes.push("there is no Spot market: every price is met".to_owned());
    }
    if instance_type.disks.is_some() {
        notes.push("the type's own disks are not there".to_owned());
    }
    if enclave(data) {
        notes.push("Nitro enclaves are not emulated".to_owned());
    }
    let snp = data
        .cpu_options
        .as_ref()
        .and_then(|c| c.amd_sev_snp.as_deref());
    if snp == Some("enabled") {
        notes.push("AMD SEV-SNP is not emulated; memory is not encrypted".to_owned());
    }
    if hibernation(data) {
        notes.push("hibernation is not emulated; stopping does not keep the memory".to_owned());
    }
    let given = data.cpu_options.as_ref();
    if let Some((cores, threads)) = given.and_then(|c| Some((c.core_count?, c.threads_per_core?)))
        && cores.saturating_mul(threads) != instance_type.vcpus
    {
        notes.push(format!(
            "CPU options are described only; it gets the {} vCPUs of {}",
            instance_type.vcpus, instance_type.name
        ));
    }
    let requirements = data.instance_requirements.as_ref();
    if requirements.is_some_and(|r| {
        r.baseline_ebs_bandwidth_mbps.is_some() || r.network_bandwidth_gbps.is_some()
    }) {
        notes.push("bandwidths of instance requirements were not compared".to_owned());
    }
    let efa = |i: &NetworkInterfaceSpecification| i.interface_type.as_deref() == Some("efa");
    if data.network_interfaces.iter().any(efa) {
        notes.push("EFA is not emulated; the interface is a plain one".to_owned());
    }
    let tracked = |i: &NetworkInterfaceSpecification| i.connection_tracking_specification.is_some();
    if data.network_interfaces.iter().any(tracked) {
        notes.push(
            "timeouts of connection tracking are AWS's defaults for every interface".to_owned(),
        );
    }
    notes
}

/// The ARN of the instance profile.
pub fn profile(state: &State, scope: &Scope, given: &IamInstanceProfile) -> Result<Option<String>> {
    let (parameter, value) = match (&given.arn, &given.name) {
        (Some(arn), _) => ("arn", arn),
        (None, Some(name)) => ("name", name),
        (None, None) => return Ok(None),
    };
    let mut profiles = state
        .instance_profiles
        .values()
        .filter(|p| p.scope.account == scope.account);
    let found = profiles.find(|p| match parameter {
        "arn" => p.arn == *value,
        _ => p.name == *value,
    });
    match found {
        Some(profile) => Ok(Some(profile.arn.clone())),
        None => {
            let what = if parameter == "arn" { "ARN" } else { "name" };
            Err(invalid_value(format!(
                "Value ({value}) for parameter iamInstanceProfile.{parameter} is invalid. Invalid IAM Instance Profile {what}"
            )))
        }
    }
}

/// The tags of the instances, with those that AWS itself adds.
pub fn tags(launch: &Launch, kind: &str) -> Result<Tags> {
    let mut tags = tag::of(&launch.data.tags_of(kind), kind)?;
    tags.extend(launch.tags.clone());
    if let Some((id, version)) = &launch.template {
        tags.insert("aws:ec2launchtemplate:id".into(), id.to_string());
        tags.insert("aws:ec2launchtemplate:version".into(), version.to_string());
    }
    Ok(tags)
}

pub fn metadata(data: &LaunchTemplateData, image: Option<&Image>) -> MetadataOptions {
    let given = data.metadata_options.clone().unwrap_or_default();
    let imds_v2 = image.is_some_and(|i| i.imds_v2);
    let default_tokens = if imds_v2 {
        HttpTokens::Required
    } else {
        HttpTokens::Optional
    };
    let default_limit = if imds_v2 { 2 } else { 1 };
    let limit = given.http_put_response_hop_limit.unwrap_or(default_limit);
    let switch =
        |given: Option<Switch>, default: Switch| given.unwrap_or(default).name().to_owned();
    MetadataOptions {
        http_tokens: given
            .http_tokens
            .unwrap_or(default_tokens)
            .name()
            .to_owned(),
        http_endpoint: switch(given.http_endpoint, Switch::Enabled),
        // Checked to be 1 to 64 before.
        http_put_response_hop_limit: u8::try_from(limit).unwrap_or(64),
        instance_metadata_tags: switch(given.instance_metadata_tags, Switch::Disabled),
        http_protocol_ipv6: switch(given.http_protocol_ipv6, Switch::Disabled),
    }
}

pub fn shutdown_behavior(data: &LaunchTemplateData) -> String {
    let given = data.instance_initiated_shutdown_behavior;
    given.unwrap_or(ShutdownBehavior::Stop).name().to_owned()
}

/// The VPC's tenancy where the launch does not say.
pub fn tenancy(state: &State, data: &LaunchTemplateData, subnet: &Subnet) -> String {
    let given = data.placement.as_ref().and_then(|p| p.tenancy);
    let vpc = || {
        state
            .vpcs
            .get(&subnet.vpc)
            .map(|vpc| vpc.instance_tenancy.clone())
    };
    match given {
        Some(tenancy) => tenancy.name().to_owned(),
        None => vpc().unwrap_or_else(|| "default".to_owned()),
    }
}

/// Whether memory is to be encrypted as some AMD types can, which is only described.
pub fn amd_sev_snp(
    data: &LaunchTemplateData,
    instance_type: &InstanceType,
) -> Result<Option<String>> {
    let given = data
        .cpu_options
        .as_ref()
        .and_then(|c| c.amd_sev_snp.clone());
    match given.as_deref() {
        None | Some("disabled") => Ok(given),
        Some("enabled") if ["m6a", "c6a", "r6a"].contains(&instance_type.family) => Ok(given),
        Some("enabled") => Err(invalid_combination(format!(
            "AMD SEV-SNP is not supported by the instance type {}.",
            instance_type.name
        ))),
        Some(other) => Err(invalid_value(format!(
            "Value ({other}) for parameter AmdSevSnp is invalid. Expecting enabled or disabled."
        ))),
    }
}

/// `(cores, threads per core)`.
pub fn cpu(data: &LaunchTemplateData, instance_type: &InstanceType) -> Result<(u32, u32)> {
    let threads = instance_type.threads_per_core;
    let cores = instance_type.vcpus / threads.max(1);
    let Some(given) = &data.cpu_options else {
        return Ok((cores, threads));
    };
    let chosen = (
        given.core_count.unwrap_or(cores),
        given.threads_per_core.unwrap_or(threads),
    );
    if chosen.0 == 0 || chosen.0 > cores || chosen.1 == 0 || chosen.1 > threads {
        return Err(invalid_value(format!(
            "The specified CPU options, {} cores with {} threads each, are not valid for the instance type {}.",
            chosen.0, chosen.1, instance_type.name
        )));
    }
    Ok(chosen)
}

pub fn hibernation(data: &LaunchTemplateData) -> bool {
    let options = data.hibernation_options.as_ref();
    options.and_then(|h| h.configured).unwrap_or(false)
}

pub fn enclave(data: &LaunchTemplateData) -> bool {
    let options = data.enclave_options.as_ref();
    options.and_then(|e| e.enabled).unwrap_or(false)
}

pub fn auto_recovery(data: &LaunchTemplateData) -> String {
    let given = data
        .maintenance_options
        .as_ref()
        .and_then(|m| m.auto_recovery);
    given.unwrap_or(AutoRecovery::Default).name().to_owned()
}

pub fn private_dns(data: &LaunchTemplateData, subnet: &Subnet) -> PrivateDnsOptions {
    let given = data.private_dns_name_options.clone().unwrap_or_default();
    PrivateDnsOptions {
        hostname_type: match given.hostname_type {
            Some(kind) => HostnameType::name(kind).to_owned(),
            None => subnet.private_dns_hostname_type.clone(),
        },
        resource_name_a_record: given
            .enable_resource_name_dns_a_record
            .unwrap_or(subnet.enable_resource_name_dns_a_record),
        resource_name_aaaa_record: given
            .enable_resource_name_dns_aaaa_record
            .unwrap_or(subnet.enable_resource_name_dns_aaaa_record),
    }
}

/// The credit option of a burstable type; other types have none and refuse one.
pub fn cpu_credits(
    data: &LaunchTemplateData,
    instance_type: &InstanceType,
) -> Result<Option<String>> {
    let given = data
        .credit_specification
        .as_ref()
        .and_then(|c| c.cpu_credits.clone());
    match (&instance_type.burst, given) {
        (Some(_), Some(given)) => Ok(Some(given)),
        (Some(burst), None) => Ok(Some(burst.default_option.to_owned())),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(invalid_combination(format!(
            "The CPU credit specification is not supported by the instance type {}.",
            instance_type.name
        ))),
    }
}
