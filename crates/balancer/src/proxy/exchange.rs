//! One request at one target: connect or reuse, attempt, and see what came of it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use super::attempt::{Attempt, Failure, Progress};
use super::decide::Plan;
use super::idle::Idle;
use super::tunnel;
use crate::config::Protocol;
use crate::http::body::{Body, Keep};
use crate::netns;
use crate::tls::{self, Stream};
use crate::worker::Core;
use crate::worker::group::{Target, Upstream};
use crate::worker::node::Node;

/// To a target, TCP (A/load-balancer-troubleshooting.html, 504).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts of a client connection that an exchange uses.
pub struct Client<'a> {
    pub stream: &'a mut Stream,
    pub idle: &'a mut Idle,
    /// What came after the head: body, perhaps further requests. Only what is not of this request
    /// stays.
    pub input: &'a mut Vec<u8>,
    pub minor: u8,
    pub to_head_request: bool,
    pub idle_timeout: Duration,
}

/// How it went, and what the access log wants to know.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Sent to the client; 0 if nothing could be sent.
    pub status: u16,
    /// Nothing was sent yet: the caller answers with `status`.
    pub is_unanswered: bool,
    /// The request was read to its end and the client told that its connection stays.
    pub keep_alive: bool,
    pub target_status: Option<u16>,
    pub received: u64,
    pub sent: u64,
    /// Head received to request sent, request sent to response head.
    pub dispatched_after: Option<Duration>,
    pub responded_after: Option<Duration>,
}
pub async fn exchange(
    core: &Rc<Core>,
    node: &Rc<Node>,
    client: &mut Client<'_>,
    plan: &Plan,
    mut body: Body,
    keep_alive: bool,
    out: &mut Vec<u8>,
) -> Outcome {
    let target = &plan.target.0;
    // The head came with the last activity.
    let progress = Progress::new(client.idle.last.at());
    // What of the body is here goes out together with the head.
    match body.advance(client.input, Keep::Framing) {
        Ok(part) => {
            out.extend_from_slice(&client.input[..part.kept]);
            progress.received.set(part.consumed as u64);
            client.input.drain(..part.consumed);
            out.extend(body.take_trailers().into_iter().flatten());
        }
        Err(_) => return failed(&progress, 400, false),
    }
    let pooled = target.take_idle();
    let mut is_pooled = pooled.is_some();
    let mut next = match pooled {
        Some(upstream) => Ok(upstream),
        None => open(node, target, plan.protocol, false).await,
    };
    let (buffer, reply) = (&mut core.buffer(), &mut core.buffer());
    loop {
        let mut upstream = match next {
            Ok(upstream) => upstream,
            Err(status) => return failed(&progress, status, body.is_done()),
        };
        if !is_pooled {
            client.idle.last.touch();
        }
        let attempt = Attempt {
            plan,
            progress: &progress,
            keep_alive,
            is_leaving: &core.is_leaving,
        };
        let end = attempt
            .run(client, &mut upstream, &mut body, out, buffer, reply)
            .await;
        let failure = match end {
            Ok(relayed) if relayed.switched => {
                let ends = tunnel::Ends {
                    core,
                    target,
                    client: client.stream,
                    upstream: &mut upstream.stream,
                    idle: client.idle,
                    idle_timeout: client.idle_timeout,
                    received: &|more| progress.received.set(progress.received.get() + more),
                    sent: &|more| progress.sent.set(progress.sent.get() + more),
                };
                tunnel::run(ends, client.input, buffer).await;
                return finished(&progress, false);
            }
            Ok(relayed) => {
                if relayed.reuse_target && body.is_done() && !plan.is_doubtful {
                    target.keep_idle(upstream);
                }
                give_back(core, buffer, reply);
                return finished(&progress, relayed.keep_client && body.is_done());
            }
            Err(failure) => failure,
        };
        if is_pooled && plan.is_repeatable && failure == (Failure::TargetGone { untouched: true }) {
            is_pooled = false;
            drop(upstream);
            next = open(node, target, plan.protocol, false).await;
            continue;
        }
        give_back(core, buffer, reply);
        let status = match failure {
            Failure::ClientGone if body.is_done() => 460,
            Failure::ClientGone | Failure::BadBody => 400,
            Failure::Idle if progress.waits_for_client.get() => 408,
            Failure::Idle => 504,
            Failure::TargetGone { .. } | Failure::BadResponse | Failure::Cut => 502,
        };
        return if progress.is_answered.get() {
            finished(&progress, false)
        } else {
            failed(
                &progress,
                status,
                body.is_done() && failure != Failure::ClientGone,
            )
        };
    }
}

fn give_back(core: &Core, buffer: &mut Vec<u8>, reply: &mut Vec<u8>) {
    core.give_back(std::mem::take(buffer));
    core.give_back(std::mem::take(reply));
}

pub fn finished(progress: &Progress, keep_alive: bool) -> Outcome {
    Outcome {
        status: progress.target_status.get().unwrap_or(0),
        keep_alive,
        ..outcome(progress)
    }
}

pub fn failed(progress: &Progress, status: u16, keep_alive: bool) -> Outcome {
    Outcome {
        status,
        is_unanswered: true,
        keep_alive,
        ..outcome(progress)
    }
}

fn outcome(progress: &Progress) -> Outcome {
    let sent = progress.request_sent.get();
    Outcome {
        target_status: progress.target_status.get(),
        received: progress.received.get(),
        sent: progress.sent.get(),
        dispatched_after: sent.map(|at| at - progress.started),
        responded_after: progress
            .responded
            .get()
            .map(|at| at.saturating_duration_since(sent.unwrap_or(at))),
        ..Outcome::default()
    }
}

/// A new connection, from the node's address in its namespace; else the status to answer with, which
/// nobody waits for once the target is cut off.
pub async fn open(
    node: &Rc<Node>,
    target: &Target,
    protocol: Protocol,
    http2: bool,
) -> Result<Upstream, u16> {
    if target.is_cut() {
        return Err(502);
    }
    tokio::select! {
        biased;
        opened = connect(node, target, protocol, http2) => opened,
        () = target.cut.notified() => Err(502),
    }
}

async fn connect(
    node: &Rc<Node>,
    target: &Target,
    protocol: Protocol,
    http2: bool,
) -> Result<Upstream, u16> {
    let connecting = async {
        let socket = netns::connecting_socket(node.namespace.as_ref(), node.config.address)?;
        socket.connect(target.address).await
    };
    let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => stream,
        failed => {
            target.counters.connection_failed();
            return Err(match failed {
                Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => 502,
                _ => 504,
            });
        }
    };
    let counted = node.counters.open();
    let stream = match protocol {
        Protocol::Http => Stream::from(stream),
        Protocol::Https => {
            // On the heap: most connections are none of these.
            match timeout(CONNECT_TIMEOUT, Box::pin(tls::connect(stream, http2))).await {
                Ok(Ok(stream)) => stream,
                failed => {
                    target.counters.tls_failed();
                    return Err(if failed.is_err() { 504 } else { 502 });
                }
            }
        }
    };
    Ok(Upstream { stream, counted })
}
