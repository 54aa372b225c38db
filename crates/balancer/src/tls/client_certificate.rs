//! A client's certificate, as targets and connection logs are told of it (A/mutual-authentication.html).

use std::fmt::Write as _;

use base64::Engine as _;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

/// Ready for header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// In hexadecimal.
    pub serial_number: String,
    /// As RFC 2253 writes names.
    pub issuer: String,
    pub subject: String,
    /// `NotBefore=…;NotAfter=…`
    pub validity: String,
    /// PEM with percent signs for what no header may hold.
    pub leaf: String,
    /// The same with all that the client sent along, where nobody here verified it (passthrough).
    pub chain: Option<String>,
}

impl ClientCertificate {
    /// `None` without certificate, or if the client's own is none at all.
    pub fn of(chain: &[CertificateDer<'_>], is_verified: bool) -> Option<ClientCertificate> {
        let leaf = chain.first()?;
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let serial_number = parsed
            .raw_serial()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            });
        let validity = parsed.validity();
        Some(ClientCertificate {
            serial_number,
            issuer: name(parsed.issuer()),
            subject: name(parsed.subject()),
            validity: format!(
                "NotBefore={};NotAfter={}",
                moment(validity.not_before),
                moment(validity.not_after)
            ),
            leaf: escaped(leaf),
            chain: (!is_verified).then(|| chain.iter().map(escaped).collect()),
        })
    }

    /// Names and values of the fields that targets get.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        match &self.chain {
            Some(chain) => vec![("X-Amzn-Mtls-Clientcert", chain)],
            None => vec![
                ("X-Amzn-Mtls-Clientcert-Serial-Number", &self.serial_number),
                ("X-Amzn-Mtls-Clientcert-Issuer", &self.issuer),
                ("X-Amzn-Mtls-Clientcert-Subject", &self.subject),
                ("X-Amzn-Mtls-Clientcert-Validity", &self.validity),
                ("X-Amzn-Mtls-Clientcert-Leaf", &self.leaf),
            ],
        }
    }
}

/// Most specific part first. What is not printable ASCII is left out: it could end a header.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_attributes().collect();
    let registry = x509_parser::objects::oid_registry();
    let mut out = String::new();
    for part in parts.into_iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        match x509_parser::objects::oid2abbrev(part.attr_type(), registry) {
            Ok(short) => out.push_str(short),
            Err(_) => _ = write!(out, "{}", part.attr_type()),
        }
        out.push('=');
        for character in part.as_str().unwrap_or_default().chars() {
            match character {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
                ' '..='~' => out.push(character),
                _ => {}
            }
        }
    }
    out
}

fn moment(time: ASN1Time) -> String {
    let at = jiff::Timestamp::from_second(time.timestamp()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `+`, `=` and `/` stay as they are, what else is neither letter nor digit is escaped.
fn escaped(certificate: &CertificateDer<'_>) -> String {
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
    let mut out = String::with_capacity(pem.len() * 5 / 4);
    for byte in pem.bytes() {
        match byte {
            b'+' | b'=' | b'/' | b'-' => out.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            byte => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

    #[test]
    fn told_as_aws_does() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "US");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "a, b");
        params
            .distinguished_name
            .push(DnType::CommonName, "client\r\nX: y");
        params.serial_number = Some(SerialNumber::from_slice(&[0x03, 0xa5]));
        params.not_before = rcgen::date_time_ymd(2023, 9, 21);
        params.not_after = rcgen::date_time_ymd(2033, 9, 20);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let told = ClientCertificate::of(&[made.der().clone()], true).unwrap();
        assert_eq!(told.serial_number, "03A5");
        assert_eq!(told.subject, "CN=clientX: y,O=a\\, b,C=US");
        assert_eq!(told.issuer, told.subject);
        assert_eq!(
            told.validity,
            "NotBefore=2023-09-21T00:00:00Z;NotAfter=2033-09-20T00:00:00Z"
        );
        assert!(told.leaf.starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
        assert_eq!(told.fields().len(), 5);
        let passed = ClientCertificate::of(&[made.der().clone()], false).unwrap();
        assert_eq!(
            passed.fields(),
            [("X-Amzn-Mtls-Clientcert", told.leaf.as_str())]
        );
        assert_eq!(ClientCertificate::of(&[], true), None);
        assert_eq!(ClientCertificate::of(&[vec![1, 2].into()], true), None);
    }
}
