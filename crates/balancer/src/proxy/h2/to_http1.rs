//! One request of an HTTP/2 client at a target that speaks HTTP/1.1.
//!
//! As in `proxy::attempt`, request and response run at the same time; the client's side is a stream with its window instead of a socket.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::both::both;
use super::connection::Shared;
use super::flow::{self, Gone};
use super::head;
use crate::http::body::{Body, Keep};
use crate::http::field::{Field, field};
use crate::http::request::{fields, may_be_complete};
use crate::http::response;
use crate::proxy::attempt::{Failure, Progress};
use crate::proxy::decide::Plan;
use crate::proxy::exchange::{Outcome, failed, finished, open};
use crate::proxy::idle::{Activity, Idle};
use crate::sticky;
use crate::tls::{ReadHalf, WriteHalf};
use crate::worker::group::Upstream;

pub struct Exchange<'a> {
    pub shared: &'a Rc<Shared>,
    pub plan: &'a Plan,
    pub to_head_request: bool,
}

impl Exchange<'_> {
    /// `out` is the head for the target.
    pub async fn run(
        &self,
        out: &[u8],
        mut body: RecvStream,
        respond: &mut SendResponse<Bytes>,
    ) -> Outcome {
        let target = &self.plan.target.0;
        let progress = Progress::new(Instant::now());
        let mut idle = Idle::new(self.shared.node.front().attributes.idle_timeout);
        let pooled = target.take_idle();
        let mut is_pooled = pooled.is_some();
        let mut next = match pooled {
            Some(upstream) => Ok(upstream),
            None => open(&self.shared.node, target, self.plan.protocol, false).await,
        };
        loop {
            let mut upstream = match next {
                Ok(upstream) => upstream,
                Err(status) => return failed(&progress, status, false),
            };
            idle.last.touch();
            let end = self
                .attempt(out, &mut body, respond, &mut upstream, &mut idle, &progress)
                .await;
            let failure = match end {
                Ok(reuse) => {
                    let is_sent = progress.request_sent.get().is_some();
                    if reuse && is_sent && !self.plan.is_doubtful {
                        target.keep_idle(upstream);
                    }
                    return finished(&progress, true);
                }
                Err(failure) => failure,
            };
            if is_pooled
                && self.plan.is_repeatable
                && failure == (Failure::TargetGone { untouched: true })
            {
                is_pooled = false;
                drop(upstream);
                next = open(&self.shared.node, target, self.plan.protocol, false).await;
                continue;
            }
            return end_with(failure, &progress, respond);
        }
    }

    async fn attempt(
        &self,
        out: &[u8],
        body: &mut RecvStream,
        respond: &mut SendResponse<Bytes>,
        upstream: &mut Upstream,
        idle: &mut Idle,
        progress: &Progress,
    ) -> Result<bool, Failure> {
        let target = &self.plan.target.0;
        let idle_timeout = self.shared.node.front().attributes.idle_timeout;
        let (target_read, target_write) = upstream.stream.split();
        let (timer, last) = idle.split();
        let send = self.send(target_write, body, out, last, progress);
        let receive = self.receive(target_read, respond, last, progress);
        both(send, receive, target, (timer, last), idle_timeout).await
    }

    async fn send(
        &self,
        mut target: WriteHalf<'_>,
        body: &mut RecvStream,
        out: &[u8],
        last: &Activity,
        progress: &Progress,
    ) -> Result<(), Gone> {
        target.send(out).await.map_err(|_| Gone::Receiver)?;
        let mut framed = Vec::new();
        while !body.is_end_stream() {
            progress.waits_for_client.set(true);
            let Some(data) = flow::receive(body).await else {
                break;
            };
            let data = data?;
            progress.waits_for_client.set(false);
            last.touch();
            let sent = if self.plan.is_chunked {
                framed.clear();
                crate::proxy::attempt::push_chunk(&data, &mut framed);
                target.send(&framed).await
            } else {
                target.send(&data).await
            };
            sent.map_err(|_| Gone::Receiver)?;
            last.touch();
            progress
                .received
                .set(progress.received.get() + data.len() as u64);
            flow::release(body, data.len());
        }
        progress.waits_for_client.set(false);
        if self.plan.is_chunked {
            let trailers = match body.is_end_stream() {
                true => None,
                false => flow::trailers(body).await?,
            };
            let lines = trailers.as_ref().map(head::trailer_lines);
            let end = [b"0\r\n", lines.unwrap_or_default().as_slice(), b"\r\n"].concat();
            target.send(&end).await.map_err(|_| Gone::Receiver)?;
        }
        progress.request_sent.set(Some(Instant::now()));
        Ok(())
    }

    /// Whether the target's connection may be used again.
    async fn receive(
        &self,
        mut target: ReadHalf<'_>,
        respond: &mut SendResponse<Bytes>,
        last: &Activity,
        progress: &Progress,
    ) -> Result<bool, Failure> {
        let mut buffer = self.shared.core.buffer();
        let (response, mut body, keeps_alive) = self
            .read_head(&mut target, &mut buffer, respond, last, progress)
            .await?;
        let client_gone = |_| Failure::ClientGone;
        progress.is_answered.set(true);
        progress.sent.set(head::size(response.headers()));
        let mut stream = respond
            .send_response(response, body.is_done())
            .map_err(client_gone)?;
        let mut has_more = !buffer.is_empty();
        while !body.is_done() {
            if buffer.is_empty() {
                match target.read_buf(&mut buffer).await {
                    Ok(1..) => {}
                    Ok(0) if body == Body::UntilClose => {
                        stream.send_data(Bytes::new(), true).map_err(client_gone)?;
                        break;
                    }
                    Ok(0) | Err(_) => return Err(Failure::TargetGone { untouched: false }),
                }
                last.touch();
            }
            let part = body
                .advance(&mut buffer, Keep::Data)
                .map_err(|_| Failure::BadResponse)?;
            has_more = part.consumed < buffer.len();
            let data = Bytes::copy_from_slice(&buffer[..part.kept]);
            progress.sent.set(progress.sent.get() + data.len() as u64);
            buffer.clear();
            let trailers = body
                .take_trailers()
                .and_then(|lines| head::trailers(&lines));
            let is_end = body.is_done() && trailers.is_none();
            flow::send(&mut stream, data, is_end)
                .await
                .map_err(|_| Failure::ClientGone)?;
            if let Some(trailers) = trailers {
                progress
                    .sent
                    .set(progress.sent.get() + head::size(&trailers));
                stream.send_trailers(trailers).map_err(client_gone)?;
            }
            last.touch();
        }
        self.shared.core.give_back(buffer);
        Ok(keeps_alive && !has_more)
    }

    /// Reads up to the head that is not an interim one; what came after it stays in the buffer.
    async fn read_head(
        &self,
        target: &mut ReadHalf<'_>,
        buffer: &mut Vec<u8>,
        respond: &mut SendResponse<Bytes>,
        last: &Activity,
        progress: &Progress,
    ) -> Result<(http::Response<()>, Body, bool), Failure> {
        let mut untouched = true;
        let mut looked_at = 0;
        loop {
            let is_due = looked_at == 0
                || may_be_complete(buffer, looked_at)
                || buffer.len() > response::HEAD_LIMIT;
            if buffer.len() > looked_at && is_due {
                let mut room = fields();
                let parsed = response::parse(buffer, &mut room, self.to_head_request);
                if let Some(parsed) = parsed.map_err(|_| Failure::BadResponse)? {
                    let length = parsed.length;
                    if parsed.is_interim() {
                        buffer.drain(..length);
                        looked_at = 0;
                        continue;
                    }
                    if parsed.status == 101 {
                        return Err(Failure::BadResponse);
                    }
                    note(self.plan, progress, parsed.status);
                    let sets = |name: &str| {
                        let mut set = parsed
                            .headers
                            .iter()
                            .filter(|h| field(h.name) == Field::SetCookie);
                        set.any(|header| sticky::sets(header.value, name))
                    };
                    let cookies = cookies_for(self.plan, sets);
                    let response = head::response(&parsed, cookies, &self.plan.changes);
                    let response = response.ok_or(Failure::BadResponse)?;
                    let (body, keeps_alive) = (parsed.body.clone(), parsed.keeps_alive);
                    buffer.drain(..length);
                    return Ok((response, body, keeps_alive));
                }
            }
            looked_at = buffer.len();
            let read = {
                let mut read = pin!(target.read_buf(buffer));
                poll_fn(|context| {
                    // A client that went away wants no answer.
                    if respond.poll_reset(context).is_ready() {
                        return Poll::Ready(Err(Failure::ClientGone));
                    }
                    read.as_mut().poll(context).map(Ok)
                })
                .await?
            };
            match read {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Failure::TargetGone { untouched }),
            }
            last.touch();
            untouched = false;
        }
    }
}

/// Notes that the target's head is there.
pub fn note(plan: &Plan, progress: &Progress, status: u16) {
    let now = Instant::now();
    let sent = progress.request_sent.get().unwrap_or(progress.started);
    let counters = &plan.target.0.counters;
    counters.responded(status, now.saturating_duration_since(sent));
    progress.responded.set(Some(now));
    progress.target_status.set(Some(status));
}

/// Ours to set, given whether the response sets the application's cookie.
pub fn cookies_for(plan: &Plan, sets: impl Fn(&str) -> bool) -> &[String] {
    match &plan.app_session {
        Some((name, cookies)) if sets(name) => cookies,
        _ => &plan.cookies,
    }
}

/// What the client gets when an exchange ended early.
pub fn end_with(
    failure: Failure,
    progress: &Progress,
    respond: &mut SendResponse<Bytes>,
) -> Outcome {
    let status = match failure {
        Failure::ClientGone if progress.request_sent.get().is_some() => 460,
        Failure::ClientGone | Failure::BadBody => 400,
        Failure::Idle if progress.waits_for_client.get() => 408,
        Failure::Idle => 504,
        Failure::TargetGone { .. } | Failure::BadResponse | Failure::Cut => 502,
    };
    if progress.is_answered.get() {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return finished(progress, false);
    }
    failed(progress, status, false)
}
