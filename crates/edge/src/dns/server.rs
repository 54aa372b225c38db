//! The resolver's sockets: datagrams and connections in, answers out.

use super::forward::Upstream;
use super::message::{Follow, Reply, Transport, failure};
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

/// Answers a query by what is known now; nothing once the VPC is gone.
pub type Answers = Arc<dyn Fn(&[u8], Transport) -> Option<Reply> + Send + Sync>;

pub async fn udp(socket: UdpSocket, answers: Answers, upstream: Arc<Upstream>, mut stop: Stop) {
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
        let Some(reply) = answers(query, Transport::Udp) else {
            continue;
        };
        let answer = match reply {
            asks @ (Reply::Forward | Reply::Follow(_)) if waiting.len() < WAITING => {
                let (query, socket, upstream) = (query.to_vec(), socket.clone(), upstream.clone());
                waiting.spawn(async move {
                    if let Some(answer) = whole(asks, &query, Transport::Udp, &upstream).await {
                        // A datagram that cannot be sent is a datagram lost.
                        let _ = socket.send_to(&answer, peer).await;
                    }
                });
                continue;
            }
            Reply::Forward | Reply::Follow(_) => failure(query),
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

pub async fn tcp(listener: TcpListener, answers: Answers, upstream: Arc<Upstream>, stop: Stop) {
    accept(listener, stop, |stream| {
        let (answers, upstream) = (answers.clone(), upstream.clone());
        async move {
            // The guest closed it, or left it idle.
            let _ = connection(stream, answers, upstream).await;
        }
    })
    .await;
}

async fn connection(
    mut stream: TcpStream,
    answers: Answers,
    upstream: Arc<Upstream>,
) -> std::io::Result<()> {
    loop {
        let read = async {
            let mut query = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut query).await?;
            Ok::<_, std::io::Error>(query)
        };
        let query = tokio::time::timeout(IDLE, read).await??;
        let Some(reply) = answers(&query, Transport::Tcp) else {
            return Ok(());
        };
        let Some(answer) = whole(reply, &query, Transport::Tcp, &upstream).await else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(answer);
        tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// The answer, with what the host's resolver has to say to it, or a failure in its place.
async fn whole(
    reply: Reply,
    query: &[u8],
    transport: Transport,
    upstream: &Upstream,
) -> Option<Vec<u8>> {
    let reply = match reply {
        Reply::Forward => match upstream.ask(query, transport).await {
            Some(answer) => Reply::Answer(answer),
            None => failure(query),
        },
        Reply::Follow(follow) => {
            let rest = upstream.ask(&follow.query, transport).await;
            Follow::end(*follow, rest.as_deref())
        }
        reply => reply,
    };
    match reply {
        Reply::Answer(answer) => Some(answer),
        Reply::Forward | Reply::Follow(_) | Reply::None => None,
    }
}
