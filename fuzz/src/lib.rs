//! What the targets share. Run one with `fuzz/run form 60` in the repository's root.
//!
//! `crates/wire/tests/anything.rs` asks the same of random input in every test run;
//! coverage-guided search finds what random input does not.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::{Blob, HttpRequest, Timestamp};

/// Every kind of member that inputs have, and itself.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    a: Option<String>,
    b: Vec<Shape>,
    c: Option<f64>,
    d: Option<i32>,
    e: Option<Blob>,
    f: Option<Timestamp>,
    g: BTreeMap<String, Shape>,
    h: Option<Choice>,
    i: Option<bool>,
    j: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    One,
    TheOther,
}

/// A request out of bytes: lines of a head (method, path, query, headers) up to an empty one, then the body.
pub fn request(data: &[u8]) -> HttpRequest {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    };
    let (method, path, query) = (line(), line(), line());
    let mut headers = Vec::new();
    loop {
        let header = line();
        match header.split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => break,
        }
    }
    HttpRequest {
        method,
        path,
        query,
        headers,
        body: rest.to_vec(),
    }
}
