//! Flow logs: which traffic of what is to be written where.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowLog {
    pub id: FlowLogId,
    pub scope: Scope,
    /// A VPC, a subnet or a network interface.
    pub resource: String,
    /// `ACCEPT`, `REJECT` or `ALL`.
    pub traffic: String,
    /// `cloud-watch-logs`, `s3` or `kinesis-data-firehose`.
    pub destination_type: String,
    /// ARN of the destination.
    pub destination: String,
    pub log_group: Option<String>,
    pub permission_arn: Option<String>,
    pub cross_account_role: Option<String>,
    pub format: String,
    pub aggregation_seconds: u32,
    /// Of S3: file format, Hive-compatible partitions, a partition per hour.
    pub options: Option<(String, bool, bool)>,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}
