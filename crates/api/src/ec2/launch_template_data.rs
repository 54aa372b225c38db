//! What a launch is made of: the parameters that launch templates keep and
//! RunInstances takes, as one shape.
//!
//! Requests spell a member `BlockDeviceMapping`, answers `blockDeviceMappingSet`;
//! serde's two directions say so. The stored form is the answer's with capital
//! initials, which the request direction reads back by the few aliases below: a
//! second set of forty structs for storage was the alternative.

use super::error::{Result, error, invalid_value};
use super::instance_requirements::InstanceRequirements;
use super::tag::Tag;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::instance::LaunchTemplateData as Stored;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// AWS's limit on user data, decoded.
const MAX_USER_DATA: usize = 16_384;

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
        pub struct $name { $($(#[$attribute])* pub $field: $type,)* }
    )*};
}
pub(super) use shapes;

shapes! {
    LaunchTemplateData {
        #[serde(deserialize_with = "wire::stored")]
        ebs_optimized: Option<bool>,
        iam_instance_profile: Option<IamInstanceProfile>,
        #[serde(rename(serialize = "blockDeviceMappingSet", deserialize = "BlockDeviceMapping"), alias = "BlockDeviceMappingSet", skip_serializing_if = "Vec::is_empty")]
        block_device_mappings: Vec<BlockDeviceMapping>,
        #[serde(rename(serialize = "networkInterfaceSet", deserialize = "NetworkInterface"), alias = "NetworkInterfaceSet", skip_serializing_if = "Vec::is_empty")]
        network_interfaces: Vec<NetworkInterfaceSpecification>,
        image_id: Option<String>,
        instance_type: Option<String>,
        /// In place of the type.
        instance_requirements: Option<InstanceRequirements>,
        key_name: Option<String>,
        monitoring: Option<Monitoring>,
        placement: Option<Placement>,
        disable_api_termination: Option<bool>,
        disable_api_stop: Option<bool>,
        instance_initiated_shutdown_behavior: Option<ShutdownBehavior>,
        /// Base64.
        user_data: Option<String>,
        #[serde(rename(serialize = "tagSpecificationSet", deserialize = "TagSpecification"), alias = "TagSpecificationSet", skip_serializing_if = "Vec::is_empty")]
        tag_specifications: Vec<LaunchTagSpecification>,
        #[serde(rename(serialize = "securityGroupIdSet", deserialize = "SecurityGroupId"), alias = "SecurityGroupIdSet", skip_serializing_if = "Vec::is_empty")]
        security_group_ids: Vec<String>,
        #[serde(rename(serialize = "securityGroupSet", deserialize = "SecurityGroup"), alias = "SecurityGroupSet", skip_serializing_if = "Vec::is_empty")]
        security_groups: Vec<String>,
        instance_market_options: Option<InstanceMarketOptions>,
        credit_specification: Option<CreditSpecification>,
        #[serde(deserialize_with = "wire::stored")]
        cpu_options: Option<CpuOptions>,
        #[serde(deserialize_with = "wire::stored")]
        capacity_reservation_specification: Option<CapacityReservationSpecification>,
        #[serde(deserialize_with = "wire::stored")]
        hibernation_options: Option<HibernationOptions>,
        metadata_options: Option<MetadataOptions>,
        #[serde(deserialize_with = "wire::stored")]
        enclave_options: Option<EnclaveOptions>,
        private_dns_name_options: Option<PrivateDnsNameOptions>,
        maintenance_options: Option<MaintenanceOptions>,
        #[serde(deserialize_with = "wire::stored")]
        network_performance_options: Option<NetworkPerformanceOptions>,
    }

    IamInstanceProfile { arn: Option<String>, name: Option<String>, }

    BlockDeviceMapping {
        device_name: Option<String>,
        virtual_name: Option<String>,
        ebs: Option<EbsBlockDevice>,
        /// Present, even if empty, to leave out a device of the image.
        no_device: Option<String>,
    }

    EbsBlockDevice {
        #[serde(deserialize_with = "wire::stored")]
        encrypted: Option<bool>,
        delete_on_termination: Option<bool>,
        #[serde(deserialize_with = "wire::stored")]
        iops: Option<u32>,
        #[serde(deserialize_with = "wire::stored")]
        kms_key_id: Option<String>,
        snapshot_id: Option<String>,
        /// GiB.
        volume_size: Option<u32>,
        #[serde(deserialize_with = "wire::stored")]
        volume_type: Option<VolumeType>,
        /// MiB/s.
        #[serde(deserialize_with = "wire::stored")]
        throughput: Option<u32>,
    }

    NetworkInterfaceSpecification {
        associate_public_ip_address: Option<bool>,
        associate_carrier_ip_address: Option<bool>,
        delete_on_termination: Option<bool>,
        description: Option<String>,
        device_index: Option<u32>,
        #[serde(rename(serialize = "groupSet", deserialize = "SecurityGroupId"), alias = "GroupSet", skip_serializing_if = "GroupIds::is_empty")]
        groups: GroupIds,
        interface_type: Option<String>,
        ipv6_address_count: Option<u32>,
        #[serde(rename(serialize = "ipv6AddressesSet", deserialize = "Ipv6Addresses"), alias = "Ipv6AddressesSet", skip_serializing_if = "Vec::is_empty")]
        ipv6_addresses: Vec<Ipv6Address>,
        network_interface_id: Option<String>,
        private_ip_address: Option<String>,
        #[serde(rename(serialize = "privateIpAddressesSet", deserialize = "PrivateIpAddresses"), alias = "PrivateIpAddressesSet", skip_serializing_if = "Vec::is_empty")]
        private_ip_addresses: Vec<PrivateIpAddress>,
        secondary_private_ip_address_count: Option<u32>,
        subnet_id: Option<String>,
        network_card_index: Option<u32>,
        ipv4_prefix_count: Option<u32>,
        ipv6_prefix_count: Option<u32>,
        primary_ipv6: Option<bool>,
        connection_tracking_specification: Option<ConnectionTracking>,
    }

    ConnectionTracking {
        tcp_established_timeout: Option<u32>,
        udp_stream_timeout: Option<u32>,
        udp_timeout: Option<u32>,
    }

    Ipv6Address { ipv6_address: Option<String>, }
    PrivateIpAddress { primary: Option<bool>, private_ip_address: Option<String>, }
    Monitoring { enabled: Option<bool>, }

    Placement {
        availability_zone: Option<String>,
        availability_zone_id: Option<String>,
        affinity: Option<String>,
        #[serde(deserialize_with = "wire::refused")]
        group_name: Option<String>,
        #[serde(deserialize_with = "wire::refused")]
        group_id: Option<String>,
        #[serde(deserialize_with = "wire::refused")]
        host_id: Option<String>,
        #[serde(deserialize_with = "wire::refused")]
        host_resource_group_arn: Option<String>,
        tenancy: Option<Tenancy>,
        spread_domain: Option<String>,
        partition_number: Option<u32>,
    }

    LaunchTagSpecification {
        resource_type: Option<String>,
        #[serde(rename(serialize = "tagSet", deserialize = "Tag"), alias = "TagSet")]
        tags: Vec<Tag>,
    }

    InstanceMarketOptions { market_type: Option<String>, spot_options: Option<SpotOptions>, }

    SpotOptions {
        max_price: Option<String>,
        spot_instance_type: Option<String>,
        block_duration_minutes: Option<u32>,
        valid_until: Option<wire::Timestamp>,
        instance_interruption_behavior: Option<String>,
    }

    CreditSpecification { cpu_credits: Option<String>, }

    CpuOptions {
        core_count: Option<u32>,
        threads_per_core: Option<u32>,
        amd_sev_snp: Option<String>,
    }

    CapacityReservationSpecification {
        capacity_reservation_preference: Option<String>,
        capacity_reservation_target: Option<CapacityReservationTarget>,
    }

    CapacityReservationTarget {
        capacity_reservation_id: Option<String>,
        capacity_reservation_resource_group_arn: Option<String>,
    }

    HibernationOptions { configured: Option<bool>, }

    MetadataOptions {
        http_tokens: Option<HttpTokens>,
        http_put_response_hop_limit: Option<u32>,
        http_endpoint: Option<Switch>,
        http_protocol_ipv6: Option<Switch>,
        instance_metadata_tags: Option<Switch>,
    }

    EnclaveOptions { enabled: Option<bool>, }

    PrivateDnsNameOptions {
        hostname_type: Option<HostnameType>,
        enable_resource_name_dns_a_record: Option<bool>,
        #[serde(rename(serialize = "enableResourceNameDnsAAAARecord", deserialize = "EnableResourceNameDnsAAAARecord"))]
        enable_resource_name_dns_aaaa_record: Option<bool>,
    }

    MaintenanceOptions { auto_recovery: Option<AutoRecovery>, }
    NetworkPerformanceOptions { bandwidth_weighting: Option<String>, }
}

/// The one list of EC2's answers whose elements are not `item`s.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$wire::Items/groupId")]
pub struct GroupIds(pub Vec<String>);

impl GroupIds {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

macro_rules! values {
    ($($name:ident { $($variant:ident = $text:literal),* })*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $(#[serde(rename = $text)] $variant),* }
        impl $name {
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    )*};
}

values! {
    ShutdownBehavior { Stop = "stop", Terminate = "terminate" }
    VolumeType { Standard = "standard", Io1 = "io1", Io2 = "io2", Gp2 = "gp2", Sc1 = "sc1", St1 = "st1", Gp3 = "gp3" }
    Tenancy { Default = "default", Dedicated = "dedicated", Host = "host" }
    HttpTokens { Optional = "optional", Required = "required" }
    Switch { Enabled = "enabled", Disabled = "disabled" }
    HostnameType { IpName = "ip-name", ResourceName = "resource-name" }
    AutoRecovery { Default = "default", Disabled = "disabled" }
}

impl LaunchTemplateData {
    pub fn stored(&self) -> Result<Stored> {
        let json = serde_json::to_value(self)
            .and_then(|value| serde_json::to_string(&with_capital_initials(value)));
        json.map(Stored).map_err(|_| unreadable())
    }

    pub fn load(stored: &Stored) -> Result<Self> {
        serde_json::from_str(&stored.0).map_err(|_| unreadable())
    }

    /// These parameters where given, `base`'s elsewhere. Lists replace whole, but
    /// block devices replace by device and tags by the type of resource.
    pub fn over(self, base: Self) -> Self {
        // Either of the two here takes the place of either there.
        let (instance_type, instance_requirements) =
            match (self.instance_type, self.instance_requirements) {
                (None, None) => (base.instance_type, base.instance_requirements),
                mine => mine,
            };
        fn list<T>(mine: Vec<T>, base: Vec<T>) -> Vec<T> {
            if mine.is_empty() { base } else { mine }
        }
        fn by<T, K: PartialEq>(mut mine: Vec<T>, base: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
            for item in base {
                if mine.iter().all(|m| key(m) != key(&item)) {
                    mine.push(item);
                }
            }
            mine
        }
        Self {
            ebs_optimized: self.ebs_optimized.or(base.ebs_optimized),
            iam_instance_profile: self.iam_instance_profile.or(base.iam_instance_profile),
            block_device_mappings: by(
                self.block_device_mappings,
                base.block_device_mappings,
                |m| m.device_name.clone(),
            ),
            network_interfaces: list(self.network_interfaces, base.network_interfaces),
            image_id: self.image_id.or(base.image_id),
            instance_type,
            instance_requirements,
            key_name: self.key_name.or(base.key_name),
            monitoring: self.monitoring.or(base.monitoring),
            placement: self.placement.or(base.placement),
            disable_api_termination: self
                .disable_api_termination
                .or(base.disable_api_termination),
            disable_api_stop: self.disable_api_stop.or(base.disable_api_stop),
            instance_initiated_shutdown_behavior: self
                .instance_initiated_shutdown_behavior
                .or(base.instance_initiated_shutdown_behavior),
            user_data: self.user_data.or(base.user_data),
            tag_specifications: by(self.tag_specifications, base.tag_specifications, |t| {
                t.resource_type.clone()
            }),
            security_group_ids: list(self.security_group_ids, base.security_group_ids),
            security_groups: list(self.security_groups, base.security_groups),
            instance_market_options: self
                .instance_market_options
                .or(base.instance_market_options),
            credit_specification: self.credit_specification.or(base.credit_specification),
            cpu_options: self.cpu_options.or(base.cpu_options),
            capacity_reservation_specification: self
                .capacity_reservation_specification
                .or(base.capacity_reservation_specification),
            hibernation_options: self.hibernation_options.or(base.hibernation_options),
            metadata_options: self.metadata_options.or(base.metadata_options),
            enclave_options: self.enclave_options.or(base.enclave_options),
            private_dns_name_options: self
                .private_dns_name_options
                .or(base.private_dns_name_options),
            maintenance_options: self.maintenance_options.or(base.maintenance_options),
            network_performance_options: self
                .network_performance_options
                .or(base.network_performance_options),
        }
    }

    /// The syntax that a template must have; whether what it names exists shows at launch.
    pub fn check(&self) -> Result<()> {
        self.user_data_bytes()?;
        if let Some(options) = &self.metadata_options {
            options.check()?;
        }
        if let Some(requirements) = &self.instance_requirements {
            requirements.check()?;
            if self.instance_type.is_some() {
                return Err(super::error::invalid_combination(
                    "InstanceType and InstanceRequirements may not be specified together.",
                ));
            }
        }
        if let Some(option) = self
            .credit_specification
            .as_ref()
            .and_then(|c| c.cpu_credits.as_deref())
            && !matches!(option, "standard" | "unlimited")
        {
            return Err(invalid_value(format!(
                "Invalid value for CPU credits: '{option}'. Valid values are standard and unlimited."
            )));
        }
        if let Some(profile) = &self.iam_instance_profile
            && profile.arn.is_some()
            && profile.name.is_some()
        {
            return Err(super::error::invalid_combination(
                "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
            ));
        }
        Ok(())
    }

    /// The user data, decoded.
    pub fn user_data_bytes(&self) -> Result<Option<Vec<u8>>> {
        match self.user_data.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => decode_user_data(text).map(Some),
        }
    }

    /// Tags that the launch gives a kind of resource.
    pub fn tags_of(&self, kind: &str) -> Vec<super::tag::TagSpecification> {
        self.tag_specifications
            .iter()
            .filter(|s| s.resource_type.as_deref() == Some(kind))
            .map(|s| super::tag::TagSpecification {
                resource_type: s.resource_type.clone(),
                tag: s.tags.clone(),
            })
            .collect()
    }
}

impl MetadataOptions {
    pub fn check(&self) -> Result<()> {
        match self.http_put_response_hop_limit {
            Some(limit) if !(1..=64).contains(&limit) => Err(invalid_value(format!(
                "Value ({limit}) for parameter HttpPutResponseHopLimit is invalid. It must be between 1 and 64."
            ))),
            _ => Ok(()),
        }
    }
}

/// Base64 may be broken into lines, as `base64` prints it.
pub fn decode_user_data(text: &str) -> Result<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(compact).map_err(|_| {
        error(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if bytes.len() > MAX_USER_DATA {
        return Err(invalid_value(format!(
            "User data is limited to {MAX_USER_DATA} bytes"
        )));
    }
    Ok(bytes)
}

/// Only our own plain structs are written and read: this is for a damaged store.
fn unreadable() -> wire::ApiError {
    wire::ApiError::internal("The launch template data cannot be read.")
}

/// Also drops what is absent.
fn with_capital_initials(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut capital: String =
                    name.chars().take(1).flat_map(char::to_uppercase).collect();
                capital.extend(name.chars().skip(1));
                (capital, with_capital_initials(value))
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(with_capital_initials).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> LaunchTemplateData {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_stored_comes_back() {
        let given = data(
            r#"{"ImageId":"ami-1","UserData":"IyE=","SecurityGroupId":["sg-1"],
                "BlockDeviceMapping":[{"DeviceName":"/dev/xvda","Ebs":{"VolumeSize":8,"VolumeType":"gp3"}}],
                "NetworkInterface":[{"DeviceIndex":0,"SecurityGroupId":["sg-2"],"AssociatePublicIpAddress":false}],
                "TagSpecification":[{"ResourceType":"instance","Tag":[{"Key":"a","Value":"b"}]}],
                "MetadataOptions":{"HttpTokens":"required","HttpPutResponseHopLimit":2},
                "PrivateDnsNameOptions":{"EnableResourceNameDnsAAAARecord":true}}"#,
        );
        assert_eq!(
            LaunchTemplateData::load(&given.stored().unwrap()),
            Ok(given)
        );
    }

    #[test]
    fn a_request_goes_over_its_template() {
        let template = data(
            r#"{"ImageId":"ami-1","InstanceType":"t3.micro","SecurityGroupId":["sg-1","sg-2"],
                "BlockDeviceMapping":[{"DeviceName":"/dev/xvda"},{"DeviceName":"/dev/sdb"}],
                "TagSpecification":[{"ResourceType":"instance"},{"ResourceType":"volume"}]}"#,
        );
        let request = data(
            r#"{"InstanceType":"t3.small","SecurityGroupId":["sg-3"],
                "BlockDeviceMapping":[{"DeviceName":"/dev/sdb","NoDevice":""}],
                "TagSpecification":[{"ResourceType":"volume","Tag":[{"Key":"a","Value":"b"}]}]}"#,
        );
        let merged = request.over(template);
        assert_eq!(merged.image_id.as_deref(), Some("ami-1"));
        assert_eq!(merged.instance_type.as_deref(), Some("t3.small"));
        assert_eq!(merged.security_group_ids, ["sg-3"]);
        assert_eq!(merged.block_device_mappings.len(), 2);
        assert!(merged.block_device_mappings[0].no_device.is_some());
        assert_eq!(merged.tag_specifications.len(), 2);
        assert_eq!(merged.tags_of("volume")[0].tag.len(), 1);
    }

    #[test]
    fn user_data_is_checked() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let got = decode_user_data(text)
                .map(|b| b.len())
                .map_err(|e| e.code.to_string());
            assert_eq!(got, expected.map_err(str::to_owned));
        };
        check("IyEvYmlu\nL3No\n", Ok(9));
        check("not base64!", Err("InvalidUserData.Malformed"));
        check(
            &STANDARD.encode(vec![b'x'; MAX_USER_DATA]),
            Ok(MAX_USER_DATA),
        );
        check(
            &STANDARD.encode(vec![b'x'; MAX_USER_DATA + 1]),
            Err("InvalidParameterValue"),
        );
    }
}
