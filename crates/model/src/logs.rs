//! CloudWatch Logs: groups, their streams, and events.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    pub scope: Scope,
    pub name: String,
    /// `STANDARD`, `INFREQUENT_ACCESS` or `DELIVERY`.
    pub class: String,
    /// `None` keeps events for good.
    pub retention_days: Option<u32>,
    pub kms_key: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    pub key: LogStreamKey,
    pub created: Timestamp,
    /// When an event last arrived.
    pub ingested: Option<Timestamp>,
    /// Number of the next event.
    pub next: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogStreamKey {
    pub scope: Scope,
    pub group: String,
    pub stream: String,
}

/// The events of a stream lie together, by time and arrival.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogEventKey {
    pub stream: LogStreamKey,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvent {
    pub key: LogEventKey,
    pub ingested: Timestamp,
    pub message: String,
}
