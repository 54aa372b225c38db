//! New private keys, and the formats in which AWS hands them out.
//!
//! RSA comes from the `rsa` crate (`ring` makes no RSA keys), ED25519 from `ring`. The two
//! text formats are laid out here: crates for them exist, and bring a key model of their own.

use super::error::Result;
use super::public_key::octets;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use wire::ApiError;

/// Of AWS's keys.
const RSA_BITS: usize = 2048;

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Rsa,
    Ed25519,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Pem,
    Ppk,
}

/// Only its caller ever has it.
pub enum SecretKey {
    Rsa(Box<RsaPrivateKey>),
    Ed25519 { seed: [u8; 32], public: Vec<u8> },
}

fn failed<E>(_: E) -> ApiError {
    ApiError::internal("A key pair cannot be made.")
}

impl SecretKey {
    pub fn random(kind: Kind) -> Result<Self> {
        if kind == Kind::Rsa {
            let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS);
            return Ok(Self::Rsa(Box::new(key.map_err(failed)?)));
        }
        let mut seed = [0; 32];
        let random = aws_lc_rs::rand::SystemRandom::new();
        aws_lc_rs::rand::SecureRandom::fill(&random, &mut seed).map_err(failed)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(failed)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self::Ed25519 { seed, public })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "ssh-rsa",
            Self::Ed25519 { .. } => "ssh-ed25519",
        }
    }

    fn public_blob(&self) -> Vec<u8> {
        let algorithm = field(self.algorithm().as_bytes());
        match self {
            Self::Rsa(key) => {
                let (e, n) = (key.e().to_bytes_be(), key.n().to_bytes_be());
                [algorithm, number(&e), number(&n)].concat()
            }
            Self::Ed25519 { public, .. } => [algorithm, field(public)].concat(),
        }
    }

    /// As it goes into `authorized_keys`.
    pub fn public_line(&self, comment: &str) -> String {
        let blob = STANDARD.encode(self.public_blob());
        format!("{} {blob} {comment}", self.algorithm())
    }

    /// Of RSA keys that AWS makes: the SHA-1 of the private key in PKCS #8. Of others that
    /// of the public key is taken.
    pub fn fingerprint(&self) -> Result<Option<String>> {
        let Self::Rsa(key) = self else {
            return Ok(None);
        };
        let der = key.to_pkcs8_der().map_err(failed)?;
        Ok(Some(octets(&Sha1::digest(der.as_bytes()))))
    }

    pub fn text(&self, format: Format, comment: &str) -> Result<String> {
        match (self, format) {
            (_, Format::Ppk) => self.putty(comment),
            (Self::Rsa(key), Format::Pem) => {
                let pem = key.to_pkcs1_pem(LineEnding::LF).map_err(failed)?;
                // AWS's ends without a line feed.
                Ok(pem.trim_end().to_owned())
            }
            (Self::Ed25519 { seed, public }, Format::Pem) => {
                Ok(self.openssh(seed, public, comment))
            }
        }
    }

    /// OpenSSH's own format, not encrypted: its `PROTOCOL.key`.
    fn openssh(&self, seed: &[u8], public: &[u8], comment: &str) -> String {
        // Equal halves tell a reader that it has decrypted right.
        let check = [0x5a; 4];
        let mut secret = [
            check.to_vec(),
            check.to_vec(),
            self.public_blob(),
            field(&[seed, public].concat()),
            field(comment.as_bytes()),
        ]
        .concat();
        let padding = (8 - secret.len() % 8) % 8;
        secret.extend((1u8..).take(padding));
        let whole = [
            b"openssh-key-v1\0".to_vec(),
            field(b"none"),
            field(b"none"),
            field(b""),
            1u32.to_be_bytes().to_vec(),
            field(&self.public_blob()),
            field(&secret),
        ]
        .concat();
        let lines = lines(&whole, 70).join("\n");
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}\n-----END OPENSSH PRIVATE KEY-----\n")
    }

    /// PuTTY's format, version 2, not encrypted: appendix C of its manual.
    fn putty(&self, comment: &str) -> Result<String> {
        let public = self.public_blob();
        let private = match self {
            Self::Rsa(key) => {
                let primes = key.primes();
                let (Some(p), Some(q)) = (primes.first(), primes.get(1)) else {
                    return Err(failed(()));
                };
                let inverse = key.crt_coefficient().ok_or(()).map_err(failed)?;
                [key.d(), p, q, &inverse]
                    .map(|n| number(&n.to_bytes_be()))
                    .concat()
            }
            Self::Ed25519 { seed, .. } => field(seed),
        };
        let covered = [
            field(self.algorithm().as_bytes()),
            field(b"none"),
            field(comment.as_bytes()),
            field(&public),
            field(&private),
        ]
        .concat();
        let key = Sha1::digest(b"putty-private-key-file-mac-key");
        let mut mac = Hmac::<Sha1>::new_from_slice(&key).map_err(failed)?;
        mac.update(&covered);
        let mac = hex::encode(mac.finalize().into_bytes());
        let (public, private) = (lines(&public, 64), lines(&private, 64));
        Ok(format!(
            "PuTTY-User-Key-File-2: {}\nEncryption: none\nComment: {comment}\nPublic-Lines: {}\n{}\nPrivate-Lines: {}\n{}\nPrivate-MAC: {mac}\n",
            self.algorithm(),
            public.len(),
            public.join("\n"),
            private.len(),
            private.join("\n"),
        ))
    }
}

/// Base64 in lines of that width.
fn lines(bytes: &[u8], width: usize) -> Vec<String> {
    let text = STANDARD.encode(bytes);
    let lines = text.as_bytes().chunks(width);
    lines
        .map(|l| String::from_utf8_lossy(l).into_owned())
        .collect()
}

/// A length and the bytes; keys are far below 4 GiB.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), bytes].concat()
}

/// A positive number: a leading zero where its highest bit is set.
fn number(bytes: &[u8]) -> Vec<u8> {
    match bytes.first() {
        Some(first) if *first >= 0x80 => field(&[&[0], bytes].concat()),
        _ => field(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::public_key::PublicKey;
    use super::*;

    #[test]
    fn keys_are_written_in_every_format() {
        let check = |kind: Kind, format: Format, first: &str, last: &str| {
            let key = SecretKey::random(kind).unwrap();
            let text = key.text(format, "mine").unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[0], first);
            assert!(lines.last().unwrap().starts_with(last), "{text}");
            let line = key.public_line("mine");
            let public = PublicKey::parse(line.as_bytes()).unwrap();
            assert_eq!(public.line, line);
        };
        let rsa = "-----BEGIN RSA PRIVATE KEY-----";
        check(Kind::Rsa, Format::Pem, rsa, "-----END RSA PRIVATE KEY");
        let putty = "PuTTY-User-Key-File-2: ssh-rsa";
        check(Kind::Rsa, Format::Ppk, putty, "Private-MAC: ");
        let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----";
        check(Kind::Ed25519, Format::Pem, openssh, "-----END OPENSSH");
        let putty = "PuTTY-User-Key-File-2: ssh-ed25519";
        check(Kind::Ed25519, Format::Ppk, putty, "Private-MAC: ");
    }

    #[test]
    fn a_number_is_never_negative() {
        assert_eq!(number(&[0x7f]), [0, 0, 0, 1, 0x7f]);
        assert_eq!(number(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
    }
}
