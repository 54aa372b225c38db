//! Access logs: from the nodes' files to the buckets.
//!
//! Nodes append lines to files, whether a control plane lives or not. Every five minutes (less under
//! `--speed`) each file is renamed, packed and put into the bucket under AWS's name; one that cannot
//! be delivered stays and is tried again. Names: `A/load-balancer-access-logs.html`.

use crate::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use model::Scope;
use model::elbv2::{LoadBalancer, LoadBalancerZone};
use model::event::Severity;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use store::State;

/// Seconds between two files of a node.
const INTERVAL_SECS: u32 = 300;
/// Files that wait for delivery.
const READY: &str = "ready";

/// An object for a bucket of an account.
pub struct Delivery {
    pub scope: Scope,
    pub bucket: String,
    pub key: String,
    pub body: Vec<u8>,
}

/// Puts an object into a bucket, in the name of the service that delivers logs.
pub type Deliver = Box<dyn Fn(Delivery) -> Result<(), String> + Send>;

/// What was done about logs.
#[derive(Default)]
pub struct Deliveries {
    /// Number of the interval that is open.
    interval: Option<i64>,
    /// Failures last said, so that each is an event once.
    failures: BTreeSet<String>,
}

/// The directory a load balancer's nodes write to, if it wants logs.
pub fn directory(logs: &Path, balancer: &LoadBalancer) -> Option<PathBuf> {
    let wants = balancer.attributes.get("access_logs.s3.enabled")? == "true";
    let is_http = !balancer.is_network();
    (wants && is_http).then(|| path(logs, balancer))
}

fn path(logs: &Path, balancer: &LoadBalancer) -> PathBuf {
    logs.join(balancer.dimension().replace('/', "."))
}

/// Delivers when an interval is over; says when the next one is.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let wanting = || {
        let all = state.load_balancers.values();
        let all = all.filter(|b| b.deleted.is_none());
        all.filter_map(|b| Some((b, directory(&world.settings.logs_dir, b)?)))
    };
    let length = world.settings.speed.wait(INTERVAL_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let before = world.deliveries.interval.replace(number);
    wanting().next()?;
    let next = Timestamp::from_millisecond((number + 1) * length).ok();
    if before == Some(number) {
        return next;
    }
    let mut failures = BTreeSet::new();
    for (balancer, directory) in wanting() {
        for zone in &balancer.zones {
            let rotated = rotate(&directory, zone, now);
            let delivered = rotated.map_err(|error| format!("rotate: {error}"));
            let delivered =
                delivered.and_then(|()| deliver(world, &state, balancer, zone, &directory));
            if let Err(why) = delivered {
                failures.insert(format!("{}: {why}", balancer.name));
            }
        }
    }
    let new: Vec<String> = failures
        .difference(&world.deliveries.failures)
        .cloned()
        .collect();
    world.deliveries.failures = failures;
    if !new.is_empty() {
        world.store.update(|tx| {
            for why in new {
                let text = format!("failed to deliver access logs: {why}");
                tx.event(now, Severity::Warning, "load-balancer", "access-logs", text);
            }
        });
    }
    next
}

/// Takes the node's file away from under it: it makes a new one with its next line.
fn rotate(directory: &Path, zone: &LoadBalancerZone, now: Timestamp) -> io::Result<()> {
    let from = directory.join(format!("{}.log", zone.interface));
    let end = now.strftime("%Y%m%dT%H%MZ").to_string();
    let random = model::id::random_hex(8);
    let to = directory.join(format!("{}_{end}_{random}.{READY}", zone.interface));
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn deliver(
    world: &World,
    state: &State,
    balancer: &LoadBalancer,
    zone: &LoadBalancerZone,
    directory: &Path,
) -> Result<(), String> {
    let text = |key: &str| balancer.attributes.get(key).map_or("", String::as_str);
    let bucket = text("access_logs.s3.bucket");
    let owner = state.buckets.get(bucket);
    let owner = owner.ok_or_else(|| format!("the bucket {bucket} does not exist"))?;
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed("list files", error))?,
    };
    for entry in entries {
        let path = entry.map_err(|error| failed("list files", error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| name.strip_suffix(".ready"));
        let Some((interface, rest)) = stem.and_then(|stem| stem.split_once('_')) else {
            continue;
        };
        let Some((end, random)) = rest
            .split_once('_')
            .filter(|_| *interface == *zone.interface.as_str())
        else {
            continue;
        };
        let lines = fs::read(&path).map_err(|error| failed("read lines", error))?;
        let address = zone.public_ip.unwrap_or(zone.private_ip);
        let delivery = Delivery {
            scope: owner.scope.clone(),
            bucket: bucket.to_owned(),
            key: key(
                balancer,
                text("access_logs.s3.prefix"),
                end,
                &address.to_string(),
                random,
            ),
            body: pack(&lines).map_err(|error| failed("pack lines", error))?,
        };
        (world.deliver)(delivery)?;
        fs::remove_file(&path).map_err(|error| failed("remove what was delivered", error))?;
    }
    Ok(())
}

fn pack(lines: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(lines)?;
    packed.finish()
}

/// `end` is `20260102T0305Z`.
fn key(balancer: &LoadBalancer, prefix: &str, end: &str, address: &str, random: &str) -> String {
    let (account, region) = (&balancer.scope.account, &balancer.scope.region);
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    };
    let part = |from: usize, to: usize| end.get(from..to).unwrap_or("-");
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let name = balancer.dimension().replace('/', ".");
    format!(
        "{prefix}AWSLogs/{account}/elasticloadbalancing/{region}/{year}/{month}/{day}/\
         {account}_elasticloadbalancing_{region}_{name}_{end}_{address}_{random}.log.gz"
    )
}
