//! IP protocols as EC2 spells them: names for the common four, numbers else, −1 for all.

use super::error::{Result, invalid_value};

pub const ALL: i16 = -1;
pub const ICMP: i16 = 1;
pub const TCP: i16 = 6;
pub const UDP: i16 = 17;
pub const ICMPV6: i16 = 58;

pub fn parse(text: &str) -> Result<i16> {
    let number = match text.to_ascii_lowercase().as_str() {
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" => ICMP,
        "icmpv6" => ICMPV6,
        other => match other.parse::<i16>() {
            Ok(n) if (-1..=255).contains(&n) => n,
            _ => {
                return Err(invalid_value(format!(
                    "Invalid value '{text}' for IP protocol. Unknown protocol."
                )));
            }
        },
    };
    Ok(number)
}

/// As security groups list it.
pub fn name(number: i16) -> String {
    match number {
        TCP => "tcp".into(),
        UDP => "udp".into(),
        ICMP => "icmp".into(),
        ICMPV6 => "icmpv6".into(),
        other => other.to_string(),
    }
}

pub fn has_ports(number: i16) -> bool {
    matches!(number, TCP | UDP)
}

pub fn is_icmp(number: i16) -> bool {
    matches!(number, ICMP | ICMPV6)
}
