//! Who may come: tokens that carry their holder and their end, signed with the cloud's key.
//!
//! Nothing is stored, so that the one who serves images needs to ask nobody. A link to a blob is
//! signed with the same key.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const SIGNATURE: usize = 32;

pub struct Key([u8; 64]);

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub account: String,
    pub region: String,
    /// Unix seconds.
    pub expires: u64,
}

/// Why a token or link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// None of ours.
    Foreign,
    Expired,
}

impl Key {
    /// The key in that file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let key = <[u8; 64]>::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self(key))
    }

    /// The same; made if there is none yet.
    pub fn ensure(path: &Path) -> io::Result<Self> {
        match Self::read(path) {
            // One cut short opens nothing any more.
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    && error.kind() != io::ErrorKind::InvalidData =>
            {
                Err(error)
            }
            Ok(key) => Ok(key),
            Err(_) => {
                let key: [u8; 64] = rand::random();
                let new = path.with_extension("new");
                let mut options = std::fs::File::options();
                let mut file = options
                    .create(true)
                    .truncate(true)
                    .write(true)
                    .mode(0o600)
                    .open(&new)?;
                file.write_all(&key)?;
                std::fs::rename(new, path)?;
                Ok(Self(key))
            }
        }
    }

    /// A password for the holder, until its claim ends.
    pub fn issue(&self, claim: &Claim) -> String {
        let claim = serde_json::to_vec(claim).unwrap_or_default();
        let mut token = self.mac(b"token", &claim).finalize().into_bytes().to_vec();
        token.extend(claim);
        STANDARD.encode(token)
    }

    pub fn verify(&self, password: &str, now: u64) -> Result<Claim, Invalid> {
        let token = STANDARD.decode(password).map_err(|_| Invalid::Foreign)?;
        let (signature, claim) = token.split_at_checked(SIGNATURE).ok_or(Invalid::Foreign)?;
        let mac = self.mac(b"token", claim);
        mac.verify_slice(signature).map_err(|_| Invalid::Foreign)?;
        let claim: Claim = serde_json::from_slice(claim).map_err(|_| Invalid::Foreign)?;
        if claim.expires <= now {
            return Err(Invalid::Expired);
        }
        Ok(claim)
    }

    /// What opens one path until then, for whoever has it.
    pub fn sign_link(&self, path: &str, expires: u64) -> String {
        let signed = format!("{expires} {path}");
        let mac = self.mac(b"link", signed.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    pub fn verify_link(
        &self,
        path: &str,
        expires: u64,
        signature: &str,
        now: u64,
    ) -> Result<(), Invalid> {
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| Invalid::Foreign)?;
        let signed = format!("{expires} {path}");
        let mac = self.mac(b"link", signed.as_bytes());
        mac.verify_slice(&signature).map_err(|_| Invalid::Foreign)?;
        if expires <= now {
            return Err(Invalid::Expired);
        }
        Ok(())
    }

    fn mac(&self, purpose: &[u8], signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(signed);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 64]);

    #[test]
    fn tokens_hold_until_they_end() {
        let claim = Claim {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            expires: 1000,
        };
        let token = KEY.issue(&claim);
        assert_eq!(KEY.verify(&token, 999), Ok(claim));
        assert_eq!(KEY.verify(&token, 1000), Err(Invalid::Expired));
        assert_eq!(Key([8; 64]).verify(&token, 0), Err(Invalid::Foreign));
        for foreign in ["", "x", "!!!", "QQ==", &token[4..]] {
            assert_eq!(KEY.verify(foreign, 0), Err(Invalid::Foreign), "{foreign}");
        }
    }

    #[test]
    fn links_open_one_path() {
        let link = KEY.sign_link("/v2/a/blobs/x", 1000);
        let check = |path: &str, expires, now| KEY.verify_link(path, expires, &link, now);
        assert_eq!(check("/v2/a/blobs/x", 1000, 999), Ok(()));
        assert_eq!(check("/v2/a/blobs/x", 1000, 1000), Err(Invalid::Expired));
        assert_eq!(check("/v2/a/blobs/x", 2000, 999), Err(Invalid::Foreign));
        assert_eq!(check("/v2/b/blobs/x", 1000, 999), Err(Invalid::Foreign));
    }
}
