//! What JSON and CBOR share: noting unclaimed members, and reading serde's complaints.

use crate::rejection::{Fault, Rejection, Step};
use serde::{Deserialize, Deserializer};
use serde_ignored::Path;

/// A decoded value and the names of the members that no field claimed.
pub(crate) struct Noted<T> {
    pub value: T,
    pub unclaimed: Vec<String>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Noted<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut unclaimed = Vec::new();
        let value = serde_ignored::deserialize(d, |path| {
            let mut name = String::new();
            push_path(&mut name, &path);
            unclaimed.push(name);
        })?;
        Ok(Self { value, unclaimed })
    }
}

/// `MetricData.1.StorageResolution`: positions from 1, as the Query protocol counts.
fn push_path(out: &mut String, path: &Path<'_>) {
    let (parent, part) = match path {
        Path::Root => return,
        Path::Seq { parent, index } => (parent, (index + 1).to_string()),
        Path::Map { parent, key } => (parent, key.clone()),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => {
            return push_path(out, parent);
        }
    };
    push_path(out, parent);
    if !out.is_empty() {
        out.push('.');
    }
    out.push_str(&part);
}

/// Both libraries hand serde's own words on as text; a missing member is told by them.
pub(crate) fn rejection(message: &str) -> Rejection {
    let missing = message.strip_prefix("missing field `");
    match missing.and_then(|rest| rest.split_once('`')) {
        Some((name, _)) => Rejection {
            path: vec![Step::Member(name.to_owned())],
            fault: Fault::Missing,
        },
        None => Rejection::malformed(message.to_owned()),
    }
}
