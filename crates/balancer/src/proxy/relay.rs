//! A flow of a network load balancer that the kernel cannot pass on: TLS ends here, or the target is
//! told of the client by a PROXY header before anything else.
//!
//! Targets are connected to under the client's address and port where these are to be preserved, as
//! the kernel does with the flows it passes on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Arrival;
use super::arrive::HANDSHAKE_TIMEOUT;
use super::exchange::CONNECT_TIMEOUT;
use super::idle::Idle;
use super::tunnel::{self, End};
use crate::config::network;
use crate::count::bump;
use crate::netns;
use crate::network::proxy_header;
use crate::pick;
use crate::tls::{self, Accepted, Stream};
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
    let (mut client, is_http2) = match &listener.tls {
        None => (Stream::from(stream), false),
        Some(tls) => {
            let shaken = timeout(HANDSHAKE_TIMEOUT, Box::pin(tls::accept(tls, stream))).await;
            let Ok(Accepted::Secured(stream, session)) = shaken else {
                bump(&node.flows.client_tls_errors);
                return;
            };
            (stream, session.is_http2)
        }
    };
    // Certificates and rules that are replaced are not to live as long as their flows.
    drop(listener);
    let Some((group, target)) = choose(&node.front(), &relay, arrival.peer) else {
        return client.abort();
    };
    let target = target.begin();
    let settings = group.config.relay.clone();
    drop(group);
    let Some(settings) = settings else {
        return client.abort();
    };
    let way = Way {
        arrival: &arrival,
        server,
        settings: &settings,
    };
    let Some(mut upstream) = way.open(&target.0, is_http2).await else {
        return client.abort();
    };
    let mut idle = Idle::new(relay.idle_timeout);
    let ends = tunnel::Ends {
        core: &arrival.core,
        target: &target.0,
        client: &mut client,
        upstream: &mut upstream,
        idle: &mut idle,
        idle_timeout: relay.idle_timeout,
        received: &flows.bytes,
        sent: &flows.bytes,
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
    /// The address that the client meant.
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
