//! Certificates, and clients and targets that speak TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use balancer::config::*;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, StreamOwned,
};

use super::{LIMIT, own_address};

pub const SECURE_PORT: u16 = 8443;

/// A self-signed certificate for these names.
pub fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Certificate {
        chain: made.cert.pem(),
        private_key: made.signing_key.serialize_pem(),
    }
}

/// Adds an HTTPS listener with these certificates, the first the default; keys are `c0`, `c1`, ….
pub fn secure(config: &mut Config, certificates: &[Certificate]) {
    let keys: Vec<String> = (0..certificates.len()).map(|n| format!("c{n}")).collect();
    config.certificates = keys
        .iter()
        .cloned()
        .zip(certificates.iter().cloned())
        .collect();
    let balancer = &mut config.load_balancers[0];
    let plain = balancer.listeners[0].clone();
    let ciphers = [
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA",
    ];
    balancer.listeners.push(Listener {
        key: "secure".into(),
        port: SECURE_PORT,
        protocol: Protocol::Https,
        tls: Some(Tls {
            protocols: vec!["TLSv1".into(), "TLSv1.2".into(), "TLSv1.3".into()],
            ciphers: ciphers.map(str::to_owned).to_vec(),
            certificates: keys,
            ..Tls::default()
        }),
        ..plain
    });
}

/// Settings that trust these certificates and offer these protocols.
pub fn client_config(trusted: &[&Certificate], alpn: &[&[u8]]) -> ClientConfig {
    client_config_with(trusted, alpn, rustls::ALL_VERSIONS)
}

pub fn client_config_with(
    trusted: &[&Certificate],
    alpn: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots
            .add(CertificateDer::from_pem_slice(certificate.chain.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// A connection over TLS, in bytes.
pub struct SecureClient(pub StreamOwned<ClientConnection, TcpStream>);

impl SecureClient {
    /// The handshake is done with the first bytes.
    pub fn connect(address: SocketAddr, name: &str, config: ClientConfig) -> SecureClient {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        SecureClient(StreamOwned::new(connection, stream))
    }

    /// Whether the handshake comes to a good end.
    pub fn shakes_hands(&mut self) -> bool {
        while self.0.conn.is_handshaking() {
            if self.0.conn.complete_io(&mut self.0.sock).is_err() {
                return false;
            }
        }
        true
    }

    /// Sends a request and reads a head and as much of a body as its `Content-Length` says.
    pub fn ask(&mut self, request: &str) -> (String, String) {
        self.0.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_ascii_lowercase().split("\r\n").find_map(|line| {
                    line.strip_prefix("content-length: ")
                        .map(|value| value.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap_or(0) {
                    return (head.to_owned(), body.to_owned());
                }
            }
            let mut piece = [0; 4096];
            let length = self.0.read(&mut piece).unwrap();
            assert!(length > 0, "closed after {text:?}");
            bytes.extend_from_slice(&piece[..length]);
        }
    }

    pub fn get(&mut self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }
}

/// Settings of a server that shows this certificate.
pub fn server_config(made: &Certificate) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_slice(made.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(made.private_key.as_bytes()).unwrap();
    builder.with_single_cert(chain, key).unwrap()
}

/// A target that answers every request over TLS with its name, until the process ends.
pub fn secure_target(name: &'static str) -> Target {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(server_config(&certificate(&["nobody.example"])));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let config = config.clone();
            thread::spawn(move || {
                let connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut piece) {
                    bytes.extend_from_slice(&piece[..length]);
                    if bytes.ends_with(b"\r\n\r\n") {
                        bytes.clear();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
                            name.len()
                        );
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Target {
        key: name.into(),
        address,
        zone: None,
        state: TargetState::Active,
    }
}

/// Takes any certificate.
#[derive(Debug)]
pub struct Anybody(Vec<SignatureScheme>);

impl Anybody {
    pub fn new() -> Arc<Anybody> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let schemes = provider.signature_verification_algorithms;
        Arc::new(Anybody(schemes.supported_schemes()))
    }
}

impl ServerCertVerifier for Anybody {
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
        self.0.clone()
    }
}
