//! Where the lines in a directory go.
//!
//! It lies beside the lines, so that the last of them find their way when the load balancer is gone,
//! or its wish for logs. Keeping the record until everything is delivered was rejected: a bucket that
//! cannot be written to would keep load balancers from being deleted.

use super::Kind;
use model::Scope;
use model::elbv2::LoadBalancer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

const FILE: &str = "label.json";

/// What of a load balancer names its files, as it last wished for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    kind: Kind,
    /// The load balancer's, for failures.
    pub name: String,
    /// `app/name/id`
    dimension: String,
    scope: Scope,
    pub bucket: String,
    prefix: String,
    /// Of nodes, by interface; also of those that are gone.
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl Label {
    pub fn of(balancer: &LoadBalancer, kind: Kind) -> Self {
        let zones = balancer.zones.iter();
        let address = |zone: &model::elbv2::LoadBalancerZone| {
            let address = zone.public_ip.unwrap_or(zone.private_ip);
            (zone.interface.to_string(), address)
        };
        Self {
            kind,
            name: balancer.name.clone(),
            dimension: balancer.dimension().to_owned(),
            scope: balancer.scope.clone(),
            bucket: kind.setting(balancer, "bucket").to_owned(),
            prefix: kind.setting(balancer, "prefix").to_owned(),
            addresses: zones.map(address).collect(),
        }
    }

    /// The same, with the nodes of one that was before.
    pub fn after(mut self, before: Option<&Self>) -> Self {
        let known = before.into_iter().flat_map(|label| &label.addresses);
        for (interface, address) in known {
            self.addresses.entry(interface.clone()).or_insert(*address);
        }
        self
    }

    /// Those of all directories; what cannot be read is written again by whoever wishes for logs.
    pub fn all(logs: &Path) -> BTreeMap<PathBuf, Self> {
        let entries = fs::read_dir(logs).into_iter().flatten().flatten();
        let labels = entries.filter_map(|entry| {
            let text = fs::read(entry.path().join(FILE)).ok()?;
            Some((entry.path(), serde_json::from_slice(&text).ok()?))
        });
        labels.collect()
    }

    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let new = directory.join("label.json.tmp");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, directory.join(FILE))
    }

    /// Removes the directory if nothing but this is in it; says whether it is gone.
    pub fn remove_with(&self, directory: &Path) -> io::Result<bool> {
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let entries = match fs::read_dir(directory) {
            Err(error) if is_gone(&error) => return Ok(true),
            entries => entries?,
        };
        for entry in entries {
            if entry?.file_name() != FILE {
                return Ok(false);
            }
        }
        match fs::remove_file(directory.join(FILE)) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
        match fs::remove_dir(directory) {
            // Somebody has written a moment ago; what that is must not be forgotten.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                self.write(directory).map(|()| false)
            }
            removed => removed.map(|()| true),
        }
    }

    /// The name of an object; `end` is `20260102T0305Z`.
    pub fn key(&self, interface: &str, end: &str, random: &str) -> String {
        let (account, region) = (&self.scope.account, &self.scope.region);
        let prefix = match self.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let part = |from: usize, to: usize| end.get(from..to).unwrap_or("-");
        let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
        let name = self.dimension.replace('/', ".");
        let mark = self.kind.mark();
        let address = self.addresses.get(interface);
        // Files of network load balancers do not name their node.
        let node = match address {
            Some(address) if !self.dimension.starts_with("net/") => format!("{address}_"),
            _ => String::new(),
        };
        format!(
            "{prefix}AWSLogs/{account}/elasticloadbalancing/{region}/{year}/{month}/{day}/\
             {mark}{account}_elasticloadbalancing_{region}_{name}_{end}_{node}{random}.log.gz"
        )
    }
}
