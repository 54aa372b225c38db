//! What DHCP tells an instance of names, from the options that its VPC is associated with. They
//! reach it when it starts; time servers have no use, since the clock is the host's.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/DHCPOptionSet.html>

use model::vpc::DhcpOptions;
use std::net::IpAddr;

/// None at all where the options name none; `provided` is the VPC's resolver.
pub fn name_servers(provided: IpAddr, options: Option<&DhcpOptions>) -> Vec<IpAddr> {
    let Some(options) = options else {
        return vec![provided];
    };
    let named = options.configuration.get("domain-name-servers");
    let address = |value: &String| match value.as_str() {
        "AmazonProvidedDNS" => Some(provided),
        other => other.parse().ok(),
    };
    named.into_iter().flatten().filter_map(address).collect()
}

/// What is appended to short names, and to the instance's own; `private` is the domain of private names.
pub fn search(options: Option<&DhcpOptions>, private: &str) -> String {
    let Some(options) = options else {
        return private.to_owned();
    };
    let named = options.configuration.get("domain-name");
    let words = named
        .into_iter()
        .flatten()
        .flat_map(|name| name.split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DhcpOptionsId, Scope};

    #[test]
    fn what_the_options_say() {
        let scope = Scope::new("000000000000", "us-east-1");
        let check = |pairs: Option<&[(&str, &str)]>, servers: &str, domain: &str| {
            let options = pairs.map(|pairs| DhcpOptions {
                id: DhcpOptionsId::random(),
                scope: scope.clone(),
                is_default: false,
                configuration: pairs
                    .iter()
                    .map(|(k, v)| ((*k).into(), v.split(',').map(Into::into).collect()))
                    .collect(),
                tags: Default::default(),
            });
            let found = name_servers([10, 9, 0, 2].into(), options.as_ref());
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(","), servers, "{pairs:?}");
            assert_eq!(search(options.as_ref(), "ec2.internal"), domain);
        };
        check(None, "10.9.0.2", "ec2.internal");
        check(
            Some(&[
                ("domain-name", "corp.example lab.example"),
                (
                    "domain-name-servers",
                    "10.9.0.53,AmazonProvidedDNS,2600::53",
                ),
            ]),
            "10.9.0.53,10.9.0.2,2600::53",
            "corp.example lab.example",
        );
        check(Some(&[("ntp-servers", "10.9.0.1")]), "", "");
        check(
            Some(&[("domain-name", "a\nnameserver 6.6.6.6")]),
            "",
            "a nameserver 6.6.6.6",
        );
    }
}
