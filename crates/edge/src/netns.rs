//! Sockets in a network namespace other than our own.
//!
//! A socket belongs for ever to the namespace of the thread that made it. A
//! scratch thread enters the namespace, makes the sockets and ends: no thread
//! of the runtime can be left in the wrong one. (At the few sockets of a VPC
//! the thread costs nothing that counts.)

use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which namespace a path leads to: its device and inode. A name may come back
/// for another namespace, and sockets in the old one would then serve nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamespaceId(u64, u64);

pub fn id(path: &Path) -> io::Result<NamespaceId> {
    let metadata = std::fs::metadata(path)?;
    Ok(NamespaceId(metadata.dev(), metadata.ino()))
}

/// Runs `f` in the namespace at `path`, or here if there is none.
pub fn within<T: Send>(
    path: Option<&Path>,
    f: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let Some(path) = path else { return f() };
    let namespace = File::open(path)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into());
        let running = thread.spawn_scoped(scope, || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            f()
        })?;
        match running.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A listening TCP socket in this thread's namespace.
pub fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bound(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// A UDP socket in this thread's namespace.
pub fn udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    Ok(bound(address, Type::DGRAM, Protocol::UDP)?.into())
}

/// A socket in this thread's namespace to connect from `source` with.
pub fn connecting(source: Ipv4Addr) -> io::Result<tokio::net::TcpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(tokio::net::TcpSocket::from_std_stream(socket.into()))
}

fn bound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    // The network layer may give the router its addresses after us.
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    if kind == Type::STREAM {
        // Connections of a process before us may still be closing. Never for
        // UDP, where it would let two processes share the port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
