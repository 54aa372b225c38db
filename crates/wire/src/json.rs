//! JSON 1.0 and 1.1 bodies.

use crate::omit::Omit;
use crate::rejection::Rejection;
use crate::tree::{self, Tree};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Decodes `body`, and returns the members that `T` has no field for.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<(T, Vec<String>), Rejection> {
    // An empty body is an empty input: `curl` users leave the braces out.
    let body = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    let tree: Result<Tree, _> = serde_json::from_slice(body);
    let tree = tree.map_err(|error| Rejection::malformed(error.to_string()))?;
    tree::decode(&tree)
}

pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Omit(value))
}
