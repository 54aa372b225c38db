//! Public keys as OpenSSH writes them, taken apart as RFC 4253 §6.6 lays them out.

use super::error::{Result, error};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

/// A public key in OpenSSH's form, its blob taken apart as RFC 4253 §6.6 lays it out.
pub struct PublicKey {
    /// As it goes into `authorized_keys`.
    pub line: String,
    blob: Vec<u8>,
    key: Key,
}

enum Key {
    Ed25519,
    Rsa { exponent: Vec<u8>, modulus: Vec<u8> },
}

impl PublicKey {
    pub fn parse(material: &[u8]) -> Result<Self> {
        Self::read(material).ok_or_else(|| {
            error(
                "InvalidKey.Format",
                "Key is not in valid OpenSSH public key format",
            )
        })
    }

    fn read(material: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(material).ok()?.trim();
        let converted = from_rfc4716(text);
        let line = converted.as_deref().unwrap_or(text);
        if line.contains('\n') {
            return None;
        }
        let mut words = line.split_whitespace();
        let (name, blob) = (words.next()?, words.next()?);
        let blob = STANDARD.decode(blob).ok()?;
        let mut rest = blob.as_slice();
        if take(&mut rest)? != name.as_bytes() {
            return None;
        }
        let key = match name {
            "ssh-ed25519" if take(&mut rest)?.len() == 32 => Key::Ed25519,
            "ssh-rsa" => Key::Rsa {
                exponent: take(&mut rest)?.to_vec(),
                modulus: take(&mut rest)?.to_vec(),
            },
            _ => return None,
        };
        // 1024 bits and a sign byte are the least that AWS takes.
        let long_enough = match &key {
            Key::Ed25519 => true,
            Key::Rsa { modulus, .. } => modulus.len() >= 128,
        };
        (rest.is_empty() && long_enough).then(|| Self {
            line: line.to_owned(),
            blob: blob.clone(),
            key,
        })
    }

    pub fn kind(&self) -> &'static str {
        match self.key {
            Key::Ed25519 => "ed25519",
            Key::Rsa { .. } => "rsa",
        }
    }

    /// The MD5 of the key itself, which IAM shows.
    pub fn md5(&self) -> String {
        octets(&Md5::digest(&self.blob))
    }

    /// An RSA key as PEM.
    pub fn pem(&self) -> Option<String> {
        let Key::Rsa { exponent, modulus } = &self.key else {
            return None;
        };
        let text = STANDARD.encode(rsa_der(exponent, modulus));
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        Some(pem)
    }

    /// AWS's: of RSA keys the MD5 of the key in DER, of ED25519 keys the SHA-256 that
    /// OpenSSH shows. `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html`
    pub fn fingerprint(&self) -> String {
        match &self.key {
            Key::Ed25519 => STANDARD.encode(Sha256::digest(&self.blob)),
            Key::Rsa { exponent, modulus } => octets(&Md5::digest(rsa_der(exponent, modulus))),
        }
    }
}

/// The other form that AWS imports, RFC 4716's, as a line of OpenSSH's.
fn from_rfc4716(text: &str) -> Option<String> {
    let body = text.strip_prefix("---- BEGIN SSH2 PUBLIC KEY ----")?;
    let body = body
        .trim_end()
        .strip_suffix("---- END SSH2 PUBLIC KEY ----")?;
    let mut in_header = false;
    let mut encoded = String::new();
    for line in body.lines().map(str::trim) {
        // A backslash at its end continues a header.
        let header = in_header || line.contains(':');
        in_header = header && line.ends_with('\\');
        if !header {
            encoded.push_str(line);
        }
    }
    let blob = STANDARD.decode(&encoded).ok()?;
    let name = String::from_utf8(take(&mut blob.as_slice())?.to_vec()).ok()?;
    Some(format!("{name} {encoded}"))
}

/// `1f:51:…`
pub fn octets(digest: &[u8]) -> String {
    let octets: Vec<String> = digest.iter().map(|o| format!("{o:02x}")).collect();
    octets.join(":")
}

/// The next length-prefixed field of a blob.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

/// SubjectPublicKeyInfo (RFC 5280, RFC 8017 A.1.1) of an RSA key.
fn rsa_der(exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    /// OID 1.2.840.113549.1.1.1 and NULL.
    const RSA_ENCRYPTION: [u8; 13] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let numbers = [der(INTEGER, modulus), der(INTEGER, exponent)].concat();
    let mut bits = vec![0];
    bits.extend(der(SEQUENCE, &numbers));
    let content = [der(SEQUENCE, &RSA_ENCRYPTION), der(BIT_STRING, &bits)].concat();
    der(SEQUENCE, &content)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.iter().copied().skip_while(|b| *b == 0).collect();
    let mut out = vec![tag];
    match digits.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // At most eight digits.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAINVUCU/Kjupf7e4dpMTXsrPw+UdaB2Ox2UNd1XyB3fWE";
        let line = format!("ssh-ed25519 {blob}");
        let (first, rest) = blob.split_at(40);
        let long = format!(
            "---- BEGIN SSH2 PUBLIC KEY ----\r\nComment: a \\\r\nlong one\r\nSubject: me\r\n{first}\r\n{rest}\r\n---- END SSH2 PUBLIC KEY ----\r\n"
        );
        let plain = PublicKey::parse(line.as_bytes()).unwrap();
        let other = PublicKey::parse(long.as_bytes()).unwrap();
        assert_eq!(other.line, line);
        assert_eq!(other.fingerprint(), plain.fingerprint());
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-rsa AAAA",
            "---- BEGIN SSH2 PUBLIC KEY ----",
        ] {
            assert!(PublicKey::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
