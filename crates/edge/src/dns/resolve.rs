//! Names as the internet side sees them, for what the edge itself connects to.

use super::forward::Upstream;
use super::message::Transport;
use super::zone::{Shared, addresses_in};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use std::net::Ipv4Addr;

pub struct Resolver<'a> {
    pub names: Option<&'a Shared>,
    pub upstream: &'a Upstream,
}

impl Resolver<'_> {
    /// None where there is no such name, or nobody to ask.
    pub async fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        let elsewhere = match self.names.map(|names| names.resolve(name)) {
            Some(Ok(addresses)) => return addresses,
            Some(Err(elsewhere)) => elsewhere,
            None => return Vec::new(),
        };
        if self.names.is_none_or(Shared::is_offline) {
            return Vec::new();
        }
        self.ask(&elsewhere).await.unwrap_or_default()
    }

    async fn ask(&self, name: &str) -> Option<Vec<Ipv4Addr>> {
        let name = Name::from_ascii(format!("{name}.")).ok()?;
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name, RecordType::A));
        let query = query.to_vec().ok()?;
        let answer = self.upstream.ask(&query, Transport::Udp).await?;
        let answer = Message::from_vec(&answer).ok()?;
        Some(addresses_in(&answer.answers))
    }
}
