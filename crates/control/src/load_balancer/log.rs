//! Access, connection and health check logs: from the nodes' files to the buckets.
//!
//! Nodes append lines to files, whether a control plane lives or not. Every five minutes (less under
//! `--speed`) each file is renamed; a thread packs what was renamed and puts it into the bucket under
//! AWS's name, since that takes as long as there were requests. What cannot be delivered stays and is
//! tried again; a directory that nobody writes to any more goes with its last delivery. Names:
//! `A/load-balancer-access-logs.html`, `A/load-balancer-connection-logs.html`,
//! `A/load-balancer-health-check-logs.html`, and the Network Load Balancer guide's
//! `load-balancer-access-logs.html`.

mod label;

use self::label::Label;
use super::Balancer;
use crate::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use model::Scope;
use model::elbv2::LoadBalancer;
use model::event::Severity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use store::State;

/// Seconds between two files of a node.
const INTERVAL_SECS: u32 = 300;
/// How often the last lines of a log are offered to a bucket that refuses them: an hour of AWS's.
const LAST_TRIES: u32 = 12;
/// Files that wait for delivery.
const READY: &str = ".ready";

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Directories with lines, or that are to have some; read once from where they lie.
    labels: Option<BTreeMap<PathBuf, Label>>,
    /// Of the labels that are wanted: the revision they were read at, and whose they are.
    looked_at: Option<u64>,
    wanted: BTreeSet<PathBuf>,
    /// Number of the interval that is open.
    interval: Option<i64>,
    /// Failures last said, so that each is an event once.
    failures: BTreeSet<String>,
    /// How often last lines were offered in vain.
    in_vain: BTreeMap<PathBuf, u32>,
    under_way: Option<JoinHandle<Delivered>>,
}

/// What a thread has to say.
#[derive(Default)]
struct Delivered {
    failures: BTreeSet<String>,
    /// Directories that are no more.
    gone: Vec<PathBuf>,
    /// Directories whose last lines a bucket refused.
    refused: Vec<PathBuf>,
}

/// A file on its way.
struct Parcel {
    path: PathBuf,
    key: String,
}

/// The files of a directory.
struct Batch {
    directory: PathBuf,
    /// Nobody writes to it any more.
    is_last: bool,
    /// And the bucket has had its chances.
    is_last_try: bool,
    label: Label,
    /// Whose the bucket is; `None` if there is none.
    owner: Option<Scope>,
    parcels: Vec<Parcel>,
}

/// Sends off what there is when an interval is over; says when the next one is.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    hear(world, now);
    let state = world.store.snapshot();
    know(world, state.revision, &state);
    let length = world.settings.speed.wait(INTERVAL_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let deliveries = &mut world.deliveries;
    if deliveries.under_way.is_some() {
        return None;
    }
    let before = deliveries.interval.replace(number);
    let labels = deliveries.labels.iter().flatten();
    let labels: Vec<(&PathBuf, &Label)> = labels.collect();
    if labels.is_empty() {
        return None;
    }
    let next = Timestamp::from_millisecond((number + 1) * length).ok();
    if before == Some(number) {
        return next;
    }
    let mut batches = Vec::new();
    let mut failures = BTreeSet::new();
    for (directory, label) in labels {
        // Before it is looked into: what comes later is a later delivery's.
        let is_last =
            !deliveries.wanted.contains(directory) && !world.balancer.writes_to(directory);
        match collect(directory, label, now) {
            Ok(parcels) => batches.push(Batch {
                directory: directory.clone(),
                is_last,
                is_last_try: deliveries.in_vain.get(directory) >= Some(&(LAST_TRIES - 1)),
                label: label.clone(),
                owner: state.buckets.get(&label.bucket).map(|b| b.scope.clone()),
                parcels,
            }),
            Err(why) => _ = failures.insert(format!("{}: {why}", label.name)),
        }
    }
    let deliver = Arc::clone(&world.deliver);
    let bell = world.bell.clone();
    let work = move || {
        let mut delivered = Delivered {
            failures,
            ..Delivered::default()
        };
        for batch in batches {
            send(batch, &deliver, &mut delivered);
        }
        bell.ring();
        delivered
    };
    let started = std::thread::Builder::new().name("logs".into()).spawn(work);
    match started {
        Ok(thread) => world.deliveries.under_way = Some(thread),
        Err(error) => tracing::warn!(%error, "start the delivery of logs"),
    }
    next
}

/// Writes down where the logs go that load balancers wish for now.
fn know(world: &mut World, revision: u64, state: &State) {
    let (logs, deliveries) = (&world.settings.logs_dir, &mut world.deliveries);
    let labels = deliveries.labels.get_or_insert_with(|| Label::all(logs));
    if deliveries.looked_at.replace(revision) == Some(revision) {
        return;
    }
    deliveries.wanted.clear();
    for balancer in state
        .load_balancers
        .values()
        .filter(|b| b.deleted.is_none())
    {
        for kind in Kind::ALL {
            let Some(directory) = kind.directory(logs, balancer) else {
                continue;
            };
            let before = labels.get(&directory);
            let label = Label::of(balancer, kind).after(before);
            if before != Some(&label) {
                if let Err(error) = label.write(&directory) {
                    // It is needed only by those who come after this control plane.
                    tracing::warn!(%error, balancer = label.name, "label the directory of logs");
                }
                labels.insert(directory.clone(), label);
            }
            deliveries.in_vain.remove(&directory);
            deliveries.wanted.insert(directory);
        }
    }
}

/// Takes in what the thread has to say, once it has ended.
fn hear(world: &mut World, now: Timestamp) {
    let ended = |thread: &mut JoinHandle<_>| thread.is_finished();
    let Some(thread) = world.deliveries.under_way.take_if(ended) else {
        return;
    };
    let Delivered {
        failures,
        gone,
        refused,
    } = thread.join().unwrap_or_else(|_| Delivered {
        failures: BTreeSet::from(["the delivery broke off".to_owned()]),
        ..Delivered::default()
    });
    for directory in refused {
        *world.deliveries.in_vain.entry(directory).or_default() += 1;
    }
    for directory in gone {
        world.deliveries.in_vain.remove(&directory);
        world
            .deliveries
            .labels
            .iter_mut()
            .for_each(|labels| _ = labels.remove(&directory));
        // Whoever wishes for it again has it labelled again.
        world.deliveries.looked_at = None;
    }
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

impl Balancer {
    /// Whether a node may still append to files in there.
    fn writes_to(&self, directory: &Path) -> bool {
        let Some(config) = self.pushed.as_ref().filter(|_| self.settled()) else {
            return true;
        };
        let http = config.load_balancers.iter().flat_map(|balancer| {
            let of = &balancer.attributes;
            [&of.access_log, &of.connection_log, &of.health_check_log]
        });
        let network = config.network_load_balancers.iter();
        let network = network.map(|balancer| &balancer.access_log);
        let mut all = http.chain(network).flatten();
        all.any(|own| own == directory)
    }
}

/// Takes the nodes' files away from under them; answers with all that wait.
fn collect(directory: &Path, label: &Label, now: Timestamp) -> Result<Vec<Parcel>, String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let names = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names
            .collect::<io::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    };
    for name in names().map_err(failed("list files"))? {
        if let Some(interface) = name.strip_suffix(".log") {
            rotate(directory, interface, now).map_err(failed("rotate"))?;
        }
    }
    let ready = names().map_err(failed("list files"))?;
    let parcels = ready.iter().filter_map(|name| {
        let (interface, rest) = name.strip_suffix(READY)?.split_once('_')?;
        let (end, random) = rest.split_once('_')?;
        Some(Parcel {
            key: label.key(interface, end, random),
            path: directory.join(name),
        })
    });
    Ok(parcels.collect())
}

/// The node makes a new file with its next line.
fn rotate(directory: &Path, interface: &str, now: Timestamp) -> io::Result<()> {
    let from = directory.join(format!("{interface}.log"));
    let end = now.strftime("%Y%m%dT%H%MZ").to_string();
    let random = model::id::random_hex(8);
    let to = directory.join(format!("{interface}_{end}_{random}{READY}"));
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn send(batch: Batch, deliver: &Deliver, delivered: &mut Delivered) {
    let Label { name, bucket, .. } = &batch.label;
    let mut fail = |why: String| _ = delivered.failures.insert(format!("{name}: {why}"));
    let mut is_empty = true;
    for parcel in &batch.parcels {
        let sent = match &batch.owner {
            Some(owner) => pass_on(parcel, owner, bucket, deliver),
            None => Err(format!("the bucket {bucket} does not exist")),
        };
        let Err(why) = sent else { continue };
        // Of a load balancer that is gone nobody can mend the bucket's name, and who could mend the
        // bucket has had the time.
        let is_hopeless = batch.owner.is_none() || batch.is_last_try;
        if batch.is_last && is_hopeless && fs::remove_file(&parcel.path).is_ok() {
            fail(format!("{why}; its last lines are dropped"));
            continue;
        }
        is_empty = false;
        fail(why);
    }
    if batch.is_last && !is_empty {
        delivered.refused.push(batch.directory.clone());
    }
    if batch.is_last && is_empty {
        match batch.label.remove_with(&batch.directory) {
            Ok(true) => delivered.gone.push(batch.directory),
            // A process that leaves has written once more.
            Ok(false) => {}
            Err(error) => fail(format!("remove its directory: {error}")),
        }
    }
}

fn pass_on(parcel: &Parcel, owner: &Scope, bucket: &str, deliver: &Deliver) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    let lines = fs::read(&parcel.path).map_err(|error| failed("read lines", error))?;
    deliver(Delivery {
        scope: owner.clone(),
        bucket: bucket.to_owned(),
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
