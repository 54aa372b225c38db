//! The coordinator: hands configs and health to the workers, gathers what they and the checks find,
//! reports.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::config::{Config, TargetState};
use crate::count::{Gathering, Relayed};
use crate::handover::{self, Inherited, Socket};
use crate::network;
use crate::probe::{Finding, Prober};
use crate::report::{FlowMetrics, Metrics, Report};
use crate::tls::Servers;
use crate::worker::{self, Command, Event};

/// Metrics, drains and retries of what failed.
const TICK: Duration = Duration::from_secs(1);
/// How long connections may outlive a process that was replaced.
const LEAVE_LIMIT: Duration = Duration::from_secs(600);

/// Why the balancer cannot serve at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start a runtime")]
    Runtime(#[source] io::Error),
    #[error("start a worker")]
    Worker(#[source] io::Error),
    #[error("take over from the process before")]
    Takeover(#[source] io::Error),
    #[error(transparent)]
    Sidecar(#[from] sidecar::Error),
}

/// The process: serves what the control plane wrote to `dir`, one worker per core, until another one
/// takes over. If one serves it already, takes over from that.
pub fn run(dir: &Path) -> Result<(), Error> {
    raise_descriptor_limit();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let inherited = handover::take(dir).map_err(Error::Takeover)?;
        let (config, reporter) = sidecar::serve::<Config, Report>(dir)?;
        let connected = reporter.connected();
        let workers = thread::available_parallelism().map_or(1, |cores| cores.get());
        let life = Life {
            inherited: inherited.unwrap_or_default(),
            successors: Some(Successors {
                listener: sidecar::handover::listen(dir).map_err(Error::Takeover)?,
                reporter: reporter.clone(),
            }),
        };
        let report = move |report| reporter.send(report);
        coordinate(workers, config, connected, report, life).await
    })
}

/// The same without a process around it, for tests and benches: ends when `config`'s sender is
/// dropped, with every socket closed.
pub fn run_with(
    workers: usize,
    config: watch::Receiver<Option<Arc<Config>>>,
    report: impl Fn(Report),
) -> Result<(), Error> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let (_sender, connected) = watch::channel(0);
    let life = Life::default();
    let work = coordinate(workers, config, connected, report, life);
    LocalSet::new().block_on(&runtime, work)
}

/// What came before and what comes after.
#[derive(Default)]
struct Life {
    inherited: Inherited,
    successors: Option<Successors>,
}

/// Where a process that takes over asks, and what it needs.
struct Successors {
    listener: UnixListener,
    reporter: sidecar::Reporter<Report>,
}

/// The next process that wants to take over.
async fn successor(successors: Option<&Successors>) -> UnixStream {
    let Some(successors) = successors else {
        return std::future::pending().await;
    };
    loop {
        match successors.listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "hear a successor");
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

async fn coordinate(
    workers: usize,
    mut config: watch::Receiver<Option<Arc<Config>>>,
    mut connected: watch::Receiver<u64>,
    report: impl Fn(Report),
    life: Life,
) -> Result<(), Error> {
    let (events_in, mut events) = unbounded_channel();
    let pool = Pool::start(workers, events_in)?;
    let (findings_in, mut findings) = unbounded_channel();
    let mut coordinator = Coordinator {
        pool,
        prober: Prober::new(findings_in),
        inherited: Arc::new(life.inherited),
        servers: Servers::default(),
        report,
        config: None,
        sequence: 0,
        applied: BTreeSet::new(),
        revision_in_force: None,
        problems: BTreeSet::new(),
        new_problems: BTreeSet::new(),
        drained: BTreeSet::new(),
        metrics: Gathering::starting_now(),
        relayed: Relayed::default(),
    };
    coordinator.apply(config.borrow_and_update().clone()).await;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = config.changed() => {
                if changed.is_err() {
                    break;
                }
                let new = config.borrow_and_update().clone();
                coordinator.apply(new).await;
            }
            Some((worker, event)) = events.recv() => coordinator.hear(worker, event),
            Some(Finding(health)) = findings.recv() => {
                coordinator.pool.tell(&Command::Health {
                    node: health.node.clone(),
                    target_group: health.target_group.clone(),
                    target: health.target.clone(),
                    state: health.state,
                });
                (coordinator.report)(Report::Health(health));
            }
            Ok(()) = connected.changed() => coordinator.tell_all(),
            _ = ticks.tick() => coordinator.tick().await,
            mut stream = successor(life.successors.as_ref()) => {
                let Some(successors) = &life.successors else { continue };
                match coordinator.hand_over(&mut stream, successors).await {
                    Handover::Refused => {}
                    // Known as one that leaves until the last connection has ended.
                    Handover::Done(_leaving) => {
                        leave(&coordinator.pool, &mut events).await;
                        break;
                    }
                }
            }
        }
    }
    coordinator.pool.stop();
    Ok(())
}

/// Waits for the last connections of a process that was replaced.
async fn leave(pool: &Pool, events: &mut UnboundedReceiver<(usize, Event)>) {
    let limit = sleep_until(Instant::now() + LEAVE_LIMIT);
    let mut limit = std::pin::pin!(limit);
    let mut ticks = interval(TICK);
    let mut open: BTreeMap<usize, usize> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = &mut limit => return,
            _ = ticks.tick() => pool.tell(&Command::Tick),
            Some((worker, event)) = events.recv() => {
                if let Event::Metrics { connections, .. } = event {
                    open.insert(worker, connections);
                }
                if open.len() == pool.workers && open.values().all(|count| *count == 0) {
                    return;
                }
            }
        }
    }
}

/// The worker threads, and the one for network load balancers after them.
struct Pool {
    workers: usize,
    commands: Vec<UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    fn start(workers: usize, events: UnboundedSender<(usize, Event)>) -> Result<Pool, Error> {
        let mut pool = Pool {
            workers: workers.max(1),
            commands: Vec::new(),
            threads: Vec::new(),
        };
        for index in 0..pool.workers {
            let (sender, receiver) = unbounded_channel();
            let events = events.clone();
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Error::Runtime)?;
            let serve =
                move || LocalSet::new().block_on(&runtime, forward_events(index, receiver, events));
            let thread = thread::Builder::new()
                .name(format!("balancer-{index}"))
                .spawn(serve);
            pool.threads.push(thread.map_err(Error::Worker)?);
            pool.commands.push(sender);
        }
        let (sender, receiver) = unbounded_channel();
        let index = pool.workers;
        let tell = move |event| {
            // Nobody to tell is the end of the process.
            let _ = events.send((index, event));
        };
        let thread = thread::Builder::new()
            .name("balancer-network".into())
            .spawn(move || network::run(receiver, tell));
        pool.threads.push(thread.map_err(Error::Worker)?);
        pool.commands.push(sender);
        Ok(pool)
    }

    fn tell(&self, command: &Command) {
        for worker in &self.commands {
            // A worker that ended has no sockets left that a command could matter to.
            let _ = worker.send(command.clone());
        }
    }

    /// Every worker's listening sockets, on which nobody accepts any more.
    async fn stop_listening(&self) -> Vec<Socket> {
        let (sender, mut receiver) = unbounded_channel();
        self.tell(&Command::StopListening { sockets: sender });
        let mut all = Vec::new();
        // Ends when the last worker has dropped its sender.
        while let Some(sockets) = receiver.recv().await {
            all.extend(sockets);
        }
        all
    }

    fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// A worker's thread: its events, marked with its number.
async fn forward_events(
    index: usize,
    commands: UnboundedReceiver<Command>,
    events: UnboundedSender<(usize, Event)>,
) {
    let (sender, mut receiver) = unbounded_channel();
    let forwarding = async {
        while let Some(event) = receiver.recv().await {
            if events.send((index, event)).is_err() {
                break;
            }
        }
    };
    tokio::join!(worker::run(commands, sender), forwarding);
}

/// What became of a process that wanted to take over.
enum Handover {
    /// It did not take what it was offered.
    Refused,
    Done(Option<sidecar::Leaving>),
}

struct Coordinator<R> {
    pool: Pool,
    prober: Prober,
    /// Of a process before, or given back by one that did not take over.
    inherited: Arc<Inherited>,
    servers: Servers,
    report: R,
    config: Option<Arc<Config>>,
    /// Of the last config sent to the workers; the same config tried again has a new one.
    sequence: u64,
    /// Workers that have it in force.
    applied: BTreeSet<usize>,
    revision_in_force: Option<u64>,
    /// As reported, and as found since the config was last sent.
    problems: BTreeSet<(String, String)>,
    new_problems: BTreeSet<(String, String)>,
    /// Targets (group, key) reported as drained.
    drained: BTreeSet<(String, String)>,
    metrics: Gathering,
    relayed: Relayed,
}

impl<R: Fn(Report)> Coordinator<R> {
    async fn apply(&mut self, config: Option<Arc<Config>>) {
        let Some(config) = config else { return };
        self.config = Some(config.clone());
        let config = network::with_relays(config);
        self.relayed.renew();
        self.sequence += 1;
        self.applied.clear();
        self.new_problems.clear();
        let mut problems = Vec::new();
        let secured = self.servers.update(&config, &mut problems);
        // Workers first: they close what is gone while the checks are being changed.
        self.pool.tell(&Command::Apply {
            sequence: self.sequence,
            config: config.clone(),
            secured,
            inherited: self.inherited.clone(),
        });
        self.prober.inherit(&self.inherited.health);
        self.prober.update(&config, &mut problems).await;
        self.new_problems.extend(problems);
        self.drained
            .retain(|(group, target)| is_draining(&config, group, target));
    }

    fn hear(&mut self, worker: usize, event: Event) {
        match event {
            Event::Applied { sequence, problems } if sequence == self.sequence => {
                self.new_problems.extend(problems);
                self.applied.insert(worker);
                if self.applied.len() == self.pool.commands.len() {
                    self.in_force();
                }
            }
            Event::Applied { .. } => {}
            Event::Metrics {
                sequence, nodes, ..
            } => {
                if let Some(mut metrics) = self.metrics.add(worker, self.pool.workers, nodes) {
                    let is_current = sequence == self.sequence;
                    self.relayed.take_from(&mut metrics, is_current);
                    if is_current {
                        self.find_drained(&metrics);
                    }
                    metrics.leave_out_quiet_targets();
                    (self.report)(Report::Metrics(metrics));
                }
            }
            Event::Flows(mut nodes) => {
                if self.relayed.add_to(&mut nodes) && self.applied.contains(&worker) {
                    self.find_without_flows(&nodes);
                }
                (self.report)(Report::Flows(nodes));
            }
        }
    }

    fn in_force(&mut self) {
        self.inherited.close_rest();
        self.inherited = Arc::default();
        for (load_balancer, message) in self.new_problems.difference(&self.problems) {
            let (load_balancer, message) = (load_balancer.clone(), message.clone());
            tracing::warn!(
                load_balancer,
                message,
                "part of the config cannot be served"
            );
            (self.report)(Report::Problem {
                load_balancer,
                message,
            });
        }
        for (load_balancer, message) in self.problems.difference(&self.new_problems) {
            (self.report)(Report::Solved {
                load_balancer: load_balancer.clone(),
                message: message.clone(),
            });
        }
        self.problems = std::mem::take(&mut self.new_problems);
        let revision = self.config.as_ref().map(|config| config.revision);
        if self.revision_in_force != revision {
            self.revision_in_force = revision;
            if let Some(revision) = revision {
                (self.report)(Report::Applied { revision });
            }
        }
    }

    /// Gives everything to the process that asked.
    async fn hand_over(&mut self, stream: &mut UnixStream, to: &Successors) -> Handover {
        let sockets = self.pool.stop_listening().await;
        let offered = handover::offer(stream, &sockets, self.prober.all()).await;
        if let Err(error) = offered {
            tracing::warn!(%error, "serving on: nobody took over");
            self.inherited = Arc::new(Inherited::new(sockets, Vec::new()));
            self.apply(self.config.clone()).await;
            return Handover::Refused;
        }
        // The checks are the successor's now, and the directory.
        self.prober
            .update(&Config::default(), &mut Vec::new())
            .await;
        let retired = to.reporter.retire().await;
        let retired =
            retired.inspect_err(|error| tracing::warn!(%error, "let go of the directory"));
        if let Err(error) = sidecar::handover::release(stream).await {
            tracing::warn!(%error, "tell the successor");
        }
        Handover::Done(retired.ok())
    }

    /// For a control plane that just connected.
    fn tell_all(&self) {
        for health in self.prober.all() {
            (self.report)(Report::Health(health));
        }
        for (target_group, target) in self.drained.iter().cloned() {
            (self.report)(Report::Drained {
                target_group,
                target,
            });
        }
        for (load_balancer, message) in self.problems.iter().cloned() {
            (self.report)(Report::Problem {
                load_balancer,
                message,
            });
        }
        if let Some(revision) = self.revision_in_force {
            (self.report)(Report::Applied { revision });
        }
    }

    async fn tick(&mut self) {
        let is_settled = self.applied.len() == self.pool.commands.len();
        if is_settled && !self.problems.is_empty() {
            self.apply(self.config.clone()).await;
        }
        self.metrics.begin();
        self.pool.tell(&Command::Tick);
    }

    /// A draining target without a running request in any worker is drained.
    fn find_drained(&mut self, metrics: &Metrics) {
        let groups = metrics.nodes.iter().flat_map(|node| &node.groups);
        let running = groups.flat_map(|group| {
            let targets = group.targets.iter();
            targets.map(|target| ((&*group.target_group, &*target.target), target.in_flight))
        });
        self.drained(idle(running));
    }

    /// The same of network load balancers: without a flow at any node.
    fn find_without_flows(&mut self, nodes: &[FlowMetrics]) {
        let groups = nodes.iter().flat_map(|node| &node.groups);
        let flows = groups.flat_map(|group| {
            let targets = group.targets.iter();
            targets.map(|target| {
                let key = (&*group.target_group, &*target.target);
                (key, target.active_flow_count)
            })
        });
        self.drained(idle(flows));
    }

    fn drained(&mut self, targets: Vec<(String, String)>) {
        let Some(config) = &self.config else { return };
        for (target_group, target) in targets {
            let is_draining = is_draining(config, &target_group, &target);
            if is_draining && self.drained.insert((target_group.clone(), target.clone())) {
                (self.report)(Report::Drained {
                    target_group,
                    target,
                });
            }
        }
    }
}

/// Targets (group, key) for which nothing counts above zero.
fn idle<'a>(counts: impl Iterator<Item = ((&'a str, &'a str), u64)>) -> Vec<(String, String)> {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key).or_default() += count;
    }
    let idle = sums.into_iter().filter(|(_, sum)| *sum == 0);
    idle.map(|((group, target), _)| (group.to_owned(), target.to_owned()))
        .collect()
}

fn is_draining(config: &Config, group: &str, target: &str) -> bool {
    let http = config.target_groups.get(group).map(|group| &group.targets);
    let network = config.network_target_groups.get(group);
    let mut targets = http
        .or(network.map(|group| &group.targets))
        .into_iter()
        .flatten();
    targets.any(|known| known.key == target && matches!(known.state, TargetState::Draining { .. }))
}

/// Every connection is two descriptors; the usual soft limit of 1,024 is soon used up.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "raise the limit of open files");
    }
}
