//! CBOR bodies of Smithy's rpc-v2 protocol: timestamps under tag 1, blobs as bytes.

use crate::omit::Omit;
use crate::rejection::Rejection;
use crate::tree::{self, Tree};
use ciborium::de::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// Deepest nesting read; the deepest CloudWatch input has 7 levels.
const MAX_DEPTH: usize = 64;

/// An empty map.
const EMPTY: &[u8] = &[0xa0];

/// Decodes `body`, and returns the members that `T` has no field for.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<(T, Vec<String>), Rejection> {
    let mut rest = if body.is_empty() { EMPTY } else { body };
    let tree: Result<Tree, _> =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH);
    let malformed = |why: &str| Rejection::malformed(why.to_owned());
    let tree = tree.map_err(|error| match error {
        Error::Semantic(_, why) => Rejection::malformed(why),
        Error::RecursionLimitExceeded => malformed("the body is nested too deeply"),
        Error::Io(_) | Error::Syntax(_) => malformed("the body is not CBOR"),
    })?;
    if !rest.is_empty() {
        return Err(malformed("the body goes on after its end"));
    }
    tree::decode(&tree)
}

pub fn encode<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Vec<u8>, ciborium::ser::Error<io::Error>> {
    let mut out = Vec::new();
    ciborium::into_writer(&Omit(value), &mut out)?;
    Ok(out)
}
