//! CIDR blocks as calls give them.

use super::error::{Result, invalid_parameter};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// An IPv4 block in its canonical form: `10.0.0.7/24` is `10.0.0.0/24`, as on AWS.
pub fn ipv4(text: &str, parameter: &str) -> Result<Ipv4Net> {
    match text.parse::<Ipv4Net>() {
        Ok(net) => Ok(net.trunc()),
        Err(_) => Err(invalid_parameter(
            text,
            parameter,
            "This is not a valid CIDR block.",
        )),
    }
}

/// An IPv4 or IPv6 block in its canonical form.
pub fn any(text: &str, parameter: &str) -> Result<IpNet> {
    match text.parse::<IpNet>() {
        Ok(net) => Ok(net.trunc()),
        Err(_) => Err(invalid_parameter(
            text,
            parameter,
            "This is not a valid CIDR block.",
        )),
    }
}

pub fn address(text: &str, parameter: &str) -> Result<Ipv4Addr> {
    text.parse()
        .map_err(|_| invalid_parameter(text, parameter, "This is not a valid IPv4 address."))
}

pub fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}
