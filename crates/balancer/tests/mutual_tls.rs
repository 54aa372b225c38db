//! Clients that show certificates: passed on, or judged by a trust store.

mod common;

use std::net::SocketAddr;

use balancer::config::{Config, Trust};
use common::tls::*;
use common::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    Authority {
        pem: params.self_signed(&key).unwrap().pem(),
        issuer: Issuer::new(params, key),
    }
}

/// A client's certificate and key in PEM.
struct Shown {
    chain: String,
    key: String,
}

impl Authority {
    fn sign(&self, serial: u8, last_year: i32) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Shown {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn revoking(&self, serial: u8) -> String {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from_slice(&[serial]),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The answer's head if the client gets in. With TLS 1.3 it learns of a refusal when it reads.
fn ask(
    balancer: &Balancer,
    made: &balancer::config::Certificate,
    shown: Option<&Shown>,
) -> Option<String> {
    let address = SocketAddr::new(balancer.address.ip(), SECURE_PORT);
    let mut config = client_config(&[made], &[b"http/1.1"]);
    if let Some(shown) = shown {
        let chain = vec![CertificateDer::from_pem_slice(shown.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        config.client_auth_cert_resolver = std::sync::Arc::new(resolver);
    }
    let mut client = SecureClient::connect(address, "a.example", config);
    use std::io::{Read, Write};
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nX-Amzn-Mtls-Clientcert-Subject: CN=forged\r\n\r\n";
    client.0.write_all(request).ok()?;
    let mut bytes = Vec::new();
    let _ = client.0.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.starts_with("HTTP/1.1 200").then_some(text)
}

fn start(
    target: &Server,
    change: impl FnOnce(&mut Config),
) -> (Balancer, balancer::config::Certificate) {
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(&[target], |config| {
        secure(config, std::slice::from_ref(&made));
        change(config);
    });
    (balancer, made)
}

fn tls(config: &mut Config) -> &mut balancer::config::Tls {
    config.balancer().listeners[1].tls.as_mut().unwrap()
}

#[test]
fn a_trust_store_decides_who_gets_in() {
    let target = Server::start("one");
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let logs = std::env::temp_dir().join(format!("balancer-mutual-{}", std::process::id()));
    let (mut balancer, made) = start(&target, |config| {
        config.balancer().attributes.connection_log = Some(logs.clone());
        tls(config).takes_client_certificates = true;
        tls(config).trust = Some(Trust {
            authorities: ours.pem.clone(),
            ..Trust::default()
        });
        let headers = &mut config.balancer().listeners[1].headers;
        let usual = "x-amzn-mtls-clientcert-serial-number".to_owned();
        headers.renamed.insert(usual, "X-Serial".into());
    });
    let good = ours.sign(7, 2090);
    assert!(ask(&balancer, &made, Some(&good)).is_some());
    let head = target.last();
    assert!(head.contains("\r\nX-Serial: 07\r\n"), "{head}");
    assert!(
        head.contains("\r\nX-Amzn-Mtls-Clientcert-Subject: CN=client\r\n"),
        "{head}"
    );
    assert!(
        head.contains("X-Amzn-Mtls-Clientcert-Leaf: -----BEGIN%20CERT"),
        "{head}"
    );
    assert!(!head.contains("forged"), "{head}");
    assert_eq!(ask(&balancer, &made, None), None);
    assert_eq!(ask(&balancer, &made, Some(&theirs.sign(7, 2090))), None);
    let expired = ours.sign(8, 2021);
    assert_eq!(ask(&balancer, &made, Some(&expired)), None);
    balancer.change(|config| tls(config).trust.as_mut().unwrap().ignores_expiry = true);
    assert!(ask(&balancer, &made, Some(&expired)).is_some());
    balancer.change(|config| {
        tls(config).trust.as_mut().unwrap().revocations = vec![ours.revoking(7)];
    });
    assert_eq!(ask(&balancer, &made, Some(&good)), None);
    assert!(ask(&balancer, &made, Some(&ours.sign(9, 2090))).is_some());
    drop(balancer);
    let log = std::fs::read_to_string(logs.join("a.log")).unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    let expected = [
        " \"CN=client\" NotBefore=2020-01-01T00:00:00Z;NotAfter=2090-01-01T00:00:00Z 07 Success TID_",
        " \"-\" - - Failed:ClientCertRejected TID_",
        " \"-\" - - Failed:ClientCertUntrusted TID_",
        " \"-\" - - Failed:ClientCertExpired TID_",
        " 08 Success TID_",
        " \"-\" - - Failed:ClientCertCrlHit TID_",
        " 09 Success TID_",
    ];
    assert_eq!(log.lines().count(), expected.len(), "{log}");
    for (line, part) in log.lines().zip(expected) {
        assert!(line.contains(part), "{part} in {line}");
        assert!(line.contains(" 8443 "), "{line}");
    }
}

#[test]
fn passthrough_shows_targets_what_clients_show() {
    let target = Server::start("one");
    let (balancer, made) = start(&target, |config| {
        tls(config).takes_client_certificates = true
    });
    assert!(ask(&balancer, &made, Some(&authority("any").sign(1, 2021))).is_some());
    let head = target.last();
    assert!(
        head.contains("\r\nX-Amzn-Mtls-Clientcert: -----BEGIN%20CERT"),
        "{head}"
    );
    assert!(!head.contains("forged"), "{head}");
    assert!(ask(&balancer, &made, None).is_some());
    assert!(!target.last().contains("Mtls"));
}

#[test]
fn a_store_without_authorities_serves_nobody() {
    let target = Server::start("one");
    let (balancer, _) = start(&target, |config| {
        tls(config).takes_client_certificates = true;
        tls(config).trust = Some(Trust::default());
    });
    assert!(
        balancer.problems[0].contains("trust store"),
        "{:?}",
        balancer.problems
    );
    assert_eq!(balancer.get("/").status, 200);
}
