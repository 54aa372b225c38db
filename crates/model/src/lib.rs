//! The language all parts share: ids, ARNs, records and their states.
//!
//! Nothing here knows a protocol, does IO or reads a clock. Records are what
//! the store keeps; a field is either *desired* (an API action wrote it) or
//! *observed* (the controller that saw it wrote it), and says so where it is
//! not obvious.

pub mod acm;
pub mod autoscaling;
pub mod capacity_reservation;
pub mod cloudwatch;
pub mod ecr;
pub mod elbv2;
pub mod event;
pub mod flow_log;
pub mod gateway;
pub mod iam;
pub mod iam_user;
pub mod id;
pub mod identity_provider;
pub mod image;
pub mod instance;
pub mod instance_connect;
pub mod instance_refresh;
pub mod instance_type;
pub mod kms;
pub mod logs;
pub mod mixed_instances;
pub mod placement_group;
pub mod public_access;
pub mod recurrence;
pub mod region_settings;
pub mod route53;
pub mod s3;
pub mod scope;
pub mod snapshot;
pub mod sns;
mod speed;
pub mod spot_request;
pub mod sqs;
pub mod ssl_policy;
pub mod ssm;
pub mod subnet_group;
pub mod vpc;
pub mod vpc_endpoint;
pub mod vpc_peering;
pub mod zonal_shift;

pub use id::*;
pub use scope::{Scope, zone};
pub use speed::Speed;

/// An instant of wall-clock time.
pub type Timestamp = jiff::Timestamp;

/// Tags of a resource, sorted by key so that answers are stable.
pub type Tags = std::collections::BTreeMap<String, String>;
