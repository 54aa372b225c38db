//! Signatures of instance identity documents, so that a third party can tell that a document
//! is this cloud's: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-rsa2048.html>

use crate::config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cms::builder::{SignedDataBuilder, SignerInfoBuilder};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::signed_data::{EncapsulatedContentInfo, SignerIdentifier};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer as _};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Any, DecodePem, Encode, Tag};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// The signatures of one document, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Signatures {
    /// Base64 of an RSA signature of the document's SHA-256.
    pub plain: String,
    /// Base64 of a PKCS #7 container with the document in it.
    pub pkcs7: String,
}

pub struct Identity {
    key: SigningKey<Sha256>,
    certificate: Certificate,
    /// The last documents signed: an agent may ask each minute, and signing costs milliseconds.
    signed: Mutex<Vec<(String, Signatures)>>,
}

/// Documents remembered.
const REMEMBERED: usize = 256;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

impl Identity {
    fn open(config: &config::Identity) -> Result<Self> {
        let key = RsaPrivateKey::from_pkcs8_pem(&std::fs::read_to_string(&config.key)?)?;
        Ok(Self {
            key: SigningKey::new(key),
            certificate: Certificate::from_pem(std::fs::read(&config.certificate)?)?,
            signed: Mutex::default(),
        })
    }

    pub fn sign(&self, document: &str) -> Option<Signatures> {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = signed.iter().find(|(text, _)| text == document) {
            return Some(found.clone());
        }
        let pkcs7 = self
            .container(document)
            .map_err(|error| tracing::error!(%error, "sign an identity document"))
            .ok()?;
        let made = Signatures {
            plain: lines(&self.key.sign(document.as_bytes()).to_bytes()),
            pkcs7: lines(&pkcs7),
        };
        if signed.len() >= REMEMBERED {
            signed.remove(0);
        }
        signed.push((document.to_owned(), made.clone()));
        Some(made)
    }

    fn container(&self, document: &str) -> Result<Vec<u8>> {
        let content = EncapsulatedContentInfo {
            econtent_type: DATA,
            econtent: Some(Any::new(Tag::OctetString, document.as_bytes())?),
        };
        let digest = AlgorithmIdentifierOwned {
            oid: SHA_256,
            parameters: None,
        };
        let certificate = &self.certificate.tbs_certificate;
        let signer = SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.issuer.clone(),
            serial_number: certificate.serial_number.clone(),
        });
        // The crate's error is no `Error`.
        let built = || {
            let signer = SignerInfoBuilder::new(&self.key, signer, digest.clone(), &content, None)?;
            SignedDataBuilder::new(&content)
                .add_digest_algorithm(digest)?
                .add_certificate(CertificateChoices::Certificate(self.certificate.clone()))?
                .add_signer_info::<SigningKey<Sha256>, Signature>(signer)?
                .build()
        };
        let container = built().map_err(|error: cms::builder::Error| error.to_string())?;
        Ok(container.to_der()?)
    }
}

/// Base64 in lines of 64, as AWS gives it and OpenSSL wants it.
fn lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / 64);
    for (n, c) in text.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    lines
}

/// Opens what a configuration names, once.
#[derive(Default)]
pub struct Identities(Option<(config::Identity, Arc<Identity>)>);

impl Identities {
    pub fn of(&mut self, wanted: &config::Identity) -> Result<Arc<Identity>> {
        match &self.0 {
            Some((config, identity)) if config == wanted => Ok(identity.clone()),
            _ => {
                let opened = Arc::new(Identity::open(wanted)?);
                self.0 = Some((wanted.clone(), opened.clone()));
                Ok(opened)
            }
        }
    }
}
