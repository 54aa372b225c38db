//! Route 53's health checks: looks at endpoints from the internet side, and what they make of them.
//!
//! Times and what counts as healthy are from
//! `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html`.
//! AWS has checkers in eight regions, each with a threshold of its own, of which 18 % must agree; here
//! one speaks for all. Texts of failures are ours.

use crate::config::{HealthCheck, HealthChecks, Seen};
use crate::dns::{Resolver, Upstream};
use crate::netns;
use crate::view::View;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_rustls::TlsConnector;

/// How long a connection may take: for TCP checks all there is.
const CONNECT_TCP: Duration = Duration::from_secs(10);
const CONNECT_HTTP: Duration = Duration::from_secs(4);
/// From the connection to the head of the answer, and from that to the searched string.
const ANSWER: Duration = Duration::from_secs(2);
const BODY: Duration = Duration::from_secs(2);
/// Bytes of the body in which the string must be whole.
const SEARCHED: usize = 5120;
/// How often a check whose outcome stays the same is told of all the same.
const TELL: Duration = Duration::from_secs(60);

/// The checks of the configuration in force, each a task of its own.
pub struct Checks {
    running: BTreeMap<String, Running>,
    outcomes: mpsc::UnboundedSender<(String, Seen)>,
    connector: TlsConnector,
    names: watch::Receiver<Arc<View>>,
    upstream: Arc<Upstream>,
}

struct Running {
    /// With what else it was begun by.
    check: (HealthCheck, Source),
    task: JoinHandle<()>,
}

/// Where looks come from.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    netns: Option<std::path::PathBuf>,
    address: Ipv4Addr,
    barred: Vec<Ipv4Addr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    /// With where the outcomes come out.
    pub fn new(
        names: watch::Receiver<Arc<View>>,
        upstream: Arc<Upstream>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<(String, Seen)>)> {
        let (outcomes, seen) = mpsc::unbounded_channel();
        let checks = Self {
            running: BTreeMap::new(),
            outcomes,
            connector: crate::tls::trusting_connector()?,
            names,
            upstream,
        };
        Ok((checks, seen))
    }

    pub fn set(&mut self, wanted: Option<&HealthChecks>) {
        let endpoints = wanted.map(|w| &w.endpoints);
        let source = wanted.map(|w| Source {
            netns: w.netns.clone(),
            address: w.source,
            barred: w.barred.clone(),
        });
        self.running.retain(|id, running| {
            let check = endpoints.and_then(|e| e.get(id));
            let (known, from) = &running.check;
            !running.task.is_finished()
                && source.as_ref() == Some(from)
                && check.is_some_and(|c| c.is_same_look(known))
        });
        let (Some(endpoints), Some(source)) = (endpoints, source) else {
            return;
        };
        for (id, check) in endpoints {
            if self.running.contains_key(id) {
                continue;
            }
            let look = Look {
                check: check.clone(),
                source: source.clone(),
                connector: self.connector.clone(),
                names: self.names.clone(),
                upstream: self.upstream.clone(),
            };
            let task = tokio::spawn(watch_over(id.clone(), look, self.outcomes.clone()));
            let check = (check.clone(), source.clone());
            self.running.insert(id.clone(), Running { check, task });
        }
    }
}

struct Look {
    check: HealthCheck,
    source: Source,
    connector: TlsConnector,
    names: watch::Receiver<Arc<View>>,
    upstream: Arc<Upstream>,
}

async fn watch_over(id: String, look: Look, outcomes: mpsc::UnboundedSender<(String, Seen)>) {
    let mut tally = Tally::new(look.check.healthy, look.check.threshold);
    let mut ticks = tokio::time::interval(look.check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<(Instant, Seen)> = None;
    loop {
        ticks.tick().await;
        let outcome = look.outcome(&id).await;
        let seen = Seen {
            healthy: tally.add(outcome.is_ok()),
            succeeded: outcome.is_ok(),
            status: match outcome {
                Ok(text) => format!("Success: {text}"),
                Err(text) => format!("Failure: {text}"),
            },
        };
        let is_known = told
            .as_ref()
            .is_some_and(|(at, before)| *before == seen && at.elapsed() < TELL);
        if !is_known {
            told = Some((Instant::now(), seen.clone()));
            if outcomes.send((id.clone(), seen)).is_err() {
                return;
            }
        }
    }
}

/// How often in a row a look came out otherwise than what is thought of the endpoint.
struct Tally {
    healthy: bool,
    threshold: u8,
    against: u8,
}

impl Tally {
    fn new(healthy: bool, threshold: u8) -> Self {
        Self {
            healthy,
            threshold,
            against: 0,
        }
    }

    fn add(&mut self, succeeded: bool) -> bool {
        if succeeded == self.healthy {
            self.against = 0;
        } else {
            self.against += 1;
            if self.against >= self.threshold {
                (self.healthy, self.against) = (succeeded, 0);
            }
        }
        self.healthy
    }
}

impl Look {
    /// What a success or a failure was.
    async fn outcome(&self, id: &str) -> Result<String, String> {
        let check = &self.check;
        let address = match check.address {
            Some(address) => address,
            None => self.resolve().await?,
        };
        // The API refuses such addresses; a name leads where it likes.
        let is_inside = address.is_private() || address.is_loopback() || address.is_link_local();
        if is_inside || address.is_unspecified() || self.source.barred.contains(&address) {
            return Err(format!("{address} is not an address of the internet"));
        }
        let to = SocketAddr::from((address, check.port));
        let allowed = match check.http {
            Some(_) => CONNECT_HTTP,
            None => CONNECT_TCP,
        };
        let stream = match timeout(allowed, self.connect(to)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("connect to {to}: {error}")),
            Err(_) => {
                return Err(format!(
                    "connect to {to}: no answer within {} s",
                    allowed.as_secs()
                ));
            }
        };
        let Some(http) = &check.http else {
            return Ok(format!("Connection established to {to}"));
        };
        let host = check.name.clone().unwrap_or_else(|| address.to_string());
        let default = if http.tls { 443 } else { 80 };
        let authority = match check.port {
            port if port == default => host.clone(),
            port => format!("{host}:{port}"),
        };
        let agent = format!(
            "Amazon-Route53-Health-Check-Service (ref {id}; report http://amzn.to/1vsZADi)"
        );
        let request = Request::get(&http.path)
            .header("Host", authority)
            .header("User-Agent", agent)
            .header("Accept", "*/*")
            .header("Connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("the path {} is not valid: {error}", http.path))?;
        if !http.tls {
            return answered(stream, request, http.search.as_deref()).await;
        }
        let name = ServerName::try_from(host).map_err(|e| format!("the name for TLS: {e}"))?;
        let mut connector = self.connector.clone();
        if !http.sni {
            connector = crate::tls::without_name(&connector);
        }
        let shaken = timeout(ANSWER, connector.connect(name, stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("shake hands with {to}: {error}")),
            Err(_) => return Err(format!("shake hands with {to}: no answer in time")),
        };
        answered(stream, request, http.search.as_deref()).await
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let source = self.source.clone();
        // Entering a namespace blocks on a thread.
        let made = tokio::task::spawn_blocking(move || {
            netns::within(source.netns.as_deref(), || {
                netns::connecting(source.address)
            })
        });
        let socket = made.await.map_err(io::Error::other)??;
        socket.connect(to).await
    }

    /// The address of its name: at each look anew, as on AWS.
    async fn resolve(&self) -> Result<Ipv4Addr, String> {
        let name = self.check.name.as_deref().unwrap_or_default();
        let names = self.names.borrow().names.clone();
        let resolver = Resolver {
            names: names.as_deref(),
            upstream: &self.upstream,
        };
        let addresses = resolver.addresses(name).await;
        let first = addresses.first().copied();
        first.ok_or_else(|| format!("the name {name} has no IPv4 address"))
    }
}

/// Whether the answer comes in time, with a good status and what is searched for.
async fn answered<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    search: Option<&str>,
) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped.
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await;
        Ok::<_, hyper::Error>((response?, sender, driver))
    };
    let (response, sender, driver) = match timeout(ANSWER, asked).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => return Err(format!("no valid HTTP answer: {error}")),
        Err(_) => return Err(format!("no HTTP answer within {} s", ANSWER.as_secs())),
    };
    let judged = judge(response, search).await;
    drop(sender);
    driver.abort();
    judged
}

async fn judge(
    response: Response<hyper::body::Incoming>,
    search: Option<&str>,
) -> Result<String, String> {
    let status = response.status();
    let text = said(status);
    let (least, most) = (StatusCode::OK.as_u16(), 400);
    if !(least..most).contains(&status.as_u16()) {
        return Err(text);
    }
    let Some(search) = search else {
        return Ok(text);
    };
    let mut body = response.into_body();
    let mut begun: Vec<u8> = Vec::new();
    let reading = async {
        while begun.len() < SEARCHED {
            match body.frame().await {
                Some(Ok(frame)) => begun.extend(frame.data_ref().into_iter().flatten()),
                Some(Err(_)) | None => break,
            }
        }
    };
    let _ = timeout(BODY, reading).await;
    begun.truncate(SEARCHED);
    let found = search.is_empty() || begun.windows(search.len()).any(|w| w == search.as_bytes());
    match found {
        true => Ok(text),
        false => Err(format!(
            "{text}. The search string is not in the first {SEARCHED} bytes of the body"
        )),
    }
}

fn said(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP Status Code {}, {reason}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_as_many_in_a_row_as_the_threshold() {
        let mut tally = Tally::new(true, 3);
        let looks = "++--+---++-+++";
        let states: String = looks
            .chars()
            .map(|c| if tally.add(c == '+') { 'h' } else { 'u' })
            .collect();
        assert_eq!(states, "hhhhhhhuuuuuuh");
    }
}
