//! Whether a client's certificate is taken: any (passthrough), or one of a trust store's authorities.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{Tls, Trust};

/// `None` where clients are asked for none.
pub fn verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if !tls.takes_client_certificates {
        return Ok(None);
    }
    match &tls.trust {
        Some(trust) => trusting(trust, provider).map(Some),
        None => {
            let algorithms = provider.signature_verification_algorithms;
            Ok(Some(Arc::new(AnyClient(algorithms))))
        }
    }
}

fn trusting(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(trust.authorities.as_bytes()) {
        let authority = authority.map_err(|error| format!("read the trust store: {error}"))?;
        let added = roots.add(authority);
        added.map_err(|error| format!("take an authority of the trust store: {error}"))?;
    }
    let lists = trust
        .revocations
        .iter()
        .flat_map(|pem| CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()));
    let lists = lists.collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|error| format!("read a revocation list: {error}"))?;
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .with_crls(lists)
            .allow_unknown_revocation_status();
    if !trust.advertises_authorities {
        builder = builder.clear_root_hint_subjects();
    }
    let verifier = builder.build();
    let verifier = verifier.map_err(|error| format!("trust the trust store: {error}"))?;
    Ok(match trust.ignores_expiry {
        true => Arc::new(Timeless(verifier)),
        false => verifier,
    })
}

/// Takes whatever certificate a client shows, or none: targets are to judge (mTLS passthrough).
/// That the client has its key is checked.
#[derive(Debug)]
struct AnyClient(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Judges a certificate as of the nearest moment at which it was good
/// (`IgnoreClientCertificateExpiry`).
#[derive(Debug)]
struct Timeless(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Timeless {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let expiry = X509Certificate::from_der(end).ok();
        let expiry = expiry.map(|(_, parsed)| parsed.validity().not_after.timestamp());
        let expiry = expiry.and_then(|seconds| u64::try_from(seconds).ok());
        let then = match expiry {
            Some(seconds) if seconds < now.as_secs() => {
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
            }
            _ => now,
        };
        self.0.verify_client_cert(end, intermediates, then)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
