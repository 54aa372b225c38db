//! The instance metadata service, one for each VPC at 169.254.169.254.
//!
//! An instance is known by its source address, which nobody else in the VPC can
//! use (the router drops spoofed packets). [`tree`] says what there is to read,
//! [`token`] who may; this file holds the rules of the protocol:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
//!
//! Every version answers the same tree. Not done: IPv6, and AWS's packet rate limit.

mod identity;
mod token;
mod tree;

pub use identity::{Identities, Identity};
pub use token::Signer;

use crate::config::Instance;
use crate::http::{self, Answer};
use crate::listener::{Stop, accept};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use socket2::SockRef;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// What `/` lists, and what a path may begin with.
const VERSIONS: &[&str] = &[
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-07-09",
    "2022-09-24",
    "2024-04-11",
    "latest",
];

/// Gives the instance that has an address now, and what signs its identity.
pub type CurrentInstance =
    Arc<dyn Fn(Ipv4Addr) -> Option<(Arc<Instance>, Option<Arc<Identity>>)> + Send + Sync>;

/// Calls without a token by instance id, since they were last taken.
#[derive(Default)]
pub struct Counters(Mutex<BTreeMap<String, u64>>);

impl Counters {
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.0.lock().expect("no holder of this lock panics"))
    }

    /// What another process counted.
    pub fn add_all(&self, others: BTreeMap<String, u64>) {
        let mut counts = self.0.lock().expect("no holder of this lock panics");
        for (instance, count) in others {
            *counts.entry(instance).or_default() += count;
        }
    }

    fn add(&self, instance: &str) {
        let mut counts = self.0.lock().expect("no holder of this lock panics");
        *counts.entry(instance.to_owned()).or_default() += 1;
    }
}

/// Serves one VPC.
pub async fn run(
    listener: TcpListener,
    instance: CurrentInstance,
    signer: Arc<Signer>,
    counters: Arc<Counters>,
    stop: Stop,
) {
    accept(listener, stop, |stream| {
        connection(stream, instance.clone(), signer.clone(), counters.clone())
    })
    .await;
}

async fn connection(
    stream: TcpStream,
    instance: CurrentInstance,
    signer: Arc<Signer>,
    counters: Arc<Counters>,
) {
    let Ok(IpAddr::V4(address)) = stream.peer_addr().map(|peer| peer.ip()) else {
        return;
    };
    // The HTTP connection owns the socket; this is for its options only.
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else {
        return;
    };
    let handle = |request: hyper::Request<_>| {
        let now = jiff::Timestamp::now().as_second().unsigned_abs();
        let outcome = match instance(address) {
            Some((instance, identity)) => {
                let (method, headers) = (request.method(), request.headers());
                let call = Call {
                    method,
                    path: request.uri().path(),
                    headers,
                };
                let outcome = respond(&call, &instance, identity.as_deref(), &signer, now);
                if outcome.without_token {
                    counters.add(&instance.id);
                }
                outcome
            }
            None => error(StatusCode::NOT_FOUND),
        };
        if let Some(hops) = outcome.hops {
            // The answer leaves with so little life that it ends at the first router behind
            // the instance: a container without the host's network gets no token.
            if let Err(error) = SockRef::from(&socket).set_ttl_v4(hops.into()) {
                tracing::error!(%error, "set the hop limit of a token");
            }
        }
        async { outcome.answer }
    };
    http::serve(stream, handle).await;
}

/// The part of a request that counts.
struct Call<'r> {
    method: &'r Method,
    path: &'r str,
    headers: &'r HeaderMap,
}

struct Outcome {
    answer: Answer,
    /// The hop limit under which the answer, a token, must leave.
    hops: Option<u8>,
    /// Version 1 was used.
    without_token: bool,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            hops: None,
            without_token: false,
        }
    }
}

fn respond(
    call: &Call<'_>,
    instance: &Instance,
    identity: Option<&Identity>,
    signer: &Signer,
    now: u64,
) -> Outcome {
    if !instance.options.endpoint {
        return error(StatusCode::FORBIDDEN);
    }
    match *call.method {
        Method::PUT if call.path == "/latest/api/token" => issue(call, instance, signer, now),
        Method::GET | Method::HEAD => {
            let token = call.headers.get(TOKEN);
            let without_token = token.is_none();
            let allowed = match token.map(|value| value.to_str()) {
                Some(Ok(token)) => signer.valid(&instance.id, token, now),
                Some(Err(_)) => false,
                None => !instance.options.tokens_required,
            };
            let outcome = match allowed {
                true => read(call.path, instance, identity, now),
                false => error(StatusCode::UNAUTHORIZED),
            };
            Outcome {
                without_token,
                ..outcome
            }
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn issue(call: &Call<'_>, instance: &Instance, signer: &Signer, now: u64) -> Outcome {
    // The sign of an open proxy or load balancer that passes on whatever it is asked.
    if call.headers.contains_key("x-forwarded-for") {
        return error(StatusCode::FORBIDDEN);
    }
    let lifetime = call.headers.get(TOKEN_LIFETIME);
    let lifetime = lifetime.and_then(|value| value.to_str().ok());
    let issued = lifetime.and_then(|lifetime| signer.issue(&instance.id, lifetime, now));
    let Some((token, lifetime)) = issued else {
        return error(StatusCode::BAD_REQUEST);
    };
    let mut answer = http::answer(StatusCode::OK, "text/plain", token);
    answer.headers_mut().insert(TOKEN_LIFETIME, lifetime.into());
    Outcome {
        hops: Some(instance.options.hop_limit.clamp(1, 64)),
        ..answer.into()
    }
}

fn read(path: &str, instance: &Instance, identity: Option<&Identity>, now: u64) -> Outcome {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let path = path.strip_prefix('/').unwrap_or(&path);
    if path.is_empty() {
        return http::answer(StatusCode::OK, "text/plain", VERSIONS.join("\n")).into();
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if !VERSIONS.contains(&version) {
        return error(StatusCode::NOT_FOUND);
    }
    let kind = match rest {
        "user-data" => "application/octet-stream",
        _ => "text/plain",
    };
    match tree::tree(instance, identity, now).get(rest) {
        Some(content) => http::answer(StatusCode::OK, kind, content).into(),
        None => error(StatusCode::NOT_FOUND),
    }
}

/// A page, as AWS answers; programs look at the status only.
fn error(status: StatusCode) -> Outcome {
    let title = format!(
        "{} - {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    let page =
        format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
    http::answer(status, "text/html", page).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instance;

    const NOW: u64 = 1_000_000;

    fn signer() -> Signer {
        let unique = format!("edge-imds-{:016x}", rand::random::<u64>());
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&dir).unwrap();
        let signer = Signer::open(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        signer
    }

    /// `METHOD path [header: value]…` → the status, with the hop limit of a token.
    fn ask(instance: &Instance, signer: &Signer, request: &str) -> (String, Outcome) {
        let mut lines = request.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = name.parse::<hyper::header::HeaderName>().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let call = Call {
            method: &method.parse().unwrap(),
            path,
            headers: &headers,
        };
        let outcome = respond(&call, instance, None, signer, NOW);
        let mut status = outcome.answer.status().as_u16().to_string();
        if let Some(hops) = outcome.hops {
            status += &format!(", {hops} hops");
        }
        if outcome.without_token {
            status += ", v1";
        }
        (status, outcome)
    }

    const PUT: &str = "PUT /latest/api/token\nx-aws-ec2-metadata-token-ttl-seconds: ";

    #[test]
    fn rules() {
        let signer = signer();
        let (token, _) = signer.issue("i-0123456789abcdef0", "60", NOW).unwrap();
        let (old, _) = signer.issue("i-0123456789abcdef0", "60", NOW - 60).unwrap();
        let (other, _) = signer.issue("i-1", "60", NOW).unwrap();
        let mut required = instance();
        required.options.tokens_required = true;
        required.options.hop_limit = 2;
        let mut disabled = instance();
        disabled.options.endpoint = false;
        let get =
            |token: &str| format!("GET /latest/meta-data/\nX-aws-ec2-metadata-token: {token}");
        for (instance, request, expected) in [
            (&instance(), format!("{PUT}60"), "200, 1 hops"),
            (&required, format!("{PUT}21600"), "200, 2 hops"),
            (&required, format!("{PUT}0"), "400"),
            (&required, format!("{PUT}21601"), "400"),
            (&required, "PUT /latest/api/token".into(), "400"),
            (
                &required,
                format!("{PUT}60\nX-Forwarded-For: 1.2.3.4"),
                "403",
            ),
            (&required, "PUT /latest/meta-data/".into(), "405"),
            (&required, "POST /latest/api/token".into(), "405"),
            (&disabled, format!("{PUT}60"), "403"),
            (&disabled, "GET /latest/meta-data/".into(), "403"),
            (&instance(), "GET /latest/meta-data/".into(), "200, v1"),
            (&instance(), "HEAD /latest/meta-data/".into(), "200, v1"),
            (&required, "GET /latest/meta-data/".into(), "401, v1"),
            (&required, "GET /".into(), "401, v1"),
            (&required, get(&token), "200"),
            (&instance(), get(&token), "200"),
            // A wrong token is refused even where none is needed.
            (&instance(), get("x"), "401"),
            (&required, get(&old), "401"),
            (&required, get(&other), "401"),
            (
                &instance(),
                "GET /2021-03-23/meta-data/instance-id".into(),
                "200, v1",
            ),
            (
                &instance(),
                "GET /2024-04-11/meta-data/instance-id".into(),
                "200, v1",
            ),
            (
                &instance(),
                "GET /2021-03-24/meta-data/instance-id".into(),
                "404, v1",
            ),
            (&instance(), "GET /latest".into(), "200, v1"),
            (&instance(), "GET /latest/api/token".into(), "404, v1"),
            (&instance(), "GET /latest/%ff%00".into(), "404, v1"),
            (&instance(), "GET //".into(), "404, v1"),
        ] {
            assert_eq!(ask(instance, &signer, &request).0, expected, "{request}");
        }
    }

    #[test]
    fn a_token_tells_its_lifetime() {
        let (_, outcome) = ask(&instance(), &signer(), &format!("{PUT}123"));
        assert_eq!(outcome.answer.headers()[TOKEN_LIFETIME], "123");
    }
}
