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
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wire::{ApiError, Call, HttpRequest, QueryKind, Service, action};
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "PascalCase")]
//! struct CreateVpc {
//!     cidr_block: String,
//! }
//!
//! #[derive(Serialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Vpc {
//!     cidr_block: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Created {
//!     vpc: Vpc,
//! }
//!
//! fn create(vpcs: &mut Vec<String>, input: CreateVpc) -> Result<Created, ApiError> {
//!     let cidr_block = input.cidr_block;
//!     vpcs.push(cidr_block.clone());
//!     Ok(Created { vpc: Vpc { cidr_block } })
//! }
//!
//! let ec2 = Service::<Vec<String>> {
//!     version: "2016-11-15",
//!     xml_namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
//!     query_kind: Some(QueryKind::Ec2),
//!     actions: vec![action("CreateVpc", create)],
//!     ..Service::new("ec2")
//! };
//!
//! let request = HttpRequest {
//!     method: "GET".to_owned(),
//!     path: "/".to_owned(),
//!     query: "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16".to_owned(),
//!     ..HttpRequest::default()
//! };
//! let call = Call::detect(&request)?;
//! assert!(ec2.answers(&call));
//! let mut vpcs = Vec::new();
//! let job = ec2.prepare(&call)?; // decodes; no state needed
//! let answer = job.input.run(&mut vpcs)?; // inside the transaction
//! let response = ec2.success(job.protocol, job.action.name, &*answer, "request-1"); // after it
//! assert_eq!(response.status, 200);
//! # Ok::<(), ApiError>(())
//! ```

mod action;
pub mod auth;
mod blob;
pub mod cbor;
pub mod chunked;
mod effect;
mod element;
mod error;
pub mod form;
pub mod gzip;
pub mod json;
mod markup;
mod members;
mod omit;
mod protocol;
pub mod query;
mod rejection;
mod request;
mod rest;
mod service;
pub mod signature;
mod timestamp;
mod tree;
pub mod xml;

pub use action::{Action, Answer, Prepared, action};
pub use blob::Blob;
pub use effect::{Effect, refused, stored, validated};
pub use element::Element;
pub use error::{ApiError, ErrorStyle};
pub use members::{Member, Members, members};
pub use protocol::{Call, Payload, Protocol};
pub use rejection::{Fault, Rejection, Step};
pub use request::{Body, HttpRequest, HttpResponse};
pub use rest::Route;
pub use service::{Job, QueryKind, Service};
pub use timestamp::Timestamp;
