//! A flow of a network load balancer that the kernel cannot pass on: TLS ends here, or the target is
//! told of the client by a PROXY header before anything else.
//!
//! Targets are connected to under the client's address and port where these are to be preserved, as
//! the kernel does with the flows it passes on.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Arrival;
use super::arrive::HANDSHAKE_TIMEOUT;
use super::exchange::CONNECT_TIMEOUT;
use super::idle::Idle;
use super::tunnel::{self, End};
use crate::config::network;
use crate::count::{Flows, bump};
use crate::flow_log;
use crate::netns;
use crate::network::proxy_header;
use crate::pick;
use crate::tls::{self, Accepted, Session, Stream};
use crate::worker::group::{Group, Target};
use crate::worker::node::{Front, Listener, Relay};

pub async fn serve(arrival: Arrival, stream: TcpStream, listener: Listener, relay: Rc<Relay>) {
    let node = &arrival.node;
    let flows = match listener.tls {
        Some(_) => &node.flows.tls,
        None => &node.flows.tcp,
    };
    let _open = flows.open();
    let Ok(server) = stream.local_addr() else {
        return;
    };
    let mut record = Record::new(&arrival, server, &relay, listener.tls.is_some());
    let client = match &listener.tls {
        None => Some(Stream::from(stream)),
        Some(tls) => record.shake_hands(tls, stream).await,
    };
    // Certificates and rules that are replaced are not to live as long as their flows.
    drop(listener);
    match client {
        None => bump(&node.flows.client_tls_errors),
        Some(client) => pass_on(client, flows, &mut record).await,
    }
}

/// What the access log wants to know of a flow. It is told when this goes, whatever ends the flow: also
/// when the load balancer is deleted from under it.
struct Record<'f> {
    arrival: &'f Arrival,
    /// The address that the client meant.
    server: SocketAddr,
    relay: &'f Relay,
    is_logged: bool,
    created: Timestamp,
    began: Instant,
    handshake: Option<Duration>,
    alert: Option<u8>,
    session: Option<Rc<Session>>,
    received: Cell<u64>,
    sent: Cell<u64>,
    target_alpn: Option<&'static str>,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.is_logged {
            self.arrival.node.log_flow(&self.entry());
        }
    }
}

impl<'f> Record<'f> {
    fn new(
        arrival: &'f Arrival,
        server: SocketAddr,
        relay: &'f Relay,
        is_logged: bool,
    ) -> Record<'f> {
        Record {
            arrival,
            server,
            relay,
            is_logged,
            created: Timestamp::now(),
            began: Instant::now(),
            handshake: None,
            alert: None,
            session: None,
            received: Cell::new(0),
            sent: Cell::new(0),
            target_alpn: None,
        }
    }

    async fn shake_hands(&mut self, tls: &tls::Server, stream: TcpStream) -> Option<Stream> {
        let shaken = timeout(HANDSHAKE_TIMEOUT, Box::pin(tls::accept(tls, stream))).await;
        match shaken {
            Ok(Accepted::Secured(stream, session)) => {
                self.handshake = Some(self.began.elapsed());
                self.session = Some(session);
                Some(stream)
            }
            Ok(Accepted::Failed(failed)) => {
                self.alert = failed.alert;
                None
            }
            Ok(Accepted::Plain(_)) | Err(_) => None,
        }
    }

    fn entry(&self) -> flow_log::Entry<'_> {
        flow_log::Entry {
            created: self.created,
            listener: &self.relay.listener,
            client: self.arrival.peer,
            server: self.server,
            took: self.began.elapsed(),
            handshake: self.handshake,
            received_bytes: self.received.get(),
            sent_bytes: self.sent.get(),
            alert: self.alert,
            session: self.session.as_deref(),
            target_alpn: self.target_alpn,
        }
    }
}

/// To a target, until the flow ends; a client that none can be found for sees it broken off.
async fn pass_on(mut client: Stream, flows: &Flows, record: &mut Record<'_>) {
    let (arrival, relay) = (record.arrival, record.relay);
    let Some((group, target)) = choose(&arrival.node.front(), relay, arrival.peer) else {
        return client.abort();
    };
    let target = target.begin();
    let settings = group.config.relay.clone();
    drop(group);
    let Some(settings) = settings else {
        return client.abort();
    };
    let way = Way {
        arrival,
        server: record.server,
        settings: &settings,
    };
    let is_http2 = record.session.as_ref().is_some_and(|s| s.is_http2);
    if settings.tls && is_http2 {
        record.target_alpn = Some("h2");
    }
    let Some(mut upstream) = way.open(&target.0, is_http2).await else {
        return client.abort();
    };
    let mut idle = Idle::new(relay.idle_timeout);
    let count = |own: &Cell<u64>, more: u64| {
        own.set(own.get() + more);
        flows.bytes.set(flows.bytes.get() + more);
    };
    let ends = tunnel::Ends {
        core: &arrival.core,
        target: &target.0,
        client: &mut client,
        upstream: &mut upstream,
        idle: &mut idle,
        idle_timeout: relay.idle_timeout,
        received: &|more| count(&record.received, more),
        sent: &|more| count(&record.sent, more),
    };
    if tunnel::run(ends, &mut Vec::new(), &mut Vec::new()).await == End::Broken {
        client.abort();
        upstream.abort();
    }
}

/// Group and target by a hash of the client's end, so that flows of a port do not follow one another
/// to the same target; of its address alone where a client's flows are to stay together.
fn choose(front: &Front, relay: &Relay, client: SocketAddr) -> Option<(Rc<Group>, Rc<Target>)> {
    let weights = relay.groups.iter().map(|group| group.weight);
    let place = pick::weighted(weights, rand::random())?;
    let group = front.group(&relay.groups[place].target_group)?;
    let settings = group.config.relay.as_ref()?;
    let mut hash = DefaultHasher::new();
    client.ip().hash(&mut hash);
    if !settings.source_ip_stickiness {
        client.port().hash(&mut hash);
    }
    let target = group.pick_by(hash.finish())?;
    Some((group.clone(), target))
}

/// From a client to a target.
struct Way<'a> {
    arrival: &'a Arrival,
    server: SocketAddr,
    settings: &'a network::TargetGroup,
}

impl Way<'_> {
    async fn open(&self, target: &Target, is_http2: bool) -> Option<Stream> {
        let connected = timeout(CONNECT_TIMEOUT, self.connect(target)).await;
        let Ok(Ok(stream)) = connected else {
            return None;
        };
        if !self.settings.tls {
            return Some(stream.into());
        }
        match timeout(CONNECT_TIMEOUT, Box::pin(tls::connect(stream, is_http2))).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(_)) | Err(_) => {
                bump(&self.arrival.node.flows.target_tls_errors);
                None
            }
        }
    }

    async fn connect(&self, target: &Target) -> io::Result<TcpStream> {
        let (node, client) = (&self.arrival.node, self.arrival.peer);
        let namespace = node.namespace.as_ref();
        let socket = match self.settings.preserve_client_ip {
            true => netns::socket_of_client(namespace, client)?,
            false => netns::connecting_socket(namespace, node.config.address)?,
        };
        let mut stream = socket.connect(target.address).await?;
        if self.settings.proxy_protocol {
            let header = proxy_header::of(client, self.server);
            stream.write_all(&header).await?;
        }
        Ok(stream)
    }
}
