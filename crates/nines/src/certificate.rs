//! The cloud's certificates: an authority that its instances trust, what its APIs show them
//! under AWS's names, and what identity documents are signed with.
//!
//! They lie in `<state>/certificates`; `nines certificate` prints the two that others need.
//! Nothing on the host trusts the authority unless its owner makes it so.

use anyhow::{Context, Result};
use model::acm::CertificateAuthority;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Paths of PEM files.
#[derive(Debug, Clone)]
pub struct Certificates(PathBuf);

impl Certificates {
    pub fn of(directory: PathBuf) -> Self {
        Self(directory)
    }
    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.0.join("authority.pem")
    }
    /// Verifies identity documents.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.pem")
    }
    pub fn identity_key(&self) -> PathBuf {
        self.0.join("identity.key")
    }
    pub fn endpoint(&self) -> PathBuf {
        self.0.join("endpoint.pem")
    }
    pub fn endpoint_key(&self) -> PathBuf {
        self.0.join("endpoint.key")
    }

    /// The authority as a record: what ACM issues here is signed by it, too, so that there is
    /// one for everybody to trust.
    pub fn record(&self) -> Result<CertificateAuthority> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
        };
        Ok(CertificateAuthority {
            certificate: read(&self.authority())?,
            private_key: read(&self.0.join("authority.key"))?,
            created: jiff::Timestamp::now(),
        })
    }

    /// Makes those that are not there yet, besides the identity's.
    pub fn ensure(&self, cloud: &str, names: &[String]) -> Result<()> {
        fs::create_dir_all(&self.0)
            .with_context(|| format!("failed to create {}", self.0.display()))?;
        let authority_key = self.0.join("authority.key");
        if !self.authority().exists() || !authority_key.exists() {
            let key = KeyPair::generate()?;
            let mut params = params(&format!("{cloud} (nines)"), Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            write(&authority_key, &key.serialize_pem())?;
            write(&self.authority(), &params.self_signed(&key)?.pem())?;
        }
        // One of a version that knew fewer names is made anew.
        let listed = self.0.join("endpoint.names");
        let names_text = names.join("\n");
        let covers = fs::read_to_string(&listed).is_ok_and(|text| text == names_text);
        if !covers || !self.endpoint().exists() || !self.endpoint_key().exists() {
            let authority = KeyPair::from_pem(&fs::read_to_string(&authority_key)?)?;
            let issuer =
                Issuer::from_ca_cert_pem(&fs::read_to_string(self.authority())?, authority)?;
            let key = KeyPair::generate()?;
            let mut params = params(&format!("{cloud} APIs"), names.to_vec())?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.use_authority_key_identifier_extension = true;
            write(&self.endpoint_key(), &key.serialize_pem())?;
            write(&self.endpoint(), &params.signed_by(&key, &issuer)?.pem())?;
            write(&listed, &names_text)?;
        }
        Ok(())
    }

    /// The same for what signs identity documents, whose making takes a while.
    pub fn ensure_identity(&self, cloud: &str) -> Result<()> {
        if !self.identity().exists() || !self.identity_key().exists() {
            let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)
                .context("failed to make an RSA key")?;
            let pem = key.to_pkcs8_pem(LineEnding::LF)?;
            let signing = KeyPair::from_pem(&pem)?;
            let params = params(&format!("{cloud} instance identity"), Vec::new())?;
            write(&self.identity_key(), &pem)?;
            write(&self.identity(), &params.self_signed(&signing)?.pem())?;
        }
        Ok(())
    }
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    // A cloud may outlive any sensible term, and its keys never leave the machine.
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    Ok(params)
}

/// Whole or not at all, and for root alone.
fn write(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("failed to write {}", path.display()))
}

/// AWS's names of this cloud's APIs, as wildcards of one label. Other names of
/// `amazonaws.com` (package mirrors, say) remain what they are on the internet.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = ["iam", "sts", "s3", "*.s3", "ssm", "ec2", "autoscaling"]
        .map(|service| format!("{service}.amazonaws.com"))
        .into();
    for region in model::zone::REGIONS {
        names.push(format!("*.{}.amazonaws.com", region.name));
        names.push(format!("*.s3.{}.amazonaws.com", region.name));
        names.push(format!("api.ecr.{}.amazonaws.com", region.name));
        names.push(format!("*.{}.api.aws", region.name));
    }
    names
}

/// Names of accounts' image registries; and of the one that anybody may pull from.
pub fn registry_names() -> Vec<String> {
    let mut names = vec!["registry.nines.internal".to_owned()];
    for region in model::zone::REGIONS {
        names.push(format!("*.dkr.ecr.{}.amazonaws.com", region.name));
    }
    names
}

/// Names of EC2 Instance Connect Endpoints.
pub fn tunnel_names() -> Vec<String> {
    let regions = model::zone::REGIONS.iter();
    let domains = regions.map(|region| model::instance_connect::domain(region.name));
    domains.map(|domain| format!("*.{domain}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_made_once() {
        let directory = std::env::temp_dir().join(format!("nines-pki-{}", std::process::id()));
        let certificates = Certificates::of(directory.clone());
        certificates.ensure("test", &names()).expect("made");
        certificates.ensure_identity("test").expect("made");
        let read = || {
            [
                certificates.authority(),
                certificates.identity(),
                certificates.endpoint(),
            ]
            .map(|path| fs::read_to_string(path).expect("read"))
        };
        let first = read();
        certificates.ensure("test", &names()).expect("there");
        certificates.ensure_identity("test").expect("there");
        assert_eq!(read(), first);
        fs::remove_dir_all(directory).expect("removed");
    }
}
