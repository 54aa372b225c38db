//! What a manifest says: its kind, and what must be there before it.

use crate::name::Digest;
use serde::Deserialize;

/// Manifests are small; a blob above this is none (4 MiB, as registries accept).
pub const MANIFEST_SIZE: u64 = 4 << 20;

/// A manifest as it is served.
#[derive(Debug)]
pub struct Manifest {
    pub media_type: String,
    pub digest: Digest,
    pub content: Vec<u8>,
}

/// What a manifest names.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub media_type: String,
    /// Of the configuration: what kind of thing the image is.
    pub artifact_type: Option<String>,
    /// Configuration and layers that the repository must hold.
    pub blobs: Vec<Digest>,
    /// Manifests of single platforms, of an index.
    pub manifests: Vec<Digest>,
    /// Bytes of the blobs, as the manifest says.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Part>,
    layers: Option<Vec<Part>>,
    manifests: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    /// A layer that lies elsewhere (`nondistributable`) is not pushed.
    #[serde(default)]
    urls: Vec<String>,
}

/// Why a text is no manifest.
pub type Reason = &'static str;

impl Summary {
    /// `given` is the media type that came with it, which the manifest itself may leave out.
    pub fn of(content: &[u8], given: Option<&str>) -> Result<Self, Reason> {
        let raw: Raw = serde_json::from_slice(content).map_err(|_| "the manifest is no JSON")?;
        if raw.schema_version != Some(2) {
            return Err("only manifests of schema version 2 are kept");
        }
        let implied = match (&raw.manifests, &raw.layers, &raw.config) {
            (Some(_), None, None) => "application/vnd.oci.image.index.v1+json",
            (None, Some(_), Some(_)) => "application/vnd.oci.image.manifest.v1+json",
            _ => return Err("it is neither the manifest of an image nor an index of some"),
        };
        // Parameters of a content type, such as a charset, say nothing of the kind.
        let given = given
            .map(|g| g.split(';').next().unwrap_or_default().trim())
            .filter(|g| !g.is_empty());
        if let (Some(own), Some(given)) = (&raw.media_type, given)
            && own != given
        {
            return Err("the media type is not the one that the manifest names");
        }
        let media_type = raw.media_type.as_deref().or(given).unwrap_or(implied);
        let digest = |part: &Part| Digest::parse(&part.digest).ok_or("a digest is no sha256");
        let all = |parts: Option<Vec<Part>>| -> Result<Vec<Digest>, Reason> {
            let kept = parts.into_iter().flatten().filter(|p| p.urls.is_empty());
            kept.map(|part| digest(&part)).collect()
        };
        let parts = raw.layers.iter().flatten().chain(&raw.config);
        let size = parts.fold(0u64, |sum, part| sum.saturating_add(part.size));
        let config_type = raw.config.as_ref().map(|c| c.media_type.clone());
        let mut blobs = all(raw.layers)?;
        blobs.extend(raw.config.as_ref().map(digest).transpose()?);
        Ok(Self {
            media_type: media_type.to_owned(),
            artifact_type: raw.artifact_type.or(config_type).filter(|t| !t.is_empty()),
            blobs,
            manifests: all(raw.manifests)?,
            size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let digest = Digest::of(b"");
        let part = format!(r#"{{"mediaType":"c","digest":"{digest}","size":7}}"#);
        let check =
            |text: &str, given: Option<&str>, expected: Option<(&str, usize, usize, u64)>| {
                let summary = Summary::of(text.as_bytes(), given).ok();
                let seen = summary.as_ref().map(|s| {
                    let (blobs, manifests) = (s.blobs.len(), s.manifests.len());
                    (s.media_type.as_str(), blobs, manifests, s.size)
                });
                assert_eq!(seen, expected, "{text}");
            };
        let image = format!(r#"{{"schemaVersion":2,"config":{part},"layers":[{part}]}}"#);
        let oci = "application/vnd.oci.image.manifest.v1+json";
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        check(&image, None, Some((oci, 2, 0, 14)));
        check(&image, Some(docker), Some((docker, 2, 0, 14)));
        check(&image, Some("a/b; charset=utf-8"), Some(("a/b", 2, 0, 14)));
        let named = image.replacen('{', &format!(r#"{{"mediaType":"{docker}","#), 1);
        check(&named, Some(docker), Some((docker, 2, 0, 14)));
        check(&named, Some(oci), None);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{part},{part}]}}"#);
        let index_type = "application/vnd.oci.image.index.v1+json";
        check(&index, None, Some((index_type, 0, 2, 0)));
        let elsewhere = image.replacen(r#""size":7"#, r#""size":7,"urls":["x"]"#, 2);
        check(&elsewhere, None, Some((oci, 1, 0, 14)));
        for bad in ["", "{}", r#"{"schemaVersion":1}"#, r#"{"schemaVersion":2}"#] {
            check(bad, None, None);
        }
        check(&image.replace("sha256", "sha512"), None, None);
    }
}
