//! Access, connection and health check logs: from the nodes' files to the buckets.
//!
//! Nodes append lines to files, whether a control plane lives or not. Every five minutes (less under
//! `--speed`) each file is renamed; a thread packs what was renamed and puts it into the bucket under
//! AWS's name, since that takes as long as there were requests. What cannot be delivered stays and is
//! tried again. Names: `A/load-balancer-access-logs.html`, `A/load-balancer-connection-logs.html`,
//! `A/load-balancer-health-check-logs.html`, and the Network Load Balancer guide's `load-balancer-access-logs.html`.

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
use std::sync::Arc;
use std::thread::JoinHandle;
use store::State;

/// Seconds between two files of a node.
const INTERVAL_SECS: u32 = 300;
/// Files that wait for delivery.
const READY: &str = "ready";

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Access,
    Connection,
    HealthCheck,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Access, Kind::Connection, Kind::HealthCheck];

    /// The directory a load balancer's nodes write to, if it wants these logs.
    pub fn directory(self, logs: &Path, balancer: &LoadBalancer) -> Option<PathBuf> {
        // The attributes of the others are none of a network load balancer's.
        let wants = self.setting(balancer, "enabled") == "true";
        let name = balancer.dimension().replace('/', ".");
        let name = match self {
            Kind::Access => name,
            Kind::Connection => format!("{name}.connections"),
            Kind::HealthCheck => format!("{name}.health-checks"),
        };
        wants.then(|| logs.join(name))
    }

    fn setting<'b>(self, balancer: &'b LoadBalancer, name: &str) -> &'b str {
        let kind = match self {
            Kind::Access => "access_logs",
            Kind::Connection => "connection_logs",
            Kind::HealthCheck => "health_check_logs",
        };
        let value = balancer.attributes.get(&format!("{kind}.s3.{name}"));
        value.map_or("", String::as_str)
    }

    /// In front of the names of files.
    fn mark(self) -> &'static str {
        match self {
            Kind::Access => "",
            Kind::Connection => "conn_log.",
            Kind::HealthCheck => "health_check_log_",
        }
    }
}

/// An object for a bucket of an account.
pub struct Delivery {
    pub scope: Scope,
    pub bucket: String,
    pub key: String,
    pub body: Vec<u8>,
}

/// Puts an object into a bucket, in the name of the service that delivers logs.
pub type Deliver = Arc<dyn Fn(Delivery) -> Result<(), String> + Send + Sync>;

/// What was done about logs.
#[derive(Default)]
pub struct Deliveries {
    /// Number of the interval that is open.
    interval: Option<i64>,
    /// Failures last said, so that each is an event once.
    failures: BTreeSet<String>,
    under_way: Option<JoinHandle<BTreeSet<String>>>,
}

/// A file on its way.
struct Parcel {
    path: PathBuf,
    /// Named in failures.
    balancer: String,
    scope: Scope,
    bucket: String,
    key: String,
}

/// Sends off what there is when an interval is over; says when the next one is.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    hear(world, now);
    let state = world.store.snapshot();
    let length = world.settings.speed.wait(INTERVAL_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let logs = &world.settings.logs_dir;
    let all = state.load_balancers.values();
    let all = all.filter(|b| b.deleted.is_none());
    let wanting: Vec<(&LoadBalancer, Kind, PathBuf)> = all
        .flat_map(|b| Kind::ALL.map(|kind| Some((&**b, kind, kind.directory(logs, b)?))))
        .flatten()
        .collect();
    if world.deliveries.under_way.is_some() {
        return None;
    }
    let before = world.deliveries.interval.replace(number);
    if wanting.is_empty() {
        return None;
    }
    let next = Timestamp::from_millisecond((number + 1) * length).ok();
    if before == Some(number) {
        return next;
    }
    let (mut parcels, mut failures) = (Vec::new(), BTreeSet::new());
    for (balancer, kind, directory) in &wanting {
        if let Err(why) = collect(&state, balancer, *kind, directory, now, &mut parcels) {
            failures.insert(format!("{}: {why}", balancer.name));
        }
    }
    let deliver = Arc::clone(&world.deliver);
    let bell = world.bell.clone();
    let work = move || {
        for parcel in parcels {
            if let Err(why) = send(&parcel, &deliver) {
                failures.insert(format!("{}: {why}", parcel.balancer));
            }
        }
        bell.ring();
        failures
    };
    let started = std::thread::Builder::new().name("logs".into()).spawn(work);
    match started {
        Ok(thread) => world.deliveries.under_way = Some(thread),
        Err(error) => tracing::warn!(%error, "start the delivery of logs"),
    }
    next
}

/// Takes in what the thread has to say, once it has ended.
fn hear(world: &mut World, now: Timestamp) {
    let ended = |thread: &mut JoinHandle<_>| thread.is_finished();
    let Some(thread) = world.deliveries.under_way.take_if(ended) else {
        return;
    };
    let failures = thread
        .join()
        .unwrap_or_else(|_| BTreeSet::from(["the delivery broke off".to_owned()]));
    let new: Vec<String> = failures
        .difference(&world.deliveries.failures)
        .cloned()
        .collect();
    world.deliveries.failures = failures;
    if new.is_empty() {
        return;
    }
    world.store.update(|tx| {
        for why in new {
            let text = format!("failed to deliver logs: {why}");
            tx.event(now, Severity::Warning, "load-balancer", "access-logs", text);
        }
    });
}

/// Takes the nodes' files away from under them, and adds all that wait.
fn collect(
    state: &State,
    balancer: &LoadBalancer,
    kind: Kind,
    directory: &Path,
    now: Timestamp,
    parcels: &mut Vec<Parcel>,
) -> Result<(), String> {
    for zone in &balancer.zones {
        rotate(directory, zone, now).map_err(|error| format!("rotate: {error}"))?;
    }
    let bucket = kind.setting(balancer, "bucket");
    let owner = state.buckets.get(bucket);
    let owner = owner.ok_or_else(|| format!("the bucket {bucket} does not exist"))?;
    let failed = |error: io::Error| format!("list files: {error}");
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| name.strip_suffix(".ready"));
        let parts = stem.and_then(|stem| stem.split_once('_'));
        let Some((interface, (end, random))) =
            parts.and_then(|(interface, rest)| Some((interface, rest.split_once('_')?)))
        else {
            continue;
        };
        let mut zones = balancer.zones.iter();
        let Some(zone) = zones.find(|zone| zone.interface.as_str() == interface) else {
            continue;
        };
        let address = zone.public_ip.unwrap_or(zone.private_ip).to_string();
        parcels.push(Parcel {
            key: key(balancer, kind, end, &address, random),
            path,
            balancer: balancer.name.clone(),
            scope: owner.scope.clone(),
            bucket: bucket.to_owned(),
        });
    }
    Ok(())
}

/// The node makes a new file with its next line.
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

fn send(parcel: &Parcel, deliver: &Deliver) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    let lines = fs::read(&parcel.path).map_err(|error| failed("read lines", error))?;
    deliver(Delivery {
        scope: parcel.scope.clone(),
        bucket: parcel.bucket.clone(),
        key: parcel.key.clone(),
        body: pack(&lines).map_err(|error| failed("pack lines", error))?,
    })?;
    fs::remove_file(&parcel.path).map_err(|error| failed("remove what was delivered", error))
}

fn pack(lines: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(lines)?;
    packed.finish()
}

/// `end` is `20260102T0305Z`.
fn key(balancer: &LoadBalancer, kind: Kind, end: &str, address: &str, random: &str) -> String {
    let (account, region) = (&balancer.scope.account, &balancer.scope.region);
    let prefix = match kind.setting(balancer, "prefix") {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let part = |from: usize, to: usize| end.get(from..to).unwrap_or("-");
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let name = balancer.dimension().replace('/', ".");
    let mark = kind.mark();
    // Files of network load balancers do not name their node.
    let node = match balancer.is_network() {
        true => String::new(),
        false => format!("{address}_"),
    };
    format!(
        "{prefix}AWSLogs/{account}/elasticloadbalancing/{region}/{year}/{month}/{day}/\
         {mark}{account}_elasticloadbalancing_{region}_{name}_{end}_{node}{random}.log.gz"
    )
}
