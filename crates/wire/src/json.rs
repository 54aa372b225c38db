//! JSON 1.0 and 1.1 bodies.

use crate::noted::{Noted, rejection};
use crate::omit::Omit;
use crate::rejection::Rejection;
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
    let decoded: Result<Noted<T>, _> = serde_json::from_slice(body);
    match decoded {
        Ok(noted) => Ok((noted.value, noted.unclaimed)),
        Err(error) => Err(rejection(&error.to_string())),
    }
}

pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Omit(value))
}
