//! Controllers: converge the host and the data plane on the records, and write back what was seen.
//!
//! Each controller reads everything, works out what differs (a pure `plan` or
//! `desired`) and acts thinly. They run one after another on one thread, woken
//! by the store's revision, by reports and by time, so first run, every change
//! and recovery after a crash are the same path. `now` is a parameter: the same
//! code runs on the real clock, N times faster, or on a virtual one.

pub mod alarm;
mod bell;
pub mod certificate;
pub mod clock;
pub mod command;
pub mod edge;
pub mod group;
mod hosted_zone;
mod index;
pub mod instance;
pub mod instance_connect;
pub mod load_balancer;
pub mod nat_gateway;
pub mod network;
pub mod policy;
mod public_access;
pub mod repository;
pub mod schedule;
pub mod snapshot;
pub mod spot;
mod spot_request;
pub mod usage;
mod vpc_endpoint;
mod vpc_peering;
mod zonal_shift;

pub use bell::Bell;
pub use clock::Speed;
pub use load_balancer::log::{Deliver, Delivery};

use host::Host;
use ipnet::Ipv4Net;
use jiff::Timestamp;
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState, LaunchError, TemplateLaunch};
use model::spot_request::SpotRequest;
use model::{InstanceId, Scope};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{Store, Tx};

/// What does not change while a control plane runs.
pub struct Settings {
    /// Name of the cloud: prefix of everything it makes on the host.
    pub cloud: String,
    pub speed: Speed,
    /// No uplink: the cloud's internet side ends in the cloud.
    pub offline: bool,
    pub public_pool: Ipv4Net,
    /// One directory per image recipe, with `rootfs` in it.
    pub images_dir: PathBuf,
    /// Where load balancers' nodes write access logs until they are delivered.
    pub logs_dir: PathBuf,
    /// Where repositories of container images lie.
    pub repositories_dir: PathBuf,
    /// The root file systems that are built or imported.
    pub images: model::image::AtHand,
    /// Root volumes have the size that is asked for; else they share the host's disk.
    pub sized_volumes: bool,
    /// Thousandths of a host core that make one vCPU.
    pub millicores_per_vcpu: u32,
    /// Addresses of the cloud's own servers on its internet side.
    pub internet_services: Vec<Ipv4Addr>,
    /// Their names.
    pub internet_names: ::edge::config::Names,
    pub registry: Option<::edge::config::Registry>,
    pub checkip: Option<::edge::config::Checkip>,
    /// Serves public zones of Route 53.
    pub name_server: Option<::edge::config::NameServer>,
    /// Looks at endpoints for Route 53, without any.
    pub health_checks: Option<::edge::config::HealthChecks>,
    /// The APIs as instances reach them.
    pub api: Option<::edge::config::Api>,
    /// EC2 Instance Connect Endpoints, without any.
    pub tunnels: Option<::edge::config::Tunnels>,
    /// Signs instance identity documents.
    pub identity: Option<::edge::config::Identity>,
    /// PEM of the authority that instances trust besides those of their image.
    pub trust: Option<String>,
}

/// The data-plane processes, and the host's view of names. Calls never wait for an effect:
/// that comes back as a report.
pub trait DataPlane: Send + Sync {
    fn push_balancer(&self, config: &balancer::config::Config);
    fn push_edge(&self, config: &::edge::config::Config);
    /// Makes the load balancers' names resolve on the host.
    fn publish_names(&self, names: &BTreeMap<String, Vec<Ipv4Addr>>);
    /// Starts again what died.
    fn keep_alive(&self);
}

/// What the data plane reported.
pub enum Report {
    Balancer(balancer::report::Report),
    Edge(::edge::config::Report),
}

/// Reports on their way to the next pass.
#[derive(Clone)]
pub struct Inbox {
    reports: Arc<Mutex<VecDeque<Report>>>,
    bell: Bell,
}

impl Inbox {
    pub fn new(bell: Bell) -> Self {
        Self {
            reports: Arc::default(),
            bell,
        }
    }
    pub fn put(&self, report: Report) {
        self.reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(report);
        self.bell.ring();
    }
    fn take(&self) -> VecDeque<Report> {
        std::mem::take(&mut self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes the records of a group's instance as `RunInstances` does; gives its id and the
/// number of the template version used. The API's layer does it: controllers know no shapes.
pub type Launcher = Box<
    dyn Fn(&mut Tx, &Scope, &TemplateLaunch, Timestamp) -> Result<(InstanceId, u64), LaunchError>
        + Send,
>;

/// Makes the records of the instance that an open Spot request asks for.
pub type SpotLauncher =
    Box<dyn Fn(&mut Tx, &SpotRequest, Timestamp) -> Result<InstanceId, LaunchError> + Send>;

/// Starts a stopped instance as `StartInstances` does.
pub type Starter = Box<dyn Fn(&mut Tx, &InstanceId, Timestamp) -> Result<(), LaunchError> + Send>;

/// Everything controllers work with.
pub struct World {
    pub store: Arc<Store>,
    pub host: Arc<dyn Host>,
    pub plane: Arc<dyn DataPlane>,
    pub metrics: Arc<metrics::Metrics>,
    pub settings: Settings,
    pub inbox: Inbox,
    pub bell: Bell,
    pub launcher: Launcher,
    pub spot_launcher: SpotLauncher,
    pub(crate) deliver: Deliver,
    pub(crate) deliveries: load_balancer::log::Deliveries,
    pub starter: Starter,
    /// The network as it stands on the host.
    pub applied: network::Applied,
    pub balancer: load_balancer::Balancer,
    pub edge: edge::Edge,
    pub(crate) repositories: repository::Repositories,
    pub usage: usage::Usage,
    pub(crate) alarms: alarm::Evaluated,
    pub(crate) rebalancing: group::Rebalancing,
    /// Instances that ran when the cloud was taken down, and are to run again.
    pub(crate) resume: BTreeSet<InstanceId>,
    pub(crate) host_names: BTreeMap<String, Vec<Ipv4Addr>>,
    pub(crate) network_retry: Option<Timestamp>,
    /// Counts what the host and the data plane have told, measures aside.
    pub(crate) told: u64,
    pub(crate) rested: Rested,
}

/// What records and answers a controller last found nothing to do for: as long as they are the
/// same, so is what it wants, and working that out is most of what an idle pass costs.
#[derive(Default)]
pub(crate) struct Rested {
    pub network: Option<Moment>,
    pub balancer: Option<Moment>,
    /// With when to look again.
    pub edge: Option<(Moment, Option<Timestamp>)>,
}

/// The store's revision, and [`World::told`].
pub(crate) type Moment = (u64, u64);

/// The parts a control plane is put together from.
pub struct Parts {
    pub store: Arc<Store>,
    pub host: Arc<dyn Host>,
    pub plane: Arc<dyn DataPlane>,
    pub metrics: Arc<metrics::Metrics>,
    pub settings: Settings,
    pub inbox: Inbox,
    pub bell: Bell,
    pub launcher: Launcher,
    pub spot_launcher: SpotLauncher,
    pub deliver: Deliver,
    pub starter: Starter,
    /// Start again what ran when the cloud was taken down.
    pub resume: bool,
}

impl World {
    pub fn new(parts: Parts) -> Self {
        let ran = |i: &Instance| {
            i.desired == DesiredInstance::Running && i.state == InstanceState::Running
        };
        let state = parts.store.snapshot();
        let resume = state
            .instances
            .values()
            .filter(|i| parts.resume && ran(i))
            .map(|i| i.id.clone())
            .collect();
        // Metrics keep time as the cloud does.
        let minute = parts.settings.speed.wait(60).as_millis();
        parts
            .metrics
            .set_minute(i64::try_from(minute).unwrap_or(i64::MAX));
        Self {
            store: parts.store,
            host: parts.host,
            plane: parts.plane,
            metrics: parts.metrics,
            settings: parts.settings,
            inbox: parts.inbox,
            bell: parts.bell,
            launcher: parts.launcher,
            spot_launcher: parts.spot_launcher,
            deliver: parts.deliver,
            deliveries: Default::default(),
            starter: parts.starter,
            applied: Default::default(),
            balancer: Default::default(),
            edge: Default::default(),
            repositories: Default::default(),
            usage: Default::default(),
            alarms: Default::default(),
            rebalancing: Default::default(),
            resume,
            host_names: BTreeMap::new(),
            network_retry: None,
            told: 0,
            rested: Rested::default(),
        }
    }

    pub(crate) fn moment(&self, state: &store::Snapshot) -> Moment {
        (state.revision, self.told)
    }

    /// Runs every controller once; says when to run them again at the latest.
    pub fn pass(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.take_reports(now);
        let passes: &[fn(&mut World, Timestamp) -> Option<Timestamp>] = &[
            spot::pass,
            instance::pass,
            snapshot::pass,
            command::pass,
            spot_request::pass,
            nat_gateway::pass,
            vpc_endpoint::pass,
            instance_connect::pass,
            vpc_peering::pass,
            // Listeners serve what is issued.
            certificate::pass,
            // What is moved back is in the configuration of the same pass.
            zonal_shift::pass,
            load_balancer::pass,
            policy::pass,
            load_balancer::log::pass,
            schedule::pass,
            group::pass,
            network::pass,
            public_access::pass,
            edge::pass,
            hosted_zone::pass,
            // What the edge serves no more is removed.
            repository::pass,
            // Measures close a period before alarms look at it.
            usage::pass,
            alarm::pass,
        ];
        let mut again = None;
        for pass in passes {
            again = clock::earliest(again, pass(self, now));
        }
        self.plane.keep_alive();
        again
    }

    fn take_reports(&mut self, now: Timestamp) {
        for report in self.inbox.take() {
            let measures = matches!(
                report,
                Report::Balancer(balancer::report::Report::Metrics(_))
            );
            self.told += u64::from(!measures);
            match report {
                Report::Balancer(report) => {
                    match &report {
                        balancer::report::Report::Metrics(counts) => {
                            self.usage.take_balancer(counts);
                        }
                        balancer::report::Report::Flows(counts) => self.usage.take_flows(counts),
                        _ => {}
                    }
                    if let Some(problem) = self.balancer.report(report) {
                        self.store.update(|tx| problem.tell(tx, now));
                    }
                }
                Report::Edge(report) => {
                    match &report {
                        ::edge::config::Report::MetadataNoToken(counts) => {
                            self.usage.take_no_token(counts);
                        }
                        ::edge::config::Report::HealthCheck { id, seen } => {
                            hosted_zone::seen(self, id, seen, now);
                        }
                        ::edge::config::Report::Applied { .. } => {}
                    }
                    for failure in self.edge.report(report) {
                        self.store
                            .update(|tx| tx.event(now, Severity::Error, "edge", "edge", failure));
                    }
                }
            }
        }
    }
}

/// Keeps a cloud that changes all the time from being looked at all the time: a few passes follow
/// one another at once, as a launch needs, and then only as many as leave most of the core alone.
/// What a pass takes is CPU, its own and that of the programs it runs: while it waits for the host
/// otherwise, the core is others' already, and a launch that follows a new network would wait for
/// nothing.
struct Pace {
    /// When the next pass would be due, had they all kept their distance.
    due: Instant,
}

impl Pace {
    /// Between passes in the long run; at least so many times as long as a pass takes.
    const GAP: Duration = Duration::from_millis(10);
    const TIMES: u32 = 5;
    /// How far ahead of that a few may run.
    const CREDIT: Duration = Duration::from_millis(200);

    /// After a pass that took so much: how long to leave things alone, whatever rings.
    fn rest(&mut self, took: Duration, now: Instant) -> Duration {
        let earliest = now.checked_sub(Self::CREDIT).unwrap_or(now);
        self.due = self.due.max(earliest) + Self::GAP.max(took * Self::TIMES);
        self.due.saturating_duration_since(now).min(Self::CREDIT)
    }
}

/// What this thread, and the programs that it waited for, have used so far.
fn cpu() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let own = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    let programs = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |used| {
        let times = [used.user_time(), used.system_time()];
        let micros = times.map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
        Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs())
    });
    own.map_or(Duration::ZERO, Duration::from) + programs
}

/// Runs passes until `stop` rings true: woken by the bell, and by time.
pub fn run(mut world: World, now: impl Fn() -> Timestamp, stop: impl Fn() -> bool) {
    /// Look at everything at least this often: the host changes without telling.
    const AT_LEAST: std::time::Duration = std::time::Duration::from_secs(1);
    let mut pace = Pace {
        due: Instant::now(),
    };
    while !stop() {
        let before = cpu();
        let next = world.pass(now());
        std::thread::sleep(pace.rest(cpu().saturating_sub(before), Instant::now()));
        let wait = next.map_or(AT_LEAST, |at| {
            std::time::Duration::try_from(at.duration_since(now())).unwrap_or_default()
        });
        world.bell.wait(wait.min(AT_LEAST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_follow_at_once_until_they_are_many() {
        let start = Instant::now();
        let mut pace = Pace { due: start };
        let quick = Duration::from_micros(200);
        // Some in a row rest not at all.
        let mut now = start + Duration::from_secs(1);
        for _ in 0..19 {
            now += quick;
            assert_eq!(pace.rest(quick, now), Duration::ZERO);
        }
        // A hundred more take a second.
        let busy = now;
        for _ in 0..100 {
            now += quick;
            now += pace.rest(quick, now);
        }
        let took = (now - busy).as_secs_f64();
        assert!((0.9..1.1).contains(&took), "{took}");
        // Long ones leave most of the time to others, and nothing waits for long.
        let slow = Duration::from_millis(15);
        assert_eq!(pace.rest(slow, now), slow * Pace::TIMES);
        assert_eq!(pace.rest(slow * 100, now), Pace::CREDIT);
    }
}
