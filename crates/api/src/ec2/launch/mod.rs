//! Launching instances: everything is checked, then the records of instances,
//! interfaces and volumes are made in one transaction.
//!
//! RunInstances and the Auto Scaling groups' controller both launch through
//! here, so it knows neither requests nor who calls. The records start as
//! `pending`; the instance controller brings them to life.

mod configuration;
mod interface;
mod options;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use configuration::check;
pub(super) use options::profile as instance_profile;

use super::error::{Result, error, invalid_combination, invalid_parameter, invalid_value};
use super::image::Named;
use super::launch_template_data::LaunchTemplateData;
use super::resource::{Resource, owned, parse_id};
use super::{capacity_reservation, launch_template, placement_group, spot_launch, tag};
use crate::{Cloud, ssm};
use ipnet::Ipv4Net;
use model::event::{Fault, Severity};
use model::image::{self, Image};
use model::instance::{
    DesiredInstance, Instance, InstanceState, KeyPair, LaunchError, TemplateLaunch,
};
use model::instance_type::{self, Architecture, InstanceType};
use model::snapshot::Contents;
use model::vpc::Subnet;
use model::{
    ImageId, InstanceId, LaunchTemplateId, ReservationId, Scope, SpotRequestId, Tags, Timestamp,
    zone,
};
use std::borrow::Cow;
use std::sync::Arc;
use store::{State, Tx};
use wire::ApiError;

/// vCPUs of one account and region: AWS's quota of running On-Demand Standard
/// instances, set high enough for what one machine could ever hold.
const VCPU_QUOTA: u32 = 4096;

/// User namespaces map 65,536 host ids each, from here up.
const FIRST_UID: u32 = 1 << 20;
const UIDS: u32 = 1 << 16;

/// Where and when a launch happens.
pub struct Site<'a> {
    pub scope: &'a Scope,
    pub now: Timestamp,
    /// Public addresses assigned at launch come from here.
    pub public_pool: Ipv4Net,
    /// The root file systems that are built or imported.
    pub images: std::sync::Arc<[image::Built]>,
    /// An image id that is not known here is refused.
    pub strict_images: bool,
    /// Instances get no user namespace, on a host that has none to give.
    pub privileged: bool,
}

impl<'a> Site<'a> {
    pub fn new(cloud: &'a Cloud, scope: &'a Scope, now: Timestamp) -> Self {
        Self {
            scope,
            now,
            public_pool: cloud.public_pool,
            images: cloud.images.get(),
            strict_images: cloud.strict_images,
            privileged: cloud.privileged_instances,
        }
    }
}

/// What is to be launched.
#[derive(Default)]
pub struct Launch {
    pub data: LaunchTemplateData,
    pub subnet: Option<String>,
    pub private_ip: Option<String>,
    /// IPv6 addresses by name, or how many; none is what the subnet says.
    pub ipv6: (Vec<String>, Option<i64>),
    /// At least and at most so many.
    pub count: (u32, u32),
    pub client_token: Option<String>,
    /// The template and version that `data` comes from.
    pub template: Option<(LaunchTemplateId, u64)>,
    /// Win over the instance tags of `data`; keys that users may not set are allowed.
    pub tags: Tags,
    /// The Spot request that the one instance is for; others get a request of their own.
    pub spot_request: Option<SpotRequestId>,
}

/// One instance for an Auto Scaling group, and the version of the template it was made from.
pub fn from_template(
    tx: &mut Tx,
    site: &Site<'_>,
    request: &TemplateLaunch,
) -> Result<(InstanceId, u64), LaunchError> {
    let launched = one_from_template(tx, site, request);
    launched.map_err(|e: ApiError| LaunchError {
        code: e.code.into_owned(),
        message: e.message,
    })
}

fn one_from_template(
    tx: &mut Tx,
    site: &Site<'_>,
    request: &TemplateLaunch,
) -> Result<(InstanceId, u64)> {
    if let Some(name) = &request.configuration {
        return configuration::launch(tx, site, request, name);
    }
    let template = record(tx, site.scope, request.template.as_str())?;
    let version = launch_template::version(&template, &request.version)?;
    let mut data = LaunchTemplateData::load(&version.data)?;
    if let Some(instance_type) = &request.instance_type {
        data.instance_type = Some(instance_type.clone());
        data.instance_requirements = None;
    }
    if let Some(image) = &request.image {
        data.image_id = Some(image.clone());
    }
    if let Some(requirements) = data.instance_requirements.take() {
        let architecture = architecture(tx, site, &data);
        data.instance_type = Some(requirements.choose(architecture)?.name.clone());
    }
    options::once_only(&data)?;
    if request.spot {
        data.instance_market_options = Some(options::as_spot(request.spot_max_price.clone()));
    }
    let mut subnet = Some(request.subnet.to_string());
    if let Some(primary) = data.network_interfaces.first_mut() {
        primary.subnet_id = subnet.take();
    }
    let number = version.number;
    let launch = Launch {
        data,
        subnet,
        count: (1, 1),
        template: Some((template.id.clone(), number)),
        tags: request.tags.clone(),
        ..Launch::default()
    };
    let ids = run(tx, site, launch)?;
    match ids.into_iter().next() {
        Some(id) => Ok((id, number)),
        None => Err(ApiError::internal("No instance was launched.")),
    }
}

/// Launches as many instances as `count` and the subnet allow, or fails whole.
///
/// An instance's records are made once nothing can fail any more, so an error
/// leaves no part of an instance; of a count above one it may leave whole ones, and
/// the caller drops the transaction.
pub fn run(tx: &mut Tx, site: &Site<'_>, launch: Launch) -> Result<Vec<InstanceId>> {
    let data = &launch.data;
    data.check()?;
    options::refuse_unserved(data)?;
    check_count(launch.count)?;
    let instance_type = instance_type_of(data)?;
    let (image_id, image) = image_of(tx, data, site, instance_type)?;
    let contents = contents(tx, image.as_deref())?;
    let image = image.as_deref();
    check_key_pair(tx, site.scope, data.key_name.as_deref())?;
    let profile = data.iam_instance_profile.as_ref();
    let profile = profile
        .map(|p| options::profile(tx, site.scope, p))
        .transpose()?
        .flatten();
    let tags = options::tags(&launch, "instance")?;
    let mut volumes = volume::plan(image, data)?;
    volume::encrypt(tx, site, &mut volumes)?;
    let volume_tags = tag::of(&data.tags_of("volume"), "volume")?;
    let interfaces = interface::plan(tx, site, &launch, instance_type)?;
    let Some(subnet) = interfaces.first().map(|i| i.subnet.clone()) else {
        return Err(invalid_value("At least one network interface is required."));
    };
    check_capacity(tx, &subnet, instance_type)?;
    let placement_group = options::placement_group(tx, site.scope, data)?;
    if let Some(group) = &placement_group {
        let count = launch.count.0 as usize;
        placement_group::check_launch(tx, site.scope, group, &subnet.zone, count)?;
    }
    check_quota(tx, site.scope, instance_type, launch.count.1)?;

    let mut warnings = options::not_emulated(&launch, instance_type);
    warnings.extend(volume::not_emulated(&volumes));
    let base = contents.as_ref().map_or(&image_id, |c| &c.base);
    warnings.extend(image::backing(base, &site.images).differs);

    let user_data = data.user_data_bytes()?;
    let cpu_options = options::cpu(data, instance_type)?;
    let amd_sev_snp = options::amd_sev_snp(data, instance_type)?;
    let cpu_credits = options::cpu_credits(data, instance_type)?;
    let tenancy = options::tenancy(tx, data, &subnet);
    let (preference, target) =
        capacity_reservation::asked(data.capacity_reservation_specification.as_ref())?;
    let spot = options::spot(&launch).is_some();
    let reservation = ReservationId::random();
    let mut launched = Vec::new();
    for launch_index in 0..launch.count.1 {
        let enough = launch_index >= launch.count.0;
        let uid_base = if site.privileged {
            0
        } else {
            free_uid_base(tx)?
        };
        let addresses = match interface::choose(tx, site, &interfaces) {
            Err(_) if enough => break,
            chosen => chosen?,
        };
        let wanted = capacity_reservation::Wanted {
            scope: site.scope,
            instance_type: &instance_type.name,
            zone: &subnet.zone,
            tenancy: &tenancy,
            // Spot Instances run beside reservations.
            preference: if spot { "none" } else { &preference },
            target: target.as_ref().filter(|_| !spot),
            now: site.now,
        };
        let reserved = match capacity_reservation::choose(tx, &wanted) {
            Err(_) if enough => break,
            chosen => chosen?,
        };
        let id = InstanceId::random();
        interface::attach(tx, site, &interfaces, addresses, &id);
        let root_volume = volume::attach(tx, site, &volumes, &volume_tags, &subnet, &id);
        let instance = Instance {
            id: id.clone(),
            scope: site.scope.clone(),
            reservation: reservation.clone(),
            launch_index,
            image: image_id.clone(),
            contents: contents.clone(),
            root_device: volumes
                .first()
                .map(|v| v.device.clone())
                .unwrap_or_default(),
            architecture: instance_type.architecture.name().to_owned(),
            instance_type: instance_type.name.clone(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            key_name: data.key_name.clone(),
            user_data: user_data.clone(),
            assign_public_ip: interfaces.first().is_some_and(|i| i.public),
            profile: profile
                .clone()
                .map(|arn| (model::ProfileAssociationId::random(), arn)),
            monitoring: data
                .monitoring
                .as_ref()
                .and_then(|m| m.enabled)
                .unwrap_or(false),
            metadata: options::metadata(data, image),
            disable_api_termination: data.disable_api_termination.unwrap_or(false),
            disable_api_stop: data.disable_api_stop.unwrap_or(false),
            shutdown_behavior: options::shutdown_behavior(data),
            ebs_optimized: data.ebs_optimized.unwrap_or(false),
            tenancy: tenancy.clone(),
            placement_group: placement_group.clone(),
            cpu_options,
            amd_sev_snp: amd_sev_snp.clone(),
            hibernation: options::hibernation(data),
            enclave: options::enclave(data),
            auto_recovery: options::auto_recovery(data),
            capacity_reservation_preference: preference.clone(),
            capacity_reservation_target: target.clone(),
            capacity_reservation: reserved,
            private_dns: options::private_dns(data, &subnet),
            cpu_credits: cpu_credits.clone(),
            root_volume,
            client_token: launch.client_token.clone(),
            launch_template: launch.template.clone(),
            spot: options::spot(&launch),
            launched: site.now,
            desired: DesiredInstance::Running,
            run: 0,
            reboots_wanted: 0,
            reboots_done: 0,
            state: InstanceState::Pending,
            state_reason: None,
            state_transition_reason: String::new(),
            state_since: site.now,
            ready: None,
            unreachable: None,
            user_data_failure: None,
            uid_base,
            tags: tags.clone(),
        };
        if launch.spot_request.is_none()
            && let Some(request) = spot_launch::request_of(site, &launch, &instance)?
        {
            tx.put(request);
        }
        tx.put(instance);
        for warning in &warnings {
            tx.event(site.now, Severity::Warning, &id, "not-emulated", warning);
        }
        launched.push(id);
    }
    Ok(launched)
}

/// The caller's record of that id, without a context.
fn record<R: Resource>(state: &State, scope: &Scope, id: &str) -> Result<Arc<R>> {
    let key = parse_id::<R>(id)?;
    match R::table(state).get(&key) {
        Some(record) if record.scope() == scope => Ok(record.clone()),
        _ => Err(R::not_found(id)),
    }
}

fn check_count((min, max): (u32, u32)) -> Result<()> {
    if min == 0 {
        return Err(invalid_parameter(min, "minCount", "It must be at least 1."));
    }
    if max < min {
        return Err(invalid_parameter(
            max,
            "maxCount",
            "It must not be less than minCount.",
        ));
    }
    Ok(())
}

fn instance_type_of(data: &LaunchTemplateData) -> Result<&'static InstanceType> {
    // AWS's default, which boots no image of today.
    let name = data.instance_type.as_deref().unwrap_or("m1.small");
    let found = instance_type::find(name)
        .ok_or_else(|| invalid_value(format!("Invalid value '{name}' for InstanceType.")))?;
    match found.is_paravirtual() {
        true => Err(invalid_combination(format!(
            "Non-Windows instances with a virtualization type of 'hvm' are currently not supported for this instance type: {name}."
        ))),
        false => Ok(found),
    }
}

/// The id that the launch names, by itself or by a public parameter.
fn image_id(data: &LaunchTemplateData, site: &Site<'_>) -> Result<ImageId> {
    let Some(given) = data.image_id.as_deref() else {
        return Err(super::error::missing("ImageId"));
    };
    match given.strip_prefix("resolve:ssm:") {
        Some(parameter) => ssm::image(&site.scope.region, parameter).ok_or_else(|| {
            invalid_value(format!(
                "The parameter {parameter} could not be resolved to an image."
            ))
        }),
        None => super::image::parse(given),
    }
}

/// Of the image that the launch names; `None` where it is not known.
pub(crate) fn architecture(
    state: &State,
    site: &Site<'_>,
    data: &LaunchTemplateData,
) -> Option<Architecture> {
    match super::image::named(state, site.scope, &site.images, &image_id(data, site).ok()?) {
        Named::Known(image) => Some(image.architecture),
        Named::Gone | Named::Unknown => None,
    }
}

fn image_of(
    state: &State,
    data: &LaunchTemplateData,
    site: &Site<'_>,
    instance_type: &InstanceType,
) -> Result<(ImageId, Option<Cow<'static, Image>>)> {
    let id = image_id(data, site)?;
    let image = match super::image::named(state, site.scope, &site.images, &id) {
        Named::Known(image) => Some(image),
        Named::Unknown if !site.strict_images => None,
        Named::Unknown | Named::Gone => return Err(super::image::not_found(id.as_str())),
    };
    if let Some(image) = &image
        && image.architecture != instance_type.architecture
    {
        return Err(invalid_value(format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.",
            instance_type.architecture.name(),
            image.architecture.name()
        )));
    }
    Ok((id, image))
}

/// What an account's image is made of; it must be there by now.
fn contents(state: &State, image: Option<&Image>) -> Result<Option<Contents>> {
    let Some((image, own)) = image.and_then(|i| Some((i, i.own.as_ref()?))) else {
        return Ok(None);
    };
    match state.snapshots.get(&own.snapshot) {
        Some(snapshot) if own.state == "available" => Ok(Some(snapshot.contents.clone())),
        _ => Err(error(
            "InvalidAMIID.Unavailable",
            format!("The image id '[{}]' is not available", image.id),
        )),
    }
}

fn check_key_pair(state: &State, scope: &Scope, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    if owned::<KeyPair>(state, scope).any(|k| k.name == name) {
        return Ok(());
    }
    Err(error(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    ))
}

/// Whether the zone offers the type and takes launches.
fn check_capacity(state: &State, subnet: &Subnet, instance_type: &InstanceType) -> Result<()> {
    let usable = |zone: &str| has_capacity(state, zone, instance_type);
    if usable(&subnet.zone) {
        return Ok(());
    }
    let zones = zone::region(&subnet.scope.region)
        .map(|r| r.zones())
        .into_iter()
        .flatten();
    let others: Vec<String> = zones.map(|(name, _)| name).filter(|z| usable(z)).collect();
    let (name, zone, others) = (&instance_type.name, &subnet.zone, others.join(", "));
    if !instance_type::offered_in(instance_type, zone) {
        return Err(error(
            "Unsupported",
            format!(
                "Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}). Please retry your request by not specifying an Availability Zone or choosing {others}."
            ),
        ));
    }
    Err(ApiError::new(
        500,
        "InsufficientInstanceCapacity",
        format!(
            "We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone}). Our system will be working on provisioning additional capacity. You can currently get {name} capacity by not specifying an Availability Zone in your request or choosing {others}."
        ),
    ))
}

fn has_capacity(state: &State, zone: &str, instance_type: &InstanceType) -> bool {
    instance_type::offered_in(instance_type, zone)
        && !state.faults.contains_key(&Fault::Zone(zone.to_owned()))
}

/// Refuses more instances of the type than the account may still launch. MaxCount counts, as on
/// AWS: it goes from 1 to what the quota leaves.
fn check_quota(
    state: &State,
    scope: &Scope,
    instance_type: &InstanceType,
    count: u32,
) -> Result<()> {
    let counted = owned::<Instance>(state, scope)
        .filter(|i| matches!(i.state, InstanceState::Pending | InstanceState::Running));
    let used: u32 = counted
        .filter_map(|i| instance_type::find(&i.instance_type))
        .map(|t| t.vcpus)
        .sum();
    let free = VCPU_QUOTA.saturating_sub(used) / instance_type.vcpus.max(1);
    if free >= count {
        return Ok(());
    }
    Err(error(
        "VcpuLimitExceeded",
        format!(
            "You have requested more vCPU capacity than your current vCPU limit of {VCPU_QUOTA} allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
        ),
    ))
}

/// Refuses more Spot requests than could ever be fulfilled.
pub(super) fn check_spot_quota(
    state: &State,
    site: &Site<'_>,
    data: &LaunchTemplateData,
    count: u32,
) -> Result<()> {
    let refused = check_quota(state, site.scope, instance_type_of(data)?, count);
    refused.map_err(|_| {
        error(
            "MaxSpotInstanceCountExceeded",
            "Max spot instance count exceeded",
        )
    })
}

/// The lowest range of host ids that no instance of any account has.
fn free_uid_base(state: &State) -> Result<u32> {
    let taken = state.instances.values().map(|i| i.uid_base);
    // One place for each: what is beyond as many as there are leaves a hole below.
    let mut places = vec![false; state.instances.len() + 1];
    for base in taken.filter(|base| *base >= FIRST_UID) {
        let place = ((base - FIRST_UID) / UIDS) as usize;
        if let Some(place) = places.get_mut(place) {
            *place = true;
        }
    }
    let free = places.iter().position(|taken| !taken);
    let mut bases = (FIRST_UID..=u32::MAX - UIDS).step_by(UIDS as usize);
    free.and_then(|place| bases.nth(place)).ok_or_else(|| {
        ApiError::new(
            500,
            "InsufficientInstanceCapacity",
            "There is no free range of user ids for another instance.",
        )
    })
}

/// Two ways to say the same thing, of which a launch takes one.
fn not_together(what: &str) -> ApiError {
    invalid_combination(format!(
        "Network interfaces and an instance-level {what} may not be specified on the same request"
    ))
}
