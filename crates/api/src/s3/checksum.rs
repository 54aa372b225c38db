//! Digests of bodies: what the client sent along, and what is given back.
//!
//! Source: `https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html`

use super::error::{invalid_request, not_implemented};
use super::request::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Digest as CrcDigest, Table};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use std::collections::BTreeMap;
use wire::ApiError;
use wire::chunked::Decoded;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
}

use Algorithm::*;

const ALGORITHMS: &[Algorithm] = &[Crc32, Crc32c, Crc64Nvme, Sha1, Sha256, Sha512, Md5];

static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Crc32 => "CRC32",
            Crc32c => "CRC32C",
            Crc64Nvme => "CRC64NVME",
            Sha1 => "SHA1",
            Sha256 => "SHA256",
            Sha512 => "SHA512",
            Md5 => "MD5",
        }
    }

    pub fn named(name: &str) -> Result<Self, ApiError> {
        let found = ALGORITHMS
            .iter()
            .find(|a| a.name().eq_ignore_ascii_case(name));
        match found {
            Some(algorithm) => Ok(*algorithm),
            None if name.to_ascii_uppercase().starts_with("XXHASH") => Err(not_implemented(name)),
            None => Err(invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )),
        }
    }

    pub fn header(self) -> String {
        header(self.name())
    }

    /// Whether a checksum of the whole can be asked of a multipart upload.
    pub fn is_linear(self) -> bool {
        matches!(self, Crc32 | Crc32c | Crc64Nvme)
    }

    pub fn hasher(self) -> Hasher {
        match self {
            Crc32 => Hasher::Crc32(CRC32.digest()),
            Crc32c => Hasher::Crc32(CRC32C.digest()),
            Crc64Nvme => Hasher::Crc64(CRC64NVME.digest()),
            Sha1 => Hasher::Sha1(Sha1::new()),
            Sha256 => Hasher::Sha256(Sha256::new()),
            Sha512 => Hasher::Sha512(Sha512::new()),
            Md5 => Hasher::Md5(Md5::new()),
        }
    }

    /// Name and value of the checksum of `bytes`.
    pub fn of(self, bytes: &[u8]) -> (String, String) {
        (self.name().to_owned(), base64(&self.digest(bytes)))
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }
}

fn header(name: &str) -> String {
    format!("x-amz-checksum-{}", name.to_ascii_lowercase())
}

/// Digests a body as it streams by.
pub enum Hasher {
    Crc32(CrcDigest<'static, u32, Table<16>>),
    Crc64(CrcDigest<'static, u64, Table<16>>),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(digest) => digest.update(bytes),
            Self::Crc64(digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
        }
    }

    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(digest) => digest.finalize().to_be_bytes().to_vec(),
            Self::Crc64(digest) => digest.finalize().to_be_bytes().to_vec(),
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Sha512(digest) => digest.finalize().to_vec(),
            Self::Md5(digest) => digest.finalize().to_vec(),
        }
    }
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The quoted ETag of a body that came whole.
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5.digest(body)))
}

/// The ETag of a body that came in parts: a digest of the parts' digests.
pub fn multipart_etag<'a>(etags: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = Md5.hasher();
    let mut parts = 0;
    for etag in etags {
        hasher.update(&hex::decode(etag.trim_matches('"')).unwrap_or_default());
        parts += 1;
    }
    format!("\"{}-{parts}\"", hex::encode(hasher.finish()))
}

/// The checksum of parts' checksums, `COMPOSITE` in AWS's words.
pub fn composite<'a>(algorithm: Algorithm, parts: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = algorithm.hasher();
    let mut count = 0;
    for part in parts {
        hasher.update(&STANDARD.decode(part).unwrap_or_default());
        count += 1;
    }
    format!("{}-{count}", base64(&hasher.finish()))
}

/// Compares the body with every digest the call carries, in headers or trailers.
/// Gives those of the object: algorithm to base64.
pub fn verify(
    request: &Request<'_>,
    decoded: &Decoded<'_>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let body = &*decoded.body;
    if let Some(sent) = request.header("content-md5") {
        let digest = STANDARD
            .decode(sent)
            .ok()
            .filter(|digest| digest.len() == 16);
        let invalid = || {
            ApiError::client(
                "InvalidDigest",
                "The Content-MD5 you specified is not valid.",
            )
        };
        if digest.ok_or_else(invalid)? != Md5.digest(body) {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(ApiError::client("BadDigest", message));
        }
    }
    if let Some(sent) = request.header("x-amz-content-sha256")
        && sent.len() == 64
        && !sent.eq_ignore_ascii_case(&hex::encode(Sha256.digest(body)))
    {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(ApiError::client("XAmzContentSHA256Mismatch", message));
    }
    let mut found = BTreeMap::new();
    for algorithm in ALGORITHMS {
        let name = algorithm.header();
        let mut trailers = decoded.trailers.iter();
        let trailer = trailers
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_str());
        let Some(sent) = request.header(&name).or(trailer) else {
            continue;
        };
        let digest = algorithm.digest(body);
        if STANDARD.decode(sent).map(|sent| sent.len()) != Ok(digest.len()) {
            return Err(invalid_request(format!(
                "Value for {name} header is invalid."
            )));
        }
        if base64(&digest) != sent {
            let message = format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            );
            return Err(ApiError::client("BadDigest", message));
        }
        found.insert(algorithm.name().to_owned(), sent.to_owned());
    }
    if found.len() > 1 {
        let message =
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(invalid_request(message));
    }
    Ok(found)
}

/// As [`verify`], and where nothing was sent the checksum AWS makes then.
pub fn of_body(
    request: &Request<'_>,
    decoded: &Decoded<'_>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut found = verify(request, decoded)?;
    if found.is_empty() {
        let asked = request
            .header("x-amz-sdk-checksum-algorithm")
            .or(request.header("x-amz-checksum-algorithm"));
        let algorithm = asked.map_or(Ok(Crc64Nvme), Algorithm::named)?;
        let (name, value) = algorithm.of(&decoded.body);
        found.insert(name, value);
    }
    Ok(found)
}

/// Headers that tell the checksums, and of which type they are.
pub fn headers(checksums: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = checksums
        .iter()
        .map(|(name, value)| (header(name), value.clone()))
        .collect();
    if let Some(kind) = kind(checksums) {
        headers.push(("x-amz-checksum-type".to_owned(), kind.to_owned()));
    }
    headers
}

/// A composite one ends with the number of parts.
pub fn kind(checksums: &BTreeMap<String, String>) -> Option<&'static str> {
    let value = checksums.values().next()?;
    Some(if value.contains('-') {
        "COMPOSITE"
    } else {
        "FULL_OBJECT"
    })
}

/// `ChecksumCRC32` and its like, as members of an answer.
pub fn members(checksums: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let members = checksums.iter();
    members
        .map(|(name, value)| (format!("Checksum{name}"), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        // Check values of the algorithms' own definitions, over "123456789".
        let check = |algorithm: Algorithm, expected: &str| {
            assert_eq!(
                hex::encode(algorithm.digest(b"123456789")),
                expected,
                "{algorithm:?}"
            );
        };
        check(Crc32, "cbf43926");
        check(Crc32c, "e3069283");
        check(Crc64Nvme, "ae8b14860a799888");
        check(Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        check(Md5, "25f9e794323b453885f5181f1b624d0b");
    }

    #[test]
    fn digests_of_parts() {
        let part = etag(b"123456789");
        assert_eq!(part, "\"25f9e794323b453885f5181f1b624d0b\"");
        let whole = multipart_etag([part.as_str(), part.as_str()].into_iter());
        assert!(whole.ends_with("-2\""), "{whole}");
        assert_eq!(composite(Crc32, ["AAAAAA=="].into_iter()), "IUTfHA==-1");
    }
}
