//! Certificates: issues what was requested, and renews it before it ends.
//!
//! The cloud has an authority of its own, made at the first start; who trusts its certificate
//! (`nines ca`) trusts what it issued. Validation is a record that the requester places in the
//! domain's zone. Where the account has a public zone that holds the name, the record must be there;
//! where nobody here has one, nobody could place it, so that the name is taken as validated and the
//! event says that nothing was checked.

use crate::clock::earliest;
use crate::{World, hosted_zone};
use jiff::{SignedDuration, Timestamp};
use model::acm::{Certificate, CertificateAuthority, CertificateMaterial, CertificateOrigin};
use model::event::Severity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use std::time::{Duration, SystemTime};
use store::State;

/// As ACM's certificates (13 months), and its authority ten years.
const LIFE: SignedDuration = SignedDuration::from_hours(395 * 24);
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(3650 * 24);
/// ACM renews when so much is left.
const RENEWAL: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Clocks differ: valid from so long before now.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

type Result<T> = std::result::Result<T, rcgen::Error>;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    if let Err(error) = ensure_authority(world, now) {
        tracing::error!(%error, "make the cloud's certificate authority");
        return None;
    }
    let state = world.store.snapshot();
    let authority = state.certificate_authorities.get(&())?;
    let mut again = None;
    for certificate in state.certificates.values() {
        let CertificateOrigin::Requested { key_algorithm, .. } = &certificate.origin else {
            continue;
        };
        let due = certificate.issued.map(|at| at + (LIFE - RENEWAL));
        if due.is_some_and(|due| now < due) {
            again = earliest(again, due);
            continue;
        }
        let checked = match validated(&state, certificate) {
            Some(checked) => checked,
            // For a first one; what was validated once is renewed while its record stays.
            None => continue,
        };
        match issue(authority, certificate, key_algorithm, now) {
            Ok(material) => world.store.update(|tx| {
                let done = |c: &mut Certificate| {
                    c.material = Some(material);
                    c.issued = Some(now);
                };
                tx.modify::<Certificate>(&certificate.arn, done);
                tx.event(
                    now,
                    Severity::Info,
                    &certificate.arn,
                    "certificate",
                    format!(
                        "issued for {} by the cloud's own authority; {checked}",
                        certificate.names.join(", ")
                    ),
                );
            }),
            Err(error) => {
                tracing::error!(certificate = certificate.arn, %error, "issue a certificate");
            }
        }
    }
    again
}

/// How far control over the names was shown; none as long as a record is missing.
fn validated(state: &State, certificate: &Certificate) -> Option<String> {
    let account = &*certificate.scope.account;
    let mut unchecked = Vec::new();
    for name in &certificate.names {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        let Some(zone) = hosted_zone::zone_of(state, account, bare) else {
            unchecked.push(name.as_str());
            continue;
        };
        let (record, value) = model::acm::validation_record(account, bare);
        if !hosted_zone::leads(state, zone, &record, &value) {
            return None;
        }
    }
    Some(match unchecked.as_slice() {
        [] => "their validation records are in place".to_owned(),
        names => format!(
            "this account has no public hosted zone for {}, so control over that was not checked",
            names.join(", ")
        ),
    })
}

fn ensure_authority(world: &World, now: Timestamp) -> Result<()> {
    if !world.store.snapshot().certificate_authorities.is_empty() {
        return Ok(());
    }
    let authority = new_authority(&world.settings.cloud, now)?;
    world.store.update(|tx| tx.put(authority));
    Ok(())
}

fn new_authority(cloud: &str, now: Timestamp) -> Result<CertificateAuthority> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    set_life(&mut params, now, AUTHORITY_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let name = &mut params.distinguished_name;
    name.remove(DnType::CommonName);
    name.push(DnType::OrganizationName, "Nines");
    name.push(DnType::CommonName, format!("Nines cloud {cloud}"));
    Ok(CertificateAuthority {
        certificate: params.self_signed(&key)?.pem(),
        private_key: key.serialize_pem(),
        created: now,
    })
}

fn issue(
    authority: &CertificateAuthority,
    certificate: &Certificate,
    key_algorithm: &str,
    now: Timestamp,
) -> Result<CertificateMaterial> {
    let signing_key = KeyPair::from_pem(&authority.private_key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signing_key)?;
    let algorithm = match key_algorithm {
        "EC_secp384r1" => &PKCS_ECDSA_P384_SHA384,
        _ => &PKCS_ECDSA_P256_SHA256,
    };
    let key = KeyPair::generate_for(algorithm)?;
    let mut params = CertificateParams::new(certificate.names.clone())?;
    set_life(&mut params, now, LIFE);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A common name has at most 64 characters (RFC 5280); the names are in their extension.
    if certificate.domain_name.len() <= 64 {
        let name = certificate.domain_name.as_str();
        params.distinguished_name.push(DnType::CommonName, name);
    }
    Ok(CertificateMaterial {
        body: params.signed_by(&key, &issuer)?.pem(),
        chain: Some(authority.certificate.clone()),
        private_key: key.serialize_pem(),
    })
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into()
    };
    params.not_before = at(now - BACKDATED);
    params.not_after = at(now + life);
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Scope;

    #[test]
    fn issued_certificates_are_signed_by_the_authority() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let authority = new_authority("test", now).unwrap();
        for kind in ["EC_prime256v1", "EC_secp384r1"] {
            let certificate = Certificate {
                arn: "arn".into(),
                scope: Scope::new("000000000000", "us-east-1"),
                domain_name: "a.example".into(),
                names: vec!["a.example".into(), "*.a.example".into()],
                origin: CertificateOrigin::Imported,
                material: None,
                created: now,
                issued: None,
                tags: Default::default(),
            };
            let material = issue(&authority, &certificate, kind, now).unwrap();
            assert_eq!(material.chain.as_deref(), Some(&*authority.certificate));
            assert!(KeyPair::from_pem(&material.private_key).is_ok());
            assert_ne!(material.body, authority.certificate);
        }
    }
}
