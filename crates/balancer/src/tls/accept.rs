//! The handshake with a client, and what is known of the connection afterwards.

use std::rc::Rc;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::Server;
use super::policy::{cipher_name, version_name};
use super::stream::Stream;

/// What a connection over TLS is, for headers and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// `TLSv1.2`, `TLSv1.3`
    pub version: &'static str,
    /// In OpenSSL's spelling.
    pub cipher: &'static str,
    /// That the client asked for.
    pub server_name: Option<String>,
    /// Key of the one served.
    pub certificate: String,
    pub is_http2: bool,
    /// The client's own with its chain, in PEM with percent signs for what no header may hold.
    pub client_certificate: Option<String>,
}

pub enum Accepted {
    Secured(Stream, Rc<Session>),
    /// The client speaks HTTP without TLS.
    Plain(TcpStream),
    Failed,
}

/// Shakes hands. The caller limits the time.
pub async fn accept(server: &Server, stream: TcpStream) -> Accepted {
    let mut first = [0];
    match stream.peek(&mut first).await {
        // A hello begins with 22; methods are letters.
        Ok(1) if first[0].is_ascii_uppercase() => return Accepted::Plain(stream),
        Ok(1) => {}
        _ => return Accepted::Failed,
    }
    let started = match LazyConfigAcceptor::new(Acceptor::default(), stream).await {
        Ok(started) => started,
        Err(_) => return Accepted::Failed,
    };
    let hello = started.client_hello();
    let server_name = hello.server_name().map(str::to_owned);
    let served = server.choose(&hello);
    let stream = match started.into_stream(served.config.clone()).await {
        Ok(stream) => stream,
        Err(_) => return Accepted::Failed,
    };
    let (_, connection) = stream.get_ref();
    let suite = connection.negotiated_cipher_suite();
    let session = Session {
        version: connection.protocol_version().map_or("-", version_name),
        cipher: suite.map_or("-", |suite| cipher_name(suite.suite())),
        server_name,
        certificate: served.key.clone(),
        is_http2: connection.alpn_protocol() == Some(b"h2"),
        client_certificate: connection.peer_certificates().map(in_header),
    };
    Accepted::Secured(Stream::secured(stream.into()), Rc::new(session))
}

/// PEM with `+`, `=` and `/` as they are and what else is neither letter nor digit escaped
/// (A/mutual-authentication.html).
fn in_header(chain: &[rustls::pki_types::CertificateDer<'_>]) -> String {
    use base64::Engine;
    use std::fmt::Write as _;
    let mut out = String::new();
    for certificate in chain {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        for byte in pem.bytes() {
            match byte {
                b'+' | b'=' | b'/' | b'-' => out.push(byte.into()),
                byte if byte.is_ascii_alphanumeric() => out.push(byte.into()),
                byte => _ = write!(out, "%{byte:02X}"),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_fit_into_a_header() {
        let header = in_header(&[vec![0xfb; 3].into()]);
        assert_eq!(
            header,
            "-----BEGIN%20CERTIFICATE-----%0A+/v7%0A-----END%20CERTIFICATE-----%0A"
        );
    }
}
