//! The handshake with a client, and what is known of the connection afterwards.

use std::io;
use std::rc::Rc;

use rustls::server::Acceptor;
use rustls::{CertificateError, HandshakeKind};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::Server;
use super::client_certificate::ClientCertificate;
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
    /// Key of the one served, and whether it is for that name.
    pub certificate: String,
    pub is_named: bool,
    /// It goes on with one of before, and no certificate was shown.
    pub is_resumed: bool,
    pub is_http2: bool,
    /// The application's protocol that was agreed upon, and those that the client offered.
    pub alpn: Option<String>,
    pub offered_alpn: Vec<String>,
    /// Of a client that showed one.
    pub client: Option<ClientCertificate>,
}

/// A handshake that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why, as connection logs say it.
    pub why: &'static str,
    /// What the client complained of, if it did (RFC 8446 §6).
    pub alert: Option<u8>,
}

impl Failed {
    const UNMAPPED: Failed = Failed {
        why: UNMAPPED,
        alert: None,
    };
}

/// Why a handshake came to nothing, where AWS has no word of its own for it.
pub const UNMAPPED: &str = "UnmappedConnectionError";

pub enum Accepted {
    Secured(Stream, Rc<Session>),
    /// The client speaks HTTP without TLS.
    Plain(TcpStream),
    Failed(Failed),
}

/// Shakes hands. The caller limits the time.
pub async fn accept(server: &Server, stream: TcpStream) -> Accepted {
    let mut first = [0];
    match stream.peek(&mut first).await {
        // A hello begins with 22; methods are letters.
        Ok(1) if first[0].is_ascii_uppercase() => return Accepted::Plain(stream),
        Ok(1) => {}
        _ => return Accepted::Failed(Failed::UNMAPPED),
    }
    let started = match LazyConfigAcceptor::new(Acceptor::default(), stream).await {
        Ok(started) => started,
        Err(_) => return Accepted::Failed(Failed::UNMAPPED),
    };
    let hello = started.client_hello();
    let server_name = hello.server_name().map(str::to_owned);
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let offered_alpn = hello.alpn().into_iter().flatten().map(text).collect();
    let served = server.choose(&hello);
    let stream = match started.into_stream(served.config.clone()).await {
        Ok(stream) => stream,
        Err(error) => return Accepted::Failed(failed(&error)),
    };
    let (_, connection) = stream.get_ref();
    let suite = connection.negotiated_cipher_suite();
    let shown = connection.peer_certificates().unwrap_or_default();
    let session = Session {
        version: connection.protocol_version().map_or("-", version_name),
        cipher: suite.map_or("-", |suite| cipher_name(suite.suite())),
        is_named: server_name
            .as_deref()
            .is_some_and(|name| served.is_for(name)),
        server_name,
        certificate: served.key.clone(),
        is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        is_http2: connection.alpn_protocol() == Some(b"h2"),
        alpn: connection.alpn_protocol().map(text),
        offered_alpn,
        client: ClientCertificate::of(shown, server.verifies_clients),
    };
    Accepted::Secured(Stream::secured(stream.into()), Rc::new(session))
}

fn failed(error: &io::Error) -> Failed {
    let error = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    Failed {
        why: reason(error),
        alert: match error {
            Some(rustls::Error::AlertReceived(alert)) => Some(u8::from(*alert)),
            _ => None,
        },
    }
}

/// As connection logs name it (A/load-balancer-connection-logs.html).
fn reason(error: Option<&rustls::Error>) -> &'static str {
    match error {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "ClientCertExpired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "ClientCertNotYetValid"
            }
            CertificateError::Revoked => "ClientCertCrlHit",
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "ClientCertUntrusted"
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "ClientCertPurposeInvalid"
            }
            _ => "ClientCertInvalid",
        },
        Some(rustls::Error::NoCertificatesPresented) => "ClientCertRejected",
        _ => UNMAPPED,
    }
}
