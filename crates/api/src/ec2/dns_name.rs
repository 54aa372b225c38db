//! The names that AWS gives to addresses.
//!
//! `https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html`

use model::vpc::Vpc;
use std::net::Ipv4Addr;

fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}

/// `ip-10-0-1-5.ec2.internal`, or with the region's domain outside us-east-1.
pub fn private(region: &str, ip: Ipv4Addr) -> String {
    format!("ip-{}.{}", dashed(ip), private_domain(region))
}

/// The domain of private names, which DHCP hands out.
pub fn private_domain(region: &str) -> String {
    match region {
        "us-east-1" => "ec2.internal".into(),
        region => format!("{region}.compute.internal"),
    }
}

/// `ec2-198-18-1-0.compute-1.amazonaws.com`, or with the region's domain outside us-east-1.
pub fn public(region: &str, ip: Ipv4Addr) -> String {
    match region {
        "us-east-1" => format!("ec2-{}.compute-1.amazonaws.com", dashed(ip)),
        region => format!("ec2-{}.{region}.compute.amazonaws.com", dashed(ip)),
    }
}

/// Addresses have public names where both DNS attributes of the VPC are on.
pub fn public_in(vpc: &Vpc, ip: Ipv4Addr) -> Option<String> {
    (vpc.enable_dns_support && vpc.enable_dns_hostnames).then(|| public(&vpc.scope.region, ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_region() {
        let ip = Ipv4Addr::new(10, 0, 1, 5);
        assert_eq!(private("us-east-1", ip), "ip-10-0-1-5.ec2.internal");
        assert_eq!(
            private("eu-west-1", ip),
            "ip-10-0-1-5.eu-west-1.compute.internal"
        );
        assert_eq!(
            public("us-east-1", ip),
            "ec2-10-0-1-5.compute-1.amazonaws.com"
        );
        assert_eq!(
            public("eu-west-1", ip),
            "ec2-10-0-1-5.eu-west-1.compute.amazonaws.com"
        );
    }
}
