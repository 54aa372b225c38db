//! Topics and who subscribed to them. What is published is told as events; nobody is sent anything.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    pub scope: Scope,
    pub name: String,
    /// By AWS's names, only those that were set.
    pub attributes: BTreeMap<String, String>,
    pub tags: Tags,
}

impl Topic {
    pub fn arn(&self) -> String {
        self.scope.arn("sns", &self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub scope: Scope,
    pub topic: String,
    /// A UUID.
    pub id: String,
    pub protocol: String,
    pub endpoint: String,
    /// By AWS's names, only those that were set.
    pub attributes: BTreeMap<String, String>,
    /// Its endpoint would have to agree first, by a message that it is not sent here.
    pub pending: bool,
}

impl Subscription {
    /// Unique within its account and region, as in its ARN.
    pub fn name(&self) -> String {
        format!("{}:{}", self.topic, self.id)
    }

    pub fn arn(&self) -> String {
        self.scope.arn("sns", self.name())
    }
}
