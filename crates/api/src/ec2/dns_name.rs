//! The names that AWS gives to addresses.
//!
//! `https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html`

use model::vpc::Vpc;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::Ipv4Addr;

/// A name, spelled where it is written to.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    None,
    /// `ip-10-0-1-5.ec2.internal`, or with the region's domain outside us-east-1.
    Private {
        region: &'a str,
        ip: Ipv4Addr,
    },
    /// `i-0123456789abcdef0.ec2.internal`
    Resource {
        region: &'a str,
        id: &'a str,
    },
    /// `ec2-198-18-1-0.compute-1.amazonaws.com`, or with the region's domain outside us-east-1.
    Public {
        region: &'a str,
        ip: Ipv4Addr,
    },
}

impl<'a> Name<'a> {
    /// Addresses have public names where both DNS attributes of the VPC are on.
    pub fn public_in(vpc: &'a Vpc, ip: Ipv4Addr) -> Self {
        let region = &*vpc.scope.region;
        match vpc.enable_dns_support && vpc.enable_dns_hostnames {
            true => Self::Public { region, ip },
            false => Self::None,
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = match *self {
            Self::None => return Ok(()),
            Self::Private { region, ip } => {
                f.write_str("ip-")?;
                dashed(f, ip)?;
                region
            }
            Self::Resource { region, id } => {
                f.write_str(id)?;
                region
            }
            Self::Public { region, ip } => {
                f.write_str("ec2-")?;
                dashed(f, ip)?;
                return match region {
                    "us-east-1" => f.write_str(".compute-1.amazonaws.com"),
                    region => {
                        f.write_str(".")?;
                        f.write_str(region)?;
                        f.write_str(".compute.amazonaws.com")
                    }
                };
            }
        };
        f.write_str(".")?;
        match region {
            "us-east-1" => f.write_str("ec2.internal"),
            region => {
                f.write_str(region)?;
                f.write_str(".compute.internal")
            }
        }
    }
}

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The four numbers, without what the formatter costs: there are several in each instance.
fn dashed(f: &mut fmt::Formatter<'_>, ip: Ipv4Addr) -> fmt::Result {
    let mut text = [0u8; 15];
    let mut end = 0;
    let mut push = |byte: u8| {
        text[end] = byte;
        end += 1;
    };
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            push(b'-');
        }
        if octet > 99 {
            push(b'0' + octet / 100);
        }
        if octet > 9 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    // Digits and dashes are text.
    f.write_str(std::str::from_utf8(&text[..end]).unwrap_or_default())
}

pub fn private(region: &str, ip: Ipv4Addr) -> String {
    Name::Private { region, ip }.to_string()
}

/// The domain of private names, which DHCP hands out.
pub fn private_domain(region: &str) -> String {
    match region {
        "us-east-1" => "ec2.internal".into(),
        region => format!("{region}.compute.internal"),
    }
}

pub fn public(region: &str, ip: Ipv4Addr) -> String {
    Name::Public { region, ip }.to_string()
}

/// [`Name::public_in`], where there is one.
pub fn public_in(vpc: &Vpc, ip: Ipv4Addr) -> Option<String> {
    match Name::public_in(vpc, ip) {
        Name::None => None,
        name => Some(name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_region() {
        let ip = Ipv4Addr::new(10, 0, 123, 5);
        assert_eq!(private("us-east-1", ip), "ip-10-0-123-5.ec2.internal");
        assert_eq!(
            private("eu-west-1", ip),
            "ip-10-0-123-5.eu-west-1.compute.internal"
        );
        assert_eq!(
            public("us-east-1", ip),
            "ec2-10-0-123-5.compute-1.amazonaws.com"
        );
        assert_eq!(
            public("eu-west-1", ip),
            "ec2-10-0-123-5.eu-west-1.compute.amazonaws.com"
        );
        let resource = |region| Name::Resource { region, id: "i-1" }.to_string();
        assert_eq!(resource("us-east-1"), "i-1.ec2.internal");
        assert_eq!(resource("eu-west-1"), "i-1.eu-west-1.compute.internal");
        let widest = Ipv4Addr::new(255, 200, 100, 110);
        assert_eq!(
            private("us-east-1", widest),
            "ip-255-200-100-110.ec2.internal"
        );
    }
}
