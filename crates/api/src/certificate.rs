//! What a certificate says, and whether it fits its key: for Certificate Manager and IAM.
//!
//! `rustls`, which serves them in the end, is asked whether a key can be used and belongs to the
//! certificate, so that what is accepted here is what listeners can serve.

use model::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::{GeneralName, KeyUsage};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

/// What a certificate says.
#[derive(Debug, PartialEq)]
pub struct Facts {
    /// DNS names of the extension; of a certificate without it, the common name.
    pub names: Vec<String>,
    pub subject: String,
    pub issuer: String,
    /// Pairs of hexadecimal digits with colons.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// As ACM's `KeyAlgorithm`.
    pub key_algorithm: &'static str,
    /// As ACM writes it, such as `SHA256WITHRSA`.
    pub signature_algorithm: String,
    pub key_usages: Vec<&'static str>,
    /// ACM's name and the object identifier.
    pub extended_key_usages: Vec<(&'static str, String)>,
}

/// Why certificate, chain and key cannot be used together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unfit {
    Certificate,
    Chain,
    /// Parsed, but somebody in the chain has not signed the one before.
    ChainOrder,
    Key,
    /// Read, but of a kind or size that no listener here can serve.
    KeyKind,
    Mismatch,
}

/// Checks all that is uploaded together.
pub fn check(body: &str, chain: Option<&str>, key: &str) -> Result<Facts, Unfit> {
    let bodies = all(body).filter(|all| all.len() == 1);
    let mut certificates = bodies.ok_or(Unfit::Certificate)?;
    let facts = facts(body).ok_or(Unfit::Certificate)?;
    if let Some(chain) = chain {
        let chain = all(chain).filter(|all| !all.is_empty());
        certificates.extend(chain.ok_or(Unfit::Chain)?);
        for pair in certificates.windows(2) {
            X509Certificate::from_der(&pair[1]).map_err(|_| Unfit::Chain)?;
            if !is_signed_by(&pair[0], &pair[1]) {
                return Err(Unfit::ChainOrder);
            }
        }
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| Unfit::Key)?;
    let key = any_supported_type(&key).map_err(|_| Unfit::KeyKind)?;
    match CertifiedKey::new(certificates, key).keys_match() {
        Ok(()) => Ok(facts),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Unfit::Mismatch),
        Err(_) => Err(Unfit::Certificate),
    }
}

fn is_signed_by(certificate: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> bool {
    let parsed = X509Certificate::from_der(certificate).ok();
    let issuer = X509Certificate::from_der(issuer).ok();
    parsed
        .zip(issuer)
        .is_some_and(|((_, certificate), (_, issuer))| {
            certificate.issuer().as_raw() == issuer.subject().as_raw()
                && certificate
                    .verify_signature(Some(issuer.public_key()))
                    .is_ok()
        })
}

/// Every certificate in PEM; `None` if one is broken.
fn all(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .ok()
}

/// What the first certificate in PEM says.
pub fn facts(pem: &str) -> Option<Facts> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let (mut names, mut key_usages, mut extended_key_usages) = (vec![], vec![], vec![]);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(found) => {
                names.extend(found.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                }));
            }
            ParsedExtension::KeyUsage(found) => key_usages = usages(found),
            ParsedExtension::ExtendedKeyUsage(found) => {
                extended_key_usages = extended(found);
            }
            _ => {}
        }
    }
    if names.is_empty() {
        let mut common = certificate.subject().iter_common_name();
        names.extend(
            common
                .find_map(|name| name.as_str().ok())
                .map(str::to_owned),
        );
    }
    let time = |at: x509_parser::time::ASN1Time| Timestamp::from_second(at.timestamp()).ok();
    Some(Facts {
        names,
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: certificate.raw_serial_as_string(),
        not_before: time(certificate.validity().not_before)?,
        not_after: time(certificate.validity().not_after)?,
        key_algorithm: key_algorithm(&certificate)?,
        signature_algorithm: signature_algorithm(&certificate),
        key_usages,
        extended_key_usages,
    })
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(match key.key_size() {
            0..=1024 => "RSA_1024",
            1025..=2048 => "RSA_2048",
            2049..=3072 => "RSA_3072",
            _ => "RSA_4096",
        }),
        PublicKey::EC(point) => Some(match point.key_size() {
            0..=256 => "EC_prime256v1",
            257..=384 => "EC_secp384r1",
            _ => "EC_secp521r1",
        }),
        _ => None,
    }
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    match oid.as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA".into(),
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA".into(),
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA".into(),
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA".into(),
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA".into(),
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA".into(),
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA".into(),
        _ => oid,
    }
}

fn usages(found: &KeyUsage) -> Vec<&'static str> {
    let all = [
        (found.digital_signature(), "DIGITAL_SIGNATURE"),
        (found.non_repudiation(), "NON_REPUDIATION"),
        (found.key_encipherment(), "KEY_ENCIPHERMENT"),
        (found.data_encipherment(), "DATA_ENCIPHERMENT"),
        (found.key_agreement(), "KEY_AGREEMENT"),
        (found.key_cert_sign(), "CERTIFICATE_SIGNING"),
        (found.crl_sign(), "CRL_SIGNING"),
        (found.encipher_only(), "ENCIPHER_ONLY"),
        (found.decipher_only(), "DECIPHER_ONLY"),
    ];
    all.into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name)
        .collect()
}

fn extended(found: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Vec<(&'static str, String)> {
    let all = [
        (found.any, "ANY", "2.5.29.37.0"),
        (
            found.server_auth,
            "TLS_WEB_SERVER_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.1",
        ),
        (
            found.client_auth,
            "TLS_WEB_CLIENT_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.2",
        ),
        (found.code_signing, "CODE_SIGNING", "1.3.6.1.5.5.7.3.3"),
        (
            found.email_protection,
            "EMAIL_PROTECTION",
            "1.3.6.1.5.5.7.3.4",
        ),
        (found.time_stamping, "TIME_STAMPING", "1.3.6.1.5.5.7.3.8"),
        (found.ocsp_signing, "OCSP_SIGNING", "1.3.6.1.5.5.7.3.9"),
    ];
    let known = all
        .into_iter()
        .filter(|(on, ..)| *on)
        .map(|(_, name, oid)| (name, oid.to_owned()));
    known
        .chain(found.other.iter().map(|oid| ("CUSTOM", oid.to_id_string())))
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    /// A self-signed certificate for these names, and its key, in PEM.
    pub fn self_signed(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn facts_are_read() {
        let (pem, key) = self_signed(&["a.example", "*.b.example"]);
        let found = check(&pem, None, &key).unwrap();
        assert_eq!(found.names, ["a.example", "*.b.example"]);
        assert_eq!(found.key_algorithm, "EC_prime256v1");
        assert_eq!(found.signature_algorithm, "SHA256WITHECDSA");
        assert!(found.not_before < found.not_after);
        assert!(found.serial.contains(':'), "{}", found.serial);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(vec!["c.example".into()]).unwrap();
        let signed = signed.signed_by(&key, &issuer).unwrap();
        let (signed, key, authority) = (signed.pem(), key.serialize_pem(), authority.pem());
        let (other, other_key) = self_signed(&["d.example"]);
        let check = |body: &str, chain: Option<&str>, key: &str, expected: Result<(), Unfit>| {
            assert_eq!(super::check(body, chain, key).map(|_| ()), expected);
        };
        check(&signed, Some(&authority), &key, Ok(()));
        check(&signed, None, &key, Ok(()));
        check(&signed, Some(&other), &key, Err(Unfit::ChainOrder));
        check(&signed, Some("x"), &key, Err(Unfit::Chain));
        check(&signed, None, &other_key, Err(Unfit::Mismatch));
        check(&signed, None, "x", Err(Unfit::Key));
        check(
            &signed,
            None,
            &key.replace("MIGH", "MIGG"),
            Err(Unfit::KeyKind),
        );
        check("", None, &key, Err(Unfit::Certificate));
        check(
            &format!("{signed}{authority}"),
            None,
            &key,
            Err(Unfit::Certificate),
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        check(broken, None, &key, Err(Unfit::Certificate));
    }
}
