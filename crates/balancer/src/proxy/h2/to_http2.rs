//! One request of an HTTP/2 client at a target that speaks HTTP/2: data and trailers both ways.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::time::Instant;

use super::both::both;
use super::flow::{self, Gone};
use super::to_http1::{Exchange, cookies_for, end_with, note};
use super::{head, pool};
use crate::http::field::{Field, field};
use crate::proxy::attempt::{Failure, Progress};
use crate::proxy::exchange::{Outcome, failed, finished};
use crate::proxy::idle::{Activity, Idle};
use crate::sticky;

/// `out` is the head for the target as HTTP/1.1.
pub async fn run(
    exchange: &Exchange<'_>,
    out: &[u8],
    takes_trailers: bool,
    mut body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Outcome {
    let (shared, plan) = (exchange.shared, exchange.plan);
    let target = &plan.target.0;
    let progress = Progress::new(Instant::now());
    let Some(request) = head::request(out, plan.protocol, takes_trailers) else {
        return failed(&progress, 400, false);
    };
    let placed = tokio::select! {
        biased;
        placed = pool::place(&shared.node, target, plan.protocol) => placed,
        () = target.cut.notified() => Err(502),
    };
    let mut place = match placed {
        Ok(place) => place,
        Err(status) => return failed(&progress, status, false),
    };
    let is_end = body.is_end_stream();
    let (response, mut to_target) = match place.sender.send_request(request, is_end) {
        Ok(sent) => sent,
        Err(_) => return failed(&progress, 502, false),
    };
    if is_end {
        progress.request_sent.set(Some(Instant::now()));
    }
    let idle_timeout = shared.node.front().attributes.idle_timeout;
    let mut idle = Idle::new(idle_timeout);
    let (timer, last) = idle.split();
    let ended = {
        let send = async {
            if is_end {
                return Ok(());
            }
            flow::pass(&mut body, &mut to_target, last, &progress.received).await?;
            progress.request_sent.set(Some(Instant::now()));
            Ok(())
        };
        let receive = receive(exchange, response, respond, last, &progress);
        both(send, receive, target, (timer, last), idle_timeout).await
    };
    match ended {
        Ok(()) => finished(&progress, true),
        Err(failure) => {
            to_target.send_reset(Reason::CANCEL);
            end_with(failure, &progress, respond)
        }
    }
}

async fn receive(
    exchange: &Exchange<'_>,
    response: h2::client::ResponseFuture,
    respond: &mut SendResponse<Bytes>,
    last: &Activity,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut response = pin!(response);
    let response = poll_fn(|context| {
        // A client that went away wants no answer.
        if respond.poll_reset(context).is_ready() {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        let target_gone = |_| Failure::TargetGone { untouched: true };
        response
            .as_mut()
            .poll(context)
            .map(|response| response.map_err(target_gone))
    })
    .await?;
    last.touch();
    let (mut parts, mut body) = response.into_parts();
    note(exchange.plan, progress, parts.status.as_u16());
    let cookies = cookies_for(exchange.plan, |name| {
        let mut set = parts.headers.get_all(http::header::SET_COOKIE).iter();
        set.any(|value| sticky::sets(value.as_bytes(), name))
    });
    head::add_cookies(&mut parts.headers, cookies);
    let hop_by_hop: Vec<_> = parts
        .headers
        .keys()
        .filter(|name| field(name.as_str()) == Field::HopByHop)
        .cloned()
        .collect();
    for name in hop_by_hop {
        parts.headers.remove(name);
    }
    head::set(&mut parts.headers, &exchange.plan.changes);
    let is_end = body.is_end_stream();
    progress.is_answered.set(true);
    progress.sent.set(head::size(&parts.headers));
    let response = http::Response::from_parts(parts, ());
    let mut stream = respond
        .send_response(response, is_end)
        .map_err(|_| Failure::ClientGone)?;
    if is_end {
        return Ok(());
    }
    flow::pass(&mut body, &mut stream, last, &progress.sent)
        .await
        .map_err(|gone| match gone {
            Gone::Sender => Failure::TargetGone { untouched: false },
            Gone::Receiver => Failure::ClientGone,
        })
}
