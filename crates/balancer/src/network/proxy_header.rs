//! Headers of the PROXY protocol, version 2, by which a target learns of the client.
//! Source: `haproxy.org/download/3.0/doc/proxy-protocol.txt`.

use std::net::SocketAddr;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const TYPE_CRC32C: u8 = 0x03;

/// Of health checks, which come from nobody but the load balancer.
pub fn local() -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([LOCAL, 0, 0, 0]);
    header
}

/// Of a client's connection to `server`, with a checksum as AWS's have one.
pub fn of(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let mut rest = Vec::new();
    let family = match (client, server) {
        (SocketAddr::V4(client), SocketAddr::V4(server)) => {
            rest.extend(client.ip().octets());
            rest.extend(server.ip().octets());
            TCP_OVER_IPV4
        }
        (SocketAddr::V6(client), SocketAddr::V6(server)) => {
            rest.extend(client.ip().octets());
            rest.extend(server.ip().octets());
            TCP_OVER_IPV6
        }
        // A connection has one family.
        _ => return local(),
    };
    rest.extend(client.port().to_be_bytes());
    rest.extend(server.port().to_be_bytes());
    // The sum is of the whole header with zeros in its own place.
    rest.extend([TYPE_CRC32C, 0, 4, 0, 0, 0, 0]);
    let mut header = SIGNATURE.to_vec();
    header.extend([PROXY, family]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&header);
    let place = header.len() - 4;
    header.truncate(place);
    header.extend(sum.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |client: &str, server: &str, expected: &str| {
            let header = of(client.parse().unwrap(), server.parse().unwrap());
            let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, format!("0d0a0d0a000d0a515549540a{expected}"));
        };
        check(
            "10.0.0.9:51442",
            "10.0.1.5:443",
            "211100130a0000090a000105c8f201bb030004e1e5a9ab",
        );
    }
}
