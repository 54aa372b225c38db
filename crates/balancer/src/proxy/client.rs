//! A client connection: one request after the other until somebody has enough.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::arrive::Arrival;
use super::decide::{Context, Decision, What, decide};
use super::exchange::{self, Outcome, exchange};
use super::idle::Idle;
use crate::access_log::Entry;
use crate::config::header::Changes;
use crate::count::Open;
use crate::http::answer::Answer;
use crate::http::body::{Body, Keep};
use crate::http::request::{HEAD_LIMIT, may_be_complete};
use crate::tls::{Session, Stream};
use crate::worker::Core;
use crate::worker::node::{Front, Node};

/// Of a body that nobody reads, to keep the connection; a longer one is not worth it.
const DISCARD_LIMIT: usize = 64 * 1024;
/// How long a client may take to read an error before its connection is reset.
const LINGER: Duration = Duration::from_secs(2);

struct Connection {
    core: Rc<Core>,
    node: Rc<Node>,
    port: u16,
    stream: Stream,
    session: Option<Rc<Session>>,
    peer: SocketAddr,
    /// In logs.
    trace: u64,
    opened: Instant,
    has_served: bool,
    idle: Idle,
    _open: Open,
}

/// What follows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
    /// Close, but let the client read what it was sent although it is still sending itself.
    Linger,
}

/// What a request turned out to be, before it was acted upon.
enum Read {
    Decided(Decision),
    /// An answer without a request: too slow, too long.
    Refused(u16),
    Closed,
}

/// Serves HTTP/1.1 over a connection; `session` says what TLS it is over.
///
/// Not an `async fn`, which would hold its arguments a second time for as long as it runs.
pub fn serve(
    arrival: Arrival,
    stream: Stream,
    session: Option<Rc<Session>>,
) -> impl Future<Output = ()> {
    let idle = Idle::new(arrival.node.front().attributes.idle_timeout);
    let mut connection = Connection {
        core: arrival.core,
        node: arrival.node,
        port: arrival.port,
        stream,
        session,
        peer: arrival.peer,
        trace: arrival.trace,
        opened: Instant::now(),
        has_served: false,
        idle,
        _open: arrival.open,
    };
    async move { connection.run().await }
}

impl Connection {
    async fn run(&mut self) {
        // Holds bytes between requests only if the client pipelines.
        let mut input = Vec::new();
        loop {
            if input.is_empty() {
                let idle_timeout = self.node.front().attributes.idle_timeout;
                let waited = {
                    let readable = pin!(self.stream.readable());
                    self.idle.wait(idle_timeout, readable).await
                };
                match waited {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    // A client that never said a word is told why; one between requests knows.
                    Err(_) if self.has_served => return,
                    Err(_) => {
                        return Box::pin(self.answer_only(408)).await;
                    }
                }
            }
            if input.capacity() == 0 {
                input = self.core.buffer();
            }
            let mut out = self.core.buffer();
            // On the heap while it lasts: an idle connection is not to carry the state of a busy one.
            let next = Box::pin(self.request(&mut input, &mut out)).await;
            self.core.give_back(out);
            if input.is_empty() {
                self.core.give_back(std::mem::take(&mut input));
            }
            self.has_served = true;
            match next {
                Next::Request => {}
                // A client over TLS is told, lest it takes the end for an attack.
                Next::Close if self.stream.is_secured() => {
                    let _ = timeout(LINGER, Box::pin(self.stream.shutdown())).await;
                    return;
                }
                Next::Close => return,
                Next::Linger => return Box::pin(self.linger(&mut input)).await,
            }
        }
    }

    async fn request(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Next {
        let front = self.node.front();
        let mut decision = match self.read(&front, input, out).await {
            Read::Decided(decision) => decision,
            Read::Closed => return Next::Close,
            Read::Refused(status) => {
                self.answer_only(status).await;
                return Next::Linger;
            }
        };
        // The last activity was the head, just now.
        let age = self.idle.last.at().saturating_duration_since(self.opened);
        let is_old = age >= front.attributes.client_keep_alive;
        if is_old || self.core.is_leaving.get() {
            decision.keep_alive = false;
        }
        let Decision {
            length,
            body,
            minor,
            keep_alive,
            to_head_request,
            expects_continue,
            mut entry,
            changes,
            what,
        } = decision;
        input.drain(..length.min(input.len()));
        let (outcome, next) = match what {
            What::Answer(answer) => {
                let reply = Reply {
                    keep_alive,
                    to_head_request,
                    expects_continue,
                    changes: &changes,
                };
                self.answer(&front, &answer, body, reply, input, out).await
            }
            What::Forward(plan) => {
                if expects_continue
                    && !body.is_done()
                    && input.is_empty()
                    && self
                        .stream
                        .send(b"HTTP/1.1 100 Continue\r\n\r\n")
                        .await
                        .is_err()
                {
                    return Next::Close;
                }
                let mut client = exchange::Client {
                    stream: &mut self.stream,
                    idle: &mut self.idle,
                    input,
                    minor,
                    to_head_request,
                    idle_timeout: front.attributes.idle_timeout,
                };
                let mut outcome = exchange(
                    &self.core,
                    &self.node,
                    &mut client,
                    &plan,
                    body,
                    keep_alive,
                    out,
                )
                .await;
                drop(plan);
                let next = if outcome.is_unanswered {
                    let reply = Reply {
                        keep_alive,
                        to_head_request,
                        expects_continue,
                        changes: &changes,
                    };
                    self.fail(&mut outcome, reply, out).await
                } else if outcome.keep_alive {
                    Next::Request
                } else {
                    Next::Close
                };
                (outcome, next)
            }
        };
        self.node
            .counters
            .processed(length as u64 + outcome.received + outcome.sent);
        if let Some(entry) = entry.as_deref_mut() {
            self.log(entry, &outcome, length);
        }
        next
    }

    /// Reads until there is a head to decide upon.
    async fn read(&mut self, front: &Rc<Front>, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Read {
        let idle_timeout = front.attributes.idle_timeout;
        // Bytes that were parsed in vain.
        let mut looked_at = 0;
        loop {
            let is_due =
                looked_at == 0 || may_be_complete(input, looked_at) || input.len() > HEAD_LIMIT;
            if input.len() > looked_at && is_due {
                // The rules of now: they may have changed while the connection was idle.
                let front = self.node.front();
                let Some(listener) = front.listener(self.port) else {
                    return Read::Closed;
                };
                let context = Context {
                    core: &self.core,
                    node: &self.node,
                    front: &front,
                    routes: &listener.routes,
                    changes: &listener.changes,
                    port: self.port,
                    peer: self.peer,
                    now: SystemTime::now(),
                    trace: self.trace,
                    session: self.session.as_ref(),
                };
                if let Some(decision) = decide(&context, input, out) {
                    return Read::Decided(decision);
                }
                if input.len() > HEAD_LIMIT {
                    return Read::Refused(400);
                }
            }
            looked_at = input.len();
            match self
                .idle
                .limit(idle_timeout, self.stream.read_buf(input))
                .await
            {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Read::Closed,
                Err(_) => return Read::Refused(408),
            }
        }
    }

    /// Sends an answer of our own and disposes of the request's body.
    async fn answer(
        &mut self,
        front: &Front,
        answer: &Answer,
        mut body: Body,
        reply: Reply<'_>,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> (Outcome, Next) {
        let mut discarded = 0;
        let mut is_read = reply.keep_alive && !reply.expects_continue;
        while is_read && !body.is_done() {
            if input.is_empty() {
                let read = self
                    .idle
                    .limit(front.attributes.idle_timeout, self.stream.read_buf(input))
                    .await;
                is_read = matches!(read, Ok(Ok(1..)));
            }
            match body.advance(input, Keep::Data) {
                Ok(part) => {
                    discarded += part.consumed;
                    input.drain(..part.consumed);
                    is_read &= discarded <= DISCARD_LIMIT;
                }
                Err(_) => is_read = false,
            }
        }
        let keep_alive = reply.keep_alive && body.is_done();
        out.clear();
        let reply = Reply {
            keep_alive,
            ..reply
        };
        self.write_answer(out, answer, reply);
        let sent = self.write(front, out).await;
        let outcome = Outcome {
            status: answer.status,
            received: discarded as u64,
            sent: out.len() as u64,
            ..Outcome::default()
        };
        let next = match sent {
            true if keep_alive => Next::Request,
            true => Next::Linger,
            false => Next::Close,
        };
        (outcome, next)
    }

    /// Answers for a target that did not.
    async fn fail(&mut self, outcome: &mut Outcome, reply: Reply<'_>, out: &mut Vec<u8>) -> Next {
        self.node.counters.answered(outcome.status);
        if outcome.status == 460 {
            return Next::Close;
        }
        let keep_alive = reply.keep_alive && outcome.keep_alive;
        out.clear();
        let reply = Reply {
            keep_alive,
            ..reply
        };
        self.write_answer(out, &Answer::page(outcome.status), reply);
        outcome.sent = out.len() as u64;
        let front = self.node.front();
        match self.write(&front, out).await {
            true if keep_alive => Next::Request,
            true => Next::Linger,
            false => Next::Close,
        }
    }

    /// An answer to no request in particular.
    async fn answer_only(&mut self, status: u16) {
        self.node.counters.answered(status);
        let mut out = self.core.buffer();
        let front = self.node.front();
        let listener = front.listener(self.port);
        let changes = listener.map(|listener| listener.changes.clone());
        let reply = Reply {
            keep_alive: false,
            to_head_request: false,
            expects_continue: false,
            changes: &changes.unwrap_or_default(),
        };
        self.write_answer(&mut out, &Answer::page(status), reply);
        self.write(&front, &out).await;
        if front.attributes.access_log.is_some() {
            let now = SystemTime::now();
            let mut entry = Entry::new(now, self.peer, self.trace, self.session.as_ref());
            entry.set_no_request(&front.dns_name, self.port);
            let outcome = Outcome {
                status,
                sent: out.len() as u64,
                ..Outcome::default()
            };
            self.log(&mut entry, &outcome, 0);
        }
        self.core.give_back(out);
    }

    fn write_answer(&self, out: &mut Vec<u8>, answer: &Answer, reply: Reply<'_>) {
        let Reply {
            keep_alive,
            to_head_request,
            changes,
            ..
        } = reply;
        answer.write(out, &self.core.date(), keep_alive, to_head_request, changes);
    }

    async fn write(&mut self, front: &Front, bytes: &[u8]) -> bool {
        let written = self
            .idle
            .limit(front.attributes.idle_timeout, self.stream.send(bytes))
            .await;
        matches!(written, Ok(Ok(())))
    }

    /// Closing with unread bytes would reset the connection, and the client might never see the
    /// answer. So: no more from us, and a short while for the client to notice.
    async fn linger(&mut self, input: &mut Vec<u8>) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drained = async {
            let mut left = DISCARD_LIMIT;
            loop {
                input.clear();
                match self.stream.read_buf(input).await {
                    Ok(length @ 1..) if length < left => left -= length,
                    _ => return,
                }
            }
        };
        let _ = timeout(LINGER, drained).await;
    }

    fn log(&self, entry: &mut Entry, outcome: &Outcome, head: usize) {
        entry.elb_status = outcome.status;
        entry.target_status = outcome.target_status;
        entry.received_bytes = head as u64 + outcome.received;
        entry.sent_bytes = outcome.sent;
        entry.request_processing_time = outcome.dispatched_after;
        entry.target_processing_time = outcome.responded_after;
        entry.response_processing_time = outcome.responded_after.map(|_| Duration::ZERO);
        self.node.log_request(entry);
    }
}

#[derive(Clone, Copy)]
struct Reply<'a> {
    keep_alive: bool,
    to_head_request: bool,
    expects_continue: bool,
    changes: &'a Changes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        fn size<F: Future>(_: impl FnOnce(Arrival, Stream, Option<Rc<Session>>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(serve) <= 768, "{}", size(serve));
    }
}
