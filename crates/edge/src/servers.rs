//! Which sockets are open, and making them the ones that the configuration wants.

use crate::config::{self, Config, Failure};
use crate::handover::{Inherited, Name};
use crate::health_check::Checks;
use crate::listener::End;
use crate::netns::{self, NamespaceId};
use crate::view::View;
use crate::{api, checkip, dns, metadata, registry, tls, tunnel};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// All servers of this process.
pub struct Servers {
    view: watch::Sender<Arc<View>>,
    signer: Arc<metadata::Signer>,
    upstream: Arc<dns::Upstream>,
    pub counters: Arc<metadata::Counters>,
    identity: metadata::Identities,
    endpoints: Arc<tunnel::Endpoints>,
    running: BTreeMap<Socket, Running>,
    inherited: Inherited,
    /// Without their sockets, as long as they have connections.
    leaving: Vec<(Socket, JoinHandle<()>)>,
}

/// Everything that makes a socket this one and no other: if any of it changes, a new one is opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    service: Service,
    namespace: Option<(PathBuf, NamespaceId)>,
    address: SocketAddr,
}

/// With the id of its VPC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Service {
    Metadata(String),
    ResolverUdp(String),
    ResolverTcp(String),
    NameServerUdp,
    NameServerTcp,
    Registry,
    RegistryTls(config::Tls),
    Checkip,
    Api(config::Api),
    ApiTls(config::Api),
    /// With the control plane's socket.
    Tunnels(config::Tls, PathBuf),
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(vpc) => write!(f, "metadata service of {vpc}"),
            Self::ResolverUdp(vpc) => write!(f, "resolver (UDP) of {vpc}"),
            Self::ResolverTcp(vpc) => write!(f, "resolver (TCP) of {vpc}"),
            Self::NameServerUdp => write!(f, "name server (UDP)"),
            Self::NameServerTcp => write!(f, "name server (TCP)"),
            Self::Registry => write!(f, "registry"),
            Self::RegistryTls(_) => write!(f, "registry (HTTPS)"),
            Self::Checkip => write!(f, "checkip"),
            Self::Api(_) => write!(f, "APIs (HTTP)"),
            Self::ApiTls(_) => write!(f, "APIs (HTTPS)"),
            Self::Tunnels(..) => write!(f, "Instance Connect Endpoints"),
        }
    }
}

impl Socket {
    pub fn name(&self) -> Name {
        Name {
            namespace: self.namespace.as_ref().map(|(_, id)| *id),
            address: self.address,
            is_udp: self.is_udp(),
        }
    }

    fn is_udp(&self) -> bool {
        matches!(
            self.service,
            Service::ResolverUdp(_) | Service::NameServerUdp
        )
    }
}

struct Running {
    stop: oneshot::Sender<End>,
    task: JoinHandle<()>,
    /// The socket once more, to give it away.
    held: OwnedFd,
}

enum Opened {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

impl Opened {
    fn of(socket: &Socket, held: OwnedFd) -> Self {
        match socket.is_udp() {
            true => Self::Udp(held.into()),
            false => Self::Tcp(held.into()),
        }
    }

    fn held(&self) -> io::Result<OwnedFd> {
        let descriptor = match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        };
        descriptor.try_clone_to_owned()
    }
}

impl Servers {
    pub fn new(signer: metadata::Signer, resolv_conf: &Path, mut inherited: Inherited) -> Self {
        let servers = dns::Servers::File(resolv_conf.to_owned());
        let counters = metadata::Counters::default();
        counters.add_all(inherited.take_counts());
        Self {
            view: watch::Sender::new(Arc::default()),
            signer: Arc::new(signer),
            upstream: Arc::new(dns::Upstream::new(servers)),
            counters: Arc::new(counters),
            identity: metadata::Identities::default(),
            endpoints: Arc::default(),
            running: BTreeMap::new(),
            inherited,
            leaving: Vec::new(),
        }
    }

    /// Looks at endpoints, with the same eyes for names as the servers.
    pub fn health_checks(
        &self,
    ) -> io::Result<(Checks, mpsc::UnboundedReceiver<(String, config::Seen)>)> {
        Checks::new(self.view.subscribe(), self.upstream.clone())
    }

    /// Puts a configuration in force; answers which sockets could not be opened.
    ///
    /// A socket that stays wanted is not touched. When this returns, those no
    /// longer wanted are closed, with every connection of theirs: an open one
    /// would pin its namespace.
    pub async fn apply(&mut self, config: &Config) -> Vec<Failure> {
        let (wanted, mut failures) = wanted(config);
        failures.extend(self.inform(config).await);
        let mut closing = Vec::new();
        for (_, running) in self
            .running
            .extract_if(.., |socket, _| !wanted.contains(socket))
        {
            // It may have ended by itself, which only a bug of ours can cause.
            let _ = running.stop.send(End::Close);
            closing.push(running.task);
        }
        // Of servers that were to leave, and whose sockets nobody took.
        self.leaving.retain(|(_, task)| !task.is_finished());
        for (_, task) in self
            .leaving
            .extract_if(.., |(socket, _)| !wanted.contains(socket))
        {
            task.abort();
            closing.push(task);
        }
        for task in closing {
            match task.await {
                Err(error) if !error.is_cancelled() => tracing::error!(%error, "close a server"),
                _ => {}
            }
        }

        let missing = wanted.into_iter().filter(|s| !self.running.contains_key(s));
        let missing = missing.map(|socket| {
            let held = self.inherited.take(&socket.name());
            (socket, held)
        });
        let missing: Vec<(Socket, Option<OwnedFd>)> = missing.collect();
        // What nobody wants any more.
        self.inherited = Inherited::default();
        // Entering a namespace blocks on a thread.
        let opening = tokio::task::spawn_blocking(|| {
            let opened = missing.into_iter().map(|(socket, held)| {
                let opened = match held {
                    Some(held) => Ok(Opened::of(&socket, held)),
                    None => open(&socket),
                };
                (socket, opened)
            });
            opened.collect::<Vec<_>>()
        });
        let opened = match opening.await {
            Ok(opened) => opened,
            Err(error) => {
                failures.push(failure(&"all new sockets", &error));
                return failures;
            }
        };
        for (socket, opened) in opened {
            match opened.and_then(|opened| self.start(&socket.service, opened)) {
                Ok(running) => {
                    self.running.insert(socket, running);
                }
                Err(error) => {
                    let listener = format!("{} at {}", socket.service, socket.address);
                    failures.push(failure(&listener, &error));
                }
            }
        }
        failures
    }

    /// Tells the servers, whoever has their sockets; answers what cannot be had.
    async fn inform(&mut self, config: &Config) -> Option<Failure> {
        let identity = config.identity.as_ref();
        let identity = identity.map(|identity| self.identity.of(identity));
        let (identity, failed) = match identity.transpose() {
            Ok(identity) => (identity, None),
            Err(error) => {
                let failed = failure(&"signatures of identity documents", &error);
                (None, Some(failed))
            }
        };
        self.view
            .send_replace(Arc::new(View::new(config, identity)));
        let endpoints = config.tunnels.as_ref().map(|t| &t.endpoints);
        self.endpoints
            .set(endpoints.cloned().unwrap_or_default())
            .await;
        failed
    }

    /// Lets go of all sockets; connections run on.
    pub fn leave(&mut self) -> Vec<(Socket, OwnedFd)> {
        let running = std::mem::take(&mut self.running).into_iter();
        let sockets = running.map(|(socket, running)| {
            let _ = running.stop.send(End::Leave);
            self.leaving.push((socket.clone(), running.task));
            (socket, running.held)
        });
        sockets.collect()
    }

    /// Takes them back.
    pub fn resume(&mut self, sockets: Vec<(Socket, OwnedFd)>) {
        for (socket, held) in sockets {
            match self.start(&socket.service, Opened::of(&socket, held)) {
                Ok(running) => _ = self.running.insert(socket, running),
                // The next configuration opens it anew.
                Err(error) => tracing::warn!(%error, "serve {} again", socket.service),
            }
        }
    }

    /// Closes the connections of those that left which no configuration wants: they would pin
    /// their namespaces.
    pub async fn end_unwanted(&mut self, config: &Config) {
        let (wanted, _) = wanted(config);
        let leaving = self.leaving.iter();
        leaving
            .filter(|(socket, _)| !wanted.contains(socket))
            .for_each(|(_, task)| task.abort());
        self.inform(config).await;
    }

    pub fn has_ended(&self) -> bool {
        self.leaving.iter().all(|(_, task)| task.is_finished())
    }

    fn start(&self, service: &Service, opened: Opened) -> io::Result<Running> {
        let (stop, stopped) = oneshot::channel();
        let held = opened.held()?;
        let view = self.view.subscribe();
        let upstream = self.upstream.clone();
        let task = match (service.clone(), opened) {
            (Service::Metadata(vpc), Opened::Tcp(listener)) => {
                let instance = Arc::new(move |address| {
                    let view = view.borrow();
                    let instance = view.instance(&vpc, address)?;
                    Some((instance, view.identity.clone()))
                });
                let (signer, counters) = (self.signer.clone(), self.counters.clone());
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(metadata::run(listener, instance, signer, counters, stopped))
            }
            (
                service @ (Service::ResolverTcp(_) | Service::NameServerTcp),
                Opened::Tcp(listener),
            ) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(dns::tcp(listener, names(&service, view), upstream, stopped))
            }
            (service @ (Service::ResolverUdp(_) | Service::NameServerUdp), Opened::Udp(socket)) => {
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                tokio::spawn(dns::udp(socket, names(&service, view), upstream, stopped))
            }
            (Service::Registry, Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(registry::plain(listener, view, stopped))
            }
            (Service::RegistryTls(with), Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let acceptor = tls::acceptor(&with.certificate, &with.key)?;
                tokio::spawn(registry::tls(listener, acceptor, view, stopped))
            }
            (Service::Checkip, Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(checkip::run(listener, stopped))
            }
            (Service::Api(api), Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(api::plain(listener, api.upstream, stopped))
            }
            (Service::ApiTls(api), Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let acceptor = tls::acceptor(&api.certificate, &api.key)?;
                tokio::spawn(api::tls(listener, acceptor, api.upstream, stopped))
            }
            (Service::Tunnels(with, upstream), Opened::Tcp(listener)) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let acceptor = tls::acceptor(&with.certificate, &with.key)?;
                let endpoints = self.endpoints.clone();
                tokio::spawn(tunnel::run(
                    listener, acceptor, endpoints, upstream, stopped,
                ))
            }
            // `open` chooses the kind of socket by the same service.
            (_, Opened::Tcp(_) | Opened::Udp(_)) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Running { stop, task, held })
    }
}

/// Who answers queries: the resolver of a VPC, or the name server of public zones.
fn names(service: &Service, view: watch::Receiver<Arc<View>>) -> dns::Answers {
    match service {
        Service::ResolverTcp(vpc) | Service::ResolverUdp(vpc) => {
            let vpc = vpc.clone();
            Arc::new(move |query, transport| {
                let zone = view.borrow().zone(&vpc)?;
                Some(dns::reply(query, transport, &zone))
            })
        }
        _ => Arc::new(move |query, transport| {
            let names = view.borrow().names.clone()?;
            Some(dns::authoritative(query, transport, &names))
        }),
    }
}

fn wanted(config: &Config) -> (BTreeSet<Socket>, Vec<Failure>) {
    let mut wanted = Vec::new();
    for (id, vpc) in &config.vpcs {
        let netns = vpc.netns.as_deref();
        if let Some(address) = vpc.metadata {
            wanted.push((Service::Metadata(id.clone()), netns, address));
        }
        for address in &vpc.resolvers {
            wanted.push((Service::ResolverUdp(id.clone()), netns, *address));
            wanted.push((Service::ResolverTcp(id.clone()), netns, *address));
        }
    }
    if let Some(server) = &config.name_server {
        let netns = server.netns.as_deref();
        wanted.push((Service::NameServerUdp, netns, server.address));
        wanted.push((Service::NameServerTcp, netns, server.address));
    }
    if let Some(registry) = &config.registry {
        wanted.push((
            Service::Registry,
            registry.netns.as_deref(),
            registry.address,
        ));
        if let Some(tls) = &registry.tls {
            let service = Service::RegistryTls(tls.clone());
            wanted.push((service, registry.netns.as_deref(), tls.address));
        }
    }
    if let Some(checkip) = &config.checkip {
        wanted.push((Service::Checkip, checkip.netns.as_deref(), checkip.address));
    }
    if let Some(api) = &config.api {
        let netns = api.netns.as_deref();
        wanted.push((Service::Api(api.clone()), netns, api.plain));
        wanted.push((Service::ApiTls(api.clone()), netns, api.tls));
    }

    if let Some(tunnels) = &config.tunnels {
        let service = Service::Tunnels(tunnels.tls.clone(), tunnels.upstream.clone());
        wanted.push((service, tunnels.netns.as_deref(), tunnels.tls.address));
    }

    let mut sockets = BTreeSet::new();
    let mut failures = Vec::new();
    for (service, netns, address) in wanted {
        let namespace = netns.map(|path| netns::id(path).map(|id| (path.to_owned(), id)));
        match namespace.transpose() {
            Ok(namespace) => {
                sockets.insert(Socket {
                    service,
                    namespace,
                    address,
                });
            }
            Err(error) => failures.push(failure(&format!("{service} at {address}"), &error)),
        }
    }
    (sockets, failures)
}

fn open(socket: &Socket) -> io::Result<Opened> {
    let path = socket.namespace.as_ref().map(|(path, _)| path.as_path());
    netns::within(path, || match socket.service {
        Service::ResolverUdp(_) | Service::NameServerUdp => {
            netns::udp(socket.address).map(Opened::Udp)
        }
        _ => netns::tcp(socket.address).map(Opened::Tcp),
    })
}

fn failure(listener: &dyn fmt::Display, error: &dyn fmt::Display) -> Failure {
    Failure {
        listener: listener.to_string(),
        error: error.to_string(),
    }
}
