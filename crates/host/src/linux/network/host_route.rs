//! The host's routes, read to leave them alone.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A line of `/proc/net/route`.
#[derive(Debug, PartialEq)]
pub struct HostRoute {
    pub device: String,
    pub destination: Ipv4Net,
    /// Reached without a gateway: a network the host is on.
    pub on_link: bool,
}

/// The routes of the calling thread's network namespace, main table.
pub fn routes() -> std::io::Result<Vec<HostRoute>> {
    Ok(parse(&std::fs::read_to_string(
        "/proc/thread-self/net/route",
    )?))
}

/// Another device that has a route for exactly this range: ours would replace it.
pub fn other_owner(pool: Ipv4Net, own_device: &str) -> std::io::Result<Option<String>> {
    let found = routes()?
        .into_iter()
        .find(|r| r.destination == pool && r.device != own_device);
    Ok(found.map(|route| route.device))
}

/// The host's own addresses and the networks it is on.
pub fn own_ranges() -> std::io::Result<Vec<Ipv4Net>> {
    let addresses = nix::ifaddrs::getifaddrs()?
        .filter_map(|found| Some(Ipv4Net::from(found.address?.as_sockaddr_in()?.ip())));
    // A default route without a gateway (PPP), or one in two halves (a VPN), is the way
    // out, not a network of its own.
    let networks = routes()?
        .into_iter()
        .filter(|route| route.on_link && route.destination.prefix_len() >= 8)
        .map(|route| route.destination);
    Ok(Ipv4Net::aggregate(&networks.chain(addresses).collect()))
}

/// `eth0 0002000A 00000000 0001 0 0 0 00FFFFFF …`: addresses are in network byte order,
/// printed as the machine's numbers.
fn parse(text: &str) -> Vec<HostRoute> {
    let address = |hex: &str| {
        u32::from_str_radix(hex, 16)
            .ok()
            .map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
    };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let destination = address(words.get(1)?)?;
            let mask = address(words.get(7)?)?;
            Some(HostRoute {
                device: (*words.first()?).to_owned(),
                destination: Ipv4Net::with_netmask(destination, mask).ok()?,
                on_link: address(words.get(2)?)?.is_unspecified(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_as_the_kernel_prints_them() {
        let bits = |text: &str| {
            let address: Ipv4Addr = text.parse().expect("address");
            format!("{:08X}", u32::from_ne_bytes(address.octets()))
        };
        let (to, mask) = (bits("198.18.0.0"), bits("255.254.0.0"));
        let text = format!(
            "Iface\tDestination\tGateway\nwg0\t{to}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\nbad\n"
        );
        let destination = "198.18.0.0/15".parse().expect("cidr");
        assert_eq!(
            parse(&text),
            [HostRoute {
                device: "wg0".into(),
                destination,
                on_link: true,
            }]
        );
        assert!(parse("").is_empty());
    }
}
