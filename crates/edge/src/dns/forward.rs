//! Asks the host's resolver, from the host's own namespace, for what the VPC does not know.
//!
//! The query goes out as it came, so that every record type and EDNS option
//! passes. What must not happen is waiting: a dead resolver once cost an
//! `apt-get update` 87 s. So an attempt has a budget, and after a few failed
//! ones in a row the answer is "no" at once, with one query at a time let
//! through to see whether the resolver is back.

use super::message::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// For one query in all; a stub resolver gives up after 5 s.
const BUDGET: Duration = Duration::from_secs(2);
/// For one server, before the next is asked or the same one again.
const ATTEMPT: Duration = Duration::from_millis(700);
/// Failures in a row that mean the resolver is gone, and not just one domain behind it.
const GONE: u32 = 3;
/// How long a resolver that is gone is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The host's resolver.
pub struct Upstream {
    servers: Servers,
    health: Mutex<Health>,
}

/// Where its addresses come from.
pub enum Servers {
    /// A file in the form of resolv.conf(5), read for each query: the host may change networks.
    File(PathBuf),
    #[cfg(test)]
    Fixed(Vec<SocketAddr>),
}

#[derive(Default)]
struct Health {
    failures: u32,
    retry: Option<Instant>,
}

impl Upstream {
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            health: Mutex::default(),
        }
    }

    /// The answer to a query, or none when there is none to be had in time.
    pub async fn ask(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let (id, rest) = query.split_first_chunk::<2>()?;
        if !self.may_ask() {
            return None;
        }
        // An id of our own, so that nobody in a VPC can predict what an answer must carry.
        let mut ours: Vec<u8> = rand::random::<[u8; 2]>().into();
        ours.extend(rest);
        let answer = timeout(BUDGET, self.try_servers(&ours, transport)).await;
        let answer = answer.ok().flatten();
        self.note(answer.is_some());
        let mut answer = answer?;
        answer.get_mut(..2)?.copy_from_slice(id);
        Some(answer)
    }

    async fn try_servers(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let servers = self.servers.list();
        for _ in 0..2 {
            for server in &servers {
                let deadline = Instant::now() + ATTEMPT;
                let attempt = match transport {
                    Transport::Udp => timeout_at(deadline, udp(*server, query)).await,
                    Transport::Tcp => timeout_at(deadline, tcp(*server, query)).await,
                };
                match attempt {
                    Ok(Ok(answer)) => return Some(answer),
                    Ok(Err(error)) => tracing::debug!(%server, %error, "ask the host's resolver"),
                    Err(_) => tracing::debug!(%server, "the host's resolver is silent"),
                }
            }
        }
        None
    }

    fn may_ask(&self) -> bool {
        let mut health = self.health.lock().expect("no holder of this lock panics");
        if health.failures < GONE {
            return true;
        }
        let now = Instant::now();
        if health.retry.is_some_and(|retry| now < retry) {
            return false;
        }
        // This query is the one let through.
        health.retry = Some(now + PAUSE);
        true
    }

    fn note(&self, answered: bool) {
        let mut health = self.health.lock().expect("no holder of this lock panics");
        if answered {
            *health = Health::default();
        } else {
            health.failures = health.failures.saturating_add(1);
            health.retry = Some(Instant::now() + PAUSE);
        }
    }
}

impl Servers {
    fn list(&self) -> Vec<SocketAddr> {
        match self {
            // Without the file the C library asks this machine, and so do we.
            Self::File(path) => nameservers(&std::fs::read_to_string(path).unwrap_or_default()),
            #[cfg(test)]
            Self::Fixed(servers) => servers.clone(),
        }
    }
}

/// The servers of a resolv.conf; as in the C library, this machine if it names none.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words
                .next()
                .filter(|w| *w == "nameserver")
                .and(words.next())?;
            // A link-local server with its interface after `%` is beyond a plain address.
            address.parse::<IpAddr>().ok()
        })
        .take(3)
        .map(|address| SocketAddr::new(address, 53))
        .collect();
    if servers.is_empty() {
        return vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)];
    }
    servers
}

async fn udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Only this server's packets are received, and a closed port is an error at once.
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(query, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(query);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    match answers(query, &answer) {
        true => Ok(answer),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether `message` is an answer with the id of `query`.
fn answers(query: &[u8], message: &[u8]) -> bool {
    message.len() >= 12 && message[..2] == query[..2] && message[2] & 0x80 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_a_file() {
        fn check(text: &str, expected: &[&str]) {
            let found: Vec<String> = nameservers(text).iter().map(|s| s.to_string()).collect();
            assert_eq!(found, expected, "{text}");
        }
        check("", &["127.0.0.1:53"]);
        check("search a.b\nnameserver 10.0.0.2 \n", &["10.0.0.2:53"]);
        check(
            "# nameserver 1.1.1.1\n;x\nnameserver\nnameserver x\nnameserver ::1",
            &["[::1]:53"],
        );
        let four = "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4";
        check(four, &["1.0.0.1:53", "1.0.0.2:53", "1.0.0.3:53"]);
    }

    const QUERY: &[u8] =
        b"\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

    async fn silent() -> (UdpSocket, Upstream) {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(Servers::Fixed(vec![server.local_addr().unwrap()]));
        (server, upstream)
    }

    #[tokio::test]
    async fn passes_query_and_answer_under_an_id_of_its_own() {
        let (server, upstream) = silent().await;
        let serve = async {
            let mut buffer = [0; 512];
            let (length, peer) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[2..length], &QUERY[2..]);
            // Neither a wrong id nor an echo is taken for the answer.
            server.send_to(&buffer[..length], peer).await.unwrap();
            buffer[2] |= 0x80;
            buffer[0] ^= 1;
            server.send_to(&buffer[..length], peer).await.unwrap();
            buffer[0] ^= 1;
            server.send_to(&buffer[..length], peer).await.unwrap();
        };
        let (answer, ()) = tokio::join!(upstream.ask(QUERY, Transport::Udp), serve);
        let answer = answer.unwrap();
        assert_eq!(answer[..2], QUERY[..2]);
        assert_eq!(answer[2], QUERY[2] | 0x80);
    }

    #[tokio::test]
    async fn tcp_is_asked_by_tcp() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(Servers::Fixed(vec![server.local_addr().unwrap()]));
        let serve = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            query[2] |= 0x80;
            stream.write_u16(query.len() as u16).await.unwrap();
            stream.write_all(&query).await.unwrap();
        };
        let (answer, ()) = tokio::join!(upstream.ask(QUERY, Transport::Tcp), serve);
        assert_eq!(answer.unwrap().len(), QUERY.len());
    }

    #[tokio::test]
    async fn a_closed_port_fails_at_once() {
        let (server, upstream) = silent().await;
        drop(server);
        let start = Instant::now();
        assert_eq!(upstream.ask(QUERY, Transport::Udp).await, None);
        assert!(start.elapsed() < ATTEMPT);
    }

    #[tokio::test]
    async fn a_silent_resolver_is_soon_left_alone_and_found_again() {
        let (server, upstream) = silent().await;
        tokio::time::pause();
        for _ in 0..GONE {
            assert_eq!(upstream.ask(QUERY, Transport::Udp).await, None);
        }
        let gone = Instant::now();
        assert_eq!(upstream.ask(QUERY, Transport::Udp).await, None);
        assert_eq!(gone.elapsed(), Duration::ZERO, "no waiting any more");

        tokio::time::advance(PAUSE).await;
        assert!(upstream.may_ask(), "one query sees whether it is back");
        assert!(!upstream.may_ask(), "but one only");
        tokio::time::advance(PAUSE).await;
        tokio::time::resume();
        let mut buffer = [0; 512];
        while server.try_recv_from(&mut buffer).is_ok() {}
        let serve = async {
            let (length, peer) = server.recv_from(&mut buffer).await.unwrap();
            buffer[2] |= 0x80;
            server.send_to(&buffer[..length], peer).await.unwrap();
        };
        let (answer, ()) = tokio::join!(upstream.ask(QUERY, Transport::Udp), serve);
        assert!(answer.is_some());
        assert!(upstream.may_ask() && upstream.may_ask(), "in use again");
    }
}
