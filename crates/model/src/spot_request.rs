//! Spot Instance requests: wishes that are open until an instance runs for them.

use crate::instance::LaunchTemplateData;
use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpotRequest {
    pub id: SpotRequestId,
    pub scope: Scope,
    /// Open again when its instance has ended; a one-time request is closed then.
    pub persistent: bool,
    /// USD an hour, as given. There is no market: every price is met.
    pub max_price: Option<String>,
    /// `terminate` or `stop`.
    pub interruption: String,
    /// Nothing is launched before.
    pub valid_from: Option<Timestamp>,
    /// Nothing is launched from then on.
    pub valid_until: Option<Timestamp>,
    pub launch: LaunchTemplateData,
    pub subnet: Option<String>,
    pub state: SpotRequestState,
    /// AWS's code and message.
    pub status: (String, String),
    pub status_since: Timestamp,
    pub instance: Option<InstanceId>,
    pub created: Timestamp,
    pub client_token: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpotRequestState {
    /// Waits for its instance.
    Open,
    /// Its instance is there.
    Active,
    /// Its instance was stopped.
    Disabled,
    Closed,
    Cancelled,
    Failed,
}

impl SpotRequestState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Nothing comes of the request any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Cancelled | Self::Failed)
    }
}

impl SpotRequest {
    pub fn become_state(
        &mut self,
        state: SpotRequestState,
        code: &str,
        message: impl Into<String>,
        now: Timestamp,
    ) {
        self.state = state;
        self.status = (code.to_owned(), message.into());
        self.status_since = now;
    }
}
