//! Request and response at once, over one connection to a target.
//!
//! Two halves run under one poll. `send` writes the head and passes the body on, then watches the
//! client for its end; `receive` reads the response and passes it to the client. Whichever blocks
//! holds back its own side only, and each holds one buffer. The response may well be complete before
//! the request: then neither connection is used again.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::decide::Plan;
use super::exchange::Client;
use super::idle::{Activity, poll_timer};
use super::reply::{self, Delivery};
use crate::http::body::{Body, Keep};
use crate::http::field::{Field, field};
use crate::http::request::{fields, may_be_complete};
use crate::http::response;
use crate::sticky;
use crate::tls::{ReadHalf, WriteHalf};
use crate::worker::group::Upstream;

/// Of the next requests of a pipelining client, while this one runs.
const PIPELINED: usize = 32 * 1024;
/// A first part of a body this short is sent from one buffer with its head; copying a longer one
/// costs more than a second piece.
const COPIED: usize = 4096;

/// What the halves tell each other and the outside.
pub struct Progress {
    pub started: Instant,
    pub request_sent: Cell<Option<Instant>>,
    /// The request's end is missing and it is the client who has to send it.
    pub waits_for_client: Cell<bool>,
    pub received: Cell<u64>,
    pub sent: Cell<u64>,
    pub target_status: Cell<Option<u16>>,
    pub responded: Cell<Option<Instant>>,
    /// The client has (part of) a response.
    pub is_answered: Cell<bool>,
}

/// Why an exchange ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    ClientGone,
    BadBody,
    /// The target closed or reset; `untouched` before any byte of a response.
    TargetGone {
        untouched: bool,
    },
    BadResponse,
    Idle,
    Cut,
}

/// A response that was passed on whole.
pub struct Relayed {
    pub reuse_target: bool,
    pub keep_client: bool,
    /// It is a tunnel now.
    pub switched: bool,
}

enum SendEnd {
    ClientGone,
    BadBody,
    /// Perhaps there is a response all the same.
    TargetGone,
}

impl Progress {
    pub fn new(started: Instant) -> Progress {
        Progress {
            started,
            request_sent: Cell::new(None),
            waits_for_client: Cell::new(false),
            received: Cell::new(0),
            sent: Cell::new(0),
            target_status: Cell::new(None),
            responded: Cell::new(None),
            is_answered: Cell::new(false),
        }
    }
}

pub struct Attempt<'a> {
    pub plan: &'a Plan,
    pub progress: &'a Progress,
    /// As far as the client is concerned.
    pub keep_alive: bool,
    /// By the time of the response another process may have taken over.
    pub is_leaving: &'a Cell<bool>,
}

impl Attempt<'_> {
    pub async fn run(
        &self,
        client: &mut Client<'_>,
        upstream: &mut Upstream,
        body: &mut Body,
        out: &[u8],
        buffer: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Relayed, Failure> {
        let target = &self.plan.target.0;
        let (client_read, client_write) = client.stream.split();
        let (target_read, target_write) = upstream.stream.split();
        let (timer, last) = client.idle.split();
        let mut send = pin!(self.send(client_read, target_write, body, client.input, out, last));
        let mut receive = pin!(self.receive(
            target_read,
            client_write,
            client.minor,
            client.to_head_request,
            buffer,
            reply,
            last
        ));
        let mut cut = pin!(target.cut.notified());
        let mut is_sending = true;
        poll_fn(|context| {
            let sent = if is_sending {
                send.as_mut().poll(context)
            } else {
                Poll::Pending
            };
            // A complete response counts, whatever became of the client's side meanwhile.
            if let Poll::Ready(received) = receive.as_mut().poll(context) {
                return Poll::Ready(received);
            }
            match sent {
                Poll::Ready(SendEnd::ClientGone) => return Poll::Ready(Err(Failure::ClientGone)),
                Poll::Ready(SendEnd::BadBody) => return Poll::Ready(Err(Failure::BadBody)),
                Poll::Ready(SendEnd::TargetGone) => is_sending = false,
                Poll::Pending => {}
            }
            if target.is_cut() || cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Failure::Cut));
            }
            poll_timer(timer, last, context, client.idle_timeout).map(|_| Err(Failure::Idle))
        })
        .await
    }

    /// Never ends well: with the request sent it goes on to watch the client.
    async fn send(
        &self,
        mut client: ReadHalf<'_>,
        mut target: WriteHalf<'_>,
        body: &mut Body,
        input: &mut Vec<u8>,
        out: &[u8],
        last: &Activity,
    ) -> SendEnd {
        let progress = self.progress;
        if target.send(out).await.is_err() {
            return SendEnd::TargetGone;
        }
        while !body.is_done() {
            if input.is_empty() {
                progress.waits_for_client.set(true);
                match client.read_buf(input).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return SendEnd::ClientGone,
                }
                progress.waits_for_client.set(false);
                last.touch();
            }
            let Ok(part) = body.advance(input, Keep::Framing) else {
                return SendEnd::BadBody;
            };
            let mut sent = target.send(&input[..part.kept]).await;
            if let Some(trailers) = body.take_trailers() {
                sent = sent.and(target.send(&trailers).await);
            }
            if sent.is_err() {
                return SendEnd::TargetGone;
            }
            last.touch();
            progress
                .received
                .set(progress.received.get() + part.consumed as u64);
            input.drain(..part.consumed);
        }
        let now = Instant::now();
        last.touch_at(now);
        progress.request_sent.set(Some(now));
        loop {
            if input.len() >= PIPELINED {
                std::future::pending::<()>().await;
            }
            match client.read_buf(input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return SendEnd::ClientGone,
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "both halves and both buffers, used in one place"
    )]
    async fn receive(
        &self,
        mut target: ReadHalf<'_>,
        mut client: WriteHalf<'_>,
        minor: u8,
        to_head_request: bool,
        buffer: &mut Vec<u8>,
        reply: &mut Vec<u8>,
        last: &Activity,
    ) -> Result<Relayed, Failure> {
        let progress = self.progress;
        let mut head = self
            .read_head(&mut target, minor, to_head_request, buffer, reply, last)
            .await?;
        let part = head
            .body
            .advance(buffer, head.delivery.keep())
            .map_err(|_| Failure::BadResponse)?;
        let mut first: &[u8] = &buffer[..part.kept];
        if head.delivery == Delivery::Chunked || first.len() <= COPIED {
            deliver(head.delivery, first, reply);
            first = &[];
        }
        progress.is_answered.set(true);
        write_both(&mut client, reply, first)
            .await
            .map_err(|_| Failure::ClientGone)?;
        progress.sent.set((reply.len() + first.len()) as u64);
        if head.switched {
            buffer.drain(..part.consumed);
            return Ok(Relayed {
                reuse_target: false,
                keep_client: false,
                switched: true,
            });
        }
        let mut has_more = part.consumed < buffer.len();
        while !head.body.is_done() {
            buffer.clear();
            match target.read_buf(buffer).await {
                Ok(1..) => {}
                Ok(0) if head.body == Body::UntilClose => break,
                Ok(0) | Err(_) => return Err(Failure::TargetGone { untouched: false }),
            }
            last.touch();
            let part = head
                .body
                .advance(buffer, head.delivery.keep())
                .map_err(|_| Failure::BadResponse)?;
            has_more = part.consumed < buffer.len();
            let sent = if head.delivery == Delivery::Chunked {
                reply.clear();
                deliver(head.delivery, &buffer[..part.kept], reply);
                &reply[..]
            } else {
                &buffer[..part.kept]
            };
            client.send(sent).await.map_err(|_| Failure::ClientGone)?;
            last.touch();
            progress.sent.set(progress.sent.get() + sent.len() as u64);
        }
        let end = match head.delivery {
            Delivery::Chunked => Some(b"0\r\n\r\n".to_vec()),
            Delivery::AsIs => head.body.take_trailers(),
            Delivery::Unchunked => None,
        };
        if let Some(end) = end {
            client.send(&end).await.map_err(|_| Failure::ClientGone)?;
            progress.sent.set(progress.sent.get() + end.len() as u64);
        }
        // Bytes that belong to no request: whoever sent them is not to be trusted with another.
        let reuse_target = head.keeps_alive && !has_more;
        Ok(Relayed {
            reuse_target,
            keep_client: head.keep_client,
            switched: false,
        })
    }

    /// Reads up to the head that is not an interim one, and writes the client's into `reply`.
    async fn read_head(
        &self,
        target: &mut ReadHalf<'_>,
        minor: u8,
        to_head_request: bool,
        buffer: &mut Vec<u8>,
        reply: &mut Vec<u8>,
        last: &Activity,
    ) -> Result<Head, Failure> {
        buffer.clear();
        reply.clear();
        let mut untouched = true;
        // Bytes of the present head that were parsed in vain.
        let mut looked_at = 0;
        loop {
            let is_new = buffer.len() > looked_at;
            let is_first = looked_at == 0;
            if is_new
                && (is_first
                    || may_be_complete(buffer, looked_at)
                    || buffer.len() > response::HEAD_LIMIT)
            {
                let mut room = fields();
                let parsed = response::parse(buffer, &mut room, to_head_request);
                if let Some(response) = parsed.map_err(|_| Failure::BadResponse)? {
                    let length = response.length;
                    let head = if response.is_interim() {
                        None
                    } else {
                        Some(self.understand(&response, minor, reply, last)?)
                    };
                    buffer.drain(..length);
                    match head {
                        Some(head) => return Ok(head),
                        None => {
                            looked_at = 0;
                            continue;
                        }
                    }
                }
            }
            looked_at = buffer.len();
            if !untouched {
                last.touch();
            }
            match target.read_buf(buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Failure::TargetGone { untouched }),
            }
            untouched = false;
        }
    }

    /// Notes the response, and writes the head for the client.
    fn understand(
        &self,
        response: &response::Response<'_, '_>,
        minor: u8,
        reply: &mut Vec<u8>,
        last: &Activity,
    ) -> Result<Head, Failure> {
        let progress = self.progress;
        let switched = response.status == 101;
        // It answers a whole request that asked for it.
        if switched && !(self.plan.upgrades && progress.request_sent.get().is_some()) {
            return Err(Failure::BadResponse);
        }
        let now = Instant::now();
        last.touch_at(now);
        let sent = progress.request_sent.get().unwrap_or(progress.started);
        self.plan
            .target
            .0
            .counters
            .responded(response.status, now.saturating_duration_since(sent));
        progress.responded.set(Some(now));
        progress.target_status.set(Some(response.status));
        let delivery = Delivery::of(response, minor);
        // While the request is not read to its end nobody knows where the next one starts.
        let keep_client = self.keep_alive
            && !self.is_leaving.get()
            && progress.request_sent.get().is_some()
            && !delivery.ends_by_closing(&response.body);
        let app_cookies = self.plan.app_session.as_ref().filter(|(name, _)| {
            let mut set = response
                .headers
                .iter()
                .filter(|header| field(header.name) == Field::SetCookie);
            set.any(|header| sticky::sets(header.value, name))
        });
        let cookies = app_cookies.map_or(&self.plan.cookies, |(_, cookies)| cookies);
        let changes = &self.plan.changes;
        reply::write(reply, response, minor, keep_client, cookies, changes);
        Ok(Head {
            body: response.body.clone(),
            delivery,
            keeps_alive: response.keeps_alive,
            keep_client,
            switched,
        })
    }
}

/// What matters of a response head once it is written.
struct Head {
    body: Body,
    delivery: Delivery,
    keeps_alive: bool,
    keep_client: bool,
    switched: bool,
}

/// Writes two pieces with as few system calls as one.
async fn write_both(client: &mut WriteHalf<'_>, head: &[u8], body: &[u8]) -> io::Result<()> {
    if body.is_empty() {
        return client.send(head).await;
    }
    let pieces = [io::IoSlice::new(head), io::IoSlice::new(body)];
    let written = client.write_vectored(&pieces).await?;
    if written < head.len() {
        client.write_all(&head[written..]).await?;
    }
    client
        .send(&body[written.saturating_sub(head.len())..])
        .await
}

/// Appends a part of the body as the client gets it.
fn deliver(delivery: Delivery, part: &[u8], out: &mut Vec<u8>) {
    if delivery != Delivery::Chunked {
        return out.extend_from_slice(part);
    }
    push_chunk(part, out);
}

/// Appends a chunk; an empty one would end the body and is left out.
pub fn push_chunk(part: &[u8], out: &mut Vec<u8>) {
    if !part.is_empty() {
        let _ = write!(out, "{:x}\r\n", part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}
