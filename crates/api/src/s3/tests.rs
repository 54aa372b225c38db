//! Calls against an in-memory store, as plain requests and answers.

use super::*;
use crate::testing;
use model::s3::Object;
use std::path::PathBuf;

/// An object modified at the start of 2026.
pub fn object(key: &str, etag: &str) -> Object {
    Object {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: "null".to_owned(),
        sequence: 1,
        delete_marker: false,
        size: 0,
        etag: etag.to_owned(),
        modified: jiff::Timestamp::from_second(1_767_225_600).unwrap(),
        storage_class: "STANDARD".to_owned(),
        headers: Default::default(),
        checksums: Default::default(),
        body: String::new(),
        tags: Default::default(),
        acl: None,
        parts: Vec::new(),
    }
}
