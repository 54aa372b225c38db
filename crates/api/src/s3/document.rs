//! XML documents of S3: checked by a schema, written back in its namespace.
//!
//! Typed structs were rejected for the sub-resources of a bucket: most are only
//! checked and given back, which a schema says in a few lines.

use super::error::{malformed_xml, missing_body};
use wire::ApiError;
pub use wire::Element;

pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Elements that make documents of S3.
pub trait Document {
    /// A whole document, as S3 gives it back.
    fn document(&self) -> String;
}

impl Document for Element {
    fn document(&self) -> String {
        self.document_in(NAMESPACE)
    }
}

/// Reads a document whose root is `root`.
pub fn parse(body: &[u8], root: &str) -> Result<Element, ApiError> {
    if body.is_empty() {
        return Err(missing_body());
    }
    let element = Element::read(body).ok_or_else(malformed_xml)?;
    match element.name == root {
        true => Ok(element),
        false => Err(malformed_xml()),
    }
}
