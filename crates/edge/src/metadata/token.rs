//! Session tokens of the metadata service (IMDSv2).
//!
//! A token carries its expiry and is signed together with the instance's id,
//! so nothing is stored: it holds across a restart of the edge, and is worth
//! nothing to any other instance.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lifetimes in seconds that may be asked for.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
const LIFETIMES: std::ops::RangeInclusive<u64> = 1..=21600;

const EXPIRY: usize = 8;
const NONCE: usize = 8;
const SIGNATURE: usize = 32;

/// Signs and checks tokens.
pub struct Signer {
    /// As long as a block of SHA-256, which is what HMAC takes without fail.
    key: [u8; 64],
}

impl Signer {
    /// Takes the key from `dir`, where the first process left it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("token.key");
        match std::fs::read(&path).map(<[u8; 64]>::try_from) {
            Ok(Ok(key)) => return Ok(Self { key }),
            // Cut short: the tokens it signed are lost, no more.
            Ok(Err(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key: [u8; 64] = rand::random();
        let mut file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&key)?;
        Ok(Self { key })
    }

    /// A token for the lifetime that was asked for in `header`, which it returns
    /// with it; none if AWS would not accept the header. `now` is in Unix seconds.
    pub fn issue(&self, instance: &str, header: &str, now: u64) -> Option<(String, u64)> {
        // Digits only: `parse` alone would take "+60".
        let digits = !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit());
        let lifetime: u64 = header.parse().ok().filter(|_| digits)?;
        if !LIFETIMES.contains(&lifetime) {
            return None;
        }
        let mut token = Vec::with_capacity(EXPIRY + NONCE + SIGNATURE);
        token.extend((now + lifetime).to_be_bytes());
        token.extend(rand::random::<[u8; NONCE]>());
        let signature = self.mac(instance, &token).finalize().into_bytes();
        token.extend(signature);
        Some((URL_SAFE.encode(token), lifetime))
    }

    /// Whether `token` is one of this instance that has not expired.
    pub fn valid(&self, instance: &str, token: &str, now: u64) -> bool {
        let Ok(bytes) = URL_SAFE.decode(token) else {
            return false;
        };
        let Some((signed, signature)) = bytes.split_at_checked(EXPIRY + NONCE) else {
            return false;
        };
        let Some(expiry) = signed.first_chunk() else {
            return false;
        };
        now < u64::from_be_bytes(*expiry)
            && self.mac(instance, signed).verify_slice(signature).is_ok()
    }

    fn mac(&self, instance: &str, signed: &[u8]) -> Hmac<Sha256> {
        // The fixed length of `signed` keeps the two parts apart.
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(signed);
        mac.update(instance.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNER: Signer = Signer { key: [7; 64] };

    #[test]
    fn lifetimes() {
        fn check(header: &str, expected: Option<u64>) {
            let lifetime = SIGNER
                .issue("i-1", header, 1000)
                .map(|(_, lifetime)| lifetime);
            assert_eq!(lifetime, expected, "{header:?}");
        }
        check("1", Some(1));
        check("21600", Some(21600));
        for bad in [
            "",
            "0",
            "21601",
            "-1",
            "+60",
            "1.5",
            "60s",
            " 60",
            "99999999999999999999",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn tokens_are_bound_to_instance_time_and_key() {
        let (token, _) = SIGNER.issue("i-1", "60", 1000).unwrap();
        assert!(SIGNER.valid("i-1", &token, 1000));
        assert!(SIGNER.valid("i-1", &token, 1059));
        assert!(!SIGNER.valid("i-1", &token, 1060));
        assert!(!SIGNER.valid("i-2", &token, 1000));
        assert!(!Signer { key: [8; 64] }.valid("i-1", &token, 1000));
        let mut forged = URL_SAFE.decode(&token).unwrap();
        forged[7] += 1;
        assert!(!SIGNER.valid("i-1", &URL_SAFE.encode(forged), 1000));
        for bad in ["", "x", "AAAA", &token[..20], &format!("{token}AAAA")] {
            assert!(!SIGNER.valid("i-1", bad, 1000), "{bad}");
        }
    }

    #[test]
    fn the_key_outlives_the_process() {
        let dir = std::env::temp_dir().join(format!("edge-token-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (token, _) = Signer::open(&dir).unwrap().issue("i-1", "60", 0).unwrap();
        assert!(Signer::open(&dir).unwrap().valid("i-1", &token, 0));
        std::fs::write(dir.join("token.key"), "short").unwrap();
        assert!(!Signer::open(&dir).unwrap().valid("i-1", &token, 0));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
