//! Sockets made inside a node's network namespace.
//!
//! A socket belongs for ever to the namespace its thread was in when it was made. So a worker enters
//! the node's namespace, makes the socket and comes back, with no await in between: 14–28 µs, less
//! than asking a helper thread. The namespace's descriptor is opened once per node and goes with it,
//! since an open descriptor pins a namespace.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};

use crate::network::RELAYED;

const CONGESTION_CONTROL: &[u8] = b"cubic";
/// Connections the kernel completes while a worker is busy.
const BACKLOG: i32 = 4096;

/// A network namespace, open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    identity: (u64, u64),
}

impl Namespace {
    pub fn open(path: &Path) -> io::Result<Namespace> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Namespace { file, identity })
    }

    /// Whether `path` still names this namespace: one deleted and made again has the same path.
    pub fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| identity(&metadata) == self.identity)
    }
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

thread_local! {
    static HOME: io::Result<File> = File::open("/proc/thread-self/ns/net");
}

/// Runs `make` in the namespace, or in the thread's own if there is none.
pub fn within<R>(
    namespace: Option<&Namespace>,
    make: impl FnOnce() -> io::Result<R>,
) -> io::Result<R> {
    let Some(namespace) = namespace else {
        return make();
    };
    HOME.with(|home| {
        let home = home
            .as_ref()
            .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        setns(&namespace.file, CloneFlags::CLONE_NEWNET)?;
        let made = make();
        if let Err(error) = setns(home, CloneFlags::CLONE_NEWNET) {
            // Every later socket of this thread would be made in a customer's network.
            tracing::error!(%error, "return to the balancer's own network namespace");
            process::abort();
        }
        made
    })
}

/// A listening socket that shares its port with the other workers'.
pub fn listen(namespace: Option<&Namespace>, address: SocketAddr) -> io::Result<TcpListener> {
    within(namespace, || {
        let socket = stream_socket(address.ip())?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    })
}

/// A socket to connect from `source` with.
pub fn connecting_socket(namespace: Option<&Namespace>, source: IpAddr) -> io::Result<TcpSocket> {
    within(namespace, || {
        let socket = stream_socket(source)?;
        // Else bind would take a port for itself alone and 28,000 connections would be all.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.set_tcp_nodelay(true)?;
        Ok(TcpSocket::from_std_stream(socket.into()))
    })
}

/// A socket to connect with in a client's name, from its address and port: the namespace's rules lead
/// what is answered back to it.
pub fn socket_of_client(
    namespace: Option<&Namespace>,
    client: SocketAddr,
) -> io::Result<TcpSocket> {
    within(namespace, || {
        let socket = stream_socket(client.ip())?;
        socket.set_ip_transparent_v4(true)?;
        socket.set_mark(RELAYED)?;
        // The client's last flow from this port may just have ended.
        socket.set_reuse_address(true)?;
        socket.bind(&client.into())?;
        socket.set_tcp_nodelay(true)?;
        Ok(TcpSocket::from_std_stream(socket.into()))
    })
}

fn stream_socket(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A host may default to BBR: without fq it was measured at 14 Gbit/s on a veth where cubic
    // reached 20 to 24, and a namespace cannot change the default. Accepted sockets inherit from
    // their listener. A kernel without cubic keeps what it has.
    let _ = socket.set_tcp_congestion(CONGESTION_CONTROL);
    Ok(socket)
}
