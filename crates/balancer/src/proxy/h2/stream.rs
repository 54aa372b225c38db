//! One request of an HTTP/2 client.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;

use super::connection::OpenStream;
use super::{flow, head, to_http1, to_http2};
use crate::config::ProtocolVersion;
use crate::config::header::Changes;
use crate::http::answer::Answer;
use crate::proxy::decide::{Context, Decision, What, decide_on, refuse};
use crate::proxy::exchange::Outcome;

pub async fn serve(
    open: OpenStream,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let shared = &open.0;
    let (parts, body) = request.into_parts();
    let mut out = shared.core.buffer();
    let decided = {
        // The rules of now: they may have changed since the connection was made.
        let front = shared.node.front();
        front.listener(shared.port).map(|listener| {
            let context = Context {
                core: &shared.core,
                node: &shared.node,
                front: &front,
                routes: &listener.routes,
                changes: &listener.changes,
                port: shared.port,
                peer: shared.peer,
                now: SystemTime::now(),
                trace: shared.trace,
                session: Some(&shared.session),
            };
            let cookie = head::cookie(&parts.headers);
            let mut room = Vec::with_capacity(parts.headers.len() + 1);
            match head::understand(&parts, &cookie, &mut room, body.is_end_stream()) {
                Ok(request) => decide_on(&context, request, &mut out),
                Err(refused) => refuse(&context, refused),
            }
        })
    };
    let Some(Decision {
        length,
        to_head_request,
        mut entry,
        changes,
        what,
        ..
    }) = decided
    else {
        return respond.send_reset(Reason::REFUSED_STREAM);
    };
    let takes_trailers = parts.headers.contains_key(http::header::TE);
    drop(parts);
    let outcome = match what {
        What::Answer(answer) => {
            let answered = Answered {
                changes: &changes,
                to_head_request,
            };
            reply(&open, &answer, answered, &mut respond).await
        }
        What::Forward(plan) => {
            let exchange = to_http1::Exchange {
                shared,
                plan: &plan,
                to_head_request,
            };
            let outcome = match plan.version {
                ProtocolVersion::Http1 => exchange.run(&out, body, &mut respond).await,
                ProtocolVersion::Http2 | ProtocolVersion::Grpc => {
                    to_http2::run(&exchange, &out, takes_trailers, body, &mut respond).await
                }
            };
            drop(plan);
            match outcome.is_unanswered {
                true => {
                    let answered = Answered {
                        changes: &changes,
                        to_head_request,
                    };
                    fail(&open, outcome, answered, &mut respond).await
                }
                false => outcome,
            }
        }
    };
    shared.core.give_back(out);
    let counters = &shared.node.counters;
    counters.processed(length as u64 + outcome.received + outcome.sent);
    if let Some(entry) = entry.as_deref_mut() {
        entry.elb_status = outcome.status;
        entry.target_status = outcome.target_status;
        entry.received_bytes = length as u64 + outcome.received;
        entry.sent_bytes = outcome.sent;
        entry.request_processing_time = outcome.dispatched_after;
        entry.target_processing_time = outcome.responded_after;
        entry.response_processing_time = outcome.responded_after.map(|_| Duration::ZERO);
        shared.node.log_request(entry);
    }
}

/// What matters of the request for an answer of our own.
#[derive(Clone, Copy)]
struct Answered<'a> {
    changes: &'a Changes,
    to_head_request: bool,
}

/// Answers for a target that did not.
async fn fail(
    open: &OpenStream,
    outcome: Outcome,
    to: Answered<'_>,
    respond: &mut SendResponse<Bytes>,
) -> Outcome {
    open.0.node.counters.answered(outcome.status);
    if outcome.status == 460 {
        return outcome;
    }
    let answered = reply(open, &Answer::page(outcome.status), to, respond).await;
    Outcome {
        sent: answered.sent,
        ..outcome
    }
}

async fn reply(
    open: &OpenStream,
    answer: &Answer,
    to: Answered<'_>,
    respond: &mut SendResponse<Bytes>,
) -> Outcome {
    let mut outcome = Outcome {
        status: answer.status,
        ..Outcome::default()
    };
    let shared = &open.0;
    let Some((response, body)) = head::answer(answer, &shared.core.date(), to.changes) else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return outcome;
    };
    let is_bare = to.to_head_request || body.is_empty();
    outcome.sent = head::size(response.headers());
    let Ok(mut stream) = respond.send_response(response, is_bare) else {
        return outcome;
    };
    if !is_bare {
        outcome.sent += body.len() as u64;
        let idle_timeout = shared.node.front().attributes.idle_timeout;
        let sent = tokio::time::timeout(idle_timeout, flow::send(&mut stream, body, true)).await;
        if sent.is_err() {
            stream.send_reset(Reason::CANCEL);
        }
    }
    outcome
}
