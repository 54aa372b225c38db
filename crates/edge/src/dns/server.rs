//! The resolver's sockets: datagrams and connections in, answers out.

use super::forward::Upstream;
use super::message::{Reply, Transport, failure, reply};
use super::zone::Zone;
use crate::listener::{End, Stop, accept};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Queries of one VPC that wait for the host's resolver. Beyond it the answer is
/// a failure at once: a guest must not fill the edge.
const WAITING: usize = 512;
/// How long an idle connection is kept (RFC 7766 §6.2.3 wants seconds).
const IDLE: Duration = Duration::from_secs(10);

/// After an error that may well last.
const PAUSE: Duration = Duration::from_millis(10);

/// Gives the zone as it is now; none once the VPC is gone.
pub type CurrentZone = Arc<dyn Fn() -> Option<Arc<Zone>> + Send + Sync>;

pub async fn udp(socket: UdpSocket, zone: CurrentZone, upstream: Arc<Upstream>, mut stop: Stop) {
    let socket = Arc::new(socket);
    let mut waiting = JoinSet::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let end = loop {
        let (length, peer) = tokio::select! {
            end = &mut stop => break end.unwrap_or(End::Close),
            Some(_) = waiting.join_next() => continue,
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(error) => {
                    tracing::warn!(%error, "receive a DNS query");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let query = &buffer[..length];
        let Some(zone) = zone() else { continue };
        let answer = match reply(query, Transport::Udp, &zone) {
            Reply::Forward if waiting.len() < WAITING => {
                let (query, socket, upstream) = (query.to_vec(), socket.clone(), upstream.clone());
                waiting.spawn(async move {
                    if let Some(answer) = ask(&query, Transport::Udp, &upstream).await {
                        // A datagram that cannot be sent is a datagram lost.
                        let _ = socket.send_to(&answer, peer).await;
                    }
                });
                continue;
            }
            Reply::Forward => failure(query),
            reply => reply,
        };
        if let Reply::Answer(answer) = answer {
            let _ = socket.send_to(&answer, peer).await;
        }
    };
    if end == End::Leave {
        while waiting.join_next().await.is_some() {}
    }
    // The socket is closed when this returns, whoever still held it.
    waiting.shutdown().await;
}

pub async fn tcp(listener: TcpListener, zone: CurrentZone, upstream: Arc<Upstream>, stop: Stop) {
    accept(listener, stop, |stream| {
        let (zone, upstream) = (zone.clone(), upstream.clone());
        async move {
            // The guest closed it, or left it idle.
            let _ = connection(stream, zone, upstream).await;
        }
    })
    .await;
}

async fn connection(
    mut stream: TcpStream,
    zone: CurrentZone,
    upstream: Arc<Upstream>,
) -> std::io::Result<()> {
    loop {
        let read = async {
            let mut query = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut query).await?;
            Ok::<_, std::io::Error>(query)
        };
        let query = tokio::time::timeout(IDLE, read).await??;
        let Some(zone) = zone() else { return Ok(()) };
        let answer = match reply(&query, Transport::Tcp, &zone) {
            Reply::Answer(answer) => answer,
            Reply::None => return Ok(()),
            Reply::Forward => match ask(&query, Transport::Tcp, &upstream).await {
                Some(answer) => answer,
                None => return Ok(()),
            },
        };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(answer);
        tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// The host's answer, or a failure in its place.
async fn ask(query: &[u8], transport: Transport, upstream: &Upstream) -> Option<Vec<u8>> {
    match upstream.ask(query, transport).await {
        Some(answer) => Some(answer),
        None => match failure(query) {
            Reply::Answer(answer) => Some(answer),
            Reply::Forward | Reply::None => None,
        },
    }
}
