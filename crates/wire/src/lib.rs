//! Bytes to typed shapes and back, for the protocols AWS's APIs speak.
//!
//! A request becomes a [`Call`] (which service, which action), a [`Service`]
//! finds the [`Action`] and decodes its input with serde, and the answer goes
//! back through the same service. The protocol holds the rule — how a list, a
//! map, a timestamp, an error is spelled — and a type holds only exceptions, by
//! serde renames. No service and no HTTP library is known here.
//!
//! Generating shapes from AWS's models was rejected: tens of thousands of lines
//! nobody reads, full of members nobody honours.

mod action;
pub mod auth;
mod blob;
pub mod cbor;
pub mod chunked;
mod error;
pub mod fields;
pub mod form;
pub mod json;
mod omit;
mod protocol;
pub mod query;
mod rejection;
mod request;
mod service;
pub mod signature;
mod timestamp;
mod tree;
pub mod xml;

pub use action::{Action, Answer, Prepared, action};
pub use blob::Blob;
pub use error::{ApiError, ErrorStyle};
pub use protocol::{Call, Payload, Protocol};
pub use rejection::{Fault, Rejection, Step};
pub use request::{HttpRequest, HttpResponse};
pub use service::{Job, QueryKind, Service};
pub use timestamp::Timestamp;
