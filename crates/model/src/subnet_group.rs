//! Subnet groups: where a database, cache or cluster would stand.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubnetGroup {
    pub key: SubnetGroupKey,
    pub description: String,
    pub vpc: VpcId,
    pub subnets: Vec<SubnetId>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubnetGroupKey {
    pub scope: Scope,
    /// `rds`, `elasticache` or `redshift`, as in its ARN.
    pub service: String,
    pub name: String,
}
