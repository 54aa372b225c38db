//! One check: connect, GET, read the head, close.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::check_h2;
use super::matcher::Matcher;
use super::track::{Failure, Outcome};
use crate::config::{Protocol, ProtocolVersion};
use crate::http::body::{Body, Keep};
use crate::http::request::fields;
use crate::http::response;
use crate::netns::{self, Namespace};
use crate::network::proxy_header;
use crate::tls::{self, Stream};

/// What is left of a response is read before closing, so that the target sees no reset.
const DRAIN_LIMIT: usize = 256 * 1024;

/// What to ask whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub source: IpAddr,
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub version: ProtocolVersion,
    pub path: String,
    pub timeout: Duration,
    pub matcher: Matcher,
    /// An accepted connection is enough; path and matcher are of no use.
    pub is_tcp: bool,
    /// A PROXY header goes first, one that names nobody.
    pub proxy_protocol: bool,
}

/// The outcome, and the code that was answered.
pub async fn check(namespace: Option<&Namespace>, spec: &Spec) -> (Outcome, Option<u16>) {
    let answered = ask(namespace, spec).await;
    match answered {
        Ok(None) => (Outcome::Pass, None),
        Ok(Some(code)) if spec.matcher.matches(code) => (Outcome::Pass, Some(code)),
        Ok(Some(code)) => (Outcome::Fail(Failure::Mismatch(code)), Some(code)),
        Err(failure) => (Outcome::Fail(failure), None),
    }
}

/// The code that was answered, where there are codes.
async fn ask(namespace: Option<&Namespace>, spec: &Spec) -> Result<Option<u16>, Failure> {
    if spec.is_tcp {
        let connected = timeout(spec.timeout, connect(namespace, spec)).await;
        return connected.unwrap_or(Err(Failure::Timeout)).map(|_| None);
    }
    if spec.version != ProtocolVersion::Http1 {
        let asked = timeout(spec.timeout, async {
            let stream = connect(namespace, spec).await?;
            check_h2::ask(stream, spec, &host(spec)).await
        });
        return asked.await.unwrap_or(Err(Failure::Timeout)).map(Some);
    }
    let asked = timeout(spec.timeout, async {
        let mut stream = connect(namespace, spec).await?;
        stream
            .send(request(spec).as_bytes())
            .await
            .map_err(|error| broken("send", &error))?;
        let (status, body, rest) = read_head(&mut stream).await?;
        Ok((stream, status, body, rest))
    });
    let (stream, status, body, rest) = asked.await.unwrap_or(Err(Failure::Timeout))?;
    let _ = timeout(spec.timeout, drain(stream, body, rest)).await;
    Ok(Some(status))
}

/// The port is named only if it is not the protocol's own.
fn host(spec: &Spec) -> String {
    let default_port = match spec.protocol {
        Protocol::Http => 80,
        Protocol::Https => 443,
    };
    if spec.address.port() != default_port {
        return spec.address.to_string();
    }
    match spec.address.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// As AWS's checker writes it.
fn request(spec: &Spec) -> String {
    let host = host(spec);
    format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\
         Accept-Encoding: gzip, compressed\r\n\r\n",
        spec.path
    )
}

async fn connect(namespace: Option<&Namespace>, spec: &Spec) -> Result<Stream, Failure> {
    let socket = netns::connecting_socket(namespace, spec.source)
        .map_err(|error| Failure::Internal(format!("make a socket: {error}")))?;
    let connected = async {
        let mut stream = socket.connect(spec.address).await?;
        if spec.proxy_protocol {
            stream.write_all(&proxy_header::local()).await?;
        }
        io::Result::Ok(stream)
    };
    match connected.await {
        Ok(stream) if spec.protocol == Protocol::Http => Ok(stream.into()),
        Ok(stream) => {
            let http2 = spec.version != ProtocolVersion::Http1;
            let secured = tls::connect(stream, http2).await;
            secured.map_err(|error| broken("TLS handshake", &error))
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::Timeout),
        Err(error) => Err(broken("connect", &error)),
    }
}

/// Status, framing of the body, and what of it came with the head.
async fn read_head(stream: &mut Stream) -> Result<(u16, Body, Vec<u8>), Failure> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) => return Err(Failure::Broken("closed without an answer".into())),
            Err(error) => return Err(broken("read", &error)),
        }
        let mut room = fields();
        match response::parse(&buffer, &mut room, false) {
            Ok(Some(response)) if response.is_interim() => {
                let length = response.length;
                buffer.drain(..length);
            }
            Ok(Some(response)) => {
                let (status, body, length) = (response.status, response.body, response.length);
                return Ok((status, body, buffer.split_off(length)));
            }
            Ok(None) => {}
            Err(_) => return Err(Failure::Broken("malformed response".into())),
        }
    }
}

/// Reads the body to its end; whether the target then closes is its own affair.
async fn drain(mut stream: Stream, mut body: Body, mut piece: Vec<u8>) {
    let mut left = DRAIN_LIMIT;
    while body.advance(&mut piece, Keep::Data).is_ok() && !body.is_done() {
        piece.clear();
        match stream.read_buf(&mut piece).await {
            Ok(length @ 1..) if length < left => left -= length,
            _ => return,
        }
    }
}

pub fn broken(what: &str, error: &io::Error) -> Failure {
    Failure::Broken(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        fn check(address: &str, host: &str) {
            let spec = Spec {
                source: IpAddr::from([127, 0, 0, 1]),
                address: address.parse().unwrap(),
                protocol: Protocol::Http,
                version: ProtocolVersion::Http1,
                path: "/up?x".into(),
                timeout: Duration::ZERO,
                matcher: Matcher::parse("200").unwrap(),
                is_tcp: false,
                proxy_protocol: false,
            };
            let request = request(&spec);
            assert!(
                request.starts_with(&format!("GET /up?x HTTP/1.1\r\nHost: {host}\r\n")),
                "{request}"
            );
        }
        check("10.0.1.5:80", "10.0.1.5");
        check("10.0.1.5:8000", "10.0.1.5:8000");
        check("[fd00::1]:80", "[fd00::1]");
    }
}
