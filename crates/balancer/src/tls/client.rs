//! TLS to targets. Their certificates are not verified, as AWS does not (A/load-balancer-target-groups.html).

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;

/// Shakes hands with a target; `http2` says in which protocol it will be spoken to.
pub async fn connect(stream: TcpStream, http2: bool) -> io::Result<Stream> {
    let address = stream.peer_addr()?.ip();
    let connector = TlsConnector::from(settings(http2)?);
    // An address, so that no server name is sent.
    let name = ServerName::from(rustls::pki_types::IpAddr::from(address));
    let stream = connector.connect(name, stream).await?;
    if http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("the target does not speak HTTP/2"));
    }
    Ok(Stream::secured(stream.into()))
}

fn settings(http2: bool) -> io::Result<Arc<ClientConfig>> {
    static SETTINGS: [OnceLock<Result<Arc<ClientConfig>, rustls::Error>>; 2] =
        [const { OnceLock::new() }; 2];
    let built = SETTINGS[usize::from(http2)].get_or_init(|| {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyTarget));
        let mut config = builder.with_no_client_auth();
        if http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Ok(Arc::new(config))
    });
    built.clone().map_err(io::Error::other)
}

#[derive(Debug)]
struct AnyTarget;

impl ServerCertVerifier for AnyTarget {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
