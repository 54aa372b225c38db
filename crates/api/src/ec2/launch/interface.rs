//! The network interfaces of a launch: planned once, made for each instance.

use super::{Launch, Site, has_capacity, not_together, record};
use crate::ec2::error::{
    Result, error, invalid_combination, invalid_parameter, invalid_value, unsupported,
};
use crate::ec2::launch_template_data::NetworkInterfaceSpecification;
use crate::ec2::network_interface::{self, NewInterface};
use crate::ec2::network_interface_attachment::{check_addresses, check_interfaces};
use crate::ec2::resource::owned;
use crate::ec2::{cidr, ipv6, private_address, public_address, tag};
use model::instance_type::InstanceType;
use model::vpc::{Attachment, NetworkInterface, SecurityGroup, Subnet, Vpc};
use model::{AttachmentId, InstanceId, NetworkInterfaceId, SecurityGroupId, Tags, VpcId};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use store::{State, Tx};

pub struct PlannedInterface {
    device_index: u8,
    pub subnet: Arc<Subnet>,
    /// An interface that is there already, in place of a new one.
    existing: Option<NetworkInterfaceId>,
    groups: Vec<SecurityGroupId>,
    /// A public address is assigned to it.
    pub public: bool,
    primary: Option<Ipv4Addr>,
    secondary: Vec<Ipv4Addr>,
    /// Secondary addresses that the subnet chooses.
    secondary_count: usize,
    /// IPv6 addresses by name, or how many.
    ipv6: (Vec<String>, Option<i64>),
    description: String,
    delete_on_termination: bool,
    tags: Tags,
}

impl PlannedInterface {
    /// IPv4 addresses that it has.
    fn addresses(&self) -> usize {
        1 + self.secondary.len() + self.secondary_count
    }
    /// Those of them that it takes from its subnet.
    fn new_addresses(&self) -> usize {
        match self.existing {
            Some(_) => 0,
            None => self.addresses(),
        }
    }
    fn has_fixed_address(&self) -> bool {
        self.existing.is_some() || self.primary.is_some() || !self.secondary.is_empty()
    }
}

/// The interfaces of every instance of the launch, the primary first.
pub fn plan(
    tx: &Tx,
    site: &Site<'_>,
    launch: &Launch,
    instance_type: &InstanceType,
) -> Result<Vec<PlannedInterface>> {
    let data = &launch.data;
    let tags = tag::of(&data.tags_of("network-interface"), "network-interface")?;
    let planned = if data.network_interfaces.is_empty() {
        vec![primary(tx, site, launch, instance_type, tags)?]
    } else {
        if launch.subnet.is_some() {
            return Err(not_together("subnet ID"));
        }
        if !data.security_group_ids.is_empty() || !data.security_groups.is_empty() {
            return Err(not_together("security groups"));
        }
        if launch.private_ip.is_some() {
            return Err(not_together("private address"));
        }
        let mut planned = Vec::new();
        for given in &data.network_interfaces {
            let one = specified(tx, site, launch, instance_type, given, &tags)?;
            planned.push(one);
        }
        planned.sort_by_key(|i| i.device_index);
        check_devices(&planned, instance_type)?;
        planned
    };
    if launch.count.1 > 1 && planned.iter().any(PlannedInterface::has_fixed_address) {
        return Err(invalid_combination(
            "A private address or an existing network interface may only be specified when launching a single instance.",
        ));
    }
    if !has_room(tx, &planned) {
        // Asks for more than there is, to answer with the subnet's own words.
        for interface in &planned {
            private_address::take(tx, &interface.subnet, interface.new_addresses())?;
        }
    }
    Ok(planned)
}

/// Whether the subnets can hold the interfaces of one more instance.
pub fn has_room(state: &State, planned: &[PlannedInterface]) -> bool {
    planned.iter().all(|interface| {
        let same = planned
            .iter()
            .filter(|p| p.subnet.id == interface.subnet.id);
        let wanted: usize = same.map(PlannedInterface::new_addresses).sum();
        private_address::free_count(state, &interface.subnet) as usize >= wanted
    })
}

/// Addresses for one planned interface of one instance; none for an interface that is there.
#[derive(Default)]
pub struct Addresses {
    private: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
    public: Option<Ipv4Addr>,
}

/// Addresses for the interfaces of one instance. Nothing is taken yet.
pub fn choose(
    state: &State,
    site: &Site<'_>,
    planned: &[PlannedInterface],
) -> Result<Vec<Addresses>> {
    let mut chosen: Vec<Addresses> = Vec::with_capacity(planned.len());
    for interface in planned {
        if interface.existing.is_some() {
            chosen.push(Addresses::default());
            continue;
        }
        let subnet = &interface.subnet;
        let before = chosen.iter().flat_map(|a| &a.private);
        let mut besides: Vec<Ipv4Addr> = before
            .filter(|ip| subnet.cidr.contains(*ip))
            .copied()
            .collect();
        for ip in interface.primary.iter().chain(&interface.secondary) {
            private_address::check(state, subnet, *ip)?;
            if besides.contains(ip) {
                return Err(invalid_combination(format!(
                    "The private address {ip} is specified more than once."
                )));
            }
            besides.push(*ip);
        }
        let free = usize::from(interface.primary.is_none()) + interface.secondary_count;
        let mut free = private_address::take_besides(state, subnet, free, &besides)?.into_iter();
        let mut private: Vec<Ipv4Addr> = interface
            .primary
            .or_else(|| free.next())
            .into_iter()
            .collect();
        private.extend(&interface.secondary);
        private.extend(free);
        let public = match interface.public {
            true => Some(public_address::take(state, site.public_pool)?),
            false => None,
        };
        let (named, count) = &interface.ipv6;
        chosen.push(Addresses {
            private,
            ipv6: ipv6::addresses(state, subnet, named, *count)?,
            public,
        });
    }
    Ok(chosen)
}

/// Makes (or takes) the interfaces and attaches them to the instance.
pub fn attach(
    tx: &mut Tx,
    site: &Site<'_>,
    planned: &[PlannedInterface],
    chosen: Vec<Addresses>,
    instance: &InstanceId,
) {
    for (interface, addresses) in planned.iter().zip(chosen) {
        let attachment = Attachment {
            id: AttachmentId::random(),
            instance: instance.clone(),
            device_index: interface.device_index,
            delete_on_termination: interface.delete_on_termination,
            attached: site.now,
        };
        if let Some(existing) = &interface.existing {
            tx.modify::<NetworkInterface>(existing, |i| i.attachment = Some(attachment));
            continue;
        }
        let new = NewInterface {
            description: interface.description.clone(),
            private_ips: addresses.private,
            ipv6_addresses: addresses.ipv6,
            auto_public_ip: addresses.public,
            security_groups: interface.groups.clone(),
            attachment: Some(attachment),
            tags: interface.tags.clone(),
            ..NewInterface::default()
        };
        network_interface::make(tx, &interface.subnet, new, site.now);
    }
}

/// The one interface of a launch that speaks of subnet and groups only.
fn primary(
    tx: &Tx,
    site: &Site<'_>,
    launch: &Launch,
    instance_type: &InstanceType,
    tags: Tags,
) -> Result<PlannedInterface> {
    let data = &launch.data;
    let subnet = subnet_of(tx, site, launch, instance_type, launch.subnet.as_deref())?;
    let mut groups = security_groups(tx, site, &subnet, &data.security_group_ids)?;
    if !data.security_groups.is_empty() {
        if launch.subnet.is_some() {
            return Err(invalid_combination(
                "The parameter groupName cannot be used with the parameter subnet",
            ));
        }
        groups.extend(groups_by_name(tx, site, &subnet, &data.security_groups)?);
    }
    let address = launch.private_ip.as_deref();
    Ok(PlannedInterface {
        device_index: 0,
        existing: None,
        groups: or_default(tx, &subnet, groups),
        public: subnet.map_public_ip_on_launch,
        primary: address
            .map(|a| cidr::address(a, "PrivateIpAddress"))
            .transpose()?,
        secondary: Vec::new(),
        secondary_count: 0,
        ipv6: launch.ipv6.clone(),
        description: String::new(),
        delete_on_termination: true,
        tags,
        subnet,
    })
}

/// One interface as the launch describes it.
fn specified(
    tx: &Tx,
    site: &Site<'_>,
    launch: &Launch,
    instance_type: &InstanceType,
    given: &NetworkInterfaceSpecification,
    tags: &Tags,
) -> Result<PlannedInterface> {
    refuse_unserved(given, instance_type)?;
    let Some(device_index) = given.device_index else {
        return Err(invalid_value(
            "Each network interface requires a device index.",
        ));
    };
    let device_index = u8::try_from(device_index)
        .map_err(|_| invalid_parameter(device_index, "deviceIndex", "It is too large."))?;
    if let Some(id) = &given.network_interface_id {
        return existing(tx, site, given, id, device_index);
    }
    let subnet = subnet_of(tx, site, launch, instance_type, given.subnet_id.as_deref())?;
    let groups = security_groups(tx, site, &subnet, &given.groups.0)?;
    let (primary, secondary) = addresses(given)?;
    if given.associate_public_ip_address == Some(true) && launch.data.network_interfaces.len() > 1 {
        return Err(invalid_combination(
            "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces.",
        ));
    }
    // The subnet's setting is for an instance's only interface.
    let only = launch.data.network_interfaces.len() == 1 && device_index == 0;
    let public = given
        .associate_public_ip_address
        .unwrap_or(only && subnet.map_public_ip_on_launch);
    Ok(PlannedInterface {
        device_index,
        existing: None,
        groups: or_default(tx, &subnet, groups),
        public,
        primary,
        secondary,
        secondary_count: given.secondary_private_ip_address_count.unwrap_or(0) as usize,
        ipv6: (
            given
                .ipv6_addresses
                .iter()
                .filter_map(|a| a.ipv6_address.clone())
                .collect(),
            given.ipv6_address_count.map(i64::from),
        ),
        description: given.description.clone().unwrap_or_default(),
        delete_on_termination: given.delete_on_termination.unwrap_or(true),
        tags: tags.clone(),
        subnet,
    })
}

fn refuse_unserved(
    given: &NetworkInterfaceSpecification,
    instance_type: &InstanceType,
) -> Result<()> {
    if given.primary_ipv6 == Some(true) {
        return Err(unsupported("IPv6 is not supported by this cloud."));
    }
    if given.ipv4_prefix_count.unwrap_or(0) > 0 || given.ipv6_prefix_count.unwrap_or(0) > 0 {
        return Err(unsupported(
            "Prefix delegation is not supported by this cloud.",
        ));
    }
    if given.associate_carrier_ip_address == Some(true) {
        return Err(unsupported(
            "Wavelength Zones are not supported by this cloud.",
        ));
    }
    if given.network_card_index.unwrap_or(0) > 0 {
        return Err(invalid_value("The instance type has one network card."));
    }
    match given.interface_type.as_deref() {
        // A plain one, which `options::not_emulated` says.
        Some("efa") if instance_type.efa() => Ok(()),
        Some("efa") => Err(invalid_value(format!(
            "The instance type {} does not support EFA interfaces.",
            instance_type.name
        ))),
        None | Some("interface") => Ok(()),
        Some(other) => Err(unsupported(format!(
            "Network interfaces of type {other} are not supported by this cloud."
        ))),
    }
}

fn existing(
    tx: &Tx,
    site: &Site<'_>,
    given: &NetworkInterfaceSpecification,
    id: &str,
    device_index: u8,
) -> Result<PlannedInterface> {
    let also = given.subnet_id.is_some()
        || !given.groups.is_empty()
        || given.private_ip_address.is_some()
        || given.associate_public_ip_address.is_some();
    if also {
        return Err(invalid_combination(
            "A network interface may not specify both a network interface ID and its subnet, groups or addresses.",
        ));
    }
    let interface = record::<NetworkInterface>(tx, site.scope, id)?;
    if interface.attachment.is_some() || interface.requester.is_some() {
        return Err(error(
            "InvalidNetworkInterface.InUse",
            format!("Interface: [{id}] in use."),
        ));
    }
    Ok(PlannedInterface {
        device_index,
        subnet: record(tx, site.scope, interface.subnet.as_str())?,
        existing: Some(interface.id.clone()),
        groups: Vec::new(),
        public: false,
        primary: None,
        secondary: Vec::new(),
        secondary_count: interface.private_ips.len() - 1,
        ipv6: (Vec::new(), None),
        description: String::new(),
        delete_on_termination: given.delete_on_termination.unwrap_or(false),
        tags: Tags::new(),
    })
}

/// The primary address, if given, and the secondary ones.
fn addresses(given: &NetworkInterfaceSpecification) -> Result<(Option<Ipv4Addr>, Vec<Ipv4Addr>)> {
    let parse = |text: &Option<String>| match text {
        Some(text) => cidr::address(text, "PrivateIpAddress").map(Some),
        None => Ok(None),
    };
    let mut primary = parse(&given.private_ip_address)?;
    let mut secondary = Vec::new();
    for address in &given.private_ip_addresses {
        let Some(ip) = parse(&address.private_ip_address)? else {
            continue;
        };
        match (address.primary, primary) {
            (Some(true), Some(_)) => {
                return Err(invalid_combination(
                    "Only one primary private IP address can be specified.",
                ));
            }
            (Some(true), None) => primary = Some(ip),
            _ => secondary.push(ip),
        }
    }
    Ok((primary, secondary))
}

fn check_devices(planned: &[PlannedInterface], instance_type: &InstanceType) -> Result<()> {
    if planned.first().map(|i| i.device_index) != Some(0) {
        return Err(invalid_value(
            "A network interface with device index 0 is required.",
        ));
    }
    for pair in planned.windows(2) {
        if pair[0].device_index == pair[1].device_index {
            return Err(invalid_value(format!(
                "Each network interface requires a unique device index; {} is used more than once.",
                pair[0].device_index
            )));
        }
        if pair[0].subnet.vpc != pair[1].subnet.vpc || pair[0].subnet.zone != pair[1].subnet.zone {
            return Err(invalid_combination(
                "Network interfaces of an instance must be in the same VPC and Availability Zone.",
            ));
        }
    }
    check_interfaces(instance_type, planned.len())?;
    let mut addresses = planned.iter().map(PlannedInterface::addresses);
    addresses.try_for_each(|count| check_addresses(instance_type, count))
}

/// The subnet given, or a default subnet: of the zone asked for, or the first that takes launches.
fn subnet_of(
    tx: &Tx,
    site: &Site<'_>,
    launch: &Launch,
    instance_type: &InstanceType,
    given: Option<&str>,
) -> Result<Arc<Subnet>> {
    let placement = launch.data.placement.as_ref();
    let zone = match placement.map(|p| (&p.availability_zone, &p.availability_zone_id)) {
        Some((Some(zone), _)) if !zone.is_empty() => Some(zone.clone()),
        Some((_, Some(id))) => Some(zone_by_id(site, id)?),
        _ => None,
    };
    if let Some(id) = given {
        let subnet = record::<Subnet>(tx, site.scope, id)?;
        if zone.as_ref().is_some_and(|z| *z != subnet.zone) {
            let zone = zone.unwrap_or_default();
            return Err(invalid_value(format!(
                "The availability zone '{zone}' is not that of the subnet '{id}' ({}).",
                subnet.zone
            )));
        }
        return Ok(subnet);
    }
    if let Some(zone) = &zone
        && model::zone::zone_id(zone).is_none()
    {
        return Err(invalid_value(format!(
            "Invalid availability zone: [{zone}]"
        )));
    }
    let Some(vpc) = owned::<Vpc>(tx, site.scope).find(|vpc| vpc.is_default) else {
        return Err(error(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        ));
    };
    let mut subnets: Vec<&Arc<Subnet>> = owned::<Subnet>(tx, site.scope)
        .filter(|s| s.default_for_az && s.vpc == vpc.id)
        .filter(|s| zone.as_ref().is_none_or(|z| *z == s.zone))
        .collect();
    subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
    let takes = |s: &&&Arc<Subnet>| has_capacity(tx, &s.zone, instance_type);
    let chosen = subnets.iter().find(takes).or(subnets.first());
    chosen.map(|s| Arc::clone(s)).ok_or_else(|| {
        error(
            "MissingInput",
            format!(
                "No subnets found for the default VPC '{}'. Please specify a subnet.",
                vpc.id
            ),
        )
    })
}

fn zone_by_id(site: &Site<'_>, id: &str) -> Result<String> {
    let zones = model::zone::region(&site.scope.region).map(|r| r.zones());
    let found = zones
        .into_iter()
        .flatten()
        .find(|(_, zone_id)| zone_id == id);
    match found {
        Some((name, _)) => Ok(name),
        None => Err(invalid_value(format!(
            "Invalid availability zone id: [{id}]"
        ))),
    }
}

fn security_groups(
    state: &State,
    site: &Site<'_>,
    subnet: &Subnet,
    ids: &[String],
) -> Result<Vec<SecurityGroupId>> {
    let mut groups = Vec::with_capacity(ids.len());
    for id in ids {
        let group = record::<SecurityGroup>(state, site.scope, id)?;
        if group.vpc != subnet.vpc {
            return Err(error(
                "InvalidParameter",
                format!(
                    "Security group {id} and subnet {} belong to different networks.",
                    subnet.id
                ),
            ));
        }
        if !groups.contains(&group.id) {
            groups.push(group.id.clone());
        }
    }
    Ok(groups)
}

fn groups_by_name(
    state: &State,
    site: &Site<'_>,
    subnet: &Subnet,
    names: &[String],
) -> Result<Vec<SecurityGroupId>> {
    let named = |name: &String| {
        let mut groups = owned::<SecurityGroup>(state, site.scope);
        let found = groups.find(|g| g.vpc == subnet.vpc && g.name == *name);
        found.map(|g| g.id.clone()).ok_or_else(|| {
            error(
                "InvalidGroup.NotFound",
                format!(
                    "The security group '{name}' does not exist in default VPC '{}'",
                    subnet.vpc
                ),
            )
        })
    };
    names.iter().map(named).collect()
}

/// The VPC's default group where none is given.
fn or_default(
    state: &State,
    subnet: &Subnet,
    groups: Vec<SecurityGroupId>,
) -> Vec<SecurityGroupId> {
    if !groups.is_empty() {
        return groups;
    }
    default_group(state, &subnet.vpc).into_iter().collect()
}

fn default_group(state: &State, vpc: &VpcId) -> Option<SecurityGroupId> {
    let mut groups = state.security_groups.values();
    groups
        .find(|g| g.vpc == *vpc && g.name == "default")
        .map(|g| g.id.clone())
}
