//! Resource ids: one newtype each, so that a subnet id never goes where a VPC id belongs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is no id of the wanted kind (EC2 answers `Invalid….Malformed`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: \"{text}\" (expecting \"{prefix}-...\")")]
pub struct MalformedId {
    pub text: String,
    pub prefix: &'static str,
}

/// `n` random lower-case hex digits, the tail of every AWS id.
pub fn random_hex(n: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    (0..n)
        .map(|_| DIGITS[rand::random_range(0..16usize)] as char)
        .collect()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
            /// A new id: the prefix and 17 random hex digits.
            pub fn random() -> Self {
                Self(format!(concat!($prefix, "-{}"), random_hex(17)).into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = MalformedId;
            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let tail = text.strip_prefix(concat!($prefix, "-"));
                match tail {
                    // 8 digits is the form of ids made before 2016, still accepted by AWS.
                    Some(t) if (t.len() == 17 || t.len() == 8) && t.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => Ok(Self(text.into())),
                    _ => Err(MalformedId { text: text.to_owned(), prefix: $prefix }),
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str { &self.0 }
        }
    )*};
}

ids! {
    VpcId = "vpc";
    SubnetId = "subnet";
    InternetGatewayId = "igw";
    NatGatewayId = "nat";
    RouteTableId = "rtb";
    RouteTableAssociationId = "rtbassoc";
    SecurityGroupId = "sg";
    SecurityGroupRuleId = "sgr";
    NetworkAclId = "acl";
    NetworkAclAssociationId = "aclassoc";
    NetworkInterfaceId = "eni";
    AttachmentId = "eni-attach";
    AllocationId = "eipalloc";
    AddressAssociationId = "eipassoc";
    InstanceId = "i";
    ReservationId = "r";
    ImageId = "ami";
    SnapshotId = "snap";
    SpotRequestId = "sir";
    VolumeId = "vol";
    LaunchTemplateId = "lt";
    KeyPairId = "key";
    DhcpOptionsId = "dopt";
    PrefixListId = "pl";
    ProfileAssociationId = "iip-assoc";
    EgressOnlyInternetGatewayId = "eigw";
    VpnGatewayId = "vgw";
    CustomerGatewayId = "cgw";
    VpcEndpointId = "vpce";
    VpcPeeringConnectionId = "pcx";
    InstanceConnectEndpointId = "eice";
    FlowLogId = "fl";
    PlacementGroupId = "pg";
    CapacityReservationId = "cr";
    PublicAccessExclusionId = "vpcbpa-exclude";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_know_their_prefix() {
        let id = VpcId::random();
        assert_eq!(id.as_str().parse::<VpcId>(), Ok(id.clone()));
        assert!(id.as_str().parse::<SubnetId>().is_err());
        for bad in [
            "",
            "vpc",
            "vpc-",
            "vpc-xyz",
            "vpc-0123456789ABCDEF0",
            "vpc-0123456789abcdef01",
        ] {
            assert!(bad.parse::<VpcId>().is_err(), "{bad}");
        }
        // An instance id is no interface id, though both begin alike in text sorts.
        assert!(
            "eni-attach-0123456789abcdef0"
                .parse::<NetworkInterfaceId>()
                .is_err()
        );
    }
}
